"""What each app says to a board, in its order, its words and its rhythm."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from esp_protocomm.proto import wifi_config_pb2, wifi_scan_pb2

from tools.sim.phone import Link, Sighting

from . import discovery
from .link import BleWay, Cut, Failed, Way
from .session import BadAnswer, Session0, Session1, Session2

_POLLS = 12
_PAGE = 4
_BLOCKING, _PERIOD = bytes.fromhex("0801"), bytes.fromhex("2078")
_FAILURES = ("auth-error", "not-found")


@dataclass(frozen=True)
class App:
    """One client. bodies, later: of its proto-ver requests before and in the session. bare: sends
    `msg` alone where it can. rhythm: seconds before the first poll and between polls. lost: what
    its numbers lose in SRP. retries: sends a failed request once more, as it is."""

    name: str
    discover: Callable[[Link, Sighting], Awaitable[dict[str, int]]]
    scan_s: float
    bodies: tuple[bytes, ...]
    later: tuple[bytes, ...] = ()
    encoding: str = "utf-8"
    bare: bool = False
    rhythm: tuple[float, float] = (2, 5)
    lost: tuple[str, ...] = ()
    min_mtu: int = 23
    home: bool = False
    retries: bool = False
    checks_set: bool = True
    pools: bool = True
    keeps_cookies: bool = True  # beyond one run
    http_group: int = 0
    http_page: int = _PAGE
    follows_sec_ver: bool = True


_ANDROID: dict[str, Any] = {
    "discover": discovery.android,
    "scan_s": 6,
    "bodies": (b"ESP",),
    "lost": ("salt", "K", "M1"),
    "retries": True,
}
_IOS: dict[str, Any] = {
    "discover": discovery.ios,
    "scan_s": 5,
    "bodies": (b"ESP",),
    "rhythm": (0, 5),
    "min_mtu": 185,
    "checks_set": False,
    "pools": False,
}
APPS = (
    App("android", **_ANDROID),
    App("ios", **_IOS),
    App("home-android", home=True, **_ANDROID),
    App("home-ios", home=True, **_IOS),
    App(
        "esp_prov",
        discover=discovery.esp_prov,
        scan_s=4,
        bodies=(b"none", b"no_sec", b"no_pop"),
        later=(b"wifi_prov", b"wifi_scan"),
        encoding="latin-1",
        bare=True,
        rhythm=(5, 5),
        lost=("salt", "inner"),
        keeps_cookies=False,
        http_group=5,
        http_page=100,
        follows_sec_ver=False,
    ),
)


class Refused(Exception):
    """No session: the app says that the proof of possession is wrong."""

    def __init__(self, why: object, code: int | None = None) -> None:
        super().__init__(str(why))
        self.code = code


class Run:
    """One run of an app against a board that it has reached."""

    def __init__(self, app: App, way: Way, chance: random.Random) -> None:
        self.app, self.way, self._chance = app, way, chance
        self._session: Any = None
        self.applied: list[tuple[str, str]] = []  # what the board is to join, in this order

    async def secure(self, pop: str, chosen: int) -> None:
        """proto-ver, then the handshake. chosen: what the person asked for, where they must.

        Raises Refused."""
        try:
            for body in self.app.bodies:
                said = json.loads(await self.way.send("proto-ver", body))
        except Failed as error:
            raise Refused(error, error.code) from error
        prov = said["prov"]
        assert isinstance(prov["ver"], str) and isinstance(prov["cap"], list)
        assert {"wifi_prov", "wifi_scan"} <= set(prov["cap"])
        version = prov["sec_ver"] if self.app.follows_sec_ver else chosen
        patch = prov.get("sec_patch_ver")
        proof = b"" if "no_pop" in prov["cap"] else pop.encode(self.app.encoding)
        if version == 0 or "no_sec" in prov["cap"]:
            self._session = Session0()
        elif version == 1:
            self._session = Session1(proof)
        else:
            counts = type(patch) is int and patch == 1
            self._session = Session2(proof, self.app.lost, counts, self._chance)
        try:
            await self._session.shake(self.way.send)
        except (BadAnswer, Failed) as error:
            raise Refused(error, getattr(error, "code", None)) from error
        for body in self.app.later:
            assert json.loads(await self.way.send("proto-ver", body)) == said

    async def _ask(self, endpoint: str, data: bytes) -> bytes:
        sealed = self._session.encrypt(data)
        try:
            return self._session.decrypt(await self.way.send(endpoint, sealed))
        except BadAnswer as error:
            raise AssertionError(f"an answer out of step: {error}") from error
        except Failed as error:
            if self.app.retries:
                # The session counts as dead; the answer, if there is one, is not decrypted.
                await self.way.send(endpoint, sealed)
            raise error

    async def networks(self) -> set[bytes]:
        """Scan in one blocking request, then page by page; the names."""
        ble = isinstance(self.way, BleWay)
        group = 0 if ble else self.app.http_group
        start = _BLOCKING + (bytes((0x18, group)) if group else b"") + _PERIOD
        await self._scan(bytes((0x52, len(start))) + start)
        status = await self._scan(bytes.fromhex("0802" if self.app.bare else "08026200"))
        assert status.resp_scan_status.scan_finished, "Android never calls back"
        count = status.resp_scan_status.result_count
        page = _PAGE if ble else self.app.http_page
        names: set[bytes] = set()
        for at in range(0, count, page):
            request = wifi_scan_pb2.WiFiScanPayload(msg=wifi_scan_pb2.TypeCmdScanResult)
            request.cmd_scan_result.start_index = at
            request.cmd_scan_result.count = min(page, count - at)
            entries = (await self._scan(request.SerializeToString())).resp_scan_result.entries
            assert 0 < len(entries) <= page, "the iOS library traps on an empty page"
            assert all(0 <= entry.auth <= 7 for entry in entries)
            names |= {entry.ssid for entry in entries}
        return names

    async def _scan(self, data: bytes) -> Any:
        return wifi_scan_pb2.WiFiScanPayload.FromString(await self._ask("prov-scan", data))

    async def join(self, ssid: str, password: str) -> str:
        """Set, apply, poll. "connected", "auth-error", "not-found", "set-refused" or
        "apply-refused"."""
        request = wifi_config_pb2.WiFiConfigPayload(msg=wifi_config_pb2.TypeCmdSetConfig)
        request.cmd_set_config.ssid = ssid.encode(self.app.encoding)
        request.cmd_set_config.passphrase = password.encode(self.app.encoding)
        reply = await self._config(request.SerializeToString())
        if reply.resp_set_config.status and self.app.checks_set:
            return "set-refused"
        apply = bytes.fromhex("0804" if self.app.bare else "08047200")
        try:
            reply = await self._config(apply)
        except Cut as cut:
            if cut.delivered:
                self.applied.append((ssid, password))
            raise
        if reply.resp_apply_config.status:
            return "apply-refused"
        self.applied.append((ssid, password))
        first_s, then_s = self.app.rhythm
        await asyncio.sleep(first_s)
        for _poll in range(_POLLS):
            status = (await self._config(bytes.fromhex("5200"))).resp_get_status
            if status.sta_state == 0:
                assert status.connected.ssid == ssid.encode(self.app.encoding), status
                assert status.connected.ip4_addr and len(status.connected.bssid) == 6, status
                return "connected"
            if status.sta_state == 3:
                return _FAILURES[status.fail_reason]
            assert status.sta_state == 1, status
            await asyncio.sleep(then_s)
        return "no outcome"

    async def reset(self) -> None:
        """Take back a failed join."""
        reply = await self._ask("prov-ctrl", bytes.fromhex("0801" if self.app.bare else "08015a00"))
        assert reply.hex() == "08026200", reply.hex()

    async def _config(self, data: bytes) -> Any:
        return wifi_config_pb2.WiFiConfigPayload.FromString(await self._ask("prov-config", data))
