"""What of machine the product does not use: loaded when a program asks for it, so that it takes
heap only then. On a chip all of it is in flash.
"""

import _world
from machine import Pin


class Signal:
    def __init__(self, pin, *args, invert=False, **kwargs):
        self._pin = Pin(pin, *args, **kwargs) if isinstance(pin, int) else pin
        self._invert = invert

    def value(self, level=None):
        if level is None:
            return self._pin.value() ^ self._invert
        self._pin.value(bool(level) ^ self._invert)
        return None

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


class Timer:
    """A timer whose callback runs where the program waits, not between any two of its steps."""

    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, id, **kwargs):
        self.due = 0
        self._callback = None
        if kwargs:
            self.init(**kwargs)

    def init(self, *, mode=PERIODIC, period=-1, freq=None, callback=None):
        self.deinit()
        self._period = max(1, int(1000 / freq) if freq else period)
        self._mode = mode
        self._callback = callback
        self.due = _world.ticks_ms() + self._period
        _world.timers.append(self)

    def fire(self, now):
        if self._mode == self.ONE_SHOT:
            self.deinit()
        else:
            # After a skip of time, once and not a thousand times.
            self.due = max(self.due + self._period, now)
        if self._callback:
            self._callback(self)

    def deinit(self):
        if self in _world.timers:
            _world.timers.remove(self)

    def value(self):
        return self._period - max(0, self.due - _world.ticks_ms())


class WDT:
    """The task watchdog: cannot be stopped, resets a program that does not feed it."""

    def __init__(self, id=0, timeout=5000):
        self._timeout = timeout
        self.feed()

    def feed(self):
        _world.notify("wdt", self._timeout)
