"""A Bluetooth controller behind a serial line (H4 on a pty), for a host stack that is not ours.

A MicroPython with NimBLE of its own opens the tty that MICROPYBTUART names. Everything above HCI is
then the real thing: attributes, interrupts and their rules are the board's, and the world has the
controller only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import termios
import time
import tty

from bumble import core, hci
from bumble.transport.common import PacketParser

from tools.sim.channel import Channel
from tools.sim.ether import Ether, EtherController
from tools.sim.gatt_bridge import GattBridge

_READ_LEN = 1 << 16
_RESET = bytes(hci.HCI_Reset_Command())
# A packet that the board has not answered after that long (real time) needs no answer.
_SETTLED_S = 0.03


class HciPty:
    """A controller on the ether and the tty of its host. Create and use it on the ether's loop.

    address: the controller's public address, '02:00:00:00:00:01'.
    """

    def __init__(self, ether: Ether, address: str, name: str = "hci") -> None:
        self._ether = ether
        self._address = address
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.tty = os.ttyname(self._theirs)
        self._parser = PacketParser(self)
        self._outbox = bytearray()
        self._moved_at = 0.0
        self._controller: EtherController | None = None
        # Their end stays open here too, so that the line outlasts hosts that come and go.
        self._loop.add_reader(self._ours, self._readable)

    @property
    def controller(self) -> EtherController | None:
        """The controller since the host's last reset; None before the first and when off."""
        return self._controller

    @property
    def busy(self) -> bool:
        """Whether something is under way on the line, or was a moment ago."""
        return bool(self._outbox) or time.monotonic() - self._moved_at < _SETTLED_S

    def off(self) -> None:
        """Take the controller's power away: silent at once, peers notice by supervision timeout."""
        controller, self._controller = self._controller, None
        if controller is not None:
            self._ether.vanish(controller)

    def hang_up(self) -> None:
        """Tell every peer goodbye, then off()."""
        controller = self._controller
        if controller is not None:
            controller.host = None
            reason = hci.HCI_ErrorCode.REMOTE_USER_TERMINATED_CONNECTION_ERROR
            for connection in list(controller.le_connections.values()):
                peer = self._ether.find_le_controller(connection.peer_address)
                theirs = peer.le_connections.get(connection.self_address) if peer else None
                if peer is not None and theirs is not None:
                    peer.on_le_disconnected(theirs, reason)
            controller.le_connections.clear()
        self.off()

    def close(self) -> None:
        """Off, and the line is gone. Idempotent."""
        self.off()
        if self._ours < 0:
            return
        self._loop.remove_reader(self._ours)
        self._loop.remove_writer(self._ours)
        os.close(self._ours)
        os.close(self._theirs)
        self._ours = self._theirs = -1

    # -- from the host ---------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = os.read(self._ours, _READ_LEN)
        except (BlockingIOError, InterruptedError):
            return
        self._moved_at = time.monotonic()
        if data == _RESET:
            # A host begins, and the one before may have died in the middle of a packet.
            self._parser.reset()
        with contextlib.suppress(core.InvalidPacketError):
            self._parser.feed_data(data)

    def on_packet(self, packet: bytes) -> None:
        """Take one packet of the host."""
        if packet == _RESET:
            # Bumble's controller would keep its connections and go on advertising.
            self.off()
            with contextlib.suppress(termios.error):
                termios.tcflush(self._theirs, termios.TCIFLUSH)
            self._outbox.clear()
            self._controller = self._ether.controller(self._name, self._address)
            self._controller.host = _Line(self)
        if self._controller is not None:
            self._controller.on_packet(packet)

    # -- to the host -----------------------------------------------------------------------------

    def send(self, packet: bytes) -> None:
        """Put one packet on the line; a slow host loses nothing."""
        if self._ours < 0:
            return
        idle = not self._outbox
        self._outbox += packet
        if idle:
            self._flush()

    def _flush(self) -> None:
        try:
            count = os.write(self._ours, self._outbox)
        except (BlockingIOError, InterruptedError):
            count = 0
        self._moved_at = time.monotonic()
        del self._outbox[:count]
        if self._outbox:
            self._loop.add_writer(self._ours, self._flush)
        else:
            self._loop.remove_writer(self._ours)


class _Line:
    """What a controller takes for its host."""

    def __init__(self, line: HciPty) -> None:
        self._line = line
        self._controller = line.controller

    def on_packet(self, packet: bytes) -> None:
        # What an earlier controller still had to say is not for this host.
        if self._line.controller is self._controller:
            self._line.send(packet)


class HciBridge:
    """The radio of a board whose interpreter has a host stack of its own; see GattBridge."""

    def __init__(self, ether: Ether, channel: Channel, address: str, name: str = "board") -> None:
        self.line = HciPty(ether, address, name)
        channel.register("ble.uart", lambda: self.line.tty)
        channel.register("ble.off", self.line.off)

    @property
    def advertising(self) -> bool:
        controller = self.line.controller
        return controller is not None and controller.le_legacy_advertiser.enabled

    @property
    def connected(self) -> bool:
        controller = self.line.controller
        return controller is not None and bool(controller.le_connections)

    @property
    def busy(self) -> bool:
        return self.line.busy

    def power_lost(self) -> None:
        """The board is dead without a goodbye: centrals find out by supervision timeout."""
        self.line.close()

    def stop(self) -> None:
        """Switch the radio off in good order, as a soft reset does: centrals are told."""
        self.line.hang_up()
        self.line.close()


Radio = GattBridge | HciBridge


def make_radio(
    own_host: bool, ether: Ether, channel: Channel, address: str, name: str = "board"
) -> Radio:
    """The world's side of a board's radio, by whether its interpreter has a host stack."""
    return (HciBridge if own_host else GattBridge)(ether, channel, address, name)
