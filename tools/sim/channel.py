"""The line between one board process and the world: newline-delimited JSON, both ways.

Board to world: ``{"i": n, "op": name, "a": [...]}`` answered by ``{"i": n, "r": result}`` or
``{"i": n, "e": exception name, "m": argument}``; without ``i`` nothing is answered.
World to board: ``{"ev": name, "a": [...]}``; with ``n`` the board answers ``{"n": n, "r": ...}``
once its handler has returned. Bytes travel as hexadecimal strings.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import socket
from collections.abc import Callable
from typing import Any

_MAX_LINE_LEN = 1 << 20
_READ_LEN = 1 << 16


class ChannelClosed(ConnectionError):
    """The board's process has ended, so nothing can be asked of it."""


class BoardError(RuntimeError):
    """A handler on the board raised; the text is its type and message."""


class SimError(Exception):
    """Raised by a world-side operation to raise a named exception on the board.

    ``kind`` is the name of the exception there (OSError, ValueError, …), ``argument`` its argument.
    """

    def __init__(self, kind: str, argument: Any = None) -> None:
        super().__init__(kind, argument)
        self.kind = kind
        self.argument = argument


class Channel:
    """The world's end. Lives on one asyncio loop; create and use it there."""

    def __init__(self, sock: socket.socket, on_close: Callable[[], None] | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_close = on_close
        self._ops: dict[str, Callable[..., Any]] = {}
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._next_n = 0
        self._taken = 0
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._blocked = False  # the board does not read as fast
        self.closed = False
        self.sent = 0  # messages given to the board so far; it reports how many it has seen
        self._loop.add_reader(sock, self._readable)

    def register(self, op: str, func: Callable[..., Any]) -> None:
        """Answer the board's calls of ``op`` with ``func(*args)``, plain or async."""
        self._ops[op] = func

    @property
    def waiting(self) -> int:
        """How many requests the board has not answered yet."""
        return len(self._pending)

    def send(self, event: str, *args: Any) -> None:
        """Tell the board; no answer. Silently dropped when the board is gone."""
        self._write({"ev": event, "a": args})

    async def request(self, event: str, *args: Any) -> Any:
        """Tell the board and wait until its handler has returned.

        Raises BoardError when the handler raised, ChannelClosed when the board went away.
        """
        if self.closed:
            raise ChannelClosed(event)
        self._next_n += 1
        n = self._next_n
        future: asyncio.Future[Any] = self._loop.create_future()
        self._pending[n] = future
        self._write({"ev": event, "n": n, "a": args})
        try:
            return await future
        finally:
            self._pending.pop(n, None)

    def close(self) -> None:
        """Close the world's end; every waiting request gets ChannelClosed. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for future in self._pending.values():
            if not future.done():
                future.set_exception(ChannelClosed("the board's process has ended"))
                future.exception()  # nobody may be waiting any more: not a lost exception then
        for task in self._tasks:
            task.cancel()
        if self._on_close:
            self._on_close()

    def drain(self) -> None:
        """Take what a board said before it ended."""
        while not self.closed:
            before = len(self._inbox), self._taken
            self._readable()
            if before == (len(self._inbox), self._taken):
                return

    def _write(self, message: dict[str, Any]) -> None:
        if self.closed:
            return
        self.sent += 1
        idle = not self._outbox
        self._outbox += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if idle:
            self._flush()

    def _flush(self) -> None:
        try:
            count = self._sock.send(self._outbox)
        except (BlockingIOError, InterruptedError):
            count = 0
        except OSError:
            self.close()
            return
        del self._outbox[:count]
        if bool(self._outbox) == self._blocked:
            return
        self._blocked = bool(self._outbox)
        if self._blocked:
            self._loop.add_writer(self._sock, self._flush)
        else:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_LEN)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._taken += len(data)
        self._inbox += data
        *lines, rest = bytes(self._inbox).split(b"\n")
        self._inbox = bytearray(rest)
        if len(rest) > _MAX_LINE_LEN:
            self.close()
            return
        for line in lines:
            if line and not self.closed:
                self._handle(json.loads(line))

    def _handle(self, message: dict[str, Any]) -> None:
        if "op" in message:
            self._serve(message)
            return
        future = self._pending.get(message.get("n", -1))
        if future is None or future.done():
            return
        if "e" in message:
            future.set_exception(BoardError(f"{message['e']}: {message.get('m')}"))
        else:
            future.set_result(message.get("r"))

    def _serve(self, message: dict[str, Any]) -> None:
        ident = message.get("i")
        func = self._ops.get(message["op"])
        if func is None:
            self._answer(ident, error=("RuntimeError", f"the world has no {message['op']}"))
            return
        try:
            result = func(*message.get("a", ()))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it belongs to the board
            self._answer(ident, error=_named(exc))
            return
        if inspect.isawaitable(result):
            task = self._loop.create_task(self._finish(ident, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if inspect.iscoroutine(result):
                # Cancelled before its first step, the task would leave it behind unawaited.
                task.add_done_callback(lambda _task: result.close())
        else:
            self._answer(ident, result)

    async def _finish(self, ident: int | None, result: Any) -> None:
        try:
            value = await result
        except Exception as exc:  # noqa: BLE001 - whatever it is, it belongs to the board
            self._answer(ident, error=_named(exc))
        else:
            self._answer(ident, value)

    def _answer(
        self, ident: int | None, result: Any = None, error: tuple[str, Any] | None = None
    ) -> None:
        if ident is None:
            return
        if error:
            self._write({"i": ident, "e": error[0], "m": error[1]})
            return
        with contextlib.suppress(TypeError):
            self._write({"i": ident, "r": result})
            return
        self._write({"i": ident, "e": "TypeError", "m": f"not JSON: {result!r}"})


def _named(exc: Exception) -> tuple[str, Any]:
    if isinstance(exc, SimError):
        return exc.kind, exc.argument
    if isinstance(exc, OSError) and exc.errno is not None:
        return "OSError", exc.errno
    return type(exc).__name__, str(exc)
