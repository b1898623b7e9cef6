"""The local cloud's broker: how it starts and ends, and whom it takes.

paho-mqtt is the client. What the real broker refuses at once, this one takes and disregards.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from cloud_board import in_loop
from cloud_nodes import SECRET, Rig, do, until, with_broker

from tools.cloud import LocalCloud, broker
from tools.cloud.broker import BrokerError
from tools.cloud.certs import Authority
from tools.cloud.node_credentials import issue
from tools.cloud.server import Entry
from tools.harness.paho_node import PahoNode, lamp_config


@in_loop
async def test_says_how_to_get_mosquitto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "find", lambda: None)
    async with LocalCloud() as cloud:
        with pytest.raises(BrokerError, match="apt-get install mosquitto"):
            await cloud.start_mqtt()


@with_broker
@in_loop
async def test_says_that_the_port_is_taken() -> None:
    async with LocalCloud() as cloud, LocalCloud() as other:
        await cloud.start_mqtt()
        with pytest.raises(BrokerError, match="port .* is taken"):
            await other.start_mqtt(cloud.mqtt.port)
        assert not other.mqtt.broker.running


@with_broker
@in_loop
async def test_nothing_stays_of_the_broker() -> None:
    async with LocalCloud() as cloud:
        await cloud.start_mqtt()
        folder = Path(cloud.mqtt.broker.directory)
        assert (folder / "server.pem").stat().st_mode & 0o77 == 0
    assert not cloud.mqtt.broker.running and not folder.exists()


# -- whom it takes -------------------------------------------------------------------------


def refusals(cloud: LocalCloud) -> list[Entry]:
    return [entry for entry in cloud.log if entry.method == "MQTT connect"]


async def is_useless(rig: Rig, node: PahoNode) -> None:
    """Whatever node-1 says and is told by way of this connection goes nowhere."""
    known = rig.cloud.rainmaker.nodes.get("node-1")
    request = await rig.mine.map_node("node-1", SECRET)
    said = {
        "config": lamp_config("node-1"),
        "params/local": {"Lamp": {"Power": True}},
        "user/mapping": {"node_id": "node-1", "user_id": rig.mine.user_id, "secret_key": SECRET},
    }
    for ingest in (True, False):
        for end, document in said.items():
            await do(node.publish, end, document, ingest=ingest)
    for end in said:
        await until(lambda end=end: rig.cloud.count("MQTT in", f"/node/node-1/{end}", 403) == 2)
        assert rig.cloud.count("MQTT in", f"/node/node-1/{end}") == 0
    assert await rig.mine.mapping_status(request) == "requested"
    assert known.config is None and known.params == {} and not known.connected
    await rig.own(rig.hers)
    await rig.hers.set_params("node-1", {"Lamp": {"Power": True}})  # as to one that is not there
    assert rig.cloud.count("MQTT out", "/node/node-1/params/remote", 403) == 1
    assert node.written.empty()


@with_broker
@pytest.mark.parametrize(
    "client_id", ["node-2", "an id (p2, c1, k60, u'node-1'), with blanks", ""], ids=repr
)
@in_loop
async def test_a_foreign_client_id_is_useless(client_id: str) -> None:
    async with Rig() as rig:
        made = rig.cloud.new_node("node-1")
        rig.cloud.new_node("node-2")
        node = await rig.connect(made, client_id=client_id)
        await until(lambda: refusals(rig.cloud))
        await is_useless(rig, node)
        (refusal,) = refusals(rig.cloud)
        assert (refusal.route, refusal.status) == ("/node/node-1", 403)
        assert repr(client_id)[1:-1] in refusal.why  # without one, mosquitto draws one
        assert "connect with the node id, node-1, as the client id" in refusal.why
        assert refusal.why in str(refusal)
        assert not any(node.connected for node in rig.cloud.rainmaker.nodes.all)
        # With the right id it is a node like any other.
        await do(node.close)
        await until(lambda: not rig.cloud.mqtt.refuses("node-1"))
        again = await rig.connect(made)
        await do(again.introduce)
        await until(lambda: rig.cloud.rainmaker.nodes.get("node-1").params)
        assert await rig.hers.connected("node-1")
        assert len(refusals(rig.cloud)) == 1


@with_broker
@in_loop
async def test_a_message_waits_for_who_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the thread is that reads what mosquitto says: here it never comes."""
    monkeypatch.setattr(broker.Broker, "_follow", lambda _self, _output: None)
    async with Rig() as rig:
        node = await rig.connect(rig.cloud.new_node("node-1"), client_id="foreign")
        await do(node.publish, "params/local", {"Lamp": {"Power": True}})
        await until(lambda: rig.cloud.count("MQTT in", "/node/node-1/params/local", 403))
        assert rig.cloud.rainmaker.nodes.get("node-1").params == {}


@with_broker
@in_loop
async def test_a_message_counts_no_more_when_its_sender_has_left() -> None:
    async with Rig() as rig:
        left = threading.Event()
        catch_up = rig.cloud.mqtt.broker.catch_up

        def late() -> None:
            left.wait(10)
            catch_up()

        rig.cloud.mqtt.broker.catch_up = late
        node = await rig.connect(rig.cloud.new_node("node-1"), client_id="foreign")
        await do(node.publish, "params/local", {"Lamp": {"Power": True}})
        await do(node.close)
        # Whoever has the same client id next is let in when the one before is gone.
        await rig.connect(rig.cloud.new_node("node-2"), client_id="foreign")
        left.set()
        await until(lambda: rig.cloud.count("MQTT in", "/node/node-1/params/local", 403))
        assert rig.cloud.rainmaker.nodes.get("node-1").params == {}
        await until(lambda: not rig.cloud.mqtt.refuses("node-1"))
        assert rig.cloud.mqtt.refuses("node-2")


@with_broker
@in_loop
async def test_a_nodes_id_does_not_help_another_certificate() -> None:
    """Like every broker, mosquitto drops the client that had the id before; the one that has taken
    it gets nothing by that."""
    async with Rig() as rig:
        node, intruder = await rig.node("node-1"), rig.cloud.new_node("node-2")
        first, second = (rig.cloud.rainmaker.nodes.get(f"node-{n}") for n in (1, 2))
        await until(lambda: first.connected)
        node._client.reconnect_delay_set(60, 60)
        connected = await rig.connect(intruder, client_id="node-1")
        await until(lambda: not first.connected and refusals(rig.cloud))
        await do(connected.publish, "params/local", {"Lamp": {"Power": True}}, node_id="node-1")
        await do(connected.publish, "params/local", {"Lamp": {"Power": True}})
        await until(lambda: rig.cloud.count("MQTT in", "/node/node-2/params/local", 403))
        assert first.params == second.params == {} and not second.connected


@with_broker
@in_loop
async def test_a_node_that_is_not_registered_is_useless() -> None:
    """The right authority made its certificate, but the cloud does not know of it."""
    async with Rig() as rig:
        made = issue(rig.cloud.mqtt.authority, "node-1", broker.MQTT_HOST)
        node = await rig.connect(made)
        await until(lambda: refusals(rig.cloud))
        await is_useless(rig, node)
        (refusal,) = refusals(rig.cloud)
        assert "--node node-1" in refusal.why and "credentials" in refusal.why


@with_broker
@pytest.mark.parametrize("wrong", ["authority", "expired"])
@in_loop
async def test_a_wrong_certificate_is_not_taken(wrong: str) -> None:
    async with Rig() as rig:
        rig.cloud.new_node("node-1")
        authority = Authority() if wrong == "authority" else rig.cloud.mqtt.authority
        made = issue(authority, "node-1", broker.MQTT_HOST, expired=wrong == "expired")
        with pytest.raises((ConnectionError, OSError)):
            await rig.connect(made, wait_s=0.5)
        assert not any(node.connected for node in rig.cloud.rainmaker.nodes.all)
        await until(lambda: "certificate verify failed" in rig.cloud.mqtt.broker.log)
        assert refusals(rig.cloud) == []  # it did not get so far


@with_broker
@in_loop
async def test_the_right_secret_from_another_node_maps_nothing() -> None:
    async with Rig() as rig:
        await rig.node("node-1")
        other = await rig.node("node-2")
        request = await rig.mine.map_node("node-1", SECRET)
        said: dict[str, Any] = {"user_id": rig.mine.user_id, "secret_key": SECRET}
        for ingest in (True, False):
            # Under the other node's topic, under its own in the other's name, and in its own name.
            mine, its = said | {"node_id": "node-1"}, said | {"node_id": "node-2"}
            await do(other.publish, "user/mapping", mine, ingest=ingest, node_id="node-1")
            await do(other.publish, "user/mapping", mine, ingest=ingest)
            await do(other.publish, "user/mapping", its, ingest=ingest)
        await until(lambda: rig.cloud.count("MQTT in", "/node/node-2/user/mapping") == 2)
        assert rig.cloud.count("MQTT in", "/node/node-2/user/mapping", 400) == 2
        assert not any(entry.route.startswith("/node/node-1") for entry in rig.cloud.log)
        assert await rig.mine.mapping_status(request) == "requested"
        assert rig.cloud.rainmaker.mapping.all == set()


@in_loop
async def test_no_node_has_the_clouds_own_name() -> None:
    async with Rig(mqtt=False) as rig:
        with pytest.raises(ValueError, match="the cloud's own name"):
            rig.cloud.new_node(broker.CLOUD_NAME)
