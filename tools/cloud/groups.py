"""RainMaker's node groups: a user's homes and rooms.

UNCONFIRMED: which fields the real answers have beside those that esp-rainmaker-cli and the Home
app's SDK read, and the error codes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import tokens
from .accounts import Accounts
from .mapping import MappingRequest, Mappings
from .reply import TEXT_LEN_MAX, failure, fields_of, route, text_field

_NODES_MAX = 100


@dataclasses.dataclass
class Group:
    group_id: str
    user: str
    name: str
    kind: str = ""
    parent: str = ""
    description: str = ""
    nodes: list[str] = dataclasses.field(default_factory=list)


class Groups:
    """All users' groups. `details(node_id)` gives what a listing says of a node."""

    def __init__(
        self,
        accounts: Accounts,
        mappings: Mappings,
        details: Callable[[str], dict[str, Any]],
    ) -> None:
        self._accounts = accounts
        self._mappings = mappings
        self._details = details
        self._groups: dict[str, Group] = {}
        mappings.owned_group = self.owned
        mappings.on_confirmed.append(self._node_came)
        mappings.on_removed.append(self._node_left)

    @property
    def all(self) -> list[Group]:
        return list(self._groups.values())

    def owned(self, user: str, group_id: str) -> Group:
        """That user's group. Raises Refusal 404."""
        group = self._groups.get(group_id)
        if group is None or group.user != user:
            raise failure(404, "Group not found", 108002)
        return group

    def add_nodes(self, user: str, group_id: str, nodes: list[str]) -> None:
        """Raises Refusal 403 or 404."""
        group = self.owned(user, group_id)
        for node_id in nodes:
            self._mappings.owned(user, node_id)
        group.nodes += [node_id for node_id in nodes if node_id not in group.nodes]

    def _node_came(self, request: MappingRequest) -> None:
        group = self._groups.get(request.group_id)  # it may be gone by now
        if group is not None and request.node_id not in group.nodes:
            group.nodes.append(request.node_id)

    def _node_left(self, user: str, node_id: str) -> None:
        for group in self._groups.values():
            if group.user == user and node_id in group.nodes:
                group.nodes.remove(node_id)

    # -- requests ---------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        return [
            route("POST", "/v1/user/node_group", self._create),
            route("GET", "/v1/user/node_group", self._get),
            route("PUT", "/v1/user/node_group", self._change),
            route("DELETE", "/v1/user/node_group", self._delete),
        ]

    async def _create(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        fields = await fields_of(request)
        parent = text_field(fields, "parent_group_id", TEXT_LEN_MAX, empty=True)
        if parent:
            self.owned(user, parent)
        nodes = [self._mappings.owned(user, node_id) for node_id in _nodes(fields)]
        new = Group(
            tokens.short_id(),
            user,
            text_field(fields, "group_name", TEXT_LEN_MAX),
            text_field(fields, "type", TEXT_LEN_MAX, empty=True),
            parent,
            text_field(fields, "description", TEXT_LEN_MAX, empty=True),
            nodes,
        )
        self._groups[new.group_id] = new
        return {"status": "success", "group_id": new.group_id}

    async def _get(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        wanted = request.query.get("group_id", "")
        found = [self.owned(user, wanted)] if wanted else self._of(user, "")
        groups = [self._shown(group, request.query) for group in found]
        return {"groups": groups, "total": len(groups)}

    def _of(self, user: str, parent: str) -> list[Group]:
        return [g for g in self._groups.values() if g.user == user and g.parent == parent]

    def _shown(self, group: Group, query: Any) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "group_id": group.group_id,
            "group_name": group.name,
            "type": group.kind,
            "description": group.description,
            "parent_group_id": group.parent,
            "primary": True,
            "total": len(group.nodes),
        }
        if query.get("node_list") == "true":
            shown["nodes"] = list(group.nodes)
        if query.get("node_details") == "true":
            shown["node_details"] = [self._details(node_id) for node_id in group.nodes]
        if query.get("sub_groups") == "true":
            children = self._of(group.user, group.group_id)
            shown["sub_groups"] = [self._shown(child, query) for child in children]
        return shown

    async def _change(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        fields = await fields_of(request)
        group = self.owned(user, request.query.get("group_id", ""))
        nodes = _nodes(fields)
        operation = text_field(fields, "operation", 16, empty=True)
        if operation not in ("", "add", "remove") or bool(nodes) != bool(operation):
            raise failure(400, "Nodes go with operation add or remove", 108003)
        if operation == "add":
            self.add_nodes(user, group.group_id, nodes)
        elif operation == "remove":
            for node_id in nodes:
                self._mappings.owned(user, node_id)
            group.nodes = [node_id for node_id in group.nodes if node_id not in nodes]
        if "group_name" in fields:
            group.name = text_field(fields, "group_name", TEXT_LEN_MAX)
        return {"status": "success", "description": "Group updated"}

    async def _delete(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        group = self.owned(user, request.query.get("group_id", ""))
        for child in self._of(user, group.group_id):
            del self._groups[child.group_id]
        del self._groups[group.group_id]
        return {"status": "success", "description": "Group removed"}


def _nodes(fields: dict[str, Any]) -> list[str]:
    nodes = fields.get("nodes") or []
    if not isinstance(nodes, list) or len(nodes) > _NODES_MAX:
        raise failure(400, "Nodes is invalid", 108003)
    return [text_field({"node": node_id}, "node", TEXT_LEN_MAX) for node_id in nodes]
