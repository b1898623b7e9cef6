"""RainMaker's part of the local cloud, put together: accounts, mappings, nodes, groups.

| part | does |
|---|---|
| accounts.py | log-in, tokens |
| mapping.py | whose node is whose, now and ever; the classic mapping |
| challenge.py | mapping by challenge and response |
| nodes.py | certificates, configuration, parameters |
| groups.py | node groups |
| mqtt.py, broker.py | the nodes' side |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from .accounts import Accounts
from .broker import MQTT_HOST
from .challenge import Challenges
from .groups import Groups
from .mapping import Mappings
from .nodes import Nodes
from .reply import route

HOST = "api.rainmaker.espressif.com"


class RainMaker:
    """The API, and its parts by name: for tests, the demo and the admin interface too."""

    def __init__(self, utc: Callable[[], float]) -> None:
        self.accounts = Accounts(utc)
        self.mapping = Mappings(utc, self.accounts)
        self.nodes = Nodes(utc, self.accounts, self.mapping)
        self.groups = Groups(self.accounts, self.mapping, self.nodes.details)
        self.challenges = Challenges(utc, self.accounts, self.mapping, self.nodes, self.groups)

    def secrets(self) -> list[str]:
        """Every secret made or seen here so far, for tests that search logs for them."""
        return [*self.mapping.secrets(), *self.accounts.secrets()]

    def routes(self) -> list[web.RouteDef]:
        return [
            route("GET", "/apiversions", _versions),
            route("GET", "/mqtt_host", _mqtt_host),
            *self.accounts.routes(),
            *self.mapping.routes(),
            *self.challenges.routes(),
            *self.nodes.routes(),
            *self.groups.routes(),
        ]


async def _versions(_request: web.Request) -> dict[str, Any]:
    return {"supported_versions": ["v1"]}


async def _mqtt_host(_request: web.Request) -> dict[str, Any]:
    return {"mqtt_host": MQTT_HOST}
