"""Access points, and the station interface of a board as the esp32 port drives it.

The state machine follows ports/esp32/network_wlan.c of MicroPython 1.29: the last disconnect
reason outlives connect(), and it alone decides most of what status() says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .channel import Channel, SimError

if TYPE_CHECKING:
    from .clock import WorldLoop
    from .soft_ap import SoftAp

OPEN, WEP, WPA, WPA2, WPA_WPA2, ENTERPRISE, WPA3, WPA2_WPA3 = range(8)
_UNSUPPORTED = (WEP, ENTERPRISE)

AUTH_EXPIRE, ASSOC_LEAVE, HANDSHAKE_4WAY_TIMEOUT = 2, 8, 15
BEACON_TIMEOUT, NO_AP_FOUND, AUTH_FAIL, CONNECTION_FAIL = 200, 201, 202, 205
NO_COMPATIBLE_SECURITY, BELOW_AUTHMODE = 210, 211
_IDLE, _CONNECTING, _GOT_IP = 1000, 1001, 1010
# What status() passes on whether or not the station is still trying.
_STICKY = {NO_AP_FOUND: 201, AUTH_FAIL: 202, CONNECTION_FAIL: 202, 210: 210, 211: 211, 212: 212}

_SCAN_MS = 2400  # all channels
_FIND_MS = 300  # a directed scan that ends at the first match
_AUTH_TIMEOUT_MS = 1000
_ASSOCIATE_MS = 200
_FULL_POWER_DBM = 20.0


@dataclass
class AccessPoint:
    """One network in reach. Change any field at any time; `up` also cuts or restores traffic."""

    ssid: bytes
    password: bytes = b""
    auth: int = WPA2
    channel: int = 6
    rssi: int = -50
    hidden: bool = False
    bssid: bytes = b"\x02\x00\x00\x00\x00\x01"
    internet: bool = True  # False: an address is had, but no name is found and nothing answers
    dhcp: bool = True  # False: associates, but never gets an address
    wrong_password_reason: int = HANDSHAKE_4WAY_TIMEOUT
    handshake_timeout_ms: int = 3500
    dhcp_ms: int = 800
    beacon_timeout_ms: int = 6000
    # Faults: the reason of each coming attempt; None lets that attempt take its natural way.
    reasons: list[int | None] = field(default_factory=list)
    joins: int = 0  # addresses handed out so far
    attempts: int = 0
    _up: bool = True
    _watchers: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _run_on_loop: Callable[..., Any] = field(default=lambda func: func(), repr=False)

    @property
    def up(self) -> bool:
        return self._up

    @up.setter
    def up(self, up: bool) -> None:
        self._up = up

        def tell() -> None:
            for watcher in list(self._watchers):
                watcher()

        self._run_on_loop(tell)


class Station:
    """The station of one board. Lives on the world's loop and forgets everything at a reset."""

    def __init__(
        self,
        loop: WorldLoop,
        access_points: list[AccessPoint],
        mac: bytes,
        address: str,
        weak_above_dbm: Callable[[], float | None],
        on_link: Callable[[bool, bool], None],
        soft_ap: SoftAp,
    ) -> None:
        self._loop = loop
        self._aps = access_points
        self.mac = mac
        self._address = address
        self._weak_above_dbm = weak_above_dbm
        self._soft_ap = soft_ap
        self._on_link = on_link  # (has an address, frames get through)
        self._task: asyncio.Task[None] | None = None
        self._lost: asyncio.TimerHandle | None = None
        self.calls: list[str] = []  # of the board, for tests of the order
        self.reset()

    def reset(self) -> None:
        """The chip has been reset or lost its power."""
        self._cancel()
        self.ap: AccessPoint | None = None
        self.active = False
        self.connected = self.requested = False
        self.reason = 0
        self.max_reconnects = 0  # as in C: 0 is for ever, else one more than was configured
        self.reconnects = 0
        self.power_dbm = _FULL_POWER_DBM
        self._wanted: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        self._on_link(False, False)

    def attach(self, channel: Channel) -> None:
        for name, func in (
            ("active", self._active),
            ("connect", self._connect),
            ("disconnect", self._disconnect),
            ("status", self._status),
            ("isconnected", lambda: self.connected),
            ("rssi", self._rssi),
            ("scan", self._scan),
            ("ifconfig", self._ifconfig),
            ("reconnects", self._reconnects),
            ("txpower", self._txpower),
            ("channel", lambda: self.ap.channel if self.ap else 1),
        ):
            channel.register(f"wifi.{name}", func)

    @property
    def joining(self) -> bool:
        return self._task is not None

    @property
    def ip(self) -> str | None:
        return self._address if self.connected else None

    # -- operations of the board -------------------------------------------------------------

    def _active(self, interface: int, on: bool | None) -> bool:
        if interface == 1:
            if on is not None:
                self._soft_ap.switch(on)
            return self._soft_ap.on
        if on is not None and on != self.active:
            self.calls.append(f"active {on}")
            if not on:
                if self.connected or self.joining:
                    self._leave(ASSOC_LEAVE)
                self.active = False
            else:
                self.active = True
                self.reconnects = 0
                self.power_dbm = _FULL_POWER_DBM
        return self.active

    def _need_started(self) -> None:
        if not self.active:
            raise SimError("OSError", "Wifi Not Started")

    def _connect(self, ssid: str | None, key: str, bssid: str) -> None:
        self.calls.append("connect")
        self._need_started()
        if self.joining:
            raise SimError("OSError", "Wifi Internal Error")
        if ssid is not None:
            self._wanted = (bytes.fromhex(ssid), bytes.fromhex(key), bytes.fromhex(bssid))
        self.reconnects = 0
        if self.connected:
            self.requested = False
            self._leave(ASSOC_LEAVE)
        self._start_join()
        self.requested = True

    def _disconnect(self) -> None:
        self.calls.append("disconnect")
        self.requested = False
        self._need_started()
        if self.connected or self.joining:
            self._leave(ASSOC_LEAVE)

    def _status(self) -> int:
        if self.connected:
            return _GOT_IP
        if self.reason in _STICKY:
            return _STICKY[self.reason]
        if self.reason == ASSOC_LEAVE:
            return _IDLE
        if self.requested and (self.max_reconnects == 0 or self.reconnects < self.max_reconnects):
            return _CONNECTING
        return self.reason or _IDLE

    def _rssi(self) -> int:
        if not self.ap:
            raise SimError("OSError", "Wifi Not Connected")
        return self.ap.rssi

    async def _scan(self) -> list[list[Any]]:
        self.calls.append("scan")
        if not self.active:
            raise SimError("OSError", "STA must be active")
        if self.joining:
            return []  # esp_wifi_scan_start refuses; the port swallows that
        await asyncio.sleep(_SCAN_MS / 1000)
        found = sorted((ap for ap in self._aps if ap.up), key=lambda ap: -ap.rssi)
        return [
            ["" if a.hidden else a.ssid.hex(), a.bssid.hex(), a.channel, a.rssi, a.auth]
            for a in found
        ]

    def _ifconfig(self) -> list[str]:
        if not self.connected:
            return ["0.0.0.0"] * 4  # noqa: S104 - an absent address, nothing binds to it
        router = self._address.rpartition(".")[0] + ".1"
        return [self._address, "255.255.255.0", router, router]

    def _reconnects(self, count: int | None) -> int:
        if count is not None:
            self.max_reconnects = 0 if count == -1 else count + 1
        return self.max_reconnects - 1

    def _txpower(self, dbm: float | None) -> float:
        self._need_started()
        if dbm is not None:
            quarters = int(dbm * 4)
            if not 8 <= quarters <= 84:
                raise SimError("OSError", 258)  # ESP_ERR_INVALID_ARG
            self.power_dbm = min(quarters / 4, _FULL_POWER_DBM)
        return self.power_dbm

    # -- joining and losing --------------------------------------------------------------------

    def _start_join(self) -> None:
        self._task = self._loop.create_task(self._join())

    async def _join(self) -> None:
        ssid, key, bssid = self._wanted
        reason = await self._try(ssid, key, bssid)
        self._task = None
        if reason:
            self._disconnected(reason)
            return
        self.connected = True
        self.reason = 0
        self._on_link(True, True)

    async def _try(self, ssid: bytes, key: bytes, bssid: bytes) -> int:
        """Go through one attempt; 0 when there is an address, else the reason of the failure."""
        matching = [a for a in self._aps if a.up and a.ssid == ssid and bssid in (b"", a.bssid)]
        if not matching:
            await asyncio.sleep(_SCAN_MS / 1000)
            return NO_AP_FOUND
        ap = max(matching, key=lambda a: a.rssi)
        ap.attempts += 1
        scripted = ap.reasons.pop(0) if ap.reasons else None
        await asyncio.sleep(_FIND_MS / 1000)
        if scripted:
            await asyncio.sleep(_AUTH_TIMEOUT_MS / 1000)
            return scripted
        if ap.auth in _UNSUPPORTED or (ap.auth != OPEN and not key):
            await asyncio.sleep((_SCAN_MS - _FIND_MS) / 1000)
            return NO_COMPATIBLE_SECURITY
        if ap.auth == OPEN and key:
            await asyncio.sleep((_SCAN_MS - _FIND_MS) / 1000)
            return BELOW_AUTHMODE
        limit = self._weak_above_dbm()
        if limit is not None and self.power_dbm > limit:
            await asyncio.sleep(_AUTH_TIMEOUT_MS / 1000)
            return AUTH_EXPIRE
        if ap.auth != OPEN and key != ap.password:
            await asyncio.sleep(ap.handshake_timeout_ms / 1000)
            return ap.wrong_password_reason
        await asyncio.sleep(_ASSOCIATE_MS / 1000)
        if not ap.up:
            return AUTH_EXPIRE
        self.ap = ap
        self._soft_ap.follow(ap.channel)
        ap._watchers.append(self._ap_changed)
        while not ap.dhcp:
            await asyncio.sleep(1)
        await asyncio.sleep(ap.dhcp_ms / 1000)
        if not ap.up:
            self._forget_ap()
            return BEACON_TIMEOUT
        ap.joins += 1
        return 0

    def _ap_changed(self) -> None:
        if not self.ap:
            return
        if self.ap.up:
            if self._lost:
                self._lost.cancel()
                self._lost = None
            self._on_link(self.connected, self.connected)
        elif self._lost is None and self.connected:
            self._on_link(self.connected, False)
            delay_s = self.ap.beacon_timeout_ms / 1000
            self._lost = self._loop.call_later(delay_s, self._leave, BEACON_TIMEOUT)

    def _leave(self, reason: int) -> None:
        self._cancel()
        self._disconnected(reason)

    def _disconnected(self, reason: int) -> None:
        # network_wlan_wifi_event_handler, WIFI_EVENT_STA_DISCONNECTED
        self._forget_ap()
        self.reason = reason
        self.connected = False
        self._on_link(False, False)
        if not self.requested or not self.active:
            return
        if self.max_reconnects:
            self.reconnects += 1
            if self.reconnects >= self.max_reconnects:
                return
        self._start_join()

    def _forget_ap(self) -> None:
        if self.ap and self._ap_changed in self.ap._watchers:
            self.ap._watchers.remove(self._ap_changed)
        self.ap = None
        self._soft_ap.follow(None)

    def _cancel(self) -> None:
        if self._task:
            self._task.cancel()
            self._task = None
        if self._lost:
            self._lost.cancel()
            self._lost = None
        if getattr(self, "ap", None):
            self._forget_ap()
