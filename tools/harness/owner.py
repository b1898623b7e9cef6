"""The person with the phone: accounts at both clouds, and what an app does with a board's own two
endpoints. Over real HTTPS, checked against the local cloud's authority."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from tools.cloud.app import RainMakerApp, ThethingsApp, session_for
from tools.provision import binding
from tools.sim.scene import USER, Scene

from .dialogue import Dialogue


class Owner:
    """One account at both clouds. Coroutines: from a test through `lab.run(owner.link(…))`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @contextlib.asynccontextmanager
    async def _thethings(self) -> AsyncIterator[ThethingsApp]:
        cloud = self._scene.cloud
        async with session_for(cloud.port, cloud.ca_pem) as session:
            app = ThethingsApp(session)
            await app.log_in(USER, self._scene.user_password)
            yield app

    @contextlib.asynccontextmanager
    async def _rainmaker(self) -> AsyncIterator[RainMakerApp]:
        cloud = self._scene.cloud
        async with session_for(cloud.port, cloud.ca_pem) as session:
            app = RainMakerApp(session)
            await app.log_in(USER, self._scene.user_password)
            yield app

    async def link(self, link_id: str) -> str:
        """Post the shared id to thethings.io: "waiting for thing" or "linked"."""
        async with self._thethings() as app:
            return (await app.link_id(link_id))["message"]

    async def things(self) -> list[str]:
        """Ids of the things linked to this account."""
        async with self._thethings() as app:
            return await app.things()

    async def access_token(self) -> str:
        """RainMaker's, fresh."""
        async with self._rainmaker() as app:
            return app.token

    async def user_id(self) -> str:
        """Of the account at RainMaker."""
        async with self._rainmaker() as app:
            return app.user_id

    async def nodes(self) -> list[str]:
        """Ids of the nodes mapped to this account."""
        async with self._rainmaker() as app:
            return await app.nodes()


async def link_id_of(dialogue: Dialogue) -> str:
    """The shared id of the board's present window; BindingError if it gives none."""
    return binding.read_link_id(await dialogue.ask("cloud_link", binding.LINK_REQUEST))


async def bind(
    dialogue: Dialogue, secret: str, token: str, operation: str = "add", user_id: str = ""
) -> None:
    """Hand over secret and token in fragments; BindingError if the board does not take them."""
    for fragment in binding.fragments(secret, token, operation, user_id):
        binding.check(await dialogue.ask("cloud_bind", fragment))
