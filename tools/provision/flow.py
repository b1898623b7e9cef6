"""Provisioning as a person goes through it: pick, prove, choose a network, watch the stages."""

from __future__ import annotations

import asyncio
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

from . import mapping, setup
from .client import Client, Network, NoBluetooth, ProvisionError, failure_text
from .stages import CONFIRMING, NAMES, SENDING, Stages

_POLL_S = 2.0
_LINK_S = 90.0
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
    def outcome(self, good: bool, text: str) -> None: ...
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
    zone: str = "",
) -> Outcome:
    """The whole flow. Raises ProvisionError with the fault and the cure.

    messages: endpoint and what is written there before the board gets its network. zone: the
    user's time zone, if it is not this computer's.
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
        link_id = ""
        if apps and "cloud_link" in version.get("homing", {}).get("cap", []):
            link_id = await client.link_id()
        way = apps and mapping.choose(version, transport.endpoints, apps.rainmaker)
        stages = Stages(screen, len(NAMES) if way else 2)
        if way:
            await way.hand_over(client, stages)
        await _join(screen, client, version, stages)
        outcome.ip_joined = True
    if apps and link_id:
        await _link(screen, apps, outcome, link_id)
    if apps and way:
        outcome.node = await way.finish(stages)
        if not isinstance(way, mapping.ByBoard):  # that one has no MQTT by which it could be set up
            await setup.set_up(apps.rainmaker, outcome.node, zone or setup.local_zone(), stages)
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


async def _join(screen: Screen, client: Client, version: dict[str, Any], stages: Stages) -> None:
    networks = await client.networks() if "wifi_scan" in version["prov"]["cap"] else []
    ssid = screen.choose_network(networks)
    again = False
    while True:
        auth = next((n.auth for n in networks if n.ssid == ssid), None)
        password = b"" if auth == 0 else screen.ask_password(ssid, again)
        with stages.stage(SENDING):
            await client.set_network(ssid, password)
            stages.done("the board has them")
        with stages.stage(CONFIRMING):
            status = await client.wait_joined()
            if status.state is WifiState.CONNECTED:
                stages.done("the board has joined")
                return
            stages.failed(failure_text(status))
        ssid, again = _next_try(screen, networks, ssid, status)


def _next_try(
    screen: Screen, networks: list[Network], ssid: bytes, status: WifiStatus
) -> tuple[bytes, bool]:
    if status.failure is WifiFailure.INCORRECT_SSID:
        return screen.choose_network(networks), False
    return ssid, True


async def _link(screen: Screen, apps: Apps, outcome: Outcome, link_id: str) -> None:
    """The app's side at thethings.io, once the board is online by itself."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LINK_S
    before = set(await apps.thethings.things())
    screen.stage("linking with thethings.io")
    while (await apps.thethings.link_id(link_id))["message"] != "linked":
        if loop.time() > deadline:
            raise ProvisionError(
                "thethings.io has not heard from the board; its serial port says why, and it goes "
                "on trying"
            )
        await asyncio.sleep(_POLL_S)
    things = set(await apps.thethings.things())
    outcome.thing = next(iter(things - before or things))
