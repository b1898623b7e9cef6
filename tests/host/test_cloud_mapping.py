"""The local cloud's RainMaker: tokens, and the classic mapping. The client is aiohttp's."""

from __future__ import annotations

import base64
import json

import pytest
from cloud_apps import PASSWORD, Rig
from cloud_board import in_loop

from tools.cloud.app import AppError
from tools.sim.node_reports import NodeReports


@in_loop
async def test_token_is_as_long_as_real_ones_and_expires() -> None:
    async with Rig() as rig:
        assert 1150 <= len(rig.maker.token) <= 1300
        claims = json.loads(base64.urlsafe_b64decode(rig.maker.token.split(".")[1] + "=="))
        assert claims["exp"] == int(rig.clock.now + 3600)
        assert await rig.maker.nodes() == []
        rig.clock.now += 3600
        with pytest.raises(AppError, match="401: The incoming token has expired"):
            await rig.maker.nodes()


@in_loop
async def test_token_goes_without_bearer() -> None:
    async with Rig() as rig:
        rig.maker.token = f"Bearer {rig.maker.token}"
        with pytest.raises(AppError, match="401"):
            await rig.maker.nodes()


@pytest.mark.parametrize("first", ["user", "node"])
@in_loop
async def test_mapping_needs_both_sides(first: str) -> None:
    async with Rig() as rig:
        if first == "node":
            rig.cloud.rainmaker.mapping.report("node-1", "secret-1")
            rig.clock.now += 10
        request = await rig.maker.map_node("node-1", "secret-1")
        if first == "user":
            assert await rig.maker.mapping_status(request) == "requested"
            rig.cloud.rainmaker.mapping.report("node-2", "secret-1")
            rig.cloud.rainmaker.mapping.report("node-1", "secret-2")
            assert await rig.maker.mapping_status(request) == "requested"
            rig.clock.now += 10
            rig.cloud.rainmaker.mapping.report("node-1", "secret-1")
        assert await rig.maker.mapping_status(request) == "confirmed"
        assert await rig.maker.nodes() == ["node-1"]


@pytest.mark.parametrize("late_s, end", [(30, "confirmed"), (30.1, "timedout")])
@pytest.mark.parametrize("watched", [True, False])
@in_loop
async def test_mapping_times_out(late_s: float, end: str, watched: bool) -> None:
    """Whether or not somebody has looked before the node's message comes."""
    async with Rig() as rig:
        request = await rig.maker.map_node("node-1", "secret-1")
        rig.clock.now += late_s
        if watched:
            unsettled = "timedout" if end == "timedout" else "requested"
            assert await rig.maker.mapping_status(request) == unsettled
        rig.cloud.rainmaker.mapping.report("node-1", "secret-1")
        assert await rig.maker.mapping_status(request) == end
        assert bool(rig.cloud.rainmaker.mapping.all) == (end == "confirmed")
        # A new request is new, and the message good for it.
        again = await rig.maker.map_node("node-1", "secret-1")
        assert await rig.maker.mapping_status(again) == "confirmed"
        assert await rig.maker.mapping_status(request) == end
        assert rig.cloud.rainmaker.mapping.all == {(rig.user_id, "node-1")}


@pytest.mark.parametrize("early_s, end", [(30, "confirmed"), (30.1, "timedout")])
@in_loop
async def test_the_nodes_message_is_good_for_as_long_as_a_request(early_s, end: str) -> None:
    async with Rig() as rig:
        rig.cloud.rainmaker.mapping.report("node-1", "secret-1")
        rig.clock.now += early_s
        request = await rig.maker.map_node("node-1", "secret-1")
        rig.clock.now += 30.1
        assert await rig.maker.mapping_status(request) == end
        assert bool(rig.cloud.rainmaker.mapping.all) == (end == "confirmed")


@in_loop
async def test_repeated_and_superseded_requests() -> None:
    async with Rig() as rig:
        first = await rig.maker.map_node("node-1", "secret-1")
        again = await rig.maker.map_node("node-1", "secret-1")
        rig.cloud.rainmaker.mapping.report("node-1", "secret-1")
        assert await rig.maker.mapping_status(first) == "confirmed"
        assert await rig.maker.mapping_status(again) == "confirmed"
        old = await rig.maker.map_node("node-2", "old")
        new = await rig.maker.map_node("node-2", "new")
        rig.cloud.rainmaker.mapping.report("node-2", "new")
        assert await rig.maker.mapping_status(old) == "discarded"
        assert await rig.maker.mapping_status(new) == "confirmed"
        removal = await rig.maker.map_node("node-2", "", "remove")
        assert await rig.maker.mapping_status(removal) == "confirmed"
        assert [(c.operation, c.node_id) for c in rig.cloud.rainmaker.mapping.history] == [
            ("add", "node-1"),
            ("add", "node-2"),
            ("remove", "node-2"),
        ]


@pytest.mark.parametrize("how, end", [("right", "confirmed"), ("wrong", "timedout")])
@in_loop
async def test_report_in_the_nodes_place(how, end: str) -> None:
    async with Rig() as rig:
        NodeReports(rig.cloud.rainmaker).enable("node-1", after_s=20, how=how)
        request = await rig.maker.map_node("node-1", "secret-1")
        rig.clock.now += 19
        assert await rig.maker.mapping_status(request) == "requested"
        rig.clock.now += 20
        assert await rig.maker.mapping_status(request) == end


@in_loop
async def test_a_request_is_its_users_own() -> None:
    async with Rig() as rig:
        request = await rig.maker.map_node("node-1", "secret-1")
        rig.cloud.rainmaker.accounts.add("b@example.com", PASSWORD)
        rig.maker.token = rig.cloud.rainmaker.accounts.log_in("b@example.com")
        with pytest.raises(AppError, match="404"):
            await rig.maker.mapping_status(request)


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b"{}", b'{"node_id":"n","secret_key":"s","operation":"steal"}', b'{"node_id":1}'],
)
@in_loop
async def test_malformed_mapping_is_refused(body: bytes) -> None:
    async with Rig() as rig:
        url = f"https://{rig.maker.host}/v1/user/nodes/mapping"
        headers = {"Authorization": rig.maker.token}
        async with rig.session.put(url, data=body, headers=headers) as response:
            assert response.status == 400
