"""A board's raw REPL, through mpremote as a library, with errors that name what happened."""

from __future__ import annotations

import ast
import base64
import contextlib
import re
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from tools.board_port import TermiosError, open_serial
from tools.raw_repl import enter

# A read that gets nothing for so long means that nobody is there: without it, mpremote waits for
# ever where it expects one particular byte.
_READ_S = 5.0
_LINE_S = 0.5
_STARTED = re.compile(rb"@boot \{.*\}\s*$")
_CHUNK_LEN = 1536  # of a file, per command; a board holds it three times while it works on it
# struct: mpremote unpacks what a dying port gave it. The others are pyserial's.
_LOST = (TransportError, OSError, struct.error, TermiosError, TypeError, AttributeError)

# Sent once. One command per chunk and no more: each costs a few of mpremote's 10 ms waits.
_TOOLS = """
import os
from binascii import a2b_base64 as _a
_w = None
def _put(path, text, last):
    global _w
    if path:
        _w = open(path, "wb")
    try:
        _w.write(_a(text))
    except OSError:
        last = True  # a file that stays open keeps its blocks
        raise
    finally:
        if last:
            _w.close()
def _hash(path):
    import hashlib
    from binascii import hexlify
    h = hashlib.sha256()
    b = memoryview(bytearray(1024))
    with open(path, "rb") as f:
        while True:
            n = f.readinto(b)
            if not n:
                return hexlify(h.digest()).decode()
            h.update(b[:n])
def _show(path):
    try:
        names = os.listdir(path)
    except OSError:
        try:
            print(repr((path, os.stat(path)[6], _hash(path))))
        except OSError:
            pass
        return
    print(repr((path, 0, None)))
    for name in names:
        _show(path + "/" + name)
"""


class DeployError(click.ClickException):
    """Deploying failed; the text names the fault, what is on the board now, and the cure."""


class LinkLost(DeployError):
    """The port, the board or its power went away."""


class BoardFault(DeployError):
    """The board raised an exception; `line` is its last line."""

    def __init__(self, line: str, trace: str) -> None:
        super().__init__(f"the board said: {line}")
        self.line = line
        self.trace = trace

    @property
    def full(self) -> bool:
        """Whether its file system has no room left."""
        return "ENOSPC" in self.line or self.line.startswith("OSError: 28")


class Link:
    """The raw REPL of the board at `address`; a context manager.

    Stops the program there. On the way out the board is soft-reset, so that a program runs again.
    Raises PortError, LinkLost, BoardFault, DeployError.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._transport: SerialTransport | None = None

    def __enter__(self) -> Link:
        open_serial(self.address, _READ_S).close()  # for the better sentence
        with self._alive():
            self._transport = SerialTransport(self.address, timeout=_READ_S)
        try:
            self._enter()
            self.run(_TOOLS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        with contextlib.suppress(*_LOST):
            self._leave(transport)
        with contextlib.suppress(*_LOST):
            transport.close()

    def _leave(self, transport: SerialTransport) -> None:
        # ^C: a command of ours may still be running. ^B: the friendly prompt. ^D there: a soft
        # reset that runs main.py.
        transport.serial.write(b"\r\x03\r\x02")
        transport.read_until(1, b">>> ", timeout=1)
        transport.serial.write(b"\x04")

    def restart(self, timeout_s: float) -> str:
        """Soft-reset the board, close the link, and return what it said up to `@boot` or a prompt.

        Raises LinkLost.
        """
        transport = self._open_transport()
        said = b""
        with self._alive():
            self._leave(transport)
            deadline = time.monotonic() + timeout_s
            while time.monotonic() < deadline and not _STARTED.search(said):
                said += transport.read_until(1, b"\n", timeout=_LINE_S)
                if said.endswith(b">>> "):
                    break
            self._transport = None
            transport.close()
        return said.decode(errors="replace")

    def _enter(self) -> None:
        transport = self._open_transport()
        try:
            enter(transport, _READ_S * 2)
        except TransportError:
            raise DeployError(
                f"the board at {self.address} does not come to its prompt; press RESET, and "
                "within two seconds after that BOOT, then try again. Is MicroPython on it? "
                "(make flash)"
            ) from None
        except _LOST as error:
            raise _lost(self.address, error) from error

    def _open_transport(self) -> SerialTransport:
        if self._transport is None:
            raise LinkLost(f"the link to {self.address} is closed")
        return self._transport

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except _LOST as error:
            raise _lost(self.address, error) from error

    def run(self, code: str) -> str:
        """Run code on the board and return what it printed."""
        with self._alive():
            output, trace = self._open_transport().exec_raw(code, timeout=_READ_S)
        if trace:
            text = trace.decode(errors="replace").strip()
            raise BoardFault(text.splitlines()[-1], text)
        return output.decode(errors="replace")

    def value(self, expression: str) -> Any:
        """A literal from the board."""
        output = self.run(f"print(repr({expression}))")
        try:
            return ast.literal_eval(output.strip())
        except (ValueError, SyntaxError) as error:
            raise LinkLost(f"the board at {self.address} answers nonsense: {output!r}") from error

    def tree(self, *paths: str) -> dict[str, tuple[int, str | None]]:
        """Of each file below `paths`: path → (length, SHA-256); of directories: (0, None)."""
        output = self.run("\n".join(f"_show({path!r})" for path in paths))
        found = {}
        try:
            for line in output.splitlines():
                path, length, digest = ast.literal_eval(line)
                found[path] = (length, digest)
        except (ValueError, SyntaxError, TypeError) as error:
            raise LinkLost(f"the board at {self.address} answers nonsense: {line!r}") from error
        return found

    def write(self, path: str, data: bytes, progress: Callable[[int], None]) -> None:
        """Write a whole file; progress(n) is called for every n bytes."""
        starts = range(0, max(len(data), 1), _CHUNK_LEN)
        for at in starts:
            chunk = data[at : at + _CHUNK_LEN]
            name = path if at == 0 else None
            self.run(f"_put({name!r}, {base64.b64encode(chunk)!r}, {at == starts[-1]})")
            progress(len(chunk))


def _lost(address: str, error: BaseException) -> LinkLost:
    why = str(error).strip().splitlines()
    return LinkLost(f"the board at {address} was lost ({why[0] if why else type(error).__name__})")
