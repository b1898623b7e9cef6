"""JSON in and out, with errors that say no more than the real clouds do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

_BODY_MAX = 16 * 1024


class Refusal(Exception):
    """Ends a request with an error answer."""

    def __init__(self, status: int, message: str, /, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **extra}


Handler = Callable[[web.Request], Awaitable[dict[str, Any]]]


def route(method: str, path: str, handler: Handler) -> web.RouteDef:
    """A route for a handler that returns a JSON object; the middleware makes it a response."""
    return web.RouteDef(method, path, cast(Any, handler), {})


async def fields_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises Refusal 400 or 413."""
    if (request.content_length or 0) > _BODY_MAX:
        raise Refusal(413, "body too large")
    try:
        fields = json.loads(await request.read())
    except ValueError:
        raise Refusal(400, "body is not JSON") from None
    if not isinstance(fields, dict):
        raise Refusal(400, "body is not a JSON object")
    return fields


def text_field(fields: dict[str, Any], name: str, length_max: int, *, empty: bool = False) -> str:
    """A text field of 1 to length_max characters (0 if `empty`). Raises Refusal 400."""
    value = fields.get(name, "" if empty else None)
    if not isinstance(value, str) or len(value) > length_max or not (value or empty):
        raise Refusal(400, f"{name} is missing or malformed")
    return value
