"""The buttons of simulated boards, pressed by typing their names where `homing sim` runs."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Mapping

from .board import SimBoard

HELP = "buttons, typed here: boot, boot SECONDS (held so long), reset; of another: board2 reset"
_READ_LEN = 4096


class Buttons:
    """Reads commands from this program's input, for the boards by name."""

    def __init__(self, boards: Mapping[str, SimBoard]) -> None:
        self._boards = boards
        self._text = b""
        self._input: int | None = None
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._input = sys.stdin.fileno()
        if hasattr(signal, "SIGTTIN"):
            # In the background a shell would stop this program for reading; so reading fails.
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)

    def wait(self, timeout_s: float) -> list[str]:
        """Wait that long for commands and do them; returns complaints."""
        if self._input is None or os.name != "posix":
            time.sleep(timeout_s)
            return []
        if not select.select([self._input], [], [], timeout_s)[0]:
            return []
        data = b""
        with contextlib.suppress(OSError):
            data = os.read(self._input, _READ_LEN)
        if not data:
            self._input = None
            return []
        *lines, self._text = (self._text + data).split(b"\n")
        return [said for line in lines if (said := self.do(line.decode(errors="replace")))]

    def do(self, line: str) -> str:
        """One command; returns "" or what is wrong with it. Without a board's name: the first."""
        words = line.split()
        if not words:
            return ""
        board = next(iter(self._boards.values()))
        if words[0] in self._boards:
            board = self._boards[words.pop(0)]
        match words:
            case ["reset"]:
                board.reset()
            case ["boot"]:
                board.press_boot()
            case ["boot", seconds] if seconds.isdecimal():
                board.press_boot(float(seconds))
            case _:
                more = f"; before it: {', '.join(self._boards)}" if len(self._boards) > 1 else ""
                return f"{HELP}{more}"
        return ""
