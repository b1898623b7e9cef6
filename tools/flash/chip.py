"""esptool as a library: find the chip behind a port, write, verify, reset."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import click
import serial
from esptool.cmds import attach_flash, reset_chip, run_stub, verify_flash, write_flash
from esptool.loader import ESPLoader
from esptool.targets import CHIP_DEFS
from esptool.util import FatalError

from tools.board_port import BoardPort, open_serial

from .firmware import CHIP

_OTHER_CHIP = re.compile(r"This chip is (\S+), not")
_PROBE_S = 0.1
# What esptool and pyserial raise when a chip or its port goes away; AttributeError and TypeError
# come from pyserial's ports when they are closed under a read.
_LOST = (FatalError, OSError, serial.SerialException, AttributeError, TypeError)

RITUAL = """\
Put the board into download mode by hand:
  1. hold BOOT (it may be called IO9 or 0)
  2. press RESET (RST, EN) and let it go; without that button: unplug and plug in, holding BOOT
  3. let BOOT go
then run the same command again. The port's name may have changed: --port id:<serial number> finds
it by its USB serial number."""
RESET_HINT = "Press RESET, without BOOT held; or unplug the board and plug it in again."


class FlashError(click.ClickException):
    """Flashing failed; the text names the state the board is in, and the cure."""


def connect(port: BoardPort, attempts: int = 4) -> ESPLoader:
    """The chip's ROM loader, checked to be an ESP32-C3's; resets the board.

    A board whose reset lines do nothing may have been put into download mode by hand: the second
    try leaves it alone. Raises FlashError, or PortError if the port does not open.
    """
    open_serial(port.address, _PROBE_S).close()  # for the better sentence
    try:
        return _try(port, "default-reset", attempts)
    except _WrongChip:
        raise
    except _LOST:
        try:
            return _try(port, "no-reset", 1)
        except _LOST as error:
            why = _first_line(error)
            raise FlashError(f"no chip answers at {port.address} ({why}).\n{RITUAL}") from error


class _WrongChip(FlashError):
    pass


def _try(port: BoardPort, mode: str, attempts: int) -> ESPLoader:
    esp = CHIP_DEFS[CHIP](port.address)
    try:
        esp.connect(mode, attempts)
        # For a chip that esptool has never heard of, it only warns.
        known = esp.get_chip_id() == esp.IMAGE_CHIP_ID
    except FatalError as error:
        release(esp)
        other = _OTHER_CHIP.search(str(error))
        if other is None:
            raise
        raise _WrongChip(
            f"at {port.address} is an {other[1]}, not an {esp.CHIP_NAME}; nothing was written"
        ) from error
    except BaseException:
        release(esp)
        raise
    if not known:
        release(esp)
        raise _WrongChip(f"at {port.address} is not an {esp.CHIP_NAME}; nothing was written")
    return esp


def write(
    esp: ESPLoader, data: bytes, erase: bool = False, stub: bool = True, baud: int = 0
) -> ESPLoader:
    """Write an image at address 0 and verify it; `erase` takes everything else away too.

    baud: of a UART bridge, from here on; the chip's own USB needs none. Returns what talks to the
    chip from now on. Raises FlashError.
    """
    with _explained("before anything was written; the old firmware is still there", "Try again."):
        if stub:
            esp = run_stub(esp)
            if baud:
                esp.change_baud(baud)
        attach_flash(esp)
    with _explained(
        "while writing: the firmware on the board is not complete, and it will not start",
        f"Run the same command again.\n{RITUAL}",
    ):
        write_flash(esp, [(0, data)], erase_all=erase)
    with _explained("while verifying: do not trust what is on the board", "Run it again."):
        verify_flash(esp, [(0, data)])
    return esp


def reset(esp: ESPLoader) -> None:
    """Reset into the new firmware and let go of the port. Raises FlashError."""
    try:
        with _explained("after everything was written and verified", RESET_HINT):
            reset_chip(esp, "hard-reset")
    finally:
        release(esp)


def release(esp: ESPLoader) -> None:
    with contextlib.suppress(*_LOST):
        esp._port.close()


@contextlib.contextmanager
def _explained(when: str, cure: str) -> Iterator[None]:
    try:
        yield
    except _LOST as error:
        raise FlashError(f"the board was lost {when} ({_first_line(error)}). {cure}") from error


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line), type(error).__name__).rstrip(
        "."
    )
