"""A local cloud with two users, its broker, and nodes played by paho-mqtt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from cloud_board import Clock

from tools.cloud import LocalCloud, broker
from tools.cloud.app import RainMakerApp, session_for
from tools.cloud.node_credentials import KeyKind, NodeCredentials
from tools.harness.paho_node import PahoNode

PASSWORD = "correct horse"
SECRET = "secret-of-this-mapping"
with_broker = pytest.mark.skipif(broker.find() is None, reason=f"{broker.MISSING}")


class Rig:
    """A cloud with two users, its broker, and as many nodes as asked for."""

    def __init__(self, mqtt: bool = True) -> None:
        self.clock = Clock()
        self.cloud = LocalCloud(utc=self.clock)
        self.mqtt = mqtt
        self._stack = contextlib.ExitStack()

    async def __aenter__(self) -> Rig:
        await self.cloud.start()
        if self.mqtt:
            await self.cloud.start_mqtt()
        self.session = session_for(self.cloud.port, self.cloud.ca_pem)
        self.mine, self.hers = [await self._user(name) for name in ("me@x.org", "her@x.org")]
        return self

    async def _user(self, name: str) -> RainMakerApp:
        self.cloud.rainmaker.accounts.add(name, PASSWORD)
        app = RainMakerApp(self.session)
        await app.log_in(name, PASSWORD)
        return app

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.to_thread(self._stack.close)
        await self.session.close()
        await self.cloud.stop()

    async def node(self, node_id: str = "node-1", kind: KeyKind = "ec", **options: Any) -> PahoNode:
        return await self.connect(self.cloud.new_node(node_id, kind), **options)

    async def connect(self, credentials: NodeCredentials, **options: Any) -> PahoNode:
        def make() -> PahoNode:
            return PahoNode(credentials, self.cloud.ca_pem, self.cloud.mqtt.port, **options)

        return self._stack.enter_context(await asyncio.to_thread(make))

    async def own(self, app: RainMakerApp, node_id: str = "node-1") -> None:
        """Map without a node."""
        request = await app.map_node(node_id, SECRET)
        self.cloud.rainmaker.mapping.report(node_id, SECRET, app.user_id)
        assert await app.mapping_status(request) == "confirmed"


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def do(node_call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return await asyncio.to_thread(node_call, *args, **options)
