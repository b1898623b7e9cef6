"""machine, as far as the product and a maker's main.py use it."""

import sys
import time as _time  # the shim: it keeps the clock that RTC sets

import _world
from micropython import const

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)
_PINS = const(22)  # GPIO0 to GPIO21
_RTC_MEMORY_LEN = const(2048)
_levels = dict(_world.config.get("pins") or ())  # what the outside drives


def _pin_changed(number, level):
    if level is None:
        _levels.pop(str(number), None)
    else:
        _levels[str(number)] = level


_world.on("pin", _pin_changed)


def reset():
    _world.call("reset", "hard")


def soft_reset():
    sys.exit()


def reset_cause():
    return _world.config.get("cause", PWRON_RESET)


def unique_id():
    return bytes.fromhex(_world.config["mac"])


def freq(hz=None):
    if hz not in (None, 80000000, 160000000):
        raise ValueError("frequency must be 80MHz or 160MHz")
    return None if hz else 160000000


def idle():
    _world.forbid("machine.idle")
    _world.wait(1)


def disable_irq():
    return 0


def enable_irq(state):
    pass


class Pin:
    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_UP, PULL_DOWN = 2, 1
    IRQ_RISING, IRQ_FALLING = 1, 2
    _driven = {}
    _modes = {}

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        if not isinstance(id, int) or not 0 <= id < _PINS:
            raise ValueError("invalid pin")
        self._id = id
        self._pull = None
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if mode != -1:
            Pin._modes[self._id] = mode  # of the pin, not of this object: others see it, too
        if pull != -1:
            self._pull = pull
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is not None:
            level = int(bool(level))
            if Pin._driven.get(self._id) != level:
                Pin._driven[self._id] = level
                _world.notify("pin.out", self._id, level)
            return None
        _world.pump()
        if Pin._modes.get(self._id, self.IN) != self.IN and self._id in Pin._driven:
            return Pin._driven[self._id]
        outside = _levels.get(str(self._id))
        if outside is None:
            return int(self._pull == self.PULL_UP)
        return outside

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not Pin._driven.get(self._id))

    def irq(self, *args, **kwargs):
        raise AttributeError("machine.Pin.irq: the simulator lacks it")

    def __repr__(self):
        return "Pin(%d)" % self._id


class RTC:
    def __init__(self, id=0):
        pass

    def datetime(self, value=None):
        if value is None:
            ns = _time.time_ns()
            t = _time.gmtime(ns // 1000000000)
            return t[:3] + (t[6],) + t[3:6] + (ns // 1000 % 1000000,)
        year, month, day, _weekday, hour, minute, second, us = value
        seconds = _time.mktime((year, month, day, hour, minute, second))
        _time._set_clock_us(seconds * 1000000 + us)
        return None

    init = datetime

    def memory(self, data=None):
        if data is None:
            return bytes.fromhex(_world.call("rtc.memory", None))
        if len(data) > _RTC_MEMORY_LEN:
            raise ValueError("buffer too long")
        _world.call("rtc.memory", bytes(data).hex())
        return None


_missing = _world.lacks("machine")


def __getattr__(name):
    if name in ("Signal", "Timer", "WDT"):
        import _machine

        return getattr(_machine, name)
    return _missing(name)
