"""The world's time: a clock with a speed that can skip, and an asyncio loop that lives by it.

Board ticks are real monotonic time plus what was gained, so they are never behind the
interpreter's own ticks, which MicroPython's task queue uses for "now" (hence speed >= 1).
"""

from __future__ import annotations

import asyncio
import selectors
import time
from datetime import UTC, datetime, timedelta


def _real_us() -> int:
    return time.monotonic_ns() // 1000


class Clock:
    """Milliseconds since the world began, and the date in it."""

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        if speed < 1:
            raise ValueError("the world cannot be slower than the real one")
        self._speed_thousandths = round(speed * 1000)
        self._base_real_us = self._base_ticks_us = self._start_ticks_us = _real_us()
        self._start_utc = start or datetime.now(UTC)

    @property
    def speed(self) -> float:
        return self._speed_thousandths / 1000

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on; the world must tell its boards."""
        if speed < 1:
            raise ValueError("the world cannot be slower than the real one")
        self.skip_us(0)
        self._speed_thousandths = round(speed * 1000)

    def ticks_us(self) -> int:
        """What a board's ticks count, in microseconds."""
        passed_us = (_real_us() - self._base_real_us) * self._speed_thousandths // 1000
        return self._base_ticks_us + passed_us

    def now_us(self) -> int:
        return self.ticks_us() - self._start_ticks_us

    def now_ms(self) -> int:
        """Milliseconds since the world began."""
        return self.now_us() // 1000

    def utc(self) -> datetime:
        """The date in the world; what its time servers say."""
        return self._start_utc + timedelta(microseconds=self.now_us())

    def skip_us(self, us: int) -> None:
        """Let that much time have passed. Only the world calls this, on its loop."""
        real_us = _real_us()
        passed_us = (real_us - self._base_real_us) * self._speed_thousandths // 1000
        self._base_ticks_us += passed_us + us
        self._base_real_us = real_us

    def base(self) -> list[int]:
        """What a board needs to compute its ticks: [ticks µs, real µs, speed in thousandths]."""
        return [self._base_ticks_us, self._base_real_us, self._speed_thousandths]

    def ticks_ms_to_us(self, ticks_ms: int) -> int:
        """A board's deadline in ticks as microseconds since the world began."""
        return ticks_ms * 1000 - self._start_ticks_us


class _ScaledSelector(selectors.DefaultSelector):
    """Waits timeout / speed: the loop counts in the world's seconds."""

    clock: Clock

    def select(self, timeout: float | None = None):  # type: ignore[no-untyped-def]
        if timeout is not None and timeout > 0:
            timeout /= self.clock.speed
        return super().select(timeout)


class WorldLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time() is the world's time in seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        selector = _ScaledSelector()
        selector.clock = clock
        super().__init__(selector)

    def time(self) -> float:
        return self.clock.now_us() / 1e6

    @property
    def still(self) -> bool:
        """Whether nothing waits for its turn beside who asks, who had a turn just now: what has
        arrived since the turn before, and timers that were due, would stand behind that."""
        # asyncio has no public view of this queue either; its name is as old as the other's.
        return not self._ready  # type: ignore[attr-defined]

    def next_timer_us(self) -> int | None:
        """When the next timer of this loop is due, in µs since the world began."""
        # asyncio has no public view of its timers; the heap has kept this name since 3.4.
        due = [h.when() for h in self._scheduled if not h.cancelled()]  # type: ignore[attr-defined]
        return int(min(due) * 1e6) if due else None
