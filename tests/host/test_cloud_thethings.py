"""The local cloud's thethings.io: its rules. The client is aiohttp's."""

from __future__ import annotations

import pytest
from cloud_apps import PASSWORD, Rig
from cloud_board import in_loop

from tools.cloud.app import AppError, ThethingsApp


@in_loop
async def test_link_id_board_first() -> None:
    async with Rig() as rig:
        thing = rig.cloud.thethings.add_thing()
        waiting = (200, {"status": "success", "message": "waiting for app"})
        assert await rig.board(thing.token, "id-1") == waiting
        linked = {"status": "success", "message": "linked", "thingId": thing.thing_id}
        assert await rig.things.link_id("id-1") == linked
        assert await rig.board(thing.token, "id-1") == (200, linked)
        assert await rig.things.link_id("id-1") == linked
        assert await rig.things.things() == [thing.thing_id]
        assert len(rig.cloud.thethings.history) == 1


@in_loop
async def test_link_id_app_first() -> None:
    async with Rig() as rig:
        thing = rig.cloud.thethings.add_thing()
        assert (await rig.things.link_id("id-1"))["message"] == "waiting for thing"
        assert (await rig.things.link_id("id-1"))["message"] == "waiting for thing"
        assert (await rig.board(thing.token, "id-1"))[1]["message"] == "linked"
        assert [(k.user, k.how) for k in rig.cloud.thethings.links] == [
            ("a@example.com", "link-id")
        ]


@pytest.mark.parametrize("late_s, message", [(-1, "linked"), (0, "waiting for thing")])
@in_loop
async def test_window_is_24_hours_from_the_first_request(late_s: int, message: str) -> None:
    async with Rig() as rig:
        thing = rig.cloud.thethings.add_thing()
        await rig.board(thing.token, "id-1")
        rig.clock.now += 12 * 3600
        await rig.board(thing.token, "id-1")  # does not prolong it
        rig.clock.now += 12 * 3600 + late_s
        assert (await rig.things.link_id("id-1"))["message"] == message
        if late_s == 0:  # both start again: now the app is the first
            assert (await rig.board(thing.token, "id-1"))[1]["message"] == "linked"


@in_loop
async def test_a_stranger_with_the_id_comes_too_late() -> None:
    async with Rig() as rig:
        thing = rig.cloud.thethings.add_thing()
        rig.cloud.thethings.add_user("b@example.com", PASSWORD)
        stranger = ThethingsApp(rig.session)
        await stranger.log_in("b@example.com", PASSWORD)
        await rig.board(thing.token, "id-1")
        await rig.things.link_id("id-1")
        assert (await stranger.link_id("id-1"))["message"] == "waiting for thing"
        await rig.board(thing.token, "id-1")
        assert await stranger.things() == []


@in_loop
async def test_thing_must_be_activated_and_known() -> None:
    async with Rig() as rig:
        asleep = rig.cloud.thethings.add_thing(activated=False)
        status, answer = await rig.board(asleep.token, "id-1")
        assert (status, answer["message"]) == (403, "thing not activated")
        assert (await rig.board("no-such-token", "id-1"))[0] == 404
        with pytest.raises(AppError, match="403: thing not activated"):
            await rig.things.link_token(asleep.token)
        asleep.activated = True
        assert (await rig.things.link_token(asleep.token))["thingId"] == asleep.thing_id


@in_loop
async def test_user_must_be_logged_in() -> None:
    async with Rig() as rig:
        thing = rig.cloud.thethings.add_thing()
        rig.cloud.thethings.log_out(rig.things.token)
        for call in (
            rig.things.link_id("id-1"),
            rig.things.link_token(thing.token),
            rig.things.unlink(thing.thing_id),
            rig.things.things(),
        ):
            with pytest.raises(AppError, match="401"):
                await call
        with pytest.raises(AppError, match="401"):
            await rig.things.log_in("a@example.com", "wrong")
        assert rig.cloud.thethings.links == []


@in_loop
async def test_unlink_and_link_again() -> None:
    async with Rig() as rig:
        thing = rig.cloud.thethings.add_thing()
        await rig.board(thing.token, "id-1")
        await rig.things.link_id("id-1")
        assert (await rig.things.unlink(thing.thing_id))["message"] == "unlinked"
        assert await rig.things.things() == []
        with pytest.raises(AppError, match="404"):
            await rig.things.unlink(thing.thing_id)
        assert (await rig.board(thing.token, "id-1"))[1]["message"] == "waiting for app"
        await rig.things.link_id("id-1")
        assert len(rig.cloud.thethings.history) == 2
