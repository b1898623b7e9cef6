"""The app's side of the five stages: against the local cloud, a node played by paho-mqtt, and a
session with a board that answers with the messages of esp-rainmaker-cli."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from cloud_board import in_loop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tools.cloud import LocalCloud, broker
from tools.cloud.app import RainMakerApp, session_for
from tools.cloud.node_credentials import NodeCredentials
from tools.harness.paho_node import PahoNode, lamp_config
from tools.provision import association, mapping, setup
from tools.provision.mapping import ByBoard, ByChallenge, BySecret, MappingError
from tools.provision.setup import SetupError
from tools.provision.stages import NAMES, SENDING, Stages

USER, PASSWORD = "me@x.org", "correct horse"
with_broker = pytest.mark.skipif(broker.find() is None, reason=broker.MISSING)
ZONE = "Europe/Berlin"


def upstream(name: str) -> Any:
    """A message module out of esp-rainmaker-cli, without what its packages import."""
    found = importlib.util.find_spec("rmaker_tools")
    if found is None or not found.submodule_search_locations:
        pytest.skip("`make env` installs esp-rainmaker-cli")
    folder = Path(found.submodule_search_locations[0]) / "rmaker_prov" / "config"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Screen:
    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, text: str) -> None:
        self.said.append(text)

    def outcome(self, good: bool, text: str) -> None:
        self.said.append(f"{'+' if good else '-'} {text}")


class Board:
    """What a session with a board answers; the node speaks for it over MQTT."""

    def __init__(self, credentials: NodeCredentials, status: int = 0) -> None:
        self._credentials = credentials
        self._status = status
        self.user, self.secret = "", ""

    async def exchange(self, endpoint: str, data: bytes) -> bytes:
        if endpoint == "ch_resp":
            messages = upstream("esp_rmaker_chal_resp_pb2")
            asked = messages.RMakerChRespPayload.FromString(data)
            challenge = asked.cmdChallengeResponsePayload.payload
            assert isinstance(self._credentials.key, ec.EllipticCurvePrivateKey)
            answer = messages.RMakerChRespPayload(msg=1, status=self._status)
            if not self._status:
                signed = self._credentials.key.sign(challenge, ec.ECDSA(hashes.SHA256()))
                answer.respChallengeResponsePayload.payload = signed
                answer.respChallengeResponsePayload.node_id = self._credentials.node_id
            return answer.SerializeToString()
        assert endpoint == "cloud_user_assoc"
        messages = upstream("custom_cloud_config_pb2")
        asked = messages.CloudConfigPayload.FromString(data)
        self.user, self.secret = (
            asked.cmd_get_set_details.UserID,
            asked.cmd_get_set_details.SecretKey,
        )
        answer = messages.CloudConfigPayload(msg=1)
        answer.resp_get_set_details.Status = self._status
        answer.resp_get_set_details.DeviceSecret = self._credentials.node_id
        return answer.SerializeToString()


class Rig:
    def __init__(self, mqtt: bool = True) -> None:
        self.cloud = LocalCloud()
        self._mqtt = mqtt
        self.screen = Screen()
        self.stages = Stages(self.screen)

    async def __aenter__(self) -> Rig:
        await self.cloud.start()
        if self._mqtt:
            await self.cloud.start_mqtt()
        self.cloud.rainmaker.accounts.add(USER, PASSWORD)
        self.session = session_for(self.cloud.port, self.cloud.ca_pem)
        self.app = RainMakerApp(self.session)
        await self.app.log_in(USER, PASSWORD)
        self.made = self.cloud.new_node("node-1")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.session.close()
        await self.cloud.stop()

    async def node(self) -> PahoNode:
        return await asyncio.to_thread(PahoNode, self.made, self.cloud.ca_pem, self.cloud.mqtt.port)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_POLL_S", 0.02)
    monkeypatch.setattr(setup, "_PAUSE_S", 0.05)
    monkeypatch.setattr(setup, "_ONLINE_PAUSE_S", 0.05)


def test_way_by_what_the_board_advertises() -> None:
    app: Any = None
    extra = {"rmaker_extra": {"ver": "1.0", "cap": ["ch_resp"]}}
    own = {"homing": {"cap": ["cloud_bind"]}}
    classic = ["cloud_user_assoc"]
    assert isinstance(mapping.choose(extra | own, classic, app), ByChallenge)
    assert isinstance(mapping.choose(own, classic, app), BySecret)
    assert isinstance(mapping.choose(own, [], app), ByBoard)
    assert mapping.choose({}, [], app) is None


def test_a_second_try_is_no_other_stage() -> None:
    screen = Screen()
    stages = Stages(screen)
    for _ in range(2):
        with stages.stage(SENDING):
            stages.done("sent")
    with pytest.raises(ValueError), stages.stage(NAMES[1]):
        raise ValueError("no")
    assert screen.said == [f"1/5 {SENDING}", "+ sent"] * 2 + [f"2/5 {NAMES[1]}", "- no"]


@with_broker
@in_loop
async def test_classic_to_the_end() -> None:
    async with Rig() as rig:
        board = Board(rig.made)
        way = BySecret(rig.app)
        client: Any = board
        await way.hand_over(client, rig.stages)
        assert board.user == rig.app.user_id and len(board.secret) >= 16
        finishing = asyncio.create_task(way.finish(rig.stages))
        node = await rig.node()
        try:
            await asyncio.to_thread(node.introduce)
            await asyncio.to_thread(node.map, board.user, board.secret)
            assert await finishing == "node-1"
            await setup.set_up(rig.app, "node-1", ZONE, rig.stages)
            said = [await asyncio.to_thread(node.written.get, timeout=10) for _ in range(2)]
        finally:
            await asyncio.to_thread(node.close)
        assert said[0] == {"Time": {"TZ": ZONE}}
        token = {"UserToken": rig.app.refresh_token, "BaseURL": rig.app.base_url}
        assert said[1] == {"RMUserAuth": token}
        assert [g["nodes"] for g in await rig.app.groups()] == [["node-1"]]
        assert rig.screen.said == [
            "1/5 configuring association",
            "+ RainMaker waits for node node-1",
            "2/5 verifying association",
            "+ node node-1 is yours",
            "3/5 setting up node",
            "+ it is: Lamp",
            "+ in the group Home",
            f"+ its time zone is {ZONE}",
            "+ its service RMUserAuth has your token",
        ]
        for secret in rig.cloud.secrets():
            assert secret not in "\n".join(rig.screen.said)


@in_loop
async def test_by_challenge() -> None:
    async with Rig(mqtt=False) as rig:
        way = ByChallenge(rig.app)
        board: Any = Board(rig.made)
        await way.hand_over(board, rig.stages)
        assert await way.finish(rig.stages) == "node-1"
        assert await rig.app.nodes() == ["node-1"]
        assert rig.screen.said == [
            "1/5 configuring association",
            "+ node node-1 signed the cloud's challenge",
            "2/5 verifying association",
            "+ node node-1 is yours",
        ]


@in_loop
async def test_what_goes_wrong_is_said() -> None:
    async with Rig(mqtt=False) as rig:
        board: Any = Board(rig.made, status=3)
        with pytest.raises(MappingError, match="switched off on the board: reset it"):
            await ByChallenge(rig.app).hand_over(board, rig.stages)
        board = Board(rig.made, status=2)
        with pytest.raises(MappingError, match="cannot take it now") as told:
            await BySecret(rig.app).hand_over(board, rig.stages)
        assert told.value.exit_code == 3
        board = Board(rig.made)
        rig.cloud.new_node("node-1")  # the cloud knows other credentials since
        with pytest.raises(MappingError, match="claim it again"):
            await ByChallenge(rig.app).hand_over(board, rig.stages)
        assert rig.screen.said[-1].startswith("- RainMaker does not take the board's signature")
        assert await rig.app.nodes() == []


@in_loop
async def test_board_that_never_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_CONFIRM_S", 0.3)
    async with Rig(mqtt=False) as rig:
        rig.cloud.rainmaker.mapping.timeout_s = 0.1
        way = BySecret(rig.app)
        board: Any = Board(rig.made)
        await way.hand_over(board, rig.stages)
        with pytest.raises(MappingError, match="has not heard from node node-1") as told:
            await way.finish(rig.stages)
        assert told.value.exit_code == 3
        # Asked again after the cloud's time-out.
        assert len(rig.cloud.rainmaker.mapping.requests) > 1


@in_loop
async def test_set_up_fails_with_the_cure() -> None:
    async with Rig(mqtt=False) as rig:
        known = rig.cloud.rainmaker.nodes
        rig.cloud.rainmaker.mapping.add(rig.app.user_id, "node-1")

        async def fails(words: str) -> None:
            with pytest.raises(SetupError, match=words) as told:
                await setup.set_up(rig.app, "node-1", ZONE, rig.stages)
            assert told.value.exit_code == 4
            assert rig.screen.said[-1].startswith("- ")

        await fails("has not told RainMaker what it is")
        known.configured("node-1", lamp_config("node-1") | {"services": []})
        await fails("no Time service")
        known.configured("node-1", lamp_config("node-1"))
        await fails("is not connected")
        known.present("node-1", True)
        known.publish = lambda _node_id, _payload: None  # a node that reports nothing
        await fails("does not report the time zone")


def test_answers_that_are_none() -> None:
    with pytest.raises(association.AssociationError, match="no signature"):
        association.answer_of(b"\x08\x01")
    with pytest.raises(association.AssociationError, match="no node id"):
        association.node_id_of(b"")


@pytest.mark.parametrize(
    ("given", "zone"), [("Asia/Kolkata", "Asia/Kolkata"), (":Europe/Rome", "Europe/Rome")]
)
def test_zone_of_this_computer(given: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", given)
    assert setup.local_zone() == zone
    monkeypatch.delenv("TZ")
    assert "/" in setup.local_zone()
