# A button for who has no computer at hand: held for 3 to 10 seconds the board forgets its network,
# held for longer everything but who it is. What that looks like is in held.py.

import asyncio
from time import ticks_diff, ticks_ms

from micropython import const

from . import board

_IDLE_MS = const(100)  # between two looks at a button that is up
_DOWN_MS = const(10)  # and at one that is down: a contact that bounces is seen to be up
# Main may be away, in a scan or a step of TLS, and cannot tell whether the button stayed down all
# the while: that time counts as no more than this. So who holds it does not get more than asked.
_CREDIT_MS = const(250)
_HELD_MS = const(3000)


def watch(number, led=None):
    """A coroutine that watches for ever, and resets the board.

    number: of a GPIO that the button pulls to 0. led: of one with a lamp, or None.
    Raises ValueError, at once, for a number that the chip does not have.
    """
    pin = board.pin(number)
    pin.init(pin.IN, pin.PULL_UP)
    if led is not None:
        board.pin(led)
    return _watch(pin, led)


async def _watch(pin, led):
    down_ms = -1  # how long it has been down; -1: it is up
    held = None
    at_ms = ticks_ms()
    while True:
        await asyncio.sleep_ms(_IDLE_MS if down_ms < 0 else _DOWN_MS)
        now = ticks_ms()
        passed_ms = ticks_diff(now, at_ms)
        at_ms = now
        if pin.value():
            down_ms = -1
            if held:
                held.let_go()
                held = None
        elif down_ms < 0:
            down_ms = _IDLE_MS // 2  # it went down some time since the last look
        else:
            down_ms += min(passed_ms, _CREDIT_MS)
            if down_ms >= _HELD_MS:
                if held is None:
                    from .held import Held

                    held = Held(pin, led)
                held.tell(down_ms)
