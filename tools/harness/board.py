"""A board as a test sees it: a serial address, and what comes out of it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import serial

from tools.board_port import BoardPort, PortError, find, open_serial

from . import reset
from .reset import ResetError, Way

_T = TypeVar("_T")
_LATENCY_S = 0.005  # from a simulated board's process to the reader of its pty
_SLICE_S = 0.1
_CTRL_C_S = 4.0
_BACK_S = 15.0  # a port that went away comes back so soon, or is given up
_RESET_S = 10.0  # the first sign of life after a reset: the ROM's, else boot.py's
_LINE = re.compile(r"@(boot|state|ok|err) (\{.*\})\s*$")
GAP = "[here the port was closed: what came meanwhile is lost]"
_ALIVE = r"ESP-ROM:|rst:0x|@boot \{|MicroPython v?\d"
_CURE = (
    "Name a way that works here: --reset-command '…' (a relay, uhubctl), or wire the adapter's "
    "RTS to EN (--reset rts)"
)


class BoardError(AssertionError):
    """A board did not do what was waited for; the text ends with its log."""


class Board:
    """A board at a serial address: a port, `id:<USB serial number>`, a pty, `socket://host:port` or
    `rfc2217://…`.

    Everything received since `open` is kept in `log`; `wait` looks at `@` lines after a cursor, so
    nothing is missed between two waits and nothing is seen twice. A port that goes away, as USB
    inside a chip may at a reset, is found again by its serial number. `ways` are those to reset it
    (default: what such an address may have). `pass_time` is called again and again while something
    is waited for: a simulated board need not be waited for in real time. `note(source, text)` hears
    each line.
    """

    def __init__(
        self,
        address: str | BoardPort,
        ways: Sequence[Way] | None = None,
        pass_time: Callable[[], None] | None = None,
        note: Callable[[str, str], None] = lambda _source, _text: None,
    ) -> None:
        self._to_find = address if isinstance(address, str) else None
        self.port = address if isinstance(address, BoardPort) else BoardPort(address)
        self.log = ""
        self._ways = list(reset.ways(self.address) if ways is None else ways)
        self._pass_time = pass_time
        self._note = note
        self._lines: list[tuple[str, dict[str, Any]]] = []
        self._cursor = 0
        self._partial = ""
        self._news = threading.Condition()
        self._serial: serial.SerialBase | None = None
        self._reader: threading.Thread | None = None
        self._was_open = False
        self._gone: str | None = None  # why there is no port any more
        self._back_at = -1  # length of the log when a lost port came back

    @property
    def address(self) -> str:
        """Where it is now, for another program to open."""
        return self.port.address

    # -- link --------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the address and start to read; raises PortError."""
        if self._to_find is not None:
            self.port = find(self._to_find)
            link = open_serial(self.address, _SLICE_S)
            self._to_find = None
        else:
            # Perhaps after a reset: it may need a moment, and have another name.
            link = self._reopened(lambda: True)
        if self._was_open:
            self._take_gap()
        self._was_open = True
        self._gone = None
        self._serial = link
        self._reader = threading.Thread(target=self._read, args=(link,), daemon=True)
        self._reader.start()

    def _reopened(self, wanted: Callable[[], bool]) -> serial.SerialBase:
        deadline = time.monotonic() + _BACK_S
        while True:
            try:
                port = self.port.again(_SLICE_S)
                link = open_serial(port.address, _SLICE_S)
            except PortError:
                if not wanted() or time.monotonic() > deadline:
                    raise
                time.sleep(_SLICE_S)
            else:
                self.port = port
                return link

    def close(self) -> None:
        link, self._serial = self._serial, None
        if link is not None and self._partial:
            self._note("board", self._partial)
        if self._reader is not None:
            self._reader.join(timeout=2)
            self._reader = None
        if link is not None:
            link.close()

    @property
    def link(self) -> serial.SerialBase:
        """The open port."""
        if self._serial is None:
            raise BoardError("the board's address is not open")
        return self._serial

    def _read(self, link: serial.SerialBase | None) -> None:
        while link is not None and self._serial is link:
            try:
                data = link.read(max(1, link.in_waiting))
            except (OSError, TypeError):  # unplugged, or closed under us
                link = self._again(link)
                continue
            if data:
                self._take(data.decode("utf-8", errors="replace"))

    def _again(self, lost: serial.SerialBase) -> serial.SerialBase | None:
        """The port that comes in place of a lost one; None if there is none, or none is wanted."""
        with contextlib.suppress(OSError):
            lost.close()
        link = None
        try:
            link = self._reopened(lambda: self._serial is lost)
        except PortError as error:
            why = error.message
        with self._news:
            if self._serial is not lost:  # closed meanwhile
                if link is not None:
                    link.close()
                return None
            self._news.notify_all()
            if link is None:
                self._gone = f"its port went away ({why})"
                return None
            self._serial = link
            self._take_gap()
            self._back_at = len(self.log)
        self._note("test", f"the port went away and is back as {self.address}")
        return link

    def _take_gap(self) -> None:
        self._take(("\n" if self._partial else "") + GAP + "\n")

    def _take(self, text: str) -> None:
        with self._news:
            self.log += text
            self._partial += text
            *lines, self._partial = self._partial.split("\n")
            for line in lines:
                self._note("board", line)
                match = _LINE.search(line)
                if match:
                    try:
                        self._lines.append((match[1], json.loads(match[2])))
                    except json.JSONDecodeError:
                        continue  # torn by a reset
            self._news.notify_all()

    # -- what a test does --------------------------------------------------------------------

    def wait(self, tag: str = "state", timeout_s: float = 30, **fields: Any) -> dict[str, Any]:
        """The next `@tag` line whose fields match; raises BoardError at the deadline."""

        def look() -> dict[str, Any] | None:
            while self._cursor < len(self._lines):
                got_tag, got = self._lines[self._cursor]
                self._cursor += 1
                if got_tag == tag and all(got.get(k) == v for k, v in fields.items()):
                    return got
            return None

        return self._wait(look, f"@{tag} {fields}", timeout_s)

    def wait_state(self, state: str, timeout_s: float = 30, **fields: Any) -> dict[str, Any]:
        return self.wait("state", timeout_s, state=state, **fields)

    def wait_text(self, pattern: str, timeout_s: float = 30, start: int = 0) -> re.Match[str]:
        """The first match of a regular expression in the log from `start` on."""
        return self._wait(lambda: re.search(pattern, self.log[start:]), repr(pattern), timeout_s)

    def wait_count(self, count: int, state: str, timeout_s: float = 30) -> None:
        """Until the board has been in a state so many times, whatever has been waited for."""

        def look() -> bool | None:
            return sum(each["state"] == state for each in self.states()) >= count or None

        self._wait(look, f"@state {state} for the {count}th time", timeout_s)

    def _wait(self, look: Callable[[], _T | None], what: str, timeout_s: float) -> _T:
        deadline = time.monotonic() + timeout_s
        while True:
            with self._news:
                found = look()
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if self._gone or left <= 0:
                    why = self._gone or f"none within {timeout_s:g} s"
                    raise BoardError(f"no {what}: {why}; the board said:\n{self.log}")
                # A skip of time may have made it speak: what it said takes a moment to get here.
                news = self._news.wait(left if self._pass_time is None else _LATENCY_S)
            if self._pass_time is not None and not news:
                self._pass_time()

    def states(self) -> list[dict[str, Any]]:
        """Every `@state` so far, whatever has been waited for."""
        with self._news:
            return [fields for tag, fields in self._lines if tag == "state"]

    def skip_to_now(self) -> None:
        """Let the next wait see only what comes from now on."""
        with self._news:
            self._cursor = len(self._lines)

    def write(self, data: bytes) -> None:
        try:
            self.link.write(data)
        except OSError as error:
            raise BoardError(f"cannot write to {self.address}: {error}\n{self.log}") from error

    def to_repl(self, timeout_s: float = 10) -> None:
        """Ctrl-C: ends what runs; back when the prompt is there.

        Once more after a while: one that falls into the chip's start is lost. Not sooner than the
        longest call of C code ends, or it would interrupt what cleans up after the first.
        """
        start, left_s = len(self.log), timeout_s
        while True:
            self.write(b"\x03")
            try:
                self.wait_text(r">>> $", min(left_s, _CTRL_C_S), start)
                return
            except BoardError:
                left_s -= _CTRL_C_S
                if left_s <= 0:
                    why = f"no prompt within {timeout_s:g} s after Ctrl-C"
                    raise BoardError(f"{why}; the board said:\n{self.log}") from None

    def soft_reset(self) -> None:
        """Ctrl-C, then Ctrl-D at the prompt: boot.py and main.py run again."""
        self.to_repl()
        self.skip_to_now()
        self.write(b"\x04")

    def type(self, line: str) -> None:
        """Type a line of Python at the prompt. It is echoed: nothing secret may be in it."""
        self.write(line.encode() + b"\r")

    def reset(self) -> None:
        """Hard reset, by the first way that works; raises BoardError if none does.

        Back when the board has given a sign of life: that way it is known to have worked.
        """
        failed = []
        for way in list(self._ways):
            self.skip_to_now()
            start = len(self.log)
            self._note("test", f"reset by {way.name}")

            def alive(start: int = start) -> bool | None:
                # Of a port that went away the ROM's words may be lost: then any word will do.
                back = start <= self._back_at < len(self.log)
                return True if back or re.search(_ALIVE, self.log[start:]) else None

            try:
                way(self)
                self._wait(alive, "sign of life", _RESET_S)
            except (ResetError, OSError) as error:
                failed.append(f"  {way.name}: {error}")
            except BoardError as error:
                failed.append(f"  {way.name}: {str(error).partition(';')[0]}")
            else:
                # The next reset need not find out again what does nothing here.
                self._ways = self._ways[self._ways.index(way) :]
                return
        tried = "\n".join(failed)
        raise BoardError(
            f"the board at {self.address} could not be reset:\n{tried}\n{_CURE}.\n"
            f"The board said:\n{self.log}"
        )

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """The address, for another program to open: two readers would share the bytes."""
        self.close()
        try:
            yield self.address
        finally:
            self.open()

    def mpremote(self, *args: str, timeout_s: float = 60) -> str:
        """Run the real mpremote on this board and return its output; raises BoardError."""
        self._note("test", f"mpremote {args[0]}")
        with self.lent() as address:
            done = subprocess.run(
                [sys.executable, "-m", "mpremote", "connect", address, *args],
                capture_output=True,
                text=True,
                timeout=timeout_s,
            )
        if done.returncode:
            raise BoardError(f"mpremote {args[0]} failed:\n{done.stdout}{done.stderr}\n{self.log}")
        return done.stdout
