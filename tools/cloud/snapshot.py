"""What a person may see of the local cloud: everything that happens there, nothing that is secret.

Built field by field: what is not named here does not leave. A thing goes by its id, a shared id and
a mapping's secret not at all, a fault's path without any token that someone typed into it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from . import node_parts, rainmaker, thethings
from .faults import Fault

if TYPE_CHECKING:
    from .server import LocalCloud

_LOG_LEN = 120
_REQUESTS_LEN = 40
_FAULTS_LEN = 30
_SECRET_LEN_MIN = 8  # shorter ones are words that may stand in any path


def take(cloud: LocalCloud) -> dict[str, Any]:
    """The state now, for JSON. Times are UTC seconds of the cloud's own clock."""
    return {
        "port": cloud.port,
        "thethings": _thethings(cloud.thethings),
        "mqtt_port": cloud.mqtt.port if cloud.mqtt.broker.running else None,
        "rainmaker": _rainmaker(cloud.rainmaker, cloud.secrets()),
        "faults": [
            _fault(fault, cloud.secrets()) for fault in cloud.faults.all()[-_FAULTS_LEN:][::-1]
        ],
        "log": [
            {
                "at": entry.at,
                "host": entry.host,
                "method": entry.method,
                "route": entry.route,
                "status": entry.status,
                "fault": entry.fault,
                "why": entry.why,
            }
            for entry in itertools.islice(reversed(cloud.log), _LOG_LEN)
        ],
    }


def places(cloud: LocalCloud) -> list[dict[str, str]]:
    """Every request of both clouds, for a list to choose from: host, method, route, and the path
    pattern that a fault needs to match it."""
    return [
        {
            "host": host,
            "method": route.method,
            "route": route.path,
            "path": "/".join("*" if part.startswith("{") else part for part in parts),
        }
        for host, api in (
            (thethings.HOST, cloud.thethings),
            (rainmaker.HOST, cloud.rainmaker),
        )
        for route in api.routes()
        for parts in [route.path.split("/")]
    ]


def _thethings(api: thethings.Thethings) -> dict[str, Any]:
    links = api.links
    return {
        "host": thethings.HOST,
        "users": [
            {"name": email, "sessions": sessions, "links": sum(k.user == email for k in links)}
            for email, sessions in api.users
        ],
        "things": [
            {
                "thing_id": thing.thing_id,
                "activated": thing.activated,
                "users": [link.user for link in links if link.thing_id == thing.thing_id],
            }
            for thing in api.things
        ],
        "links": [
            {"user": link.user, "thing_id": link.thing_id, "at": link.at, "how": link.how}
            for link in reversed(links)
        ],
        "waiting": [
            {"side": half.side, "who": half.who, "end": half.end} for half in api.half_links
        ],
        "links_made": len(api.history),
    }


def _rainmaker(api: rainmaker.RainMaker, secrets: list[str]) -> dict[str, Any]:
    names = {user_id: name for name, user_id in api.accounts.users}
    requests = _mapping_requests(api, names)
    mappings = sorted(api.mapping.all)
    known = {node.node_id: node for node in api.nodes.all}
    ids = dict.fromkeys([*known, *(node_id for _user, node_id in mappings)])
    ids |= dict.fromkeys(r["node_id"] for r in requests if r["node_id"])
    return {
        "host": rainmaker.HOST,
        "users": [
            {"name": name, "user_id": user_id, "nodes": sum(user_id == u for u, _n in mappings)}
            for name, user_id in api.accounts.users
        ],
        "nodes": [
            {
                "node_id": node_id,
                "users": [names.get(user, user) for user, mapped in mappings if mapped == node_id],
                **node_parts.shown(known.get(node_id), secrets),
            }
            for node_id in ids
        ],
        "requests": requests[-_REQUESTS_LEN:][::-1],
        "groups": [
            {
                "group_id": group.group_id,
                "name": group.name,
                "user": names.get(group.user, group.user),
                "nodes": list(group.nodes),
            }
            for group in api.groups.all
        ],
    }


def _mapping_requests(api: rainmaker.RainMaker, names: dict[str, str]) -> list[dict[str, Any]]:
    """Both kinds, oldest first."""
    classic = [
        {
            "request_id": request.request_id,
            "user": names.get(request.user, request.user),
            "node_id": request.node_id,
            "operation": request.operation,
            "how": "secret",
            "status": request.status,
            "at": request.at,
            "end": request.at + api.mapping.timeout_s,
        }
        for request in api.mapping.requests
    ]
    challenges = [
        {
            "request_id": request.request_id,
            "user": names.get(request.user, request.user),
            "node_id": request.node_id,
            "operation": "add",
            "how": "challenge",
            "status": request.status,
            "at": request.at,
            "end": request.end,
        }
        for request in api.challenges.requests
    ]
    return sorted([*classic, *challenges], key=lambda each: each["at"])


def _fault(fault: Fault, secrets: list[str]) -> dict[str, Any]:
    path = fault.path
    for secret in secrets:
        if len(secret) >= _SECRET_LEN_MIN:
            path = path.replace(secret, "…")
    return {
        "number": fault.number,
        "path": path,
        "method": fault.method,
        "host": fault.host,
        "times": fault.times,
        "hits": fault.hits,
        "spent": fault.spent,
        "status": fault.status,
        "delay_s": fault.delay_s if math.isfinite(fault.delay_s) else None,
        "retry_after": fault.retry_after,
        "cut": fault.cut,
        "certificate": fault.certificate,
        "body": fault.body is not None,
    }
