"""The phone's side of provisioning, on PyPI `esp-protocomm` for session and transport.

What that library lacks is here: proto-ver, the network list, attempts remaining, prov-ctrl, and
Homing's own endpoints. Messages: network_scan.proto, network_config.proto, network_ctrl.proto.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from esp_protocomm.proto import wifi_config_pb2, wifi_scan_pb2
from esp_protocomm.security1 import Security1, SecurityError
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import (
    WifiFailure,
    WifiState,
    WifiStatus,
    apply_config,
    get_status,
    set_config,
)

from . import binding, schemes

AUTH_NAMES = (
    "open",
    "WEP",
    "WPA",
    "WPA2",
    "WPA/WPA2",
    "WPA2-Enterprise",
    "WPA3",
    "WPA2/WPA3",
)
_PAGE = 4  # what Espressif's clients ask for over BLE: fits one 512-byte attribute


class ProvisionError(Exception):
    """Provisioning stopped; the text names the fault and the cure."""

    exit_code = 1  # of `homing provision`


class NoBluetooth(ProvisionError):
    """This computer has no Bluetooth that works."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"this computer's Bluetooth does not work: {error}")


class Transport(Protocol):
    async def send(self, endpoint: str, data: bytes) -> bytes: ...


@dataclass(frozen=True)
class Network:
    ssid: bytes
    bssid: bytes
    channel: int
    rssi_dbm: int
    auth: int

    @property
    def label(self) -> str:
        return self.ssid.decode("utf-8", errors="replace")


class Client:
    """One secured conversation with one board over any transport of esp-protocomm."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._security: Any = None

    async def version(self) -> dict[str, Any]:
        """The board's proto-ver JSON."""
        return json.loads(await self._transport.send("proto-ver", b"ESP"))

    async def secure(self, pop: str, sec_ver: int = 1) -> None:
        """The handshake of Security 0, 1 or 2 (with the nonce of its patch version 1); raises
        ProvisionError for a wrong proof of possession."""
        if sec_ver == 0:
            self._security = await schemes.establish(self._transport, schemes.Security0())
            return
        scheme: Any = schemes.Security2(pop) if sec_ver == 2 else Security1(pop)
        try:
            self._security = await establish_session(self._transport, scheme)
        except SecurityError as error:
            raise ProvisionError(
                "the board refused the proof of possession; it is printed on its serial port at "
                "every boot (and on the label)"
            ) from error

    async def exchange(self, endpoint: str, data: bytes) -> bytes:
        """One encrypted request to any endpoint; needs `secure` first."""
        if self._security is None:
            raise ProvisionError("no session: call secure() first")
        reply = await self._transport.send(endpoint, self._security.encrypt(data))
        return self._security.decrypt(reply)

    async def networks(self) -> list[Network]:
        """Networks the board can hear, strongest first."""
        start = wifi_scan_pb2.WiFiScanPayload(msg=wifi_scan_pb2.TypeCmdScanStart)
        start.cmd_scan_start.blocking = True
        start.cmd_scan_start.period_ms = 120
        await self._scan(start)
        ask = wifi_scan_pb2.WiFiScanPayload(msg=wifi_scan_pb2.TypeCmdScanStatus)
        count = (await self._scan(ask)).resp_scan_status.result_count
        found: list[Network] = []
        while len(found) < count:
            page = wifi_scan_pb2.WiFiScanPayload(msg=wifi_scan_pb2.TypeCmdScanResult)
            page.cmd_scan_result.start_index = len(found)
            page.cmd_scan_result.count = min(_PAGE, count - len(found))
            for e in (await self._scan(page)).resp_scan_result.entries:
                found.append(Network(e.ssid, e.bssid, e.channel, e.rssi, e.auth))
        return found

    async def _scan(self, request: Any) -> Any:
        reply = wifi_scan_pb2.WiFiScanPayload()
        reply.ParseFromString(await self.exchange("prov-scan", request.SerializeToString()))
        if reply.status:
            raise ProvisionError(f"the board cannot scan now (status {reply.status}); try again")
        return reply

    async def set_network(self, ssid: bytes, passphrase: bytes) -> None:
        """Hand over credentials as raw bytes, and have them applied."""
        security = self._require()
        try:
            text = ssid.decode(), passphrase.decode()
        except UnicodeDecodeError:
            await self._set_raw(ssid, passphrase)
        else:
            await set_config(self._transport, security, *text)
        await apply_config(self._transport, security)

    async def _set_raw(self, ssid: bytes, passphrase: bytes) -> None:
        request = wifi_config_pb2.WiFiConfigPayload(msg=wifi_config_pb2.TypeCmdSetConfig)
        request.cmd_set_config.ssid = ssid
        request.cmd_set_config.passphrase = passphrase
        reply = wifi_config_pb2.WiFiConfigPayload()
        reply.ParseFromString(await self.exchange("prov-config", request.SerializeToString()))
        if reply.resp_set_config.status:
            raise ProvisionError("the board refused SSID or passphrase (too long?)")

    async def wait_joined(
        self, timeout_s: float = 60, on_poll: Callable[[WifiStatus], None] | None = None
    ) -> WifiStatus:
        """Poll until the board is connected or has failed; returns the last status."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            status = await get_status(self._transport, self._require())
            if on_poll:
                on_poll(status)
            if status.settled:
                return status
            if loop.time() > deadline:
                raise ProvisionError(f"the board is still {status.describe()} after {timeout_s} s")
            await asyncio.sleep(2)

    async def link_id(self) -> str:
        """The thethings.io shared id of the board's current window."""
        return binding.read_link_id(await self.exchange("cloud_link", binding.LINK_REQUEST))

    async def bind(self, secret_key: str, access_token: str, operation: str = "add") -> None:
        """Hand over what the board needs to map itself to the user; *held* until it is online."""
        for fragment in binding.fragments(secret_key, access_token, operation):
            binding.check(await self.exchange("cloud_bind", fragment))

    def _require(self) -> Security1:
        if self._security is None:
            raise ProvisionError("no session: call secure() first")
        return self._security


def failure_text(status: WifiStatus) -> str:
    """What to tell the person whose network was not joined."""
    if status.failure is WifiFailure.INCORRECT_SSID:
        return "no such network in reach (2.4 GHz only: is this a 5 GHz network?)"
    if status.state is WifiState.CONNECTION_FAILED:
        return "the network refused the password"
    return status.describe()
