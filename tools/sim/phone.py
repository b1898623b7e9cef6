"""A phone: a Bumble central on the ether, directly or from another process over HCI.

    phone = await Phone.on_ether(world.ether)            # on the ether's loop
    phone = await Phone.over_hci("127.0.0.1:40123")      # anywhere, on the running loop
    with phone.as_bleak():                               # whatever uses bleak uses this phone
        ...

Every coroutine here may be awaited on any loop: the work is done on the phone's own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

from bumble import core, hci
from bumble.device import Connection, Device, DeviceConfiguration, Peer
from bumble.gatt_client import CharacteristicProxy, ServiceProxy
from bumble.host import Host
from bumble.transport.tcp_client import open_tcp_client_transport

from tools.sim.ether import Ether, EtherController

_T = TypeVar("_T")
_CONNECT_TIMEOUT_S = 20.0
_DEFAULT_MTU = 23
_SCAN_RSP = hci.HCI_LE_Advertising_Report_Event.EventType.SCAN_RSP


class LinkLost(ConnectionError):
    """The connection ended while something waited on it, or before it was asked."""


@dataclass
class Sighting:
    """One advertiser as heard: the payloads exactly as they were on the air."""

    address: hci.Address
    adv: bytes = b""
    resp: bytes = b""
    rssi: int = 0
    count: int = 0  # advertising packets heard

    @property
    def data(self) -> core.AdvertisingData:
        return core.AdvertisingData.from_bytes(self.adv + self.resp)

    @property
    def name(self) -> str | None:
        name = self.data.get(core.AdvertisingData.Type.COMPLETE_LOCAL_NAME, raw=True)
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else None


@dataclass
class _Ear:
    heard: dict[str, Sighting] = field(default_factory=dict)
    callback: Callable[[Sighting], None] | None = None


class Phone:
    """A central. mtu: what it negotiates after connecting (23: it never asks)."""

    def __init__(self, device: Device, mtu: int) -> None:
        self.device = device
        self.loop = asyncio.get_running_loop()
        self.mtu = mtu
        self.seen: dict[str, Sighting] = {}
        self._controller: EtherController | None = None
        self._transport: Any = None
        self._ears: list[_Ear] = []
        self._radio = asyncio.Lock()
        device.host.on("advertising_report", self._on_report)

    # -- where it comes from ---------------------------------------------------------------------

    @classmethod
    async def on_ether(cls, ether: Ether, *, mtu: int = 517, name: str = "phone") -> Phone:
        """A phone on the ether of this very loop."""
        controller = ether.controller(name)
        host = Host()
        host.set_packet_sink(controller)
        controller.host = host
        phone = await cls._power_on(host, ether.phone_address(), mtu)
        phone._controller = controller
        return phone

    @classmethod
    async def over_hci(
        cls, address: str, *, mtu: int = 517, own_address: str | None = None
    ) -> Phone:
        """A phone whose controller is behind 'host:port' (Ether.serve_hci)."""
        transport = await open_tcp_client_transport(address)
        host = Host(transport.source, transport.sink)
        own = own_address or str(hci.Address.generate_static_address())
        phone = await cls._power_on(host, own, mtu)
        phone._transport = transport
        return phone

    @classmethod
    async def _power_on(cls, host: Host, address: str, mtu: int) -> Phone:
        config = DeviceConfiguration(name="phone", address=hci.Address(address))
        device = Device(config=config, host=host)
        await device.power_on()
        return cls(device, mtu)

    async def close(self) -> None:
        """Hang up everything and leave the ether."""
        await self._here(self._close())

    async def _close(self) -> None:
        for connection in list(self.device.connections.values()):
            with contextlib.suppress(core.BaseBumbleError, TimeoutError):
                await connection.disconnect()
        if self._controller is not None:
            self._controller.link.vanish(self._controller)
        if self._transport is not None:
            await self._transport.close()

    async def vanish(self) -> None:
        """Gone without a goodbye, as out of reach or with an empty battery; of no use afterwards.

        Peers notice after the supervision timeout. Only for phones on the ether.
        """

        async def work() -> None:
            assert self._controller is not None, "a phone behind HCI cannot vanish"
            self._controller.link.vanish(self._controller)

        await self._here(work())

    async def _here(self, work: Coroutine[Any, Any, _T]) -> _T:
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    # -- scanning --------------------------------------------------------------------------------

    async def scan(self, seconds: float) -> list[Sighting]:
        """Listen actively for so many seconds of the phone's loop; everybody heard meanwhile."""

        async def work() -> list[Sighting]:
            ear = await self._listen()
            try:
                await asyncio.sleep(seconds)
            finally:
                await self._unlisten(ear)
            return list(ear.heard.values())

        return await self._here(work())

    async def find(self, name: str, timeout_s: float = 120.0) -> Sighting:
        """Return the first advertiser of that name; TimeoutError if there is none."""
        return await self._here(self._find(lambda sighting: sighting.name == name, timeout_s))

    async def _find(self, wanted: Callable[[Sighting], bool], timeout_s: float) -> Sighting:
        found: asyncio.Future[Sighting] = self.loop.create_future()

        def check(sighting: Sighting) -> None:
            if not found.done() and wanted(sighting):
                found.set_result(sighting)

        ear = await self._listen(check)
        try:
            async with asyncio.timeout(timeout_s):
                return await found
        finally:
            await self._unlisten(ear)

    async def _listen(self, callback: Callable[[Sighting], None] | None = None) -> _Ear:
        ear = _Ear(callback=callback)
        async with self._radio:
            if not self._ears:
                await self.device.start_scanning(legacy=True, active=True)
            self._ears.append(ear)
        return ear

    async def _unlisten(self, ear: _Ear) -> None:
        async with self._radio:
            if ear in self._ears:
                self._ears.remove(ear)
                if not self._ears:
                    await self.device.stop_scanning(legacy=True)

    def _on_report(self, report: Any) -> None:
        address = report.address.to_string(False)
        response = report.event_type == _SCAN_RSP
        for sightings in (self.seen, *(ear.heard for ear in self._ears)):
            sighting = sightings.setdefault(address, Sighting(report.address))
            sighting.rssi = report.rssi
            if response:
                sighting.resp = report.data
            else:
                sighting.adv = report.data
                sighting.count += 1
        # Active scanning: nobody is complete before the scan response.
        if response:
            for ear in list(self._ears):
                if ear.callback is not None:
                    ear.callback(ear.heard[address])

    # -- connecting ------------------------------------------------------------------------------

    async def connect(
        self, who: str | Sighting, timeout_s: float = _CONNECT_TIMEOUT_S, discover: bool = True
    ) -> Link:
        """Connect by address or sighting, negotiate the MTU, discover all. TimeoutError."""
        return await self._here(self._connect(who, timeout_s, discover))

    async def _connect(self, who: str | Sighting, timeout_s: float, discover: bool) -> Link:
        if isinstance(who, str):
            key = who.upper()
            known = self.seen.get(key)
            if known is None:
                known = await self._find(lambda s: s.address.to_string(False) == key, timeout_s)
            who = known
        async with self._radio:
            try:
                connection = await asyncio.wait_for(
                    self.device.connect_le(who.address, timeout=timeout_s), timeout_s + 5
                )
            except core.TimeoutError as error:
                raise TimeoutError(f"{who.address} did not answer") from error
        link = Link(self, connection)
        try:
            if self.mtu > _DEFAULT_MTU:
                await link.run(link.peer.request_mtu(self.mtu))
            if discover:
                await link.run(link.peer.discover_all())
        except BaseException:
            await link.disconnect()
            raise
        return link

    # -- for programs written against bleak ------------------------------------------------------

    @contextlib.contextmanager
    def as_bleak(self) -> Iterator[None]:
        """Make this phone the Bluetooth adapter that bleak finds, for the whole process."""
        # Only here: a phone without bleak is useful too, and importing it costs time.
        import bleak

        from tools.sim import bleak_backend

        client, scanner = bleak_backend.backends(self)
        with (
            mock.patch.object(
                bleak, "get_platform_client_backend_type", lambda: (client, "homing-sim")
            ),
            mock.patch.object(
                bleak, "get_platform_scanner_backend_type", lambda: (scanner, "homing-sim")
            ),
        ):
            yield


class Link:
    """One connection of a phone. Raises LinkLost when it is gone, att.ATT_Error for ATT errors."""

    def __init__(self, phone: Phone, connection: Connection) -> None:
        self.phone = phone
        self.connection = connection
        self.peer = Peer(connection)
        self.lost: asyncio.Future[int] = phone.loop.create_future()
        connection.on(Connection.EVENT_DISCONNECTION, self._on_lost)
        if phone.device.connections.get(connection.handle) is not connection:
            # It ended before anybody could listen: nobody would ever be told.
            self._on_lost(hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR)

    def _on_lost(self, reason: int) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    @property
    def mtu(self) -> int:
        return self.peer.gatt_client.mtu

    @property
    def services(self) -> list[ServiceProxy]:
        return self.peer.services

    def characteristic(self, uuid: str) -> CharacteristicProxy[bytes]:
        """The characteristic of that UUID; KeyError if there is none."""
        for service in self.services:
            for characteristic in service.characteristics:
                if characteristic.uuid == core.UUID(uuid):
                    return characteristic
        raise KeyError(uuid)

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await work on the phone's loop, but no longer than the connection lives."""

        async def raced() -> _T:
            if self.lost.done():
                work.close()
                raise LinkLost(f"disconnected, reason {self.lost.result():#04x}")
            task = self.phone.loop.create_task(work)
            try:
                await asyncio.wait((task, self.lost), return_when=asyncio.FIRST_COMPLETED)
                if not self.lost.done() or (task.done() and not task.cancelled()):
                    return task.result()
                raise LinkLost(f"disconnected, reason {self.lost.result():#04x}")
            finally:
                task.cancel()

        return await self.phone._here(raced())

    async def read(self, handle: int) -> bytes:
        """Read a value, long ones blob by blob."""
        return bytes(await self.run(self.peer.gatt_client.read_value(handle)))

    async def write(self, handle: int, data: bytes, response: bool = True) -> None:
        """Write a value, long ones in parts."""
        await self.run(self.peer.gatt_client.write_value(handle, data, with_response=response))

    async def ask(self, handle: int, data: bytes) -> bytes:
        """What every protocomm client does: write with response, then read at once."""

        async def both() -> bytes:
            client = self.peer.gatt_client
            await client.write_value(handle, data, with_response=True)
            return bytes(await client.read_value(handle))

        return await self.run(both())

    async def endpoints(self) -> dict[str, int]:
        """Endpoint name to value handle, from the user descriptions."""
        found = {}
        for service in self.services:
            for characteristic in service.characteristics:
                for descriptor in characteristic.descriptors:
                    if descriptor.type == core.UUID.from_16_bits(0x2901):
                        name = await self.read(descriptor.handle)
                        found[name.decode()] = characteristic.handle
        return found

    async def disconnect(self) -> None:
        """Hang up; nothing happens if that has happened already."""

        async def work() -> None:
            if not self.lost.done():
                with contextlib.suppress(core.BaseBumbleError, TimeoutError):
                    await self.connection.disconnect()

        await self.phone._here(work())
