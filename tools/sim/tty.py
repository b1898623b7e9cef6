"""A board's serial line as the host sees it: a pty, any number of TCP clients, and the log."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import threading
import time
import tty as termios_modes
from collections.abc import Callable

from .rfc2217 import Lines, Telnet

_READ_LEN = 4096
_PENDING_LEN = 1 << 16  # what a slow reader may lag behind
_STALL_S = 2.0  # real; after that nobody is reading, and like the chip's USB we drop


class _Sink:
    """One reader of the line. Never blocks; drops what nobody takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._loop = loop
        self.fd = fd
        self._pending = bytearray()
        self._blocked_since: float | None = None

    def write(self, data: bytes) -> None:
        if self._blocked_since is not None:
            stalled = time.monotonic() - self._blocked_since > _STALL_S
            if stalled or len(self._pending) > _PENDING_LEN:
                self._pending.clear()
                return
        self._pending += data
        if self._blocked_since is None:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._pending:
                count = os.write(self.fd, self._pending[:_READ_LEN])
                del self._pending[:count]
        except BlockingIOError:
            if self._blocked_since is None:
                self._blocked_since = time.monotonic()
                self._loop.add_writer(self.fd, self._flush)
            return
        except OSError:
            self._pending.clear()
        if self._blocked_since is not None:
            self._blocked_since = None
            self._loop.remove_writer(self.fd)

    def close(self) -> None:
        self._loop.remove_reader(self.fd)
        self._loop.remove_writer(self.fd)


class _Client:
    """One TCP connection: plain bytes, or with lines the coding of RFC 2217."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, lines: Lines | None
    ) -> None:
        self.sock = sock
        self.sink = _Sink(loop, sock.fileno())
        self.telnet = Telnet(lines, self.sink.write) if lines else None

    def write(self, data: bytes) -> None:
        self.sink.write(self.telnet.encode(data) if self.telnet else data)

    def read(self) -> bytes | None:
        """What was typed; None at the end of the connection. Raises BlockingIOError."""
        try:
            data = self.sock.recv(_READ_LEN)
        except BlockingIOError:
            raise
        except OSError:
            return None
        if not data:
            return None
        return self.telnet.decode(data) if self.telnet else data

    def close(self) -> None:
        self.sink.close()
        self.sock.close()
        if self.telnet:
            self.telnet.close()


class SerialLine:
    """What a board prints goes to every reader and the log; what they write goes to `on_input`.

    Made and closed on the world's loop; `log` and `wait_for` are for any thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_input: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._on_input = on_input
        self._log = bytearray()
        self._news = threading.Condition()
        self._closed = False
        self._servers: list[socket.socket] = []
        self._clients: dict[int, _Client] = {}
        self._sink: _Sink | None = None
        self._plug(os.openpty())

    @property
    def log(self) -> str:
        """Everything printed so far, with plain line ends."""
        return bytes(self._log).decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, pattern: str, timeout_s: float, start: int = 0) -> re.Match[str]:
        """The first match of a regular expression in the log from `start` on.

        The time is real. Raises TimeoutError, which carries the log.
        """
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                log = self.log
                match = re.search(pattern, log[start:])
                if match:
                    return match
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    raise TimeoutError(f"no {pattern!r} in {timeout_s} s; the board said:\n{log}")
                self._news.wait(left)

    def _plug(self, pty: tuple[int, int]) -> None:
        self._master, self._slave = pty
        # Ours stays open, so that the line survives a host that comes and goes.
        termios_modes.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._sink = _Sink(self._loop, self._master)
        self._loop.add_reader(self._master, self._read_pty)

    def _unplug(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None
            os.close(self._master)
            os.close(self._slave)

    def replug(self, away_s: float) -> None:
        """Let the pty vanish, and another come `away_s` later. On the loop only.

        What is printed meanwhile reaches no host, as with USB inside the chip.
        """
        other = os.openpty()  # before the old one goes, else it would get the same name

        def back() -> None:
            if self._closed or self._sink is not None:
                for fd in other:
                    os.close(fd)
            else:
                self._plug(other)

        self._unplug()
        self._loop.call_later(away_s, back)

    @property
    def plugged(self) -> bool:
        """Whether a host sees the port."""
        return self._sink is not None

    def write(self, data: bytes) -> None:
        """The board prints. On the loop only."""
        if self._closed or not data:
            return
        with self._news:
            self._log += data
            self._news.notify_all()
        if self._sink is not None:
            self._sink.write(data)
        for client in list(self._clients.values()):
            client.write(data)

    def serve_tcp(self, port: int = 0, lines: Lines | None = None) -> int:
        """Serve the line on loopback as `socket://` expects it, or with lines as `rfc2217://`
        does; returns the port."""
        server = socket.create_server(("127.0.0.1", port))
        server.setblocking(False)
        self._servers.append(server)
        self._loop.add_reader(server, self._accept, server, lines)
        return server.getsockname()[1]

    def close(self) -> None:
        if self._closed:
            return
        with self._news:
            self._closed = True
            self._news.notify_all()
        for server in self._servers:
            self._loop.remove_reader(server)
            server.close()
        for fd in list(self._clients):
            self._drop(fd)
        self._unplug()

    def _read_pty(self) -> None:
        try:
            data = os.read(self._master, _READ_LEN)
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno == errno.EIO:
                return  # the last host closed its side (seen on macOS only)
            raise
        if data:
            self._on_input(data)

    def _accept(self, server: socket.socket, lines: Lines | None) -> None:
        try:
            sock, _address = server.accept()
        except OSError:
            return
        sock.setblocking(False)
        # Many small answers: without this each would wait 40 ms for the last one's receipt.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = sock.fileno()
        self._clients[fd] = _Client(self._loop, sock, lines)
        self._loop.add_reader(fd, self._read_client, fd)

    def _read_client(self, fd: int) -> None:
        try:
            data = self._clients[fd].read()
        except BlockingIOError:
            return
        if data is None:
            self._drop(fd)
        elif data:
            self._on_input(data)

    def _drop(self, fd: int) -> None:
        self._clients.pop(fd).close()
