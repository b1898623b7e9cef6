"""Into a board's raw REPL, by mpremote, whatever the board is doing."""

from __future__ import annotations

import contextlib
import io

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

_TRIES = 3


def enter(transport: SerialTransport, timeout_s: float) -> None:
    """Stop the program and soft-reset into the raw REPL. Raises TransportError.

    Again where nothing comes of it: Ctrl-C may meet a board that is just starting, and get lost.
    timeout_s: for each of the board's answers.
    """
    for left in range(_TRIES - 1, -1, -1):
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it got instead
                transport.enter_raw_repl(soft_reset=True, timeout_overall=timeout_s)
            return
        except TransportError:
            if not left:
                raise
