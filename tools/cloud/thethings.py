"""thethings.io's part of the local cloud: accounts, things, and linking the two.

Linking by a shared id works in either order. The side that comes first is kept for 24 hours from
its first request; repeating it does not prolong that; after that both start again. A repeated
request of either side after linking is answered "linked" and changes nothing.

UNCONFIRMED: status codes and texts of refusals, the form of the lists, and that a thing may be
linked to several users.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import tokens
from .reply import Refusal, fields_of, route, text_field

HOST = "api.thethings.io"
WINDOW_S = 24 * 3600
_SESSION_S = 7 * 24 * 3600
_LINK_ID_MAX = 128


@dataclasses.dataclass
class Thing:
    thing_id: str
    token: str = dataclasses.field(repr=False)
    activated: bool


@dataclasses.dataclass(frozen=True)
class Link:
    user: str
    thing_id: str
    at: float  # UTC, seconds
    how: str  # "token" or "link-id"


@dataclasses.dataclass(frozen=True)
class Waiting:
    """One side that has posted a shared id and waits for the other."""

    side: str  # "app" or "board"
    who: str  # user or thing id
    end: float  # UTC, seconds: when its window closes


class Thethings:
    """The API and, for tests, what it knows: `links` (now), `history` (every link ever made)."""

    def __init__(self, utc: Callable[[], float]) -> None:
        self._utc = utc
        self._passwords: dict[str, str] = {}
        self._sessions: dict[str, tuple[str, float]] = {}  # token → (user, end)
        self._things: dict[str, Thing] = {}  # by thing token
        self._links: dict[tuple[str, str], Link] = {}  # (user, thing id)
        self._apps: dict[str, dict[str, float]] = {}  # link id → user → end of the window
        self._boards: dict[str, dict[str, float]] = {}  # link id → thing id → end of the window
        self._made: dict[str, tuple[str, str]] = {}  # link id → (user, thing id)
        self.history: list[Link] = []

    # -- for tests, the demo and the admin interface -----------------------------------------

    def add_user(self, email: str, password: str) -> None:
        self._passwords[email] = password

    def log_in(self, email: str) -> str:
        """A session token without the login request."""
        token = secrets.token_urlsafe(32)
        self._sessions[token] = (email, self._utc() + _SESSION_S)
        return token

    def log_out(self, session: str) -> None:
        self._sessions.pop(session, None)

    def add_thing(self, token: str | None = None, *, activated: bool = True) -> Thing:
        thing = Thing(tokens.short_id(), token or tokens.thing_token(), activated)
        self._things[thing.token] = thing
        return thing

    @property
    def links(self) -> list[Link]:
        return list(self._links.values())

    @property
    def things(self) -> list[Thing]:
        return list(self._things.values())

    @property
    def users(self) -> list[tuple[str, int]]:
        """(email, how many sessions it has open now)."""
        now = self._utc()
        open_for = [user for user, end in list(self._sessions.values()) if now < end]
        return [(email, open_for.count(email)) for email in list(self._passwords)]

    def waiting(self) -> tuple[int, int]:
        """How many (apps, boards) wait for their other side now."""
        sides = [waiting.side for waiting in self.half_links]
        return sides.count("app"), sides.count("board")

    @property
    def half_links(self) -> list[Waiting]:
        """Who waits for the other side now; the shared ids stay here."""
        return [
            Waiting(name, who, end)
            for name, side in (("app", self._apps), ("board", self._boards))
            for link_id in list(side)
            for who, end in self._alive(side, link_id).items()
        ]

    def activate(self, thing_id: str, active: bool) -> None:
        """Raises Refusal 404."""
        self._known(thing_id).activated = active

    def link(self, user: str, *, thing_id: str = "", token: str = "") -> str:
        """What the app does with a thing's token; a known thing's may be looked up by its id.
        Returns the thing id. Raises Refusal 403 or 404."""
        if user not in self._passwords:
            raise Refusal(404, "user not found", status="error")
        thing = self._thing(token or self._known(thing_id).token)
        self._link(user, thing.thing_id, "token")
        return thing.thing_id

    def unlink(self, user: str, thing_id: str) -> None:
        """Raises Refusal 404 if they are not linked."""
        pair = (user, thing_id)
        if self._links.pop(pair, None) is None:
            raise Refusal(404, "thing not found", status="error")
        self._made = {i: p for i, p in self._made.items() if p != pair}

    def secrets(self) -> list[str]:
        """Every secret made here so far, for tests that search logs for them."""
        return [*self._passwords.values(), *self._sessions, *self._things]

    # -- rules ------------------------------------------------------------------------------

    def _alive(self, side: dict[str, dict[str, float]], link_id: str) -> dict[str, float]:
        now = self._utc()
        alive = {who: end for who, end in side.get(link_id, {}).items() if now < end}
        if alive:
            side[link_id] = alive
        else:
            side.pop(link_id, None)
        return alive

    def _wait(self, side: dict[str, dict[str, float]], link_id: str, who: str) -> None:
        self._alive(side, link_id)
        side.setdefault(link_id, {}).setdefault(who, self._utc() + WINDOW_S)

    def _link(self, user: str, thing_id: str, how: str) -> None:
        if (user, thing_id) not in self._links:
            link = Link(user, thing_id, self._utc(), how)
            self._links[user, thing_id] = link
            self.history.append(link)

    def _meet(self, link_id: str, user: str, thing_id: str) -> None:
        self._link(user, thing_id, "link-id")
        self._made[link_id] = (user, thing_id)
        for side, who in ((self._apps, user), (self._boards, thing_id)):
            side.get(link_id, {}).pop(who, None)

    def _user(self, request: web.Request) -> str:
        user, end = self._sessions.get(request.headers.get("Authorization", ""), ("", 0.0))
        if not user or self._utc() >= end:
            raise Refusal(401, "user not logged in", status="error")
        return user

    def _known(self, thing_id: str) -> Thing:
        for thing in self._things.values():
            if thing.thing_id == thing_id:
                return thing
        raise Refusal(404, "thing not found", status="error")

    def _thing(self, token: str) -> Thing:
        thing = self._things.get(token)
        if thing is None:
            raise Refusal(404, "thing not found", status="error")
        if not thing.activated:
            raise Refusal(403, "thing not activated", status="error")
        return thing

    # -- requests ---------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        return [
            route("POST", "/v2/login", self._login),
            route("GET", "/v2/me/things", self._list_things),
            route("GET", "/v2/me/resources", self._list_resources),
            route("POST", "/v2/me/things", self._link_by_token),
            route("POST", "/v2/me/things/link-id", self._app_link_id),
            route("POST", "/v2/things/{token}/link-id", self._board_link_id),
            route("DELETE", "/v2/me/things/{thing_id}", self._unlink),
        ]

    async def _login(self, request: web.Request) -> dict[str, Any]:
        fields = await fields_of(request)
        email = text_field(fields, "email", 256)
        password = text_field(fields, "password", 256)
        if not secrets.compare_digest(self._passwords.get(email, "").encode(), password.encode()):
            raise Refusal(401, "wrong email or password", status="error")
        return {"status": "success", "token": self.log_in(email)}

    def _ids(self, request: web.Request) -> list[str]:
        user = self._user(request)
        return [link.thing_id for link in self._links.values() if link.user == user]

    async def _list_things(self, request: web.Request) -> dict[str, Any]:
        return {"status": "success", "things": self._ids(request)}

    async def _list_resources(self, request: web.Request) -> dict[str, Any]:
        return {"status": "success", "resources": {"things": self._ids(request)}}

    async def _link_by_token(self, request: web.Request) -> dict[str, Any]:
        user = self._user(request)
        thing = self._thing(text_field(await fields_of(request), "thingToken", 128))
        self._link(user, thing.thing_id, "token")
        return _linked(thing.thing_id)

    async def _app_link_id(self, request: web.Request) -> dict[str, Any]:
        user = self._user(request)
        link_id = text_field(await fields_of(request), "linkId", _LINK_ID_MAX)
        made_by, thing_id = self._made.get(link_id, ("", ""))
        if made_by == user:
            return _linked(thing_id)
        for thing_id in self._alive(self._boards, link_id):
            self._meet(link_id, user, thing_id)
            return _linked(thing_id)
        self._wait(self._apps, link_id, user)
        return {"status": "success", "message": "waiting for thing"}

    async def _board_link_id(self, request: web.Request) -> dict[str, Any]:
        thing = self._thing(request.match_info["token"])
        link_id = text_field(await fields_of(request), "linkId", _LINK_ID_MAX)
        if self._made.get(link_id, ("", ""))[1] == thing.thing_id:
            return _linked(thing.thing_id)
        for user in self._alive(self._apps, link_id):
            self._meet(link_id, user, thing.thing_id)
            return _linked(thing.thing_id)
        self._wait(self._boards, link_id, thing.thing_id)
        return {"status": "success", "message": "waiting for app"}

    async def _unlink(self, request: web.Request) -> dict[str, Any]:
        thing_id = request.match_info["thing_id"]
        self.unlink(self._user(request), thing_id)
        return {"status": "success", "message": "unlinked", "thingId": thing_id}


def _linked(thing_id: str) -> dict[str, Any]:
    return {"status": "success", "message": "linked", "thingId": thing_id}
