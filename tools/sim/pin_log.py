"""What a person is told of a board's pins: each change, until a pin blinks; then that it does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_EACH = 4  # changes that are told one by one; more without a rest are a blinking pin
_REST_S = 5.0  # so long without a change, and a pin is steady
_OTHER_PACE = 1.5  # so much faster or slower is told


@dataclass
class _Pin:
    level: int
    last_s: float
    first_s: float  # of the changes in a row
    count: int = 0  # in a row
    told_count: int = 0
    told_s: float = 0.0
    every_s: float = 0.0  # as told

    @property
    def blinks(self) -> bool:
        return self.count > _EACH


class PinLog:
    """Lines about the pins of one board. `clock` gives the board's time in seconds.

    A change may come from any thread; lines() is for one. every: tell each change.
    """

    def __init__(self, clock: Callable[[], float], every: bool = False) -> None:
        self._clock = clock
        self._every = every
        self._changes: deque[tuple[float, int, int | None]] = deque()
        self._pins: dict[int, _Pin] = {}

    def changed(self, number: int, level: int | None) -> None:
        """A pin is driven to another level, or with None let go: the board starts again."""
        self._changes.append((self._clock(), number, level))

    def lines(self) -> Iterator[str]:
        """What is to be told now; of a blinking pin at most one line in 5 s of the board's time."""
        now_s = self._clock()  # before what has changed by then is taken
        while self._changes:
            at_s, number, level = self._changes.popleft()
            yield from self._rested(at_s)
            if level is None:
                self._pins.pop(number, None)
            else:
                yield from self._change(at_s, number, level)
        yield from self._rested(now_s)

    def _change(self, at_s: float, number: int, level: int) -> Iterator[str]:
        pin = self._pins.get(number)
        if pin is None or at_s - pin.last_s >= _REST_S:
            pin = self._pins[number] = _Pin(level, at_s, at_s)
        pin.level, pin.last_s = level, at_s
        pin.count += 1
        if self._every or not pin.blinks:
            yield f"pin {number} = {level}"
        elif pin.count == _EACH + 1:
            yield self._pace(number, pin, (at_s - pin.first_s) / _EACH)
        elif at_s - pin.told_s >= _REST_S:
            every_s = (at_s - pin.told_s) / (pin.count - pin.told_count)
            if not 1 / _OTHER_PACE < every_s / max(pin.every_s, 1e-6) < _OTHER_PACE:
                yield self._pace(number, pin, every_s)
            pin.told_s, pin.told_count = at_s, pin.count

    def _pace(self, number: int, pin: _Pin, every_s: float) -> str:
        pin.every_s, pin.told_s, pin.told_count = every_s, pin.last_s, pin.count
        return f"pin {number} blinks, a change every {every_s * 1000:.0f} ms (--pins shows each)"

    def _rested(self, now_s: float) -> Iterator[str]:
        for number, pin in self._pins.items():
            if pin.count and now_s - pin.last_s >= _REST_S:
                if pin.blinks and not self._every:
                    yield f"pin {number} = {pin.level}, steady after {pin.count} changes"
                pin.count = 0
