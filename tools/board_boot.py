"""What a board says first: its `@boot` line, MicroPython's banner, or what comes after them."""

from __future__ import annotations

import contextlib
import re
import time

import serial

from tools.board_port import BoardPort, PortError, open_serial

MIN_MICROPYTHON = (1, 29)  # boot.py refuses older ones
_BOOT = re.compile(r"@boot (\{.*\})\s")
_BANNER = re.compile(r"MicroPython \S+ on [^\r\n]*(?=[\r\n])")
# Comes only after those two, from a board that was faster than its port.
_STATE = re.compile(r"@state (\{.*\})\s")
_TROUBLE = re.compile(
    r"(?:SafeMode|[A-Z]\w*Error): ([^\r\n]+)|(waiting for download)|(invalid header)"
)
_CTRL_B = b"\x02"  # at a prompt: says the banner again; for a program: a character of no meaning
_ASK_AFTER_S = 2.0  # boot.py's own window: whoever speaks by itself has spoken by then
_SLICE_S = 0.1


class SilentBoard(PortError):
    """Nothing, or nothing good, came within the time; the text shows what did."""


def await_boot(port: BoardPort, timeout_s: float = 15.0, ask: bool = True) -> str:
    """The first `@boot`, banner or `@state` line after a reset; opens the port when it is back.

    `ask`: type ^B, because the banner may have gone by before the port was back. Raises SilentBoard
    or PortError.
    """
    deadline = time.monotonic() + timeout_s
    link = None
    heard = ""
    closed: Exception | None = None
    asked_at = time.monotonic()
    try:
        while time.monotonic() < deadline:
            try:
                if link is None:
                    port = port.again(max(0.0, deadline - time.monotonic()))
                    link = open_serial(port.address, _SLICE_S)
                heard += link.read(max(1, link.in_waiting)).decode(errors="replace")
                line = _BOOT.search(heard) or _BANNER.search(heard) or _STATE.search(heard)
                if line:
                    return line[0].strip()
                if ask and time.monotonic() - asked_at > _ASK_AFTER_S:
                    asked_at = time.monotonic()
                    link.write(_CTRL_B)
            except (OSError, PortError) as error:
                # Gone again: a chip with USB of its own does that more than once while it starts.
                closed = None if link else error
                _shut(link)
                link = None
                time.sleep(_SLICE_S)
    finally:
        _shut(link)
    if not heard and isinstance(closed, PortError):
        raise closed
    trouble = _TROUBLE.search(heard)
    said = heard.strip()[-400:]
    raise SilentBoard(
        f"the board at {port.address} did not say @boot within {timeout_s:g} s"
        + (f": {trouble[0]}" if trouble else "")
        + (f"\nit said:\n{said}" if said else "; it said nothing")
    )


def _shut(link: serial.SerialBase | None) -> None:
    if link is not None:
        with contextlib.suppress(OSError):
            link.close()
