"""The app's side of both clouds: log in, link, map, list. For the host tool and for tests.

Works with the real clouds and with the local one: `session_for` makes a client session that finds
the local cloud under the real host names and trusts its authority for them; the certificate is
checked either way.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from . import rainmaker, thethings

_TIMEOUT_S = 20.0


class AppError(Exception):
    """The cloud refused: `status` and its message, never what was sent."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class _Loopback(AbstractResolver):
    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


def session_for(port: int | None = None, ca_pem: bytes | None = None) -> aiohttp.ClientSession:
    """A client session: for the local cloud with its port and authority, without them for the
    real ones. Close it after use (`async with`)."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    if port is None:
        return aiohttp.ClientSession(timeout=timeout)
    context = ssl.create_default_context(cadata=(ca_pem or b"").decode())
    connector = aiohttp.TCPConnector(
        resolver=_Loopback(port), ssl=context, use_dns_cache=False, force_close=True
    )
    return aiohttp.ClientSession(timeout=timeout, connector=connector)


class _App:
    host = ""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.token = ""

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        headers = {"Authorization": self.token} if self.token else {}
        url = f"https://{self.host}{path}"
        async with self._session.request(method, url, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status >= 300:
                raise AppError(response.status, str(answer.get("message", "refused")))
            return answer


class ThethingsApp(_App):
    """thethings.io with a user's session token."""

    host = thethings.HOST

    async def log_in(self, email: str, password: str) -> None:
        answer = await self._call("POST", "/v2/login", {"email": email, "password": password})
        self.token = answer["token"]

    async def link_id(self, link_id: str) -> dict[str, Any]:
        """`message` is "waiting for thing", or "linked" with `thingId`."""
        return await self._call("POST", "/v2/me/things/link-id", {"linkId": link_id})

    async def link_token(self, thing_token: str) -> dict[str, Any]:
        return await self._call("POST", "/v2/me/things", {"thingToken": thing_token})

    async def unlink(self, thing_id: str) -> dict[str, Any]:
        return await self._call("DELETE", f"/v2/me/things/{thing_id}")

    async def things(self) -> list[str]:
        return (await self._call("GET", "/v2/me/things"))["things"]


class RainMakerApp(_App):
    """RainMaker with a user's access token."""

    host = rainmaker.HOST

    async def log_in(self, name: str, password: str) -> None:
        answer = await self._call("POST", "/v1/login2", {"user_name": name, "password": password})
        self.token = answer["accesstoken"]

    async def map_node(self, node_id: str, secret: str, operation: str = "add") -> str:
        """Returns the request id."""
        body = {"node_id": node_id, "secret_key": secret, "operation": operation}
        return (await self._call("PUT", "/v1/user/nodes/mapping", body))["request_id"]

    async def mapping_status(self, request_id: str) -> str:
        """requested, confirmed, timedout or discarded."""
        answer = await self._call("GET", f"/v1/user/nodes/mapping?request_id={request_id}")
        return answer["request_status"]

    async def nodes(self) -> list[str]:
        return (await self._call("GET", "/v1/user/nodes"))["nodes"]
