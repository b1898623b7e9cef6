"""What a person may see of a node: its devices and services, and each parameter as reported."""

from __future__ import annotations

from typing import Any

from .nodes import Node

# Of these the value is nobody's business, whatever a node reports.
_SECRET_TYPES = {"esp.param.user-token", "esp.param.refresh-token", "esp.param.local_control_pop"}
_SECRET_LEN_MIN = 8
_TEXT_LEN_MAX = 80
_HIDDEN = "…"


def shown(node: Node | None, secrets: list[str]) -> dict[str, Any]:
    """For JSON; from a configuration that a node sent, so whatever is no text or list is left out.
    secrets: texts that are not shown where they stand in a value."""
    if node is None:
        return {"connected": False, "info": "", "devices": [], "services": []}
    config = node.config or {}
    info = config.get("info")
    info = info if isinstance(info, dict) else {}
    told = (info.get(name) for name in ("type", "model", "fw_version"))
    return {
        "connected": node.connected,
        "info": " · ".join(str(each)[:_TEXT_LEN_MAX] for each in told if each),
        "devices": _parts(node, config.get("devices"), secrets),
        "services": _parts(node, config.get("services"), secrets),
    }


def _parts(node: Node, parts: Any, secrets: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": str(part["name"]),
            "type": str(part.get("type", "")),
            "params": [
                _param(param, node.params.get(part["name"], {}), secrets)
                for param in _named(part.get("params"))
            ],
        }
        for part in _named(parts)
    ]


def _named(items: Any) -> list[dict[str, Any]]:
    items = items if isinstance(items, list) else []
    return [i for i in items if isinstance(i, dict) and isinstance(i.get("name"), str)]


def _param(param: dict[str, Any], values: dict[str, Any], secrets: list[str]) -> dict[str, Any]:
    properties = param.get("properties")
    properties = properties if isinstance(properties, list) else []
    value = values.get(param["name"])
    if param.get("type") in _SECRET_TYPES and value:
        value = _HIDDEN
    return {
        "name": param["name"],
        "type": str(param.get("data_type", "")),
        "writable": "write" in properties,
        "readable": "read" in properties,
        "value": value if isinstance(value, bool | None) else _text(value, secrets),
    }


def _text(value: Any, secrets: list[str]) -> str:
    text = str(value)
    for secret in secrets:
        if len(secret) >= _SECRET_LEN_MIN:
            text = text.replace(secret, _HIDDEN)
    return text if len(text) <= _TEXT_LEN_MAX else text[: _TEXT_LEN_MAX - 1] + _HIDDEN
