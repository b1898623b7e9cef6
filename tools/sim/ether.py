"""The air between boards and phones: a Bumble link that behaves, and an HCI door for others.

Bumble 0.0.236 has a virtual link and a virtual controller. What they lack, or do too kindly or too
unkindly for us, is put right here and only here:

* replies of a peripheral with a public address were lost (every sender counted as random);
* the scan response was made up from the advertising data;
* two centrals that connect at once both believed to have the connection;
* a cancelled connection attempt stayed pending;
* ACL data was handed to a host in pieces larger than the host asked for;
* extended advertising is announced but only half there, so its bit is masked;
* a device that loses power now loses its connections by supervision timeout;
* advertising costs nothing while nobody listens, and its interval is in units of 0.625 ms.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bumble import core, hci, ll
from bumble.controller import Controller, LegacyAdvertiser
from bumble.link import LocalLink
from bumble.transport.common import StreamPacketSink, StreamPacketSource

# What a phone waits for a peer that fell silent.
SUPERVISION_TIMEOUT_S = 2.0
_ACL_LEN = 251
_HCI_TICK_S = 0.000625
_MIN_INTERVAL_S = 0.02
_CONNECTABLE = 0  # the advertising type ADV_IND
_REPORT = hci.HCI_LE_Advertising_Report_Event


class _Advertiser(LegacyAdvertiser):
    """Advertises at its interval while somebody listens."""

    def start(self) -> None:
        self.stop()
        self.enabled = True
        self.listen()

    def listen(self) -> None:
        """Somebody began to listen: the next packet comes half an interval from now."""
        if self.enabled and self.timer_handle is None:
            self.timer_handle = asyncio.get_running_loop().call_later(
                self._interval_s / 2, self._on_timer_fired
            )

    @property
    def _interval_s(self) -> float:
        return max(self.advertising_interval_min * _HCI_TICK_S, _MIN_INTERVAL_S)

    def _on_timer_fired(self) -> None:
        self.timer_handle = None
        if not self.enabled:
            return
        ether = self.controller.link
        assert isinstance(ether, Ether)
        if not ether.anybody_listening():
            return
        ether.send_advertising_pdu(
            self.controller, ll.AdvInd(advertiser_address=self.address, data=self.advertising_data)
        )
        self.timer_handle = asyncio.get_running_loop().call_later(
            self._interval_s, self._on_timer_fired
        )


class EtherController(Controller):
    """A Bluetooth controller on the ether. Its host is whatever speaks HCI to it."""

    link: Ether

    def __init__(self, ether: Ether, name: str, public_address: str | None = None) -> None:
        super().__init__(name, link=ether, public_address=public_address)
        self.le_features &= ~(
            hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
        )
        self.le_acl_data_packet_length = self.acl_data_packet_length = _ACL_LEN
        self.le_legacy_advertiser = _Advertiser(self)

    @property
    def listening(self) -> bool:
        return self.le_scan_enable or self.pending_le_connection is not None

    @property
    def connectable(self) -> bool:
        advertiser = self.le_legacy_advertiser
        return advertiser.enabled and advertiser.advertising_type == _CONNECTABLE

    # -- being heard and hearing -----------------------------------------------------------------

    def on_hci_le_set_scan_enable_command(self, command: Any) -> Any:
        result = super().on_hci_le_set_scan_enable_command(command)
        self.link.somebody_listens()
        return result

    def on_hci_le_create_connection_command(self, command: Any) -> None:
        super().on_hci_le_create_connection_command(command)
        self.link.somebody_listens()

    def on_hci_le_create_connection_cancel_command(self, command: Any) -> Any:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is not None:
            self.send_hci_packet(
                hci.HCI_LE_Connection_Complete_Event(
                    status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                    connection_handle=0,
                    role=hci.Role.CENTRAL,
                    peer_address_type=pending.peer_address.address_type,
                    peer_address=pending.peer_address,
                    connection_interval=0,
                    peripheral_latency=0,
                    supervision_timeout=0,
                    central_clock_accuracy=0,
                )
            )
        return super().on_hci_le_create_connection_cancel_command(command)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        sender = self.link.advertiser(pdu.advertiser_address)
        if sender is None:
            return
        if self.le_scan_enable:
            kind = sender.le_legacy_advertiser.advertising_type
            self._report(_REPORT.EventType(kind), pdu.advertiser_address, pdu.data)
            if self.le_scan_type and kind != _REPORT.EventType.ADV_NONCONN_IND:
                answer = sender.le_legacy_advertiser.scan_response_data
                self._report(_REPORT.EventType.SCAN_RSP, pdu.advertiser_address, answer)
        pending = self.pending_le_connection
        if pending is not None and pending.peer_address == pdu.advertiser_address:
            self.create_le_connection(pdu.advertiser_address)

    def _report(self, kind: int, address: hci.Address, data: bytes) -> None:
        report = _REPORT.Report(
            event_type=kind,
            address_type=address.address_type,
            address=address,
            data=data,
            rssi=-50,
        )
        self.send_hci_packet(_REPORT([report]))

    # -- connections -----------------------------------------------------------------------------

    def create_le_connection(self, peer_address: hci.Address) -> None:
        peer = self.link.advertiser(peer_address)
        # Another central was faster, or our old connection to it has not timed out yet.
        if peer is not None and peer.connectable and peer_address not in self.le_connections:
            super().create_le_connection(peer_address)

    def on_link_acl_data(
        self, sender_address: hci.Address, transport: core.PhysicalTransport, data: bytes
    ) -> None:
        connection = self.le_connections.get(sender_address)
        if connection is None:
            return
        for start in range(0, len(data), _ACL_LEN):
            piece = data[start : start + _ACL_LEN]
            boundary = 1 if start else 2  # continuing, or first of a complete PDU
            self.send_hci_packet(
                hci.HCI_AclDataPacket(connection.handle, boundary, 0, len(piece), piece)
            )

    def on_le_disconnected(self, connection: Any, reason: int) -> None:
        # Both ends may give up at once.
        if self.le_connections.get(connection.peer_address) is connection:
            super().on_le_disconnected(connection, reason)


class _Door(StreamPacketSource):
    """One TCP connection: a host outside, a controller inside."""

    def __init__(self, ether: Ether) -> None:
        super().__init__()
        self._controller = ether.controller("hci")

    def connection_made(self, transport: Any) -> None:
        self._controller.host = StreamPacketSink(transport)
        self.set_packet_sink(self._controller)

    def connection_lost(self, exc: Exception | None) -> None:
        self._controller.link.vanish(self._controller)


class Ether(LocalLink):
    """One place in which everybody hears everybody. Belongs to the loop it is created on."""

    def __init__(self) -> None:
        super().__init__()
        self._servers: list[asyncio.Server] = []
        self._next_phone = 0

    def controller(self, name: str, public_address: str | None = None) -> EtherController:
        """Add a controller; public_address like '02:00:00:00:00:01' (none: random only)."""
        return EtherController(self, name, public_address)

    def phone_address(self) -> str:
        """A random static address nobody here has yet."""
        self._next_phone += 1
        return f"F0:F1:F2:F3:{self._next_phone >> 8:02X}:{self._next_phone & 0xFF:02X}"

    def anybody_listening(self) -> bool:
        return any(c.listening for c in self.controllers if isinstance(c, EtherController))

    def somebody_listens(self) -> None:
        for controller in self.controllers:
            advertiser = controller.le_legacy_advertiser
            if isinstance(advertiser, _Advertiser):
                advertiser.listen()

    def advertiser(self, address: hci.Address) -> EtherController | None:
        """Who advertises under that address, if anybody does."""
        for controller in self.controllers:
            if isinstance(controller, EtherController):
                advertiser = controller.le_legacy_advertiser
                if advertiser.enabled and advertiser.address == address:
                    return controller
        return None

    def vanish(self, controller: EtherController) -> None:
        """Its power is gone: silent at once; its peers notice after the supervision timeout."""
        if controller not in self.controllers:
            return
        self.remove_controller(controller)
        controller.le_legacy_advertiser.stop()
        controller.host = None
        loop = asyncio.get_running_loop()
        for connection in list(controller.le_connections.values()):
            peer = self.find_le_controller(connection.peer_address)
            theirs = peer.le_connections.get(connection.self_address) if peer else None
            if peer is not None and theirs is not None:
                loop.call_later(
                    SUPERVISION_TIMEOUT_S,
                    peer.on_le_disconnected,
                    theirs,
                    hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR,
                )
        controller.le_connections.clear()

    # -- the link itself -------------------------------------------------------------------------

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is not None and receiver is not None:
            asyncio.get_running_loop().call_soon(
                receiver.on_link_acl_data, connection.self_address, transport, data
            )

    def send_advertising_pdu(
        self, sender_controller: Controller, packet: ll.AdvertisingPdu
    ) -> None:
        if isinstance(packet, ll.ConnectInd):
            # At once, so that the advertiser is taken before another central can try.
            for controller in list(self.controllers):
                if controller is not sender_controller:
                    controller.on_ll_advertising_pdu(packet)
            return
        super().send_advertising_pdu(sender_controller, packet)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        receiver = self.find_le_controller(receiver_address)
        if receiver is not None and sender_address in receiver.le_connections:
            asyncio.get_running_loop().call_soon(receiver.on_ll_control_pdu, sender_address, packet)

    # -- for other processes ---------------------------------------------------------------------

    async def serve_hci(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Offer controllers over TCP (H4), one per connection; return the port."""

        server = await asyncio.get_running_loop().create_server(lambda: _Door(self), host, port)
        self._servers.append(server)
        return server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the doors and silence everybody."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for controller in list(self.controllers):
            if isinstance(controller, EtherController):
                self.vanish(controller)
