"""A serial server as labs have them: RFC 2217 by pyserial's own half, with DTR and RTS pretended.

A pty has no modem lines. Here they are kept beside it, and what they do is up to the board.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import serial
import serial.rfc2217


class Lines:
    """The port that pyserial's manager drives: settings without effect, and two wires.

    `changed(dtr, rts)` is called at every change; true means asserted. Both are while somebody is
    connected, and until told otherwise: so does a server that opens its port for each connection,
    ser2net for one.
    """

    baudrate = 115200
    bytesize = serial.EIGHTBITS
    parity = serial.PARITY_NONE
    stopbits = serial.STOPBITS_ONE
    xonxoff = rtscts = break_condition = False
    cts = dsr = cd = True
    ri = False

    def __init__(self, changed: Callable[[bool, bool], None]) -> None:
        self._changed = changed
        self._dtr = self._rts = False

    def set(self, dtr: bool, rts: bool) -> None:
        """Both at once, as only opening and closing a port does."""
        self._dtr, self._rts = dtr, rts
        self._changed(dtr, rts)

    @property
    def dtr(self) -> bool:
        return self._dtr

    @dtr.setter
    def dtr(self, on: bool) -> None:
        self.set(on, self._rts)

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, on: bool) -> None:
        self.set(self._dtr, on)

    def reset_input_buffer(self) -> None:
        """Nothing is held back here that could be thrown away."""

    reset_output_buffer = reset_input_buffer


class Telnet:
    """The coding of one connection."""

    def __init__(self, lines: Lines, write: Callable[[bytes], None]) -> None:
        self._lines = lines
        self._manager = serial.rfc2217.PortManager(lines, SimpleNamespace(write=write))
        lines.set(True, True)

    def decode(self, data: bytes) -> bytes:
        """What was typed; the commands in between are obeyed."""
        return b"".join(self._manager.filter(data))

    def encode(self, data: bytes) -> bytes:
        return b"".join(self._manager.escape(data))

    def close(self) -> None:
        self._lines.set(False, False)
