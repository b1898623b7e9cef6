"""Provisioning as a person goes through it: pick, prove, choose a network, wait, bind."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import bleak
import bleak.exc
from esp_protocomm.ble import BleTransport
from esp_protocomm.ble import TransportError as BleError
from esp_protocomm.wifi import WifiFailure, WifiState, WifiStatus

from tools.cloud.app import RainMakerApp, ThethingsApp

from .client import Client, Network, NoBluetooth, ProvisionError, failure_text

_POLL_S = 2.0
_SECRET_BYTES = 16
_UNLUCKY = 2  # handshakes of Security 2 that may fail in a row
_NOT_FOR_DATA = {"proto-ver", "prov-session"}  # what is written there is not encrypted


@dataclass
class Apps:
    """A person's apps at both clouds, logged in."""

    thethings: ThethingsApp
    rainmaker: RainMakerApp


async def log_in(session: aiohttp.ClientSession, user: str, password: str) -> Apps:
    """The same account at both clouds; raises tools.cloud.app.AppError, aiohttp.ClientError."""
    apps = Apps(ThethingsApp(session), RainMakerApp(session))
    await apps.thethings.log_in(user, password)
    await apps.rainmaker.log_in(user, password)
    return apps


class Screen(Protocol):
    """How the flow talks to the person: what was given beforehand is not asked for."""

    def stage(self, text: str) -> None: ...
    def choose_board(self, names: list[str]) -> str: ...
    def ask_pop(self) -> str: ...
    def choose_network(self, networks: list[Network]) -> bytes: ...
    def ask_password(self, ssid: bytes, again: bool) -> bytes: ...


@dataclass
class Outcome:
    """What was done; "" where the board offers no such cloud or nobody logged in to it."""

    board: str
    ip_joined: bool = False
    thing: str = ""
    node: str = ""


async def find_boards(prefix: str, scan_s: float) -> list[str]:
    """Names of boards that wait for an app; raises ProvisionError when there is none."""
    try:
        found = await BleTransport.discover(prefix, timeout=scan_s)
    except (bleak.BleakError, OSError) as error:  # OSError: no D-Bus, where BlueZ would be
        raise NoBluetooth(error) from error
    names = sorted({name for name, _address in found})
    if not names:
        raise ProvisionError(
            f"no board with a name that starts with {prefix} is in reach; is it powered, and not "
            "provisioned already? Its serial port tells"
        )
    return names


async def run(
    screen: Screen,
    apps: Apps | None,
    prefix: str,
    scan_s: float,
    messages: Sequence[tuple[str, bytes]] = (),
) -> Outcome:
    """The whole flow. Raises ProvisionError with the fault and the cure.

    messages: endpoint and what is written there before the board gets its network.
    """
    screen.stage("looking for boards")
    name = screen.choose_board(await find_boards(prefix, scan_s))
    outcome = Outcome(name)
    async with BleTransport(scan_timeout=scan_s) as transport:
        screen.stage(f"connecting to {name}")
        try:
            await transport.connect(name)
        except (BleError, bleak.BleakError, OSError) as error:
            raise ProvisionError(f"{name} cannot be reached: {error}") from error
        client = Client(transport)
        version = await client.version()
        for endpoint, _data in messages:
            _check_offered(endpoint, transport)
        await _secure(screen, client, version)
        for endpoint, data in messages:
            await _send(screen, client, endpoint, data)
        offers = version.get("homing", {}).get("cap", [])
        link_id = ""
        if apps and "cloud_link" in offers:
            link_id = await client.link_id()
        if apps and "cloud_bind" in offers:
            screen.stage("handing over what the board needs for its cloud")
            await client.bind(secrets.token_urlsafe(_SECRET_BYTES), apps.rainmaker.token)
        await _join(screen, client, version)
        outcome.ip_joined = True
    if apps:
        await _confirm(screen, apps, outcome, link_id, offers)
    return outcome


async def _secure(screen: Screen, client: Client, version: dict[str, Any]) -> None:
    security = version["prov"].get("sec_ver", 1)
    if security not in (0, 1, 2) or security == 2 and version["prov"].get("sec_patch_ver") != 1:
        raise ProvisionError(f"this board wants a Security {security} that this client lacks")
    if {"no_pop", "no_sec"} & set(version["prov"]["cap"]):
        screen.stage("this board asks for no proof of possession")
        await client.secure("", security)
        return
    screen.stage("proving possession")
    pop, unlucky = "", 0
    while True:
        pop = pop or screen.ask_pop()
        try:
            await client.secure(pop, security)
        except ProvisionError as error:
            screen.stage(str(error))
            pop = ""
        except bleak.exc.BleakGATTProtocolError:
            unlucky += 1
            if security != 2 or unlucky > _UNLUCKY:
                raise
            screen.stage("the handshake failed, as one in 128 does by chance: once more")
            await asyncio.sleep(1)
        else:
            return


def _check_offered(endpoint: str, transport: BleTransport) -> None:
    offered = sorted(set(transport.endpoints) - _NOT_FOR_DATA)
    if endpoint.lower() not in offered:
        raise ProvisionError(
            f"the board has no endpoint {endpoint!r}; there are: {', '.join(offered)}"
        )


async def _send(screen: Screen, client: Client, endpoint: str, data: bytes) -> None:
    screen.stage(f"sending {len(data)} bytes to {endpoint}")
    try:
        answer = await client.exchange(endpoint, data)
    except bleak.BleakError as error:
        raise ProvisionError(f"the board refused what was sent to {endpoint}: {error}") from error
    text = answer.decode(errors="replace")
    screen.stage(f"{endpoint} answered: {text if text.isprintable() else answer.hex(' ')}")


async def _join(screen: Screen, client: Client, version: dict[str, Any]) -> None:
    networks = await client.networks() if "wifi_scan" in version["prov"]["cap"] else []
    ssid = screen.choose_network(networks)
    again = False
    while True:
        auth = next((n.auth for n in networks if n.ssid == ssid), None)
        password = b"" if auth == 0 else screen.ask_password(ssid, again)
        screen.stage("sending credentials")
        await client.set_network(ssid, password)
        screen.stage("confirming connection")
        status = await client.wait_joined()
        if status.state is WifiState.CONNECTED:
            screen.stage("connected")
            return
        screen.stage(failure_text(status))
        ssid, again = _next_try(screen, networks, ssid, status)


def _next_try(
    screen: Screen, networks: list[Network], ssid: bytes, status: WifiStatus
) -> tuple[bytes, bool]:
    if status.failure is WifiFailure.INCORRECT_SSID:
        return screen.choose_network(networks), False
    return ssid, True


async def _confirm(
    screen: Screen, apps: Apps, outcome: Outcome, link_id: str, offers: list[str]
) -> None:
    """The app's side, once the board is online by itself: both clouds must agree."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 90
    before = set(await apps.thethings.things()) if link_id else set()
    if link_id:
        screen.stage("linking with thethings.io")
        while (await apps.thethings.link_id(link_id))["message"] != "linked":
            await _pause(loop.time() > deadline, "thethings.io has not heard from the board")
        things = set(await apps.thethings.things())
        outcome.thing = next(iter(things - before or things))
    if "cloud_bind" in offers:
        screen.stage("verifying association with RainMaker")
        while not (nodes := await apps.rainmaker.nodes()):
            await _pause(loop.time() > deadline, "RainMaker has not confirmed the board")
        outcome.node = nodes[-1]


async def _pause(late: bool, what: str) -> None:
    if late:
        raise ProvisionError(f"{what}; the board's serial port says why, and it goes on trying")
    await asyncio.sleep(_POLL_S)
