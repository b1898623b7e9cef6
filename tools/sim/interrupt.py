"""How ^C reaches a board's program: as a chip's would, between two of its steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import WorldLoop

_ASKED_S = 0.3  # real; for a program that waits for something now and then
_ASKS = 10  # while it reads its flash: a program that loads modules will wait soon
# A second SIGINT before the first was taken would end the interpreter. Taken shows as output.
_SIGINT_GAP_S = 0.3
_SIGINT_TAKEN_S = 0.02


class Interrupt:
    """One board's ^C. `executing()` tells whether Python runs, `send(event)` tells the board
    something (None if it hears nothing), `signal()` sends SIGINT, `reads()` counts what the
    program has read from files.

    A program that waits for anything is asked, and raises KeyboardInterrupt itself. A signal
    strikes anywhere, even inside the garbage collector, with the heap locked for good: it is only
    for programs that never wait.
    """

    def __init__(
        self,
        loop: WorldLoop,
        executing: Callable[[], bool],
        send: Callable[[str], None],
        signal: Callable[[], None],
        reads: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._executing = executing
        self._send = send
        self._signal = signal
        self._reads = reads
        self._asked: asyncio.TimerHandle | None = None
        self._later = False
        self._signalled_at = 0.0
        self.output_at = 0.0  # real; when the board last printed
        self.struck = False  # a signal was sent to the program that runs

    def ask(self) -> None:
        """^C for a program that looks at its channel; a signal follows if it does not."""
        if not self._asked:
            self._send("interrupt")
            self._wait_for_it(_ASKS)

    def _wait_for_it(self, times: int) -> None:
        real_s = _ASKED_S * self._loop.clock.speed
        self._asked = self._loop.call_later(real_s, self._in_vain, times - 1, self._reads())

    def _in_vain(self, times: int, reads: int) -> None:
        if times and self._reads() != reads:
            self._wait_for_it(times)
            return
        self.cancel()
        if self._executing():
            self.strike()

    def taken(self) -> None:
        """The program has been interrupted."""
        asked, self._asked = self._asked, None
        if asked:
            asked.cancel()

    def cancel(self) -> None:
        """The program has ended: whatever runs next is not meant."""
        if self._asked:
            self.taken()
            self._send("interrupt.cancel")

    def strike(self) -> None:
        """^C by a signal, not before the one before it was taken."""
        if self._later:
            return
        gap_s = _SIGINT_TAKEN_S if self.output_at > self._signalled_at else _SIGINT_GAP_S
        wait_s = self._signalled_at + gap_s - time.monotonic()
        if wait_s > 0:
            self._later = True
            self._loop.call_later(wait_s * self._loop.clock.speed, self._strike_again)
        else:
            self._signalled_at = time.monotonic()
            self.struck = True
            self._signal()

    def _strike_again(self) -> None:
        self._later = False
        if self._executing():
            self.strike()
