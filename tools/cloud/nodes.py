"""The nodes that RainMaker's cloud knows: certificate, configuration, parameters, presence.

A node says what it is (config) and how it is (params/local) over MQTT; users read both, and write
parameters, which the cloud passes on to the node and believes when the node reports them.

UNCONFIRMED: error codes; that writing to several nodes of which some are other people's is done for
the rest; that a parameter is not checked against the node's configuration.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from cryptography import x509

from .accounts import Accounts
from .mapping import Mappings
from .reply import TEXT_LEN_MAX, Refusal, failure, list_of, route, text_field

_NODES_MAX = 25  # in one request


@dataclasses.dataclass
class Node:
    """params: device or service name → parameter name → value, as last reported."""

    node_id: str
    certificate: x509.Certificate | None = None
    config: dict[str, Any] | None = None
    params: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    connected: bool = False
    at: float = 0.0  # of the last change of presence, UTC seconds


class Nodes:
    """All nodes, and the requests about them. `publish(node_id, payload)` writes parameters to a
    node; None while no broker runs."""

    def __init__(self, utc: Callable[[], float], accounts: Accounts, mappings: Mappings) -> None:
        self._utc = utc
        self._accounts = accounts
        self._mappings = mappings
        self._nodes: dict[str, Node] = {}
        self.publish: Callable[[str, bytes], None] | None = None

    @property
    def all(self) -> list[Node]:
        return list(self._nodes.values())

    def get(self, node_id: str) -> Node:
        """That node, as much as is known of it."""
        return self._nodes.setdefault(node_id, Node(node_id))

    def certificate(self, node_id: str) -> x509.Certificate | None:
        return self._nodes[node_id].certificate if node_id in self._nodes else None

    # -- what nodes say -------------------------------------------------------------------------

    def configured(self, node_id: str, config: dict[str, Any]) -> None:
        """Raises ValueError if that is no node's configuration."""
        if config.get("node_id") != node_id:
            raise ValueError("the configuration names another node")
        for part in ("devices", "services"):
            if not isinstance(config.get(part, []), list):
                raise ValueError(f"{part} is not a list")
        self.get(node_id).config = config

    def reported(self, node_id: str, params: dict[str, Any]) -> None:
        """Raises ValueError if those are no parameters."""
        if not all(isinstance(values, dict) for values in params.values()):
            raise ValueError("parameters come by device")
        known = self.get(node_id).params
        for device, values in params.items():
            known.setdefault(device, {}).update(values)

    def present(self, node_id: str, connected: bool) -> None:
        node = self.get(node_id)
        node.connected, node.at = connected, self._utc()

    # -- what users do ---------------------------------------------------------------------------

    def write(self, node_id: str, payload: dict[str, Any]) -> None:
        """Pass parameters on to the node. Raises Refusal 400 or 503."""
        if not payload or not all(isinstance(values, dict) for values in payload.values()):
            raise failure(400, "Payload is invalid", 105013)
        if self.publish is None:
            raise Refusal(503, "no MQTT broker is running")
        self.publish(node_id, json.dumps(payload).encode())

    def details(self, node_id: str) -> dict[str, Any]:
        """Everything about a node, in the form of `node_details`."""
        node = self.get(node_id)
        return {
            "id": node_id,
            "role": "primary",
            "primary": True,
            "config": node.config or {},
            "params": node.params,
            "status": self._status(node),
        }

    def _status(self, node: Node) -> dict[str, Any]:
        return {"connectivity": {"connected": node.connected, "timestamp": int(node.at * 1000)}}

    def routes(self) -> list[web.RouteDef]:
        return [
            route("GET", "/v1/user/nodes", self._list),
            route("GET", "/v1/user/nodes/config", self._get_config),
            route("GET", "/v1/user/nodes/params", self._get_params),
            route("PUT", "/v1/user/nodes/params", self._put_params),
            route("GET", "/v1/user/nodes/status", self._get_status),
        ]

    def _asked(self, request: web.Request) -> Node:
        user = self._accounts.user_of(request)
        node_id = request.query.get("nodeid") or request.query.get("node_id", "")
        return self.get(self._mappings.owned(user, node_id))

    async def _list(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        nodes = self._mappings.nodes_of(user)
        wanted = request.query.get("node_id")
        if wanted is not None:
            nodes = [self._mappings.owned(user, wanted)]
        answer: dict[str, Any] = {"nodes": nodes, "total": len(nodes)}
        if request.query.get("node_details") == "true":
            answer["node_details"] = [self.details(node_id) for node_id in nodes]
        return answer

    async def _get_config(self, request: web.Request) -> dict[str, Any]:
        config = self._asked(request).config
        if config is None:
            raise failure(404, "Node config not found", 105004)
        return config

    async def _get_params(self, request: web.Request) -> dict[str, Any]:
        return dict(self._asked(request).params)

    async def _get_status(self, request: web.Request) -> dict[str, Any]:
        return self._status(self._asked(request))

    async def _put_params(self, request: web.Request) -> list[dict[str, Any]]:
        user = self._accounts.user_of(request)
        writes = await list_of(request, _NODES_MAX)
        answers: list[dict[str, Any]] = []
        refusals: list[Refusal] = []
        for each in writes:
            node_id = text_field(each, "node_id", TEXT_LEN_MAX)
            payload = each.get("payload")
            try:
                self._mappings.owned(user, node_id)
                self.write(node_id, payload if isinstance(payload, dict) else {})
                answer = {"status": "success", "description": "Updated successfully"}
            except Refusal as refusal:
                refusals.append(refusal)
                answer = {**refusal.body, "status": "failure"}
            answers.append({"node_id": node_id} | answer)
        if len(refusals) == len(writes):
            raise refusals[0]
        return answers
