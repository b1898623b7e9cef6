"""Ways to reset a board from outside, and which of them an address may have."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from esp_pylib.serial_reset import hard_reset, uses_hardware_flow_control

if TYPE_CHECKING:
    from .board import Board

_COMMAND_TIMEOUT_S = 60
_REPL_S = 10
_NO_LINES = (errno.ENOTTY, errno.EINVAL)
# As esptool holds EN: longer where USB is inside the chip, which then needs a moment to come back.
_HOLD_S, _USB_HOLD_S = 0.1, 0.2


class ResetError(Exception):
    """This way cannot work here; the text says why."""


class Way(Protocol):
    """Resets the board or raises ResetError, OSError or BoardError. Whether it worked is seen by
    what the board says next."""

    name: str

    def __call__(self, board: Board) -> None: ...


class Own:
    """A simulated board's reset button."""

    name = "the simulator's reset button"

    def __init__(self, press: Callable[[], None]) -> None:
        self._press = press

    def __call__(self, board: Board) -> None:
        self._press()


class Rts:
    """RTS pulls EN down while DTR is let go, in esptool's order (esp-pylib's own sequence).

    The same for a bridge with the usual two transistors and for the USB inside the chip, which
    reads both lines itself.
    """

    name = "RTS"

    def __call__(self, board: Board) -> None:
        if board.address.startswith("socket:"):
            raise ResetError("a raw socket carries no RTS line; rfc2217:// does")
        link, port = board.link, board.port
        usb = next(((p.vid, p.pid) for p in port.list_ports() if p.device == port.address), None)
        try:
            link.dtr = False  # opening a port asserts both, and then RTS alone does nothing
            hard_reset(
                link,
                hold_delay=_USB_HOLD_S if port.native else _HOLD_S,
                post_release_delay=_USB_HOLD_S if port.native else 0,
                flow_control=uses_hardware_flow_control(usb or (None, None)),
            )
        except OSError as error:
            if error.errno in _NO_LINES:
                raise ResetError("the port has no such line") from error
            # Else it left while EN was low, as USB inside a chip may: the board is at it.


class Command:
    """A shell command of the rig's: a relay, a hub that can switch its ports (uhubctl)."""

    def __init__(self, command: str) -> None:
        self.name = f"the command {command!r}"
        self._command = command

    def __call__(self, board: Board) -> None:
        try:
            done = subprocess.run(
                self._command,
                shell=True,
                capture_output=True,
                text=True,
                timeout=_COMMAND_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise ResetError(f"still running after {_COMMAND_TIMEOUT_S} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise ResetError(f"exit code {done.returncode}: {said[-1] if said else 'no output'}")


class Repl:
    """machine.reset() at the prompt: only where the program can be interrupted."""

    name = "machine.reset() at the REPL"

    def __call__(self, board: Board) -> None:
        board.to_repl(_REPL_S)
        board.skip_to_now()
        board.type("import machine; machine.reset()")


def ways(address: str, wanted: str | None = None, command: str | None = None) -> list[Way]:
    """What to try at an address, in this order. `wanted`: "rts" or "repl", and only that."""
    if command:
        return [Command(command)]
    if wanted:
        return [{"rts": Rts, "repl": Repl}[wanted]()]
    return [Repl()] if address.startswith("socket:") else [Rts(), Repl()]
