"""RainMaker's part of the local cloud, put together: accounts, mappings, nodes, groups.

| part | does |
|---|---|
| accounts.py | log-in, tokens |
| mapping.py | whose node is whose; the classic mapping |
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
from .challenge import ChallengeRequest, Challenges
from .groups import Groups
from .mapping import Change, MappingRequest, Mappings
from .nodes import Nodes
from .reply import route

HOST = "api.rainmaker.espressif.com"


class RainMaker:
    """The API and, for tests, what it knows: `mappings` (now), `history` (every change ever),
    `requests`, `nodes`, `groups`. `mapping_timeout_s` and `token_lifetime_s` may be changed at any
    time."""

    def __init__(self, utc: Callable[[], float]) -> None:
        self.accounts = Accounts(utc)
        self.mapping = Mappings(utc, self.accounts)
        self.nodes = Nodes(utc, self.accounts, self.mapping)
        self.groups = Groups(self.accounts, self.mapping, self.nodes.details)
        self.challenges = Challenges(utc, self.accounts, self.mapping, self.nodes, self.groups)

    # -- for tests, the demo and the admin interface -----------------------------------------

    def add_user(self, name: str, password: str) -> str:
        """Returns the user id."""
        return self.accounts.add(name, password)

    def log_in(self, name: str) -> str:
        """An access token without the login request."""
        return self.accounts.log_in(name)

    def expire_tokens(self) -> None:
        self.accounts.expire_tokens()

    def report(
        self,
        node_id: str,
        secret: str,
        user: str | None = None,
        *,
        reset: bool = False,
        at: float | None = None,
    ) -> None:
        """The node's side says this secret, as its MQTT message does; user: None for any. at: UTC
        seconds, if not now."""
        self.mapping.report(node_id, secret, user, reset=reset, at=at)

    @property
    def mapping_timeout_s(self) -> float:
        return self.mapping.timeout_s

    @mapping_timeout_s.setter
    def mapping_timeout_s(self, value: float) -> None:
        self.mapping.timeout_s = value

    @property
    def token_lifetime_s(self) -> float:
        return self.accounts.token_lifetime_s

    @token_lifetime_s.setter
    def token_lifetime_s(self, value: float) -> None:
        self.accounts.token_lifetime_s = value

    @property
    def users(self) -> list[tuple[str, str]]:
        """(name, user id) of every account."""
        return self.accounts.users

    @property
    def mappings(self) -> set[tuple[str, str]]:
        """(user id, node id) of every mapping that holds now."""
        return self.mapping.all

    @property
    def history(self) -> list[Change]:
        return self.mapping.history

    @property
    def requests(self) -> list[MappingRequest]:
        return self.mapping.requests

    @property
    def challenge_requests(self) -> list[ChallengeRequest]:
        return self.challenges.requests

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
