"""Who may act through the local cloud's page, and what it refuses. The client is aiohttp's."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from cloud_board import in_loop

from tools.cloud import LocalCloud

USER = "a@example.com"


async def _hello(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(f"{url}/page/events") as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                return json.loads(line[6:])
    raise AssertionError("the stream ended")


@in_loop
async def test_only_the_page_itself_may_act() -> None:
    async with LocalCloud() as cloud, aiohttp.ClientSession() as session:
        await cloud.start_admin()
        thing = cloud.thethings.add_thing()
        url = f"http://127.0.0.1:{cloud.admin_port}"
        key = (await _hello(session, url))["key"]

        async def activate(**headers: str) -> int:
            fields = {"thing_id": thing.thing_id, "active": False}
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.post(f"{url}/page/activate", json=fields, headers=names) as answer:
                return answer.status

        assert await activate() == 403
        assert await activate(X_Homing_Key="x" + key[1:]) == 403
        for refused in (
            {"Origin": "https://evil.example"},
            {"Origin": f"http://localhost:{cloud.admin_port}"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Host": "evil.example"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
        ):
            assert await activate(X_Homing_Key=key, **refused) == 403, refused
        assert thing.activated
        assert await activate(X_Homing_Key=key, Origin=url, Sec_Fetch_Site="same-origin") == 200
        assert not thing.activated
        # What scripts use stays closed to every page, this one included; so does the stream.
        for path in ("/", "/state", "/page/events", "/page/page.js"):
            for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
                async with session.get(url + path, headers=headers) as answer:
                    assert answer.status == 403
        async with session.post(f"{url}/things", json={}, headers={"Origin": url}) as answer:
            assert answer.status == 403
        async with session.get(url) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
            page = await answer.text()
        assert "http://www.w3.org/2000/svg" in page and page.count("http") == 2  # and "https <code"


@pytest.mark.parametrize(
    "action, fields, status",
    [
        ("nothing", {}, 404),
        ("activate", {"thing_id": "nobody", "active": True}, 404),
        ("activate", {"thing_id": 7}, 400),
        ("link", {"user": "nobody", "thing_id": "nothing"}, 404),
        ("unlink", {"user": USER, "thing_id": "nothing"}, 404),
        ("approve", {"request_id": "nothing"}, 404),
        ("add-thing", {"token": "short"}, 400),
        ("add-thing", {"token": "with/a/slash"}, 400),
        ("add-fault", {}, 400),
        ("add-fault", {"status": 99}, 400),
        ("add-fault", {"status": True}, 400),
        ("add-fault", {"status": 500, "times": 0}, 400),
        ("add-fault", {"status": 500, "times": 1.5}, 400),
        ("add-fault", {"status": 500, "retry_after": "1\r\nX: y"}, 400),
        ("add-fault", {"delay_s": 1e9}, 400),
        ("add-fault", {"cut": "sideways"}, 400),
        ("add-fault", {"cut": []}, 400),
        ("remove-fault", {"number": "x"}, 200),
    ],
)
@in_loop
async def test_malformed_actions_are_refused(action: str, fields: Any, status: int) -> None:
    async with LocalCloud() as cloud, aiohttp.ClientSession() as session:
        await cloud.start_admin()
        cloud.thethings.add_user(USER, "correct horse")
        fault = cloud.faults.add(status=500)
        url = f"http://127.0.0.1:{cloud.admin_port}"
        headers = {"X-Homing-Key": (await _hello(session, url))["key"]}
        async with session.post(f"{url}/page/{action}", json=fields, headers=headers) as answer:
            assert answer.status == status
        assert cloud.faults.all() == [fault] and cloud.thethings.things == []
