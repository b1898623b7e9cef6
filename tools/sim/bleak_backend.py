"""A backend for the real bleak that works through a Phone (see Phone.as_bleak)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bumble import att, core

from tools.sim.phone import Link, LinkLost, Phone, Sighting

_AD = core.AdvertisingData.Type
_ATT_HEADER_LEN = 3


def backends(phone: Phone) -> tuple[type[BaseBleakClient], type[BaseBleakScanner]]:
    """Client and scanner classes for bleak, bound to one phone."""
    return (
        type("PhoneBleakClient", (_Client,), {"phone": phone}),
        type("PhoneBleakScanner", (_Scanner,), {"phone": phone}),
    )


def _uuid(uuid: core.UUID) -> str:
    return str(uuid.to_hex_str("-")).lower() if len(uuid.uuid_bytes) == 16 else _long(uuid)


def _long(uuid: core.UUID) -> str:
    return f"{int.from_bytes(uuid.uuid_bytes, 'little'):08x}-0000-1000-8000-00805f9b34fb"


def _uuids(value: bytes, size: int) -> list[str]:
    return [_uuid(core.UUID.from_bytes(value[i : i + size])) for i in range(0, len(value), size)]


def _advertisement(sighting: Sighting) -> AdvertisementData:
    manufacturer = {}
    uuids = []
    for kind, value in sighting.data.ad_structures:
        if kind == _AD.MANUFACTURER_SPECIFIC_DATA and len(value) >= 2:
            manufacturer[int.from_bytes(value[:2], "little")] = value[2:]
        elif kind in (
            _AD.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
            _AD.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
        ):
            uuids += [
                _uuid(core.UUID.from_bytes(value[i : i + 16])) for i in range(0, len(value), 16)
            ]
        elif kind in (
            _AD.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
            _AD.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
        ):
            uuids += [
                _long(core.UUID.from_bytes(value[i : i + 2])) for i in range(0, len(value), 2)
            ]
    return AdvertisementData(
        local_name=sighting.name,
        manufacturer_data=manufacturer,
        service_data={},
        service_uuids=uuids,
        tx_power=None,
        rssi=sighting.rssi,
        platform_data=(sighting,),
    )


class _Scanner(BaseBleakScanner):
    phone: Phone

    def __init__(
        self, detection_callback: Any, service_uuids: Any, scanning_mode: str, **kwargs: Any
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._ear: Any = None

    async def start(self) -> None:
        self.seen_devices = {}
        loop = asyncio.get_running_loop()

        def heard(sighting: Sighting) -> None:
            # On the phone's loop; the program may live on another.
            if loop is self.phone.loop:
                self._detected(sighting)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(self._detected, sighting)

        self._ear = await self.phone._here(self.phone._listen(heard))

    async def stop(self) -> None:
        if self._ear is not None:
            ear, self._ear = self._ear, None
            await self.phone._here(self.phone._unlisten(ear))

    def _detected(self, sighting: Sighting) -> None:
        advertisement = _advertisement(sighting)
        if self.is_allowed_uuid(advertisement.service_uuids):
            address = sighting.address.to_string(False)
            name = advertisement.local_name
            device = self.create_or_update_device(address, address, name, sighting, advertisement)
            self.call_detection_callbacks(device, advertisement)


class _Client(BaseBleakClient):
    phone: Phone

    def __init__(self, address_or_ble_device: BLEDevice | str, **kwargs: Any) -> None:
        super().__init__(address_or_ble_device, **kwargs)
        self._link: Link | None = None

    @property
    def name(self) -> str:
        seen = self.phone.seen.get(self.address.upper())
        return (seen.name if seen else None) or self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        return self._require().mtu

    @property
    def is_connected(self) -> bool:
        return self._link is not None and not self._link.lost.done()

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        timeout_s = kwargs.get("timeout", self._timeout)
        if self.address.upper() not in self.phone.seen:
            try:
                await self.phone._here(
                    self.phone._find(
                        lambda s: s.address.to_string(False) == self.address.upper(), timeout_s
                    )
                )
            except TimeoutError:
                raise BleakDeviceNotFoundError(self.address, "not advertising") from None
        try:
            link = await self.phone.connect(self.address, timeout_s)
        except LinkLost as error:
            raise BleakError(str(error)) from error
        self._link = link
        self.services = self._collection(link)
        loop = asyncio.get_running_loop()
        link.lost.add_done_callback(lambda _: loop.call_soon_threadsafe(self._on_lost))

    def _on_lost(self) -> None:
        self.services = None
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    def _collection(self, link: Link) -> BleakGATTServiceCollection:
        services = BleakGATTServiceCollection()
        for s in link.services:
            service = BleakGATTService(s, s.handle, _uuid(s.uuid))
            services.add_service(service)
            for c in s.characteristics:
                characteristic = BleakGATTCharacteristic(
                    c,
                    c.handle,
                    _uuid(c.uuid),
                    list(gatt_char_props_to_strs(int(c.properties))),
                    lambda: link.mtu - _ATT_HEADER_LEN,
                    service,
                )
                services.add_characteristic(characteristic)
                for d in c.descriptors:
                    services.add_descriptor(
                        BleakGATTDescriptor(d, d.handle, _uuid(d.type), characteristic)
                    )
        return services

    async def disconnect(self) -> None:
        if self._link is not None:
            await self._link.disconnect()
            self.services = None

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("the simulated phone does not pair")

    async def unpair(self) -> None:
        raise NotImplementedError("the simulated phone does not pair")

    def _require(self) -> Link:
        if self._link is None or self._link.lost.done():
            raise BleakError("Not connected")
        return self._link

    async def _do(self, work: Callable[[Link], Any]) -> Any:
        try:
            return await work(self._require())
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(error.error_code) from error
        except LinkLost as error:
            raise BleakError(f"Not connected: {error}") from error

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        return bytearray(await self._do(lambda link: link.read(characteristic.handle)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        return bytearray(await self._do(lambda link: link.read(descriptor.handle)))

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        await self._do(lambda link: link.write(characteristic.handle, bytes(data), response))

    async def write_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, data: SizedBuffer
    ) -> None:
        await self._do(lambda link: link.write(descriptor.handle, bytes(data)))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        raise NotImplementedError("nothing here notifies")

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        raise NotImplementedError("nothing here notifies")
