# Being found, and being connected to.

import asyncio

from .core import ble, ensure_active, register_irq_handler
from .device import Device, DeviceConnection

_IRQ_CENTRAL_CONNECT = 1
_IRQ_CENTRAL_DISCONNECT = 2

# The connection that advertise() has not handed out yet, and the flag it waits for. Both are gone
# after stop(): a connect before the next advertise() raises in the interrupt, as in the real one.
_newcomer = None
_arrival = None


def _irq(event, data):
    global _newcomer
    if event == _IRQ_CENTRAL_CONNECT:
        conn_handle, addr_type, addr = data
        _newcomer = DeviceConnection(Device(addr_type, bytes(addr)), conn_handle)
        _arrival.set()
    elif event == _IRQ_CENTRAL_DISCONNECT:
        connection = DeviceConnection._connected.get(data[0])
        if connection is not None:
            connection._ended.set()


def _shutdown():
    global _newcomer, _arrival
    _newcomer = _arrival = None


register_irq_handler(_irq, _shutdown)


async def advertise(interval_us, adv_data=None, resp_data=None, connectable=True, timeout_ms=None):
    """Advertise raw payloads until a central connects; return its DeviceConnection.

    None when the task is cancelled (the cancellation is swallowed, as in the real one).
    Raises asyncio.TimeoutError after timeout_ms. Building payloads from names and services is the
    real one's; here they are given.
    """
    global _newcomer, _arrival
    ensure_active()
    if _arrival is None:
        _arrival = asyncio.ThreadSafeFlag()
    ble.gap_advertise(interval_us, adv_data=adv_data, resp_data=resp_data, connectable=connectable)
    try:
        if timeout_ms is None:
            await _arrival.wait()
        else:
            await asyncio.wait_for_ms(_arrival.wait(), timeout_ms)
    except asyncio.CancelledError:
        ble.gap_advertise(None)
        return None
    except asyncio.TimeoutError:
        ble.gap_advertise(None)
        raise
    connection, _newcomer = _newcomer, None
    connection._watch()
    return connection
