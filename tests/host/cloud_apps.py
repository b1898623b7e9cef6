"""A local cloud with one user on each side, its apps, and a board's one request to thethings.io."""

from __future__ import annotations

import aiohttp
from cloud_board import Clock

from tools.cloud import LocalCloud
from tools.cloud.app import RainMakerApp, ThethingsApp, session_for

PASSWORD = "correct horse"


async def board_posts(cloud: LocalCloud, session: aiohttp.ClientSession, token: str, link_id: str):
    url = f"https://{cloud.hosts[0]}/v2/things/{token}/link-id"
    async with session.post(url, json={"linkId": link_id}) as response:
        return response.status, await response.json()


class Rig:
    """A cloud with one user on each side, and its client session."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cloud = LocalCloud(utc=self.clock)

    async def __aenter__(self) -> Rig:
        await self.cloud.start()
        self.session = session_for(self.cloud.port, self.cloud.ca_pem)
        self.cloud.thethings.add_user("a@example.com", PASSWORD)
        self.user_id = self.cloud.rainmaker.accounts.add("a@example.com", PASSWORD)
        self.things = ThethingsApp(self.session)
        self.maker = RainMakerApp(self.session)
        await self.things.log_in("a@example.com", PASSWORD)
        await self.maker.log_in("a@example.com", PASSWORD)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.session.close()
        await self.cloud.stop()

    async def board(self, token: str, link_id: str):
        return await board_posts(self.cloud, self.session, token, link_id)
