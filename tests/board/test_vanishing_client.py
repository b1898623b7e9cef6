"""A client that goes away after every single message of the exchange, with or without a goodbye."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from esp_protocomm.security1 import Security1, SecurityError
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiState, apply_config, get_status, set_config

from tools.harness.bench import SimBench
from tools.harness.dialogue import Dialogue
from tools.provision.client import Client
from tools.sim.ether import SUPERVISION_TIMEOUT_S

WIFI_FILE = "nvs/wifi.dat"
VISIBLE_S = 1.0  # advertising again so soon after every disconnect
MESSAGES = (
    "version",
    "session 0",
    "session 1",
    "scan start",
    "scan status",
    "scan result",
    "set",
    "apply",
    "status, connecting",
    "status, connected",
)
APPLY = MESSAGES.index("apply") + 1
BEFORE = dict(enumerate(("nothing", *MESSAGES[: APPLY - 1])))
AFTER = dict(enumerate(MESSAGES[APPLY - 1 :], APPLY))
# What comes before a handshake, in it, and when all is known; the others with --soak.
ORDINARY = {"nothing", "session 0", "scan start", "set"}


class Gone(SecurityError):
    """The client has left. A SecurityError, for esp-protocomm lets only those pass untouched."""


class LeavingTransport:
    """esp-protocomm's transport for `messages` messages; the answer to the last is not read."""

    def __init__(self, dialogue: Dialogue, messages: int, leave: Callable[[], Awaitable[None]]):
        self._transport = dialogue.transport
        self._left = messages
        self._leave = leave

    async def begin(self) -> None:
        if not self._left:
            await self._go()

    async def send(self, endpoint: str, data: bytes) -> bytes:
        self._left -= 1
        if self._left:
            return await self._transport.send(endpoint, data)
        client = self._transport._client
        assert client is not None
        await client.write_gatt_char(self._transport.endpoints[endpoint], data, response=True)
        return await self._go()

    async def _go(self) -> bytes:
        await self._leave()
        raise Gone


async def exchange(transport: LeavingTransport, lab: SimBench, pop: str) -> None:
    """Everything that an app says, in the order of MESSAGES."""
    await transport.begin()
    client = Client(transport)
    assert json.loads(await transport.send("proto-ver", b"ESP"))
    client._security = security = await establish_session(transport, Security1(pop))
    assert await client.networks()
    await set_config(transport, security, lab.ssid, lab.password)
    await apply_config(transport, security)
    assert (await get_status(transport, security)).state is WifiState.CONNECTING
    while not lab.sim.station.connected:
        await asyncio.sleep(0.1)
    while (await get_status(transport, security)).state is not WifiState.CONNECTED:
        await asyncio.sleep(0.1)


def talk_and_vanish(lab: SimBench, pop: str, messages: int, goodbye: bool) -> None:
    """A client leaves after so many messages; the board is visible again in time."""
    dialogue = lab.dialogue()

    async def leave() -> None:
        if goodbye:
            await asyncio.sleep(0.3)  # the board is at work on it by now, say in a scan
            await dialogue.close()
            return
        await lab.phone.vanish()
        await asyncio.sleep(SUPERVISION_TIMEOUT_S)

    async def work() -> None:
        await dialogue.open()
        assert not lab.sim.bridge.advertising
        with pytest.raises(Gone):
            await exchange(LeavingTransport(dialogue, messages, leave), lab, pop)
        async with asyncio.timeout(VISIBLE_S):
            while not lab.sim.bridge.advertising:
                await asyncio.sleep(0.05)

    lab.run(work())
    if not goodbye:
        lab.phone = lab.scene.new_phone()


@pytest.mark.sim(speed=1)  # what is late is late by the board's doing
@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(count, id=name, marks=() if name in ORDINARY else pytest.mark.soak)
        for count, name in BEFORE.items()
    ],
)
def test_before_apply(lab: SimBench, messages: int) -> None:
    """Nothing is kept of it, and the next client is served."""
    lab.board.wait_state("advertising")
    pop = lab.pop()
    for goodbye in (False, True):
        talk_and_vanish(lab, pop, messages, goodbye)
        assert not [path for path in lab.sim.files() if path.startswith("nvs/wifi")]
        assert lab.access_point.attempts == 0
    status = lab.talk(lambda d: d.provision(lab.ssid, lab.password))
    assert status.state is WifiState.CONNECTED
    lab.board.wait_state("online")


@pytest.mark.sim(speed=1)
@pytest.mark.parametrize(
    "goodbye", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["silent", "goodbye"]
)
@pytest.mark.parametrize("messages", AFTER, ids=list(AFTER.values()))
def test_from_apply_on(lab: SimBench, messages: int, goodbye: bool) -> None:
    """The board has been told to join: it does, and the next client reads how that went."""
    lab.board.wait_state("advertising")
    talk_and_vanish(lab, lab.pop(), messages, goodbye)
    assert lab.talk(lambda d: d.settled()).state is WifiState.CONNECTED
    assert [path for path in lab.sim.files() if path.startswith("nvs/wifi")] == [WIFI_FILE]
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("online")
