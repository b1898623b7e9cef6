"""Which serial port is the board? By path or URL, by USB serial number, or the only one there is.

Names such as /dev/ttyACM0 move from board to board when a chip with USB of its own resets or two
are plugged in; a serial number does not. So everything that resets a board remembers the number.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import click
import serial
from serial.tools import list_ports

try:
    from termios import error as TermiosError  # which is no OSError
except ImportError:  # Windows
    TermiosError = OSError

_NATIVE = (0x303A, 0x1001)  # USB-Serial/JTAG inside the ESP32-C3
# UART bridges on boards with an ESP32-C3. Anything may be behind one: they are a guess.
_BRIDGES = {
    (0x0403, 0x6001): "FT232",
    (0x0403, 0x6010): "FT2232",
    (0x0403, 0x6015): "FT231X",
    (0x067B, 0x2303): "PL2303",
    (0x10C4, 0xEA60): "CP210x",
    (0x1A86, 0x55D3): "CH343",
    (0x1A86, 0x55D4): "CH9102",
    (0x1A86, 0x7522): "CH340",
    (0x1A86, 0x7523): "CH340",
}
_POLL_S = 0.1


class PortError(click.ClickException):
    """There is no such port, or it cannot be opened; the text names the cure."""


class Listed(Protocol):
    """What pyserial tells about a port, as far as it is used."""

    device: str
    serial_number: str | None
    vid: int | None
    pid: int | None


ListPorts = Callable[[], Iterable[Listed]]


def _ports() -> Iterable[Listed]:
    return list_ports.comports()


@dataclass(frozen=True)
class BoardPort:
    """An address that pyserial opens, and the USB serial number by which to find it again."""

    address: str
    serial_number: str | None = None
    native: bool = False  # the chip's own USB: gone while it resets
    list_ports: ListPorts = field(default=_ports, repr=False, compare=False)

    def again(self, timeout_s: float) -> BoardPort:
        """Where the board is after a reset; waits for it. Raises PortError if it stays away."""
        deadline = time.monotonic() + timeout_s
        while True:
            if self.serial_number:
                for listed in self.list_ports():
                    if listed.serial_number == self.serial_number:
                        return _made(listed, self.list_ports)
            elif "://" in self.address or Path(self.address).exists():
                return self
            if time.monotonic() > deadline:
                raise PortError(
                    f"the board at {self.address} did not come back within {timeout_s:g} s; "
                    "unplug it and plug it in again"
                )
            time.sleep(_POLL_S)


def _ids(listed: Listed) -> tuple[int, int]:
    return (listed.vid or 0, listed.pid or 0)


def _made(listed: Listed, ports: ListPorts) -> BoardPort:
    return BoardPort(listed.device, listed.serial_number, _ids(listed) == _NATIVE, ports)


def _describe(found: Iterable[Listed]) -> str:
    lines = []
    for listed in sorted(found, key=lambda p: p.device):
        kind = "ESP32 USB" if _ids(listed) == _NATIVE else _BRIDGES.get(_ids(listed), "other")
        number = f"  id:{listed.serial_number}" if listed.serial_number else ""
        lines.append(f"  {listed.device}  {kind}{number}")
    return "\n".join(lines)


def find(spec: str | None, ports: ListPorts = _ports) -> BoardPort:
    """The port that `spec` means: a path or URL, `id:<USB serial number>`, or nothing.

    Nothing means the only port that looks like a board. Raises PortError.
    """
    if spec and spec.startswith("id:"):
        wanted = spec[3:].lower()
        listed = list(ports())
        matches = [p for p in listed if p.serial_number and p.serial_number.lower() == wanted]
        if len(matches) == 1:
            return _made(matches[0], ports)
        if matches:
            raise PortError(
                f"several ports have the serial number {spec[3:]}; name one by its path:\n"
                + _describe(matches)
            )
        there = _describe(p for p in listed if p.serial_number)
        raise PortError(
            f"no port has the serial number {spec[3:]!r}; these have one:\n{there or '  none'}"
        )
    if spec:
        for listed in ports():
            if listed.device == spec:
                return _made(listed, ports)
        if "://" not in spec and spec.startswith("/") and not Path(spec).exists():
            raise PortError(f"there is no {spec}; {_none_hint(list(ports()))}")
        return BoardPort(spec, list_ports=ports)
    listed = list(ports())
    likely = [p for p in listed if _ids(p) == _NATIVE or _ids(p) in _BRIDGES]
    if len(likely) == 1:
        return _made(likely[0], ports)
    if likely:
        raise PortError(
            "several boards are plugged in; choose one with --port (make: PORT=…):\n"
            + _describe(likely)
        )
    raise PortError(f"no board found; {_none_hint(listed)}")


def _none_hint(listed: list[Listed]) -> str:
    if listed:
        return "the ports there are:\n" + _describe(listed)
    return "no serial port is there: is the cable one that carries data, and the board powered?"


def _group(address: str) -> str:
    """The group that may open a port, or what it most often is."""
    try:
        name = Path(address).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"
    return "dialout" if name == "root" else name


def why_closed(address: str, error: BaseException) -> PortError:
    """A sentence for a port that did not open."""
    code = getattr(error, "errno", None)
    text = str(error)
    if code in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "busy" in text:
        return PortError(
            f"{address} is in use by another program; close it (mpremote, an IDE) first"
        )
    if code in (errno.EACCES, errno.EPERM) or "PermissionError" in text:
        return PortError(
            f"no permission to open {address}, or another program has it; on Linux, join the "
            f"group that owns it: sudo usermod -aG {_group(address)} $USER, then log in again"
        )
    if code in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or "FileNotFoundError" in text:
        return PortError(f"there is no {address} (any more)")
    return PortError(f"cannot open {address}: {text}")


def open_serial(address: str, timeout_s: float) -> serial.SerialBase:
    """The port, opened for this program alone. Raises PortError."""
    try:
        return serial.serial_for_url(address, baudrate=115200, timeout=timeout_s, exclusive=True)
    # pyserial's own error is an OSError; the other one comes of a port that goes away meanwhile.
    except (OSError, ValueError, TermiosError) as error:
        raise why_closed(address, error) from error
