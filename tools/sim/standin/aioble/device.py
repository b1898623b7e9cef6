# The other side of a connection.

import asyncio
import binascii

from .core import ble, register_irq_handler

_IRQ_MTU_EXCHANGED = 21


class DeviceDisconnectedError(Exception):
    """The connection ended while something waited on it."""


class Device:
    """A central: addr_type 0 public, 1 random; addr six bytes."""

    def __init__(self, addr_type, addr):
        self.addr_type = addr_type
        self.addr = addr
        self._connection = None

    def addr_hex(self):
        return binascii.hexlify(self.addr, ":").decode()

    def __eq__(self, other):
        return self.addr_type == other.addr_type and self.addr == other.addr

    def __hash__(self):
        return hash((self.addr_type, self.addr))


class DeviceConnection:
    """An open connection; device, mtu (None until exchanged), disconnect(), disconnected()."""

    _connected = {}

    def __init__(self, device, conn_handle):
        self.device = device
        device._connection = self
        self.mtu = None
        self._conn_handle = conn_handle
        self._ended = asyncio.ThreadSafeFlag()
        self._task = None
        DeviceConnection._connected[conn_handle] = self

    def is_connected(self):
        return self._conn_handle is not None

    def _watch(self):
        self._task = asyncio.create_task(self._until_ended())

    async def _until_ended(self):
        await self._ended.wait()
        DeviceConnection._connected.pop(self._conn_handle, None)
        self._conn_handle = None
        self.device._connection = None

    async def disconnect(self, timeout_ms=2000):
        """Ask for the end and wait for it; asyncio.TimeoutError after timeout_ms."""
        if self.is_connected():
            ble.gap_disconnect(self._conn_handle)
            await self.disconnected(timeout_ms)

    async def disconnected(self, timeout_ms=None):
        """Wait for the end; cancelling the wait ends the watch itself, as in the real one."""
        if not self.is_connected():
            return
        if timeout_ms is None:
            await self._task
        else:
            await asyncio.wait_for_ms(self._task, timeout_ms)

    async def __aenter__(self):
        return self

    async def __aexit__(self, _type, _value, _traceback):
        await self.disconnect()


def _irq(event, data):
    if event == _IRQ_MTU_EXCHANGED:
        connection = DeviceConnection._connected.get(data[0])
        if connection is not None:
            connection.mtu = data[1]


register_irq_handler(_irq, None)
