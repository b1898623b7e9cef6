"""The radio of one simulated board: a Bumble peripheral whose attributes live on the board.

Every event goes to the board's `bluetooth` module over the channel, one after the other and each
waiting for the handler to return, as on the chip's single host task.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any

from bumble import core, gatt, hci
from bumble.device import AdvertisingType, Connection, Device, DeviceConfiguration, LegacyAdvertiser
from bumble.host import Host
from bumble.profiles.gap import GenericAccessService

from tools.sim.att_server import (
    FLAG_READ,
    FLAGS_WRITE,
    BoardAttribute,
    BoardCharacteristic,
    BoardDescriptor,
    BoardServer,
)
from tools.sim.channel import BoardError, Channel, ChannelClosed
from tools.sim.ether import Ether, EtherController

_IRQ_CENTRAL_CONNECT = 1
_IRQ_CENTRAL_DISCONNECT = 2
_IRQ_GATTS_INDICATE_DONE = 20
_IRQ_MTU_EXCHANGED = 21

_DEFAULT_NAME = "MPY ESP32"
_DEFAULT_MTU = 256
_EIO = 5

_FLAGS_SUBSCRIBE = 0x0010 | 0x0020
# Advertising types of HCI.
_ADV_CONNECTABLE = 0
_ADV_BROADCAST = 3


class GattBridge:
    """Serves the ble.* operations of one board process. Create it on the ether's loop.

    address: the board's public Bluetooth address, '02:00:00:00:00:01'.
    """

    def __init__(self, ether: Ether, channel: Channel, address: str, name: str = "board") -> None:
        self._ether = ether
        self._channel = channel
        self._address = address
        self._name = name
        self._device: Device | None = None
        self._controller: EtherController | None = None
        self._gap: GenericAccessService | None = None
        self._mtu = _DEFAULT_MTU
        # Payloads outlast an advertising stop; an omitted part keeps the previous one.
        self._adv = self._resp = b""
        self._order = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        for op, func in (
            ("ble.active", self._active),
            ("ble.config", self._config),
            ("ble.services", self._services),
            ("ble.advertise", self._advertise),
            ("ble.disconnect", self._disconnect),
            ("ble.notify", self._notify),
        ):
            channel.register(op, func)

    @property
    def advertising(self) -> bool:
        controller = self._controller
        return controller is not None and controller.le_legacy_advertiser.enabled

    @property
    def connected(self) -> bool:
        return self._device is not None and bool(self._device.connections)

    @property
    def busy(self) -> bool:
        """Whether something is under way that the channel does not know of."""
        return False

    async def event(self, event: int, *args: Any) -> Any:
        """Run the board's handler for one event and return what it says."""
        async with self._order:
            return await self._channel.request("ble.irq", event, *args)

    def power_lost(self) -> None:
        """The board is dead without a goodbye: centrals find out by supervision timeout."""
        controller, self._controller, self._device = self._controller, None, None
        if controller is not None:
            self._ether.vanish(controller)

    def stop(self) -> None:
        """Switch the radio off in good order, as a soft reset does: centrals are told."""
        self._spawn(self._active(False))

    # -- operations of the board -----------------------------------------------------------------

    async def _active(self, on: bool) -> list[Any] | None:
        device, self._device = self._device, None
        if device is not None:
            assert self._controller is not None
            self._controller.le_legacy_advertiser.stop()
            for connection in list(device.connections.values()):
                with contextlib.suppress(TimeoutError, core.BaseBumbleError):
                    await connection.disconnect()
            self._ether.vanish(self._controller)
            self._controller = None
        if not on:
            return None
        self._mtu = _DEFAULT_MTU
        self._adv = self._resp = b""
        self._controller = self._ether.controller(self._name, self._address)
        host = Host()
        device = Device(
            config=DeviceConfiguration(
                name=_DEFAULT_NAME,
                gap_service_enabled=False,
                gatt_service_enabled=False,
                address=hci.Address(self._address, hci.Address.PUBLIC_DEVICE_ADDRESS),
            ),
            host=host,
        )
        host.set_packet_sink(self._controller)
        self._controller.host = host
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        self._fresh_server(device)
        await device.power_on()
        self._device = device
        return [0, self._address.replace(":", "").lower()]

    def _fresh_server(self, device: Device, first_handle: int = 1) -> None:
        server = BoardServer(device)
        server.first_handle = first_handle
        server.max_mtu = self._mtu
        device.gatt_server = server
        self._gap = GenericAccessService(_DEFAULT_NAME)
        server.add_service(self._gap)
        # NimBLE's generic attribute service; nobody is ever told that the services have changed.
        changed = gatt.Characteristic(
            gatt.GATT_SERVICE_CHANGED_CHARACTERISTIC,
            gatt.Characteristic.Properties.INDICATE,
            gatt.Characteristic.Permissions(0),
            b"",
        )
        server.add_service(gatt.Service(gatt.GATT_GENERIC_ATTRIBUTE_SERVICE, [changed]))

    def _config(self, key: str, value: Any) -> None:
        assert self._device is not None
        if key == "mtu":
            self._mtu = self._device.gatt_server.max_mtu = value
        elif key == "gap_name":
            assert self._gap is not None
            self._gap.device_name_characteristic.value = bytes.fromhex(value)

    def _services(self, table: Sequence[Any]) -> list[list[int]]:
        assert self._device is not None
        # NimBLE registers its own services anew, and does not use handles again.
        self._fresh_server(self._device, self._device.gatt_server.next_handle())
        server = self._device.gatt_server
        groups = []
        for uuid, rows in table:
            attributes: list[BoardAttribute] = []
            characteristics = []
            for char_uuid, flags, descriptor_rows in rows:
                descriptors = [
                    self._own(BoardDescriptor(_uuid(d_uuid), _permissions(d_flags)), d_flags)
                    for d_uuid, d_flags in descriptor_rows
                ]
                characteristic = BoardCharacteristic(
                    _uuid(char_uuid),
                    gatt.Characteristic.Properties(flags & 0xFF),
                    _permissions(flags),
                    b"",
                    descriptors,
                )
                if flags & _FLAGS_SUBSCRIBE:
                    # NimBLE's lies before the descriptors of the program, and is not told to it.
                    own = gatt.Descriptor(
                        gatt.GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
                        gatt.Characteristic.READABLE | gatt.Characteristic.WRITEABLE,
                        server.make_descriptor_value(characteristic),
                    )
                    characteristic.descriptors = [own, *descriptors]
                characteristics.append(self._own(characteristic, flags))
                attributes += [characteristic, *descriptors]
            server.add_service(gatt.Service(_uuid(uuid), characteristics))
            groups.append([attribute.handle for attribute in attributes])
        server.services[-1].end_group_handle = 0xFFFF
        return groups

    def _own(self, attribute: Any, flags: int) -> Any:
        attribute.board = self
        attribute.flags = flags
        return attribute

    def _advertise(
        self, interval_us: int | None, adv: str | None, resp: str | None, connectable: bool
    ) -> None:
        assert self._device is not None and self._controller is not None
        # To the controller directly: Bumble's device would add an opinion of its own.
        advertiser = self._controller.le_legacy_advertiser
        advertiser.stop()
        if interval_us is None:
            return
        if adv is not None:
            self._adv = bytes.fromhex(adv)
        if resp is not None:
            self._resp = bytes.fromhex(resp)
        advertiser.advertising_interval_min = interval_us // 625
        advertiser.advertising_type = _ADV_CONNECTABLE if connectable else _ADV_BROADCAST
        advertiser.own_address_type = hci.OwnAddressType.PUBLIC
        advertiser.advertising_data = self._adv
        advertiser.scan_response_data = self._resp
        # Bumble's device looks at this when a connection comes in, to know its own address.
        self._device.legacy_advertiser = LegacyAdvertiser(
            device=self._device,
            advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE,
            own_address_type=hci.OwnAddressType.PUBLIC,
            peer_address=hci.Address.ANY,
            auto_restart=False,
        )
        advertiser.start()

    def _disconnect(self, conn_handle: int) -> bool:
        connection = self._device.connections.get(conn_handle) if self._device else None
        if connection is None:
            return False
        self._spawn(self._drop(connection))
        return True

    async def _drop(self, connection: Connection) -> None:
        with contextlib.suppress(TimeoutError, core.BaseBumbleError):
            await connection.disconnect()

    async def _notify(self, conn_handle: int, handle: int, value: str, indicate: bool) -> None:
        connection = self._device.connections.get(conn_handle) if self._device else None
        attribute = self._device.gatt_server.get_attribute(handle) if self._device else None
        if connection is None or attribute is None:
            raise OSError(_EIO, "no such connection or attribute")
        if not indicate:
            await connection.gatt_server.notify_subscriber(
                connection, attribute, bytes.fromhex(value)
            )
            return
        self._spawn(self._indicate(connection, attribute, bytes.fromhex(value)))

    async def _indicate(self, connection: Connection, attribute: Any, value: bytes) -> None:
        status = 0
        try:
            await connection.gatt_server.indicate_subscriber(connection, attribute, value)
        except (TimeoutError, core.BaseBumbleError):
            status = 1
        await self._tell(_IRQ_GATTS_INDICATE_DONE, connection.handle, attribute.handle, status)

    # -- events of the air -----------------------------------------------------------------------

    def _on_connection(self, connection: Connection) -> None:
        peer = connection.peer_address
        who = (connection.handle, int(not peer.is_public), bytes(peer)[::-1].hex())
        connection.on(
            Connection.EVENT_DISCONNECTION,
            lambda _reason: self._spawn(self._tell(_IRQ_CENTRAL_DISCONNECT, *who)),
        )
        connection.on(
            Connection.EVENT_CONNECTION_ATT_MTU_UPDATE,
            lambda: self._spawn(
                self._tell(_IRQ_MTU_EXCHANGED, connection.handle, connection.att_mtu)
            ),
        )
        self._spawn(self._tell(_IRQ_CENTRAL_CONNECT, *who))

    async def _tell(self, event: int, *args: Any) -> None:
        # A board that died meanwhile need not be told.
        with contextlib.suppress(ChannelClosed, BoardError):
            await self.event(event, *args)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _uuid(text: str) -> core.UUID:
    return core.UUID.from_bytes(bytes.fromhex(text))


def _permissions(flags: int) -> gatt.Characteristic.Permissions:
    permissions = gatt.Characteristic.Permissions(0)
    if flags & FLAG_READ:
        permissions |= gatt.Characteristic.READABLE
    if flags & FLAGS_WRITE:
        permissions |= gatt.Characteristic.WRITEABLE
    return permissions
