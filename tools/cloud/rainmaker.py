"""RainMaker's part of the local cloud: log-in, and the mapping of nodes to users.

A mapping request stays `requested` until the node's side has reported the same secret; without that
it is `timedout`. The report may come first. A newer request of the same user for the same node with
another secret or operation makes the older one `discarded`; with the same secret both live on and
are confirmed together, but the mapping is made once. Removing needs no report.

Nothing here runs on timers: states follow from the clock when someone looks.

UNCONFIRMED: the time-out's length, when the real cloud says `discarded`, its error codes, and that
an unknown node is not refused but times out.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import tokens
from .reply import Refusal, fields_of, route, text_field
from .standin import NodeSideStandIn

HOST = "api.rainmaker.espressif.com"
_TEXT_MAX = 256


@dataclasses.dataclass
class MappingRequest:
    request_id: str
    user: str
    node_id: str
    operation: str
    secret: str = dataclasses.field(repr=False)
    at: float  # UTC, seconds
    status: str = "requested"


@dataclasses.dataclass(frozen=True)
class Report:
    """What a node's side said: this secret, at this time."""

    node_id: str
    secret: str = dataclasses.field(repr=False)
    at: float


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of the mapping, for tests that count: operation is "add" or "remove"."""

    operation: str
    user: str
    node_id: str
    at: float


class RainMaker:
    """The API and, for tests, what it knows: `mappings` (now), `history` (every change ever),
    `requests`. `mapping_timeout_s` and `token_lifetime_s` may be changed at any time."""

    def __init__(self, utc: Callable[[], float]) -> None:
        self._utc = utc
        self.mapping_timeout_s = 30.0
        self.token_lifetime_s = 3600.0
        self.standin = NodeSideStandIn()
        self._users: dict[str, tuple[str, str]] = {}  # name → (password, user id)
        self._tokens: dict[str, tuple[str, float]] = {}  # access token → (user id, end)
        self._refresh: dict[str, str] = {}  # refresh token → user name
        self._requests: dict[str, MappingRequest] = {}
        self._reports: list[Report] = []
        self._mappings: set[tuple[str, str]] = set()  # (user id, node id)
        self._history: list[Change] = []
        self._secrets: list[str] = []

    # -- for tests, the demo and the admin interface -----------------------------------------

    def add_user(self, name: str, password: str) -> str:
        """Returns the user id."""
        self._users[name] = (password, tokens.short_id())
        return self._users[name][1]

    def log_in(self, name: str) -> str:
        """An access token without the login request."""
        now = self._utc()
        user_id = self._users[name][1]
        token = tokens.access_token(user_id, now, self.token_lifetime_s)
        self._tokens[token] = (user_id, now + self.token_lifetime_s)
        self._secrets.append(token)
        return token

    def expire_tokens(self) -> None:
        self._tokens.clear()

    def report(self, node_id: str, secret: str) -> None:
        """The node's side says this secret, as its MQTT message would."""
        self._secrets.append(secret)
        self._reports.append(Report(node_id, secret, self._utc()))
        self._settle()

    def approve(self, request_id: str) -> None:
        """Report what this request waits for: the stand-in's report, for one request. Raises
        Refusal 404, or 409 if it does not wait any more."""
        self._settle()
        request = self._requests.get(request_id)
        if request is None:
            raise Refusal(404, "request not found")
        if request.status != "requested":
            raise Refusal(409, f"this request is {request.status} already")
        self.report(request.node_id, request.secret)

    @property
    def users(self) -> list[tuple[str, str]]:
        """(name, user id) of every account."""
        return [(name, user_id) for name, (_password, user_id) in list(self._users.items())]

    @property
    def mappings(self) -> set[tuple[str, str]]:
        """(user id, node id) of every mapping that holds now."""
        self._settle()
        return set(self._mappings)

    @property
    def history(self) -> list[Change]:
        self._settle()
        return list(self._history)

    @property
    def requests(self) -> list[MappingRequest]:
        self._settle()
        return list(self._requests.values())

    def secrets(self) -> list[str]:
        """Every secret made or seen here so far, for tests that search logs for them."""
        return [*self._secrets, *self._refresh, *(password for password, _ in self._users.values())]

    # -- rules ------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Bring every request up to now."""
        now = self._utc()
        for request in self._requests.values():
            if request.status != "requested":
                continue
            end = request.at + self.mapping_timeout_s
            at = self._reported_at(request)
            if at is not None and at <= min(now, end):
                request.status = "confirmed"
                self._map(request.user, request.node_id, max(at, request.at))
            elif now >= end:
                request.status = "timedout"

    def _reported_at(self, request: MappingRequest) -> float | None:
        times = [
            r.at
            for r in self._reports
            if r.node_id == request.node_id
            and secrets.compare_digest(r.secret.encode(), request.secret.encode())
            and r.at >= request.at - self.mapping_timeout_s
        ]
        planned = self.standin.reports_at(request.node_id, request.at)
        if planned is not None:
            times.append(planned)
        return min(times, default=None)

    def _map(self, user: str, node_id: str, at: float) -> None:
        if (user, node_id) not in self._mappings:
            self._mappings.add((user, node_id))
            self._history.append(Change("add", user, node_id, at))

    def _user(self, request: web.Request) -> str:
        # The raw token, no "Bearer". What is sent with one is not a token that we know.
        user, end = self._tokens.get(request.headers.get("Authorization", ""), ("", 0.0))
        if not user:
            raise Refusal(401, "Unauthorized")
        if self._utc() >= end:
            raise Refusal(401, "The incoming token has expired")
        return user

    # -- requests ---------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        return [
            route("GET", "/apiversions", _versions),
            route("POST", "/v1/login2", self._login),
            route("PUT", "/v1/user/nodes/mapping", self._put_mapping),
            route("GET", "/v1/user/nodes/mapping", self._get_mapping),
            route("GET", "/v1/user/nodes", self._list_nodes),
            route("GET", "/v1/user/nodes/status", self._node_status),
        ]

    async def _login(self, request: web.Request) -> dict[str, Any]:
        fields = await fields_of(request)
        if "refreshtoken" in fields:
            name = self._refresh.get(text_field(fields, "refreshtoken", 4096), "")
            known = bool(name) and fields.get("user_name", name) == name
        else:
            name = text_field(fields, "user_name", _TEXT_MAX)
            password = text_field(fields, "password", _TEXT_MAX)
            expected, _ = self._users.get(name, ("", ""))
            known = secrets.compare_digest(expected.encode(), password.encode())
        if not known:
            raise _failure(401, "Incorrect user name or password", 101017)
        access = self.log_in(name)
        refresh = secrets.token_urlsafe(600)
        self._refresh[refresh] = name
        answer = {"status": "success", "description": "Login successful"}
        return answer | {"accesstoken": access, "idtoken": access, "refreshtoken": refresh}

    async def _put_mapping(self, request: web.Request) -> dict[str, Any]:
        user = self._user(request)
        fields = await fields_of(request)
        node_id = text_field(fields, "node_id", _TEXT_MAX)
        operation = text_field(fields, "operation", 16)
        if operation not in ("add", "remove"):
            raise _failure(400, "Operation is invalid", 105008)
        secret = text_field(fields, "secret_key", _TEXT_MAX, empty=operation == "remove")
        if text_field(fields, "user_id", _TEXT_MAX, empty=True) not in ("", user):
            raise _failure(400, "User id does not match the token", 105009)
        self._settle()
        if secret:
            self._secrets.append(secret)
        for older in self._requests.values():
            if (older.user, older.node_id, older.status) == (user, node_id, "requested") and (
                (older.secret, older.operation) != (secret, operation)
            ):
                older.status = "discarded"
        new = MappingRequest(tokens.short_id(), user, node_id, operation, secret, self._utc())
        self._requests[new.request_id] = new
        if operation == "remove":
            new.status = "confirmed"
            if (user, node_id) in self._mappings:
                self._mappings.remove((user, node_id))
                self._history.append(Change("remove", user, node_id, new.at))
        return {"status": "success", "request_id": new.request_id}

    async def _get_mapping(self, request: web.Request) -> dict[str, Any]:
        user = self._user(request)
        self._settle()
        found = self._requests.get(request.query.get("request_id", ""))
        if found is None or found.user != user:
            raise _failure(404, "Request id not found", 105015)
        answer = {"user_id": user, "node_id": found.node_id, "request_id": found.request_id}
        return answer | {"request_status": found.status, "request_timestamp": int(found.at)}

    async def _list_nodes(self, request: web.Request) -> dict[str, Any]:
        user = self._user(request)
        nodes = sorted(node_id for owner, node_id in self.mappings if owner == user)
        return {"nodes": nodes, "total": len(nodes)}

    async def _node_status(self, request: web.Request) -> dict[str, Any]:
        user = self._user(request)
        node_id = request.query.get("nodeid", "")
        if (user, node_id) not in self.mappings:
            raise _failure(404, "Node not found", 105002)
        # Presence comes over MQTT, which no part of this project speaks yet.
        return {"connectivity": {"connected": False}}


async def _versions(_request: web.Request) -> dict[str, Any]:
    return {"supported_versions": ["v1"]}


def _failure(status: int, description: str, code: int) -> Refusal:
    return Refusal(status, description, status="failure", description=description, error_code=code)
