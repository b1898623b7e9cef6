# What a button that is held says, on a lamp and the serial line, and does when it is let go. Loaded
# only then: see button.py.

from time import sleep_ms

from micropython import const

from . import board, factory_reset, forget_wifi, log

_FACTORY_MS = const(10000)
_WARN = (
    "button: let go now, and the board forgets its Wi-Fi; hold on for all but its identity",
    "button: let go now, and the board forgets everything but its identity",
)
_BLINK_MS = (256, 64)  # between two changes of the lamp
_DONE_MS = const(300)
_DONE_CHANGES = const(4)
_POLL_MS = const(10)


class Held:
    """From when letting go does something. pin: the button's. led: the lamp's number, or None."""

    def __init__(self, pin, led):
        self._pin = pin
        self._led = None if led is None else board.pin(led)
        self._stage = -1  # what letting go now does: 0 forget_wifi, 1 factory_reset
        if self._led:
            self._found = self._led.value()
            self._led.init(self._led.OUT)

    def tell(self, down_ms):
        """Say what letting go now would do; again and again, and soon."""
        stage = 1 if down_ms >= _FACTORY_MS else 0
        if stage != self._stage:
            self._stage = stage
            log.say(_WARN[stage])
        # Every time: a program that drives the same lamp does not blur what it says.
        self._light(down_ms // _BLINK_MS[stage] & 1)

    def let_go(self):
        """Do it and reset the board. Returns if it could not be done."""
        try:
            (factory_reset if self._stage else forget_wifi)()
        except Exception as e:  # noqa: BLE001 whatever it is, the person may try again
            log.err("button", why=log.describe(e), cure="hold the button again")
            self._light(self._found if self._led else 0)
            return
        log.say("button: done, the board restarts")
        # Not asyncio's sleep: whatever else runs might write back what has just been erased.
        for n in range(_DONE_CHANGES):
            self._light(n & 1)
            sleep_ms(_DONE_MS)
        while not self._pin.value():  # BOOT held at a reset is the chip's download mode
            sleep_ms(_POLL_MS)
        board.reset()

    def _light(self, level):
        if self._led:
            self._led.value(level)
