"""time of the esp32 port on the world's clock: integers, epoch 2000, waits that take events."""

import _world
import utime
from micropython import const

_now_us = _world.ticks_us
ticks_add = utime.ticks_add
ticks_diff = utime.ticks_diff
_UNIX_2000 = const(946684800)
# Seconds on the board's clock when the world's ticks were _at_us; the clock starts at 0.
_set_us, _at_us = _world.config.get("rtc") or (0, _now_us())


def ticks_ms():
    return _now_us() // 1000 & _world.TICKS_MASK


def ticks_us():
    return _now_us() & _world.TICKS_MASK


ticks_cpu = ticks_us


def time_ns():
    return (_set_us + _now_us() - _at_us) * 1000


def time():
    return (_set_us + _now_us() - _at_us) // 1000000


def _set_clock_us(us):
    # machine.RTC sets the clock here; the world keeps it over a reset.
    global _set_us, _at_us
    _set_us = us
    _at_us = _now_us()
    _world.notify("rtc.set", _set_us, _at_us)


def sleep_ms(ms):
    _world.forbid("time.sleep_ms")
    _world.wait(max(0, ms))


def sleep_us(us):
    if us >= 1000:
        sleep_ms(us // 1000)


def sleep(seconds):
    _world.forbid("time.sleep")
    _world.wait(max(0, int(seconds * 1000)))


def gmtime(seconds=None):
    if seconds is None:
        seconds = time()
    return tuple(utime.gmtime(int(seconds) + _UNIX_2000)[:8])


localtime = gmtime


def _days(year, month, day):
    # Days since 1970-01-01 of the proleptic Gregorian calendar (Howard Hinnant's algorithm).
    year -= month <= 2
    era = year // 400
    yoe = year - era * 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468


def mktime(t):
    year, month, day, hour, minute, second = t[:6]
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    days = _days(year, month, 1) + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second - _UNIX_2000


__getattr__ = _world.lacks("time")
