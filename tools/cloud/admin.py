"""The local cloud's admin interface: plain HTTP on loopback, for scripts and people.

| request | does |
|---|---|
| `GET /state` | links, mappings, counts |
| `GET /log` | the redacted request log, one line per request |
| `GET /faults`, `POST /faults` (fields of `Fault`; body as text), `DELETE /faults` | faults |
| `POST /nodes` `{"node_id", "key"?}` | a node; the answer holds its credentials (key: ec, rsa) |
| `POST /things` `{"token"?, "activated"?}` | a thing; the answer holds its token |
| `POST /users` `{"cloud", "name", "password"}` | an account |

Requests that a web page could send are refused: they carry an Origin, or a Host that is not
loopback. The page that this interface serves itself, at `/`, is the exception: see panel.py.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from . import panel
from .faults import Fault
from .node_credentials import KeyKind
from .reply import Refusal, fields_of, route, text_field

if TYPE_CHECKING:
    from .server import LocalCloud

_LOOPBACK_NAMES = ("127.0.0.1", "localhost")


class Admin:
    """Routes and handlers; no state of its own."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    def application(self) -> web.Application:
        page = panel.Panel(self._cloud)
        application = web.Application(middlewares=[_guard, page.guard])
        application.on_shutdown.append(page.stop)
        application.add_routes(
            [
                route("GET", "/state", self._state),
                route("GET", "/log", self._log),
                route("GET", "/faults", self._faults),
                route("POST", "/faults", self._add_fault),
                route("DELETE", "/faults", self._clear_faults),
                route("POST", "/nodes", self._add_node),
                route("POST", "/things", self._add_thing),
                route("POST", "/users", self._add_user),
                *page.routes(),
            ]
        )
        return application

    async def _state(self, _request: web.Request) -> dict[str, Any]:
        cloud = self._cloud
        apps, boards = cloud.thethings.waiting()
        return {
            "thethings": {
                "links": [dataclasses.asdict(link) for link in cloud.thethings.links],
                "links_made": len(cloud.thethings.history),
                "waiting": {"apps": apps, "boards": boards},
            },
            "rainmaker": {
                "mappings": [
                    {"user": user, "node_id": node_id}
                    for user, node_id in sorted(cloud.rainmaker.mapping.all)
                ],
                "changes": [dataclasses.asdict(c) for c in cloud.rainmaker.mapping.history],
                "requests": [
                    {"node_id": r.node_id, "operation": r.operation, "status": r.status}
                    for r in cloud.rainmaker.mapping.requests
                ],
                "challenges": [
                    {"node_id": r.node_id, "status": r.status}
                    for r in cloud.rainmaker.challenges.requests
                ],
                "nodes": [
                    {"node_id": n.node_id, "connected": n.connected, "params": n.params}
                    for n in cloud.rainmaker.nodes.all
                ],
            },
        }

    async def _log(self, _request: web.Request) -> dict[str, Any]:
        return {"log": [str(entry) for entry in self._cloud.log]}

    async def _faults(self, _request: web.Request) -> dict[str, Any]:
        active = self._cloud.faults.active()
        return {"faults": [dataclasses.asdict(f) | {"body": None} for f in active]}

    async def _add_fault(self, request: web.Request) -> dict[str, Any]:
        fields = await fields_of(request)
        for given_here in ("hits", "number"):
            fields.pop(given_here, None)
        if isinstance(fields.get("body"), str):
            fields["body"] = fields["body"].encode()
        try:
            self._cloud.faults.add(Fault(**fields))
        except (TypeError, ValueError) as e:
            raise Refusal(400, str(e)) from None
        return {"faults": len(self._cloud.faults.active())}

    async def _clear_faults(self, _request: web.Request) -> dict[str, Any]:
        self._cloud.faults.clear()
        return {"faults": 0}

    async def _add_node(self, request: web.Request) -> dict[str, Any]:
        fields = await fields_of(request)
        kind = text_field(fields, "key", 8, empty=True) or "ec"
        try:
            made = self._cloud.new_node(text_field(fields, "node_id", 64), cast(KeyKind, kind))
        except ValueError as e:
            raise Refusal(400, str(e)) from None
        return {
            "node.info": made.node_id,
            "node.crt": made.certificate_pem.decode(),
            "node.key": made.key_pem.decode(),  # as with a thing's token: its maker asked for it
            "endpoint.info": made.host,
            "mqtt_port": self._cloud.mqtt.port,
        }

    async def _add_thing(self, request: web.Request) -> dict[str, Any]:
        fields = await fields_of(request)
        token = text_field(fields, "token", 128, empty=True)
        activated = fields.get("activated", True) is True
        thing = self._cloud.thethings.add_thing(token or None, activated=activated)
        # A secret that leaves: the maker needs it for the board, and asked for it.
        return {"thing_id": thing.thing_id, "token": thing.token}

    async def _add_user(self, request: web.Request) -> dict[str, Any]:
        fields = await fields_of(request)
        clouds = {
            "thethings": self._cloud.thethings.add_user,
            "rainmaker": self._cloud.rainmaker.accounts.add,
        }
        add = clouds.get(text_field(fields, "cloud", 16))
        if add is None:
            raise Refusal(400, "cloud is thethings or rainmaker")
        add(text_field(fields, "name", 256), text_field(fields, "password", 256))
        return {}


@web.middleware
async def _guard(request: web.Request, handler: Any) -> web.StreamResponse:
    host = (request.host or "").partition(":")[0]
    foreign = "Origin" in request.headers and not request.path.startswith(panel.PREFIX)
    if host not in _LOOPBACK_NAMES or foreign:
        return web.json_response({"message": "for programs on this computer only"}, status=403)
    try:
        answer = await handler(request)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)
    except Refusal as refusal:
        return web.json_response(refusal.body, status=refusal.status)
