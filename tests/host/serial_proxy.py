"""A `socket://` port whose other end can be chosen per connection, and can vanish."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class SerialProxy:
    """`target(n)` gives the TCP port for the n-th connection, from 1; None refuses it.

    cut_after: so many bytes from the host, then the link is gone, and the port with it.
    """

    def __init__(self, target: Callable[[int], int | None], cut_after: int | None = None) -> None:
        self._target = target
        self._cut_after = cut_after
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self.connections = 0
        self.sent = 0  # bytes from the host
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> SerialProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.vanish()

    def vanish(self) -> None:
        for each in (self._server, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                host, _address = self._server.accept()
                self.connections += 1
                port = self._target(self.connections)
                if port is None:
                    host.close()
                    continue
                board = socket.create_connection(("127.0.0.1", port))
                for each in (host, board):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.append(each)
                for pair in ((host, board, True), (board, host, False)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, from_host: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if from_host:
                    self.sent += len(data)
                    if self._cut_after is not None and self.sent > self._cut_after:
                        self.vanish()
                        return
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
