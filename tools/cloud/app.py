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
        self, method: str, path: str, body: dict[str, Any] | list[Any] | None = None
    ) -> Any:
        headers = {"Authorization": self.token} if self.token else {}
        url = f"https://{self.host}{path}"
        async with self._session.request(method, url, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status >= 300:
                raise AppError(response.status, _reason(answer))
            return answer


def _reason(answer: Any) -> str:
    """What an error answer says: RainMaker's in `description`, thethings.io's in `message`."""
    told = answer if isinstance(answer, dict) else {}
    return str(told.get("description") or told.get("message") or "refused")


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
    """RainMaker with a user's access token. Every call raises AppError if the cloud refuses."""

    host = rainmaker.HOST

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__(session)
        self.refresh_token = ""
        self.user_id = ""

    @property
    def base_url(self) -> str:
        """As a node is told it."""
        return f"https://{self.host}"

    async def log_in(self, name: str, password: str) -> None:
        answer = await self._call("POST", "/v1/login2", {"user_name": name, "password": password})
        self.token = answer["accesstoken"]
        self.refresh_token = answer["refreshtoken"]
        self.user_id = (await self._call("GET", "/v1/user"))["user_id"]

    # -- mapping ----------------------------------------------------------------------------

    async def map_node(
        self, node_id: str, secret: str, operation: str = "add", group_id: str = ""
    ) -> str:
        """Returns the request id."""
        body = {"node_id": node_id, "secret_key": secret, "operation": operation}
        body |= {"group_id": group_id} if group_id else {}
        return (await self._call("PUT", "/v1/user/nodes/mapping", body))["request_id"]

    async def mapping_status(self, request_id: str) -> str:
        """requested, confirmed, timedout or discarded."""
        answer = await self._call("GET", f"/v1/user/nodes/mapping?request_id={request_id}")
        return answer["request_status"]

    async def initiate(self, **fields: Any) -> tuple[str, str]:
        """Ask for a challenge: (request id, challenge). fields: timeout, group_id."""
        answer = await self._call("POST", "/v1/user/nodes/mapping/initiate", fields)
        return answer["request_id"], answer["challenge"]

    async def verify(
        self, request_id: str, node_id: str, signature: bytes, group_id: str = ""
    ) -> None:
        """Bring the node's answer to the challenge; the node is this user's then."""
        body = {"request_id": request_id, "node_id": node_id}
        body |= {"challenge_response": signature.hex()}
        body |= {"group_id": group_id} if group_id else {}
        answer = await self._call("POST", "/v1/user/nodes/mapping/verify", body)
        if answer.get("status") != "success":
            raise AppError(200, _reason(answer))

    # -- nodes ------------------------------------------------------------------------------

    async def nodes(self) -> list[str]:
        return (await self._call("GET", "/v1/user/nodes"))["nodes"]

    async def details(self, node_id: str) -> dict[str, Any]:
        """Configuration, parameters and presence of one node."""
        query = f"node_id={node_id}&node_details=true"
        return (await self._call("GET", f"/v1/user/nodes?{query}"))["node_details"][0]

    async def config(self, node_id: str) -> dict[str, Any]:
        return await self._call("GET", f"/v1/user/nodes/config?nodeid={node_id}")

    async def params(self, node_id: str) -> dict[str, dict[str, Any]]:
        return await self._call("GET", f"/v1/user/nodes/params?nodeid={node_id}")

    async def connected(self, node_id: str) -> bool:
        answer = await self._call("GET", f"/v1/user/nodes/status?nodeid={node_id}")
        return answer["connectivity"]["connected"]

    async def set_params(self, node_id: str, params: dict[str, dict[str, Any]]) -> None:
        """params: device or service → parameter → value."""
        await self._call("PUT", "/v1/user/nodes/params", [{"node_id": node_id, "payload": params}])

    # -- groups -----------------------------------------------------------------------------

    async def groups(self) -> list[dict[str, Any]]:
        """Each with `group_id`, `group_name`, `nodes`."""
        return (await self._call("GET", "/v1/user/node_group?node_list=true"))["groups"]

    async def create_group(self, name: str, nodes: list[str] | None = None) -> str:
        """Returns the group id."""
        body = {"group_name": name, "nodes": nodes or []}
        return (await self._call("POST", "/v1/user/node_group", body))["group_id"]

    async def add_to_group(self, group_id: str, nodes: list[str]) -> None:
        await self._change_group(group_id, "add", nodes)

    async def remove_from_group(self, group_id: str, nodes: list[str]) -> None:
        await self._change_group(group_id, "remove", nodes)

    async def _change_group(self, group_id: str, operation: str, nodes: list[str]) -> None:
        body = {"operation": operation, "nodes": nodes}
        await self._call("PUT", f"/v1/user/node_group?group_id={group_id}", body)
