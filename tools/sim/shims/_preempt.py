# Points inside main's code where events may strike; tools/sim/instrument.py puts the calls there.

import _world
import utime
from micropython import const

# One point in 16 looks for events; one in 1024 first waits a little, so that some arrive.
_LOOK = const(0xF)
_LINGER = const(0x3FF)
_LINGER_MS = const(1)

_state = None


def seeded(seed):
    """Return point(); the first seed counts."""
    global _state
    if _state is None:
        _state = seed
    return point


def point():
    """Deliver what has arrived, if the dice say so; never inside a handler."""
    global _state
    if _world.in_handler:
        return
    _state = (_state * 1103515245 + 12345) & 0x3FFFFFFF
    dice = _state >> 8
    if dice & _LOOK:
        return
    if not dice & _LINGER:
        utime.sleep_ms(_LINGER_MS)
    _world.pump()
