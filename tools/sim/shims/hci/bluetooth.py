# The `bluetooth` module of an interpreter with a host stack of its own on an HCI UART: nothing of
# it is replaced. The radio's tty comes from the world, the world hears when the radio is switched,
# and handlers are counted, so that the chip's rules for them are checked here too.
#
# Such handlers run where the interpreter runs its scheduler: between any two steps of main's code,
# and while it waits, if it does not wait for too long at once.

import _world
import ubluetooth
import uos
from ubluetooth import *  # noqa: F403 - whatever that build has

_SLICE_MS = 1  # real; the port looks at its UART as often


class _BLE(ubluetooth.BLE):
    def active(self, on=None):
        if on is not None:
            if on:
                uos.putenv("MICROPYBTUART", _world.call("ble.uart"))
                _world.slice_ms = _SLICE_MS
            super().active(on)
            if not on:
                _world.slice_ms = -1
                _world.call("ble.off")
            _world.radio("ble", on)
        return super().active()

    def irq(self, handler):
        if not callable(handler):
            super().irq(handler)
            return

        def counted(event, data):
            _world.in_handler += 1
            try:
                return handler(event, data)
            finally:
                _world.in_handler -= 1

        super().irq(counted)


_ble = _BLE()


def BLE():
    """Return the one radio."""
    return _ble
