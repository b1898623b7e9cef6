"""RainMaker's nodes at the local cloud, played by paho-mqtt over a real broker, and their users."""

from __future__ import annotations

import pytest
from cloud_board import in_loop
from cloud_nodes import SECRET, Rig, do, until, with_broker

from tools.cloud.app import AppError
from tools.harness.paho_node import lamp_config

# -- the classic mapping ---------------------------------------------------------------------


@with_broker
@in_loop
async def test_maps_with_the_message_of_the_node() -> None:
    async with Rig() as rig:
        node = await rig.node()
        request = await rig.mine.map_node("node-1", SECRET)
        for user, secret in (
            (rig.hers.user_id, SECRET),
            (rig.mine.user_id, "another secret"),
        ):
            await do(node.map, user, secret)
        await until(lambda: rig.cloud.count("MQTT in", "/node/node-1/user/mapping") == 2)
        assert await rig.mine.mapping_status(request) == "requested"
        await do(node.map, rig.mine.user_id, SECRET)
        await until(lambda: rig.cloud.rainmaker.mapping.all)
        assert await rig.mine.mapping_status(request) == "confirmed"
        assert await rig.mine.nodes() == ["node-1"] and await rig.hers.nodes() == []


@with_broker
@pytest.mark.parametrize("ingest", [True, False], ids=["basic-ingest", "plain-topics"])
@in_loop
async def test_node_first_and_both_forms_of_topic(ingest: bool) -> None:
    async with Rig() as rig:
        node = await rig.node()
        said = {"node_id": "node-1", "user_id": rig.mine.user_id, "secret_key": SECRET}
        await do(node.publish, "user/mapping", said, ingest=ingest)
        await do(node.publish, "config", lamp_config("node-1"), ingest=ingest)
        await do(node.publish, "params/local", {"Lamp": {"Power": True}}, ingest=ingest)
        await until(lambda: rig.cloud.rainmaker.nodes.get("node-1").params)
        request = await rig.mine.map_node("node-1", SECRET)
        assert await rig.mine.mapping_status(request) == "confirmed"
        assert await rig.mine.config("node-1") == lamp_config("node-1")


@with_broker
@in_loop
async def test_reset_ends_the_mappings_of_others() -> None:
    async with Rig() as rig:
        node = await rig.node()
        await rig.own(rig.mine)
        request = await rig.hers.map_node("node-1", "other secret")
        await do(node.map, rig.hers.user_id, "other secret", reset=True)
        await until(lambda: rig.cloud.rainmaker.mapping.all == {(rig.hers.user_id, "node-1")})
        assert await rig.hers.mapping_status(request) == "confirmed"
        await do(node.map, "esp-rmaker", "failed")  # the report of a factory reset
        await until(lambda: not rig.cloud.rainmaker.mapping.all)
        changes = [(c.operation, c.user) for c in rig.cloud.rainmaker.mapping.history]
        assert changes == [
            ("add", rig.mine.user_id),
            ("remove", rig.mine.user_id),
            ("add", rig.hers.user_id),
            ("remove", rig.hers.user_id),
        ]


@with_broker
@in_loop
async def test_node_may_use_its_own_topics_only() -> None:
    async with Rig() as rig:
        node = await rig.node("node-1")
        other = await rig.node("node-2")
        for ingest in (True, False):
            for end, said in (
                ("config", lamp_config("node-2")),
                ("params/local", {"Lamp": {"Power": True}}),
                ("user/mapping", {"node_id": "node-2", "user_id": "u", "secret_key": "s"}),
            ):
                await do(node.publish, end, said, ingest=ingest, node_id="node-2")
        # Its own topic, another's name inside; and what is no JSON object at all.
        await do(node.publish, "config", lamp_config("node-2"))
        await do(node.publish, "user/mapping", {"node_id": "node-2", "user_id": "u"})
        await do(node.publish, "params/local", b"\xff{")
        await do(node.publish, "params/local", [])
        await do(node.publish, "params/local", {"Lamp": True})
        await until(lambda: rig.cloud.count("MQTT in", "/node/node-1/params/local", 400) == 3)
        assert not any("node-2" in entry.route for entry in rig.cloud.log)
        assert rig.cloud.count("MQTT in", "/node/node-1/config", 400) == 1
        assert rig.cloud.count("MQTT in", "/node/node-1/user/mapping", 400) == 1
        known = rig.cloud.rainmaker.nodes.get("node-2")
        assert known.config is None and known.params == {}
        assert other.written.empty()


# -- parameters ------------------------------------------------------------------------------


@with_broker
@in_loop
async def test_params_reach_the_node_and_come_back() -> None:
    async with Rig() as rig:
        node = await rig.node()
        await do(node.introduce)
        await rig.own(rig.mine)
        await until(lambda: rig.cloud.rainmaker.nodes.get("node-1").params)
        assert (await rig.mine.params("node-1"))["Lamp"] == {"Name": "Lamp", "Power": False}
        assert await rig.mine.connected("node-1")
        await rig.mine.set_params("node-1", {"Lamp": {"Power": True}})
        assert await do(node.written.get, timeout=10) == {"Lamp": {"Power": True}}
        known = rig.cloud.rainmaker.nodes.get("node-1").params
        await until(lambda: known["Lamp"]["Power"] is True)
        assert (await rig.mine.params("node-1"))["Lamp"] == {"Name": "Lamp", "Power": True}
        # A token is passed on and never kept.
        await rig.mine.set_params("node-1", {"RMUserAuth": {"UserToken": "t" * 40, "BaseURL": "u"}})
        assert (await do(node.written.get, timeout=10))["RMUserAuth"]["UserToken"] == "t" * 40
        await until(lambda: "RMUserAuth" in known)
        assert known["RMUserAuth"] == {"BaseURL": "u"}
        await do(node.close)
        await until(lambda: not rig.cloud.rainmaker.nodes.get("node-1").connected)
        assert not await rig.mine.connected("node-1")


@with_broker
@in_loop
async def test_broker_away_and_back() -> None:
    async with Rig() as rig:
        node = await rig.node()
        await do(node.introduce)
        await rig.own(rig.mine)
        known = rig.cloud.rainmaker.nodes.get("node-1")
        await until(lambda: known.params)
        port = rig.cloud.mqtt.port
        await rig.cloud.mqtt.stop()
        await until(lambda: not known.connected)
        with pytest.raises(AppError, match="503: no MQTT broker is running"):
            await rig.mine.set_params("node-1", {"Lamp": {"Power": True}})
        await rig.cloud.start_mqtt()
        assert rig.cloud.mqtt.port == port
        await until(lambda: known.connected)
        await do(node.wait_subscribed)
        await rig.mine.set_params("node-1", {"Lamp": {"Power": True}})
        await until(lambda: known.params["Lamp"]["Power"] is True)


@in_loop
async def test_other_peoples_nodes() -> None:
    async with Rig(mqtt=False) as rig:
        rig.cloud.new_node("node-1")
        rig.cloud.rainmaker.nodes.configured("node-1", lamp_config("node-1"))
        await rig.own(rig.hers)
        assert await rig.hers.config("node-1") == lamp_config("node-1")
        assert (await rig.hers.details("node-1"))["config"] == lamp_config("node-1")
        home = await rig.mine.create_group("home")
        rig.cloud.new_node("nobody's")
        for node_id in ("node-1", "nobody's", "no-such-node"):
            for call in (
                rig.mine.details(node_id),
                rig.mine.config(node_id),
                rig.mine.params(node_id),
                rig.mine.connected(node_id),
                rig.mine.set_params(node_id, {"Lamp": {"Power": True}}),
                rig.mine.create_group("mine", [node_id]),
                rig.mine.add_to_group(home, [node_id]),
                rig.mine.remove_from_group(home, [node_id]),
                rig.mine.map_node(node_id, "", "remove"),
            ):
                with pytest.raises(AppError, match="403: User is not authorized"):
                    await call
        assert await rig.hers.nodes() == ["node-1"]
        assert [group["nodes"] for group in await rig.mine.groups()] == [[]]


@in_loop
async def test_a_refused_removal_is_no_request() -> None:
    """The answer is what Espressif's program can print, and nothing else is changed by it."""
    async with Rig(mqtt=False) as rig:
        pending = await rig.mine.map_node("node-1", SECRET)
        url = f"https://{rig.mine.host}/v1/user/nodes/mapping"
        body = {"node_id": "node-1", "secret_key": "", "operation": "remove"}
        headers = {"Authorization": rig.mine.token}
        async with rig.session.put(url, json=body, headers=headers) as response:
            answer = await response.json()
        assert response.status == 403 and answer["status"] == "failure"
        assert answer["description"] and type(answer["error_code"]) is int
        assert "request_id" not in answer
        assert [r.operation for r in rig.cloud.rainmaker.mapping.requests] == ["add"]
        rig.cloud.rainmaker.mapping.report("node-1", SECRET, rig.mine.user_id)
        assert await rig.mine.mapping_status(pending) == "confirmed"
        await rig.mine.map_node("node-1", "", "remove")
        with pytest.raises(AppError, match="403"):
            await rig.mine.map_node("node-1", "", "remove")  # it was, but is no more


@with_broker
@in_loop
async def test_writing_to_several_nodes_does_what_it_may() -> None:
    async with Rig() as rig:
        node = await rig.node()
        await rig.own(rig.mine)
        url = f"https://{rig.mine.host}/v1/user/nodes/params"
        headers = {"Authorization": rig.mine.token}
        writes = [
            {"node_id": "node-1", "payload": {"Lamp": {"Power": True}}},
            {"node_id": "node-2", "payload": {"Lamp": {"Power": True}}},
            {"node_id": "node-1", "payload": {"Lamp": 1}},
        ]
        async with rig.session.put(url, json=writes, headers=headers) as response:
            assert response.status == 200
            answers = [(each["node_id"], each["status"]) for each in await response.json()]
        assert answers == [("node-1", "success"), ("node-2", "failure"), ("node-1", "failure")]
        assert await do(node.written.get, timeout=10) == {"Lamp": {"Power": True}}
        for body in (b"[]", b"{}", b"[1]", b"[{}]", b"nonsense"):
            async with rig.session.put(url, data=body, headers=headers) as response:
                assert response.status == 400, body
        assert node.written.empty()


# -- groups ----------------------------------------------------------------------------------


@in_loop
async def test_groups() -> None:
    async with Rig(mqtt=False) as rig:
        await rig.own(rig.mine)
        await rig.own(rig.hers, "node-2")
        home = await rig.mine.create_group("home")
        await rig.mine.add_to_group(home, ["node-1"])
        await rig.mine.add_to_group(home, ["node-1"])
        with pytest.raises(AppError, match="403"):
            await rig.mine.add_to_group(home, ["node-2"])
        for call in (rig.hers.add_to_group, rig.hers.remove_from_group):
            with pytest.raises(AppError, match="404"):
                await call(home, ["node-2"])
        await rig.own(rig.mine, "node-3")
        await rig.mine.add_to_group(home, ["node-3"])
        with pytest.raises(AppError, match="403"):
            await rig.mine.remove_from_group(home, ["node-3", "node-2"])  # all or nothing
        assert (await rig.mine.groups())[0]["nodes"] == ["node-1", "node-3"]
        await rig.mine.remove_from_group(home, ["node-3"])
        groups = [(g["group_id"], g["group_name"], g["nodes"]) for g in await rig.mine.groups()]
        assert groups == [(home, "home", ["node-1"])]
        assert await rig.hers.groups() == []
        await rig.mine.map_node("node-1", "", "remove")
        assert (await rig.mine.groups())[0]["nodes"] == []


@in_loop
async def test_a_mapped_node_joins_a_group_of_its_user() -> None:
    async with Rig(mqtt=False) as rig:
        home, gone = [await rig.mine.create_group(name) for name in ("home", "gone")]
        with pytest.raises(AppError, match="404: Group not found"):
            await rig.hers.map_node("node-1", SECRET, group_id=home)
        assert rig.cloud.rainmaker.mapping.requests == []
        for node_id, group_id in (("node-1", home), ("node-2", gone)):
            await rig.mine.map_node(node_id, SECRET, group_id=group_id)
        assert [group["nodes"] for group in await rig.mine.groups()] == [[], []]
        url = f"https://{rig.mine.host}/v1/user/node_group?group_id={gone}"
        headers = {"Authorization": rig.mine.token}
        async with rig.session.delete(url, headers=headers) as response:
            assert response.status == 200
        for node_id in ("node-1", "node-2"):
            rig.cloud.rainmaker.mapping.report(node_id, SECRET, rig.mine.user_id)
        assert await rig.mine.nodes() == ["node-1", "node-2"]
        assert [group["nodes"] for group in await rig.mine.groups()] == [["node-1"]]
