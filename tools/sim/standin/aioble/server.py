# The attribute table and who hears about its use.

import asyncio

from .core import ble, ensure_active, register_irq_handler
from .device import DeviceConnection

_IRQ_GATTS_WRITE = 3
_IRQ_GATTS_READ_REQUEST = 4

_READ = 0x0002
_WRITE_NO_RESPONSE = 0x0004
_WRITE = 0x0008
_NOTIFY = 0x0010
_INDICATE = 0x0020

_by_handle = {}


def _irq(event, data):
    if event == _IRQ_GATTS_WRITE:
        attribute = _by_handle.get(data[1])
        if attribute is not None and attribute._writer is not None:
            attribute._last_writer = DeviceConnection._connected.get(data[0])
            attribute._writer.set()
        # Nothing to return: a write cannot be refused.
    elif event == _IRQ_GATTS_READ_REQUEST:
        attribute = _by_handle.get(data[1])
        if attribute is not None:
            return attribute.on_read(DeviceConnection._connected.get(data[0]))
    return None


def _shutdown():
    global _by_handle
    _by_handle = {}


register_irq_handler(_irq, _shutdown)


class Service:
    """A primary service; characteristics add themselves."""

    def __init__(self, uuid):
        self.uuid = uuid
        self.characteristics = []


class _Attribute:
    def __init__(self, uuid, flags, initial):
        self.uuid = uuid
        self.flags = flags
        self._value_handle = None
        self._initial = initial
        writable = flags & (_WRITE | _WRITE_NO_RESPONSE)
        self._writer = asyncio.ThreadSafeFlag() if writable else None
        self._last_writer = None

    def _register(self, handle):
        self._value_handle = handle
        _by_handle[handle] = self
        initial, self._initial = self._initial, None
        if initial is not None:
            self.write(initial)

    def read(self):
        """Return the value held now."""
        if self._value_handle is None:
            return self._initial or b""
        return ble.gatts_read(self._value_handle)

    def write(self, data, send_update=False):
        """Set the value; before registration it is kept for it."""
        if self._value_handle is None:
            self._initial = data
        else:
            ble.gatts_write(self._value_handle, data, send_update)

    async def written(self, timeout_ms=None):
        """Wait for a write and return the connection that did it; several may look like one."""
        if self._writer is None:
            return None
        if timeout_ms is None:
            await self._writer.wait()
        else:
            await asyncio.wait_for_ms(self._writer.wait(), timeout_ms)
        writer, self._last_writer = self._last_writer, None
        return writer

    def on_read(self, connection):
        """Called before every read and every blob; 0 allows it, 1 to 255 is the ATT error."""
        return 0


class Characteristic(_Attribute):
    """A characteristic; 20 bytes of room, longer writes are cut."""

    def __init__(
        self,
        service,
        uuid,
        read=False,
        write=False,
        write_no_response=False,
        notify=False,
        indicate=False,
        initial=None,
    ):
        flags = 0
        for wanted, flag in (
            (read, _READ),
            (write, _WRITE),
            (write_no_response, _WRITE_NO_RESPONSE),
            (notify, _NOTIFY),
            (indicate, _INDICATE),
        ):
            if wanted:
                flags |= flag
        super().__init__(uuid, flags, initial)
        self.descriptors = []
        service.characteristics.append(self)

    def notify(self, connection, data=None):
        """Send a notification to one connection; ValueError unless declared with notify."""
        if not self.flags & _NOTIFY:
            raise ValueError("not declared with notify")
        ble.gatts_notify(connection._conn_handle, self._value_handle, data)


class BufferedCharacteristic(Characteristic):
    """A characteristic with room for max_len bytes; setting the buffer empties it."""

    def __init__(self, *args, max_len=20, append=False, **kwargs):
        super().__init__(*args, **kwargs)
        self._max_len = max_len
        self._append = append

    def _register(self, handle):
        super()._register(handle)
        ble.gatts_set_buffer(handle, self._max_len, self._append)


class Descriptor(_Attribute):
    """A descriptor of a characteristic."""

    def __init__(self, characteristic, uuid, read=False, write=False, initial=None):
        super().__init__(uuid, (_READ if read else 0) | (_WRITE if write else 0), initial)
        characteristic.descriptors.append(self)


def register_services(*services):
    """Replace the attribute table by these services and tell every object its handle."""
    ensure_active()
    _by_handle.clear()
    table = []
    for service in services:
        rows = []
        for characteristic in service.characteristics:
            row = (characteristic.uuid, characteristic.flags)
            if characteristic.descriptors:
                row += (tuple((d.uuid, d.flags) for d in characteristic.descriptors),)
            rows.append(row)
        table.append((service.uuid, tuple(rows)))
    for service, handles in zip(  # noqa: B905 - no strict= here
        services, ble.gatts_register_services(tuple(table))
    ):
        position = 0
        for characteristic in service.characteristics:
            for attribute in [characteristic] + characteristic.descriptors:
                attribute._register(handles[position])
                position += 1
