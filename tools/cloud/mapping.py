"""Whose node is whose at RainMaker, and the classic way to say so: user and node report one secret.

A mapping request stays `requested` until the node's MQTT message has brought the same user and the
same secret; without that it is `timedout`. The message may come first. A newer request of the same
user for the same node with another secret or operation makes the older one `discarded`; with the
same secret both live on and are confirmed together, but the mapping is made once. Removing needs no
message; it is for the node's users only. A message that says `reset`, or that a node was reset to
factory state, ends the mappings of everybody else.

Nothing here runs on timers: states follow from the clock when someone looks.

UNCONFIRMED: the time-out's length, when the real cloud says `discarded`, its error codes, that an
unknown node is not refused but times out, that `reset` counts before anything is confirmed, and how
it refuses to remove a node that is not the user's: here as any other request about such a node, in
the form that esp-rainmaker-cli prints.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import tokens
from .accounts import Accounts
from .reply import TEXT_LEN_MAX, failure, fields_of, route, text_field

# What a node that was reset to factory state says in its mapping message.
RESET_USER, RESET_SECRET = "esp-rmaker", "failed"  # noqa: S105


@dataclasses.dataclass
class MappingRequest:
    request_id: str
    user: str
    node_id: str
    operation: str
    secret: str = dataclasses.field(repr=False)
    at: float  # UTC, seconds
    group_id: str = ""  # which the node joins
    status: str = "requested"


@dataclasses.dataclass(frozen=True)
class Report:
    """What a node's side said: this secret, at this time, for this user (None: for any)."""

    node_id: str
    secret: str = dataclasses.field(repr=False)
    user: str | None
    at: float


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of the mapping, for tests that count: operation is "add" or "remove"."""

    operation: str
    user: str
    node_id: str
    at: float


class Mappings:
    """Who owns what now, how it came to be, and the requests for it. `timeout_s` may be changed at
    any time. `on_request` is called with each new request to add, `on_confirmed` when that has come
    to pass, `on_removed` with (user id, node id). `owned_group(user, group id)` raises Refusal for
    a group that is not the user's."""

    def __init__(self, utc: Callable[[], float], accounts: Accounts) -> None:
        self._utc = utc
        self._accounts = accounts
        self.timeout_s = 30.0
        self.on_request: list[Callable[[MappingRequest], None]] = []
        self.on_confirmed: list[Callable[[MappingRequest], None]] = []
        self.owned_group: Callable[[str, str], object] = lambda _user, _group_id: None
        self.on_removed: list[Callable[[str, str], None]] = []
        self._requests: dict[str, MappingRequest] = {}
        self._reports: list[Report] = []
        self._mappings: set[tuple[str, str]] = set()  # (user id, node id)
        self._history: list[Change] = []
        self._seen: list[str] = []

    @property
    def all(self) -> set[tuple[str, str]]:
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
        return list(self._seen)

    def nodes_of(self, user: str) -> list[str]:
        return sorted(node_id for owner, node_id in self.all if owner == user)

    def owned(self, user: str, node_id: str) -> str:
        """The node id, if that user may ask about it. Raises Refusal 403: whether there is such a
        node is nobody's business but its users'."""
        if (user, node_id) not in self.all:
            raise failure(403, "User is not authorized to access this node", 105003)
        return node_id

    # -- rules ------------------------------------------------------------------------------

    def report(
        self,
        node_id: str,
        secret: str,
        user: str | None = None,
        *,
        reset: bool = False,
        at: float | None = None,
    ) -> None:
        """The node's side says this secret, as its MQTT message does. user: None for any. at: UTC
        seconds, if not now."""
        now = self._utc()
        if reset or user == RESET_USER:
            self.keep_only(node_id, user)
        if user == RESET_USER:
            return
        self._seen.append(secret)
        self._reports.append(Report(node_id, secret, user, now if at is None else at))
        self._settle()

    def add(self, user: str, node_id: str, at: float | None = None) -> None:
        if (user, node_id) not in self._mappings:
            self._mappings.add((user, node_id))
            self._history.append(Change("add", user, node_id, self._utc() if at is None else at))

    def remove(self, user: str, node_id: str) -> None:
        if (user, node_id) in self._mappings:
            self._mappings.remove((user, node_id))
            self._history.append(Change("remove", user, node_id, self._utc()))
            for tell in self.on_removed:
                tell(user, node_id)

    def keep_only(self, node_id: str, user: str | None) -> None:
        """End the mappings of that node to everybody else."""
        for owner, mapped in sorted(self.all):
            if mapped == node_id and owner != user:
                self.remove(owner, node_id)

    def _settle(self) -> None:
        """Bring every request up to now."""
        now = self._utc()
        for request in self._requests.values():
            if request.status != "requested":
                continue
            end = request.at + self.timeout_s
            at = self._reported_at(request)
            if at is not None and at <= min(now, end):
                request.status = "confirmed"
                self.add(request.user, request.node_id, max(at, request.at))
                for tell in self.on_confirmed:
                    tell(request)
            elif now > end:
                request.status = "timedout"

    def _reported_at(self, request: MappingRequest) -> float | None:
        times = [
            r.at
            for r in self._reports
            if r.node_id == request.node_id
            and r.user in (None, request.user)
            and secrets.compare_digest(r.secret.encode(), request.secret.encode())
            and r.at >= request.at - self.timeout_s
        ]
        return min(times, default=None)

    # -- requests ---------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        return [
            route("PUT", "/v1/user/nodes/mapping", self._put),
            route("GET", "/v1/user/nodes/mapping", self._get),
        ]

    async def _put(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        fields = await fields_of(request)
        node_id = text_field(fields, "node_id", TEXT_LEN_MAX)
        operation = text_field(fields, "operation", 16)
        if operation not in ("add", "remove"):
            raise failure(400, "Operation is invalid", 105008)
        secret = text_field(fields, "secret_key", TEXT_LEN_MAX, empty=operation == "remove")
        if text_field(fields, "user_id", TEXT_LEN_MAX, empty=True) not in ("", user):
            raise failure(400, "User id does not match the token", 105009)
        group_id = text_field(fields, "group_id", TEXT_LEN_MAX, empty=True)
        if group_id:
            self.owned_group(user, group_id)
        self._settle()
        if operation == "remove":
            self.owned(user, node_id)
        if secret:
            self._seen.append(secret)
        for older in self._requests.values():
            if (older.user, older.node_id, older.status) == (user, node_id, "requested") and (
                (older.secret, older.operation) != (secret, operation)
            ):
                older.status = "discarded"
        new = MappingRequest(
            tokens.short_id(), user, node_id, operation, secret, self._utc(), group_id
        )
        self._requests[new.request_id] = new
        if operation == "remove":
            new.status = "confirmed"
            self.remove(user, node_id)
        else:
            for tell in self.on_request:
                tell(new)
        return {"status": "success", "request_id": new.request_id}

    async def _get(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        self._settle()
        found = self._requests.get(request.query.get("request_id", ""))
        if found is None or found.user != user:
            raise failure(404, "Request id not found", 105015)
        answer = {"user_id": user, "node_id": found.node_id, "request_id": found.request_id}
        return answer | {"request_status": found.status, "request_timestamp": int(found.at)}
