# The radio itself and the list of those who want its events.

import bluetooth

_listeners = []
_on_stop = []


def register_irq_handler(irq, shutdown):
    """Add handlers for events and for stop(); either may be None. There is no way to remove one."""
    if irq is not None:
        _listeners.append(irq)
    if shutdown is not None:
        _on_stop.append(shutdown)


def ensure_active():
    """Switch the radio on unless it is."""
    if not ble.active():
        ble.active(True)


def config(*args, **kwargs):
    """Read or set what bluetooth.BLE.config() knows; switches the radio on first."""
    ensure_active()
    return ble.config(*args, **kwargs)


def stop():
    """Switch the radio off and forget everything but the registrations."""
    ble.active(False)
    for shutdown in _on_stop:
        shutdown()


def ble_irq(event, data):
    # In order of registration; the first that has an opinion decides, the rest see nothing.
    for listener in _listeners:
        opinion = listener(event, data)
        if opinion is not None:
            return opinion
    return None


ble = bluetooth.BLE()
ble.irq(ble_irq)
