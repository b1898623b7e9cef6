"""RainMaker's accounts: log-in, tokens, and who a request is from.

UNCONFIRMED: error codes, and that log-out ends one session's tokens at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import tokens
from .reply import TEXT_LEN_MAX, Refusal, failure, fields_of, route, text_field


class Accounts:
    """Users and their tokens. `token_lifetime_s` may be changed at any time."""

    def __init__(self, utc: Callable[[], float]) -> None:
        self._utc = utc
        self.token_lifetime_s = 3600.0
        self._users: dict[str, tuple[str, str]] = {}  # name → (password, user id)
        self._tokens: dict[str, tuple[str, float]] = {}  # access token → (user id, end)
        self._refresh: dict[str, str] = {}  # refresh token → user name
        self._drawn: list[str] = []

    def add(self, name: str, password: str) -> str:
        """Returns the user id."""
        self._users[name] = (password, tokens.short_id())
        return self._users[name][1]

    def log_in(self, name: str) -> str:
        """An access token without the login request."""
        now = self._utc()
        user_id = self._users[name][1]
        token = tokens.access_token(user_id, now, self.token_lifetime_s)
        self._tokens[token] = (user_id, now + self.token_lifetime_s)
        self._drawn.append(token)
        return token

    def expire_tokens(self) -> None:
        self._tokens.clear()

    @property
    def users(self) -> list[tuple[str, str]]:
        """(name, user id) of every account."""
        return [(name, user_id) for name, (_password, user_id) in list(self._users.items())]

    def secrets(self) -> list[str]:
        return [*self._drawn, *self._refresh, *(password for password, _ in self._users.values())]

    def user_of(self, request: web.Request) -> str:
        """The id of the user whose token came with the request. Raises Refusal 401."""
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
            route("POST", "/v1/login2", self._login),
            route("POST", "/v1/logout2", self._logout),
            route("GET", "/v1/user", self._details),
        ]

    async def _login(self, request: web.Request) -> dict[str, Any]:
        fields = await fields_of(request)
        if "refreshtoken" in fields:
            name = self._refresh.get(text_field(fields, "refreshtoken", 4096), "")
            known = bool(name) and fields.get("user_name", name) == name
        else:
            name = text_field(fields, "user_name", TEXT_LEN_MAX)
            password = text_field(fields, "password", TEXT_LEN_MAX)
            expected, _ = self._users.get(name, ("", ""))
            known = secrets.compare_digest(expected.encode(), password.encode())
        if not known:
            raise failure(401, "Incorrect user name or password", 101017)
        access = self.log_in(name)
        refresh = secrets.token_urlsafe(600)
        self._refresh[refresh] = name
        answer = {"status": "success", "description": "Login successful"}
        return answer | {"accesstoken": access, "idtoken": access, "refreshtoken": refresh}

    async def _logout(self, request: web.Request) -> dict[str, Any]:
        self.user_of(request)
        self._tokens.pop(request.headers["Authorization"], None)
        return {"status": "success", "description": "Logout successful"}

    async def _details(self, request: web.Request) -> dict[str, Any]:
        user = self.user_of(request)
        name = next(name for name, user_id in self.users if user_id == user)
        return {"user_id": user, "user_name": name}
