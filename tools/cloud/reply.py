"""JSON in and out, with errors that say no more than the real clouds do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

_BODY_MAX = 16 * 1024
TEXT_LEN_MAX = 256


class Refusal(Exception):
    """Ends a request with an error answer."""

    def __init__(self, status: int, message: str, /, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **extra}


def failure(status: int, description: str, code: int) -> Refusal:
    """A refusal as RainMaker words it."""
    return Refusal(status, description, status="failure", description=description, error_code=code)


Handler = Callable[[web.Request], Awaitable[dict[str, Any] | list[Any]]]


def route(method: str, path: str, handler: Handler) -> web.RouteDef:
    """A route for a handler that returns JSON; the middleware makes it a response."""
    return web.RouteDef(method, path, cast(Any, handler), {})


async def fields_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises Refusal 400 or 413."""
    fields = await _body(request)
    if not isinstance(fields, dict):
        raise Refusal(400, "body is not a JSON object")
    return fields


async def list_of(request: web.Request, length_max: int) -> list[dict[str, Any]]:
    """The JSON list of 1 to length_max objects in the body. Raises Refusal 400 or 413."""
    items = await _body(request)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refusal(400, "body is not a JSON list of objects")
    if not 0 < len(items) <= length_max:
        raise Refusal(400, f"body is not a list of 1 to {length_max}")
    return items


async def _body(request: web.Request) -> Any:
    if (request.content_length or 0) > _BODY_MAX:
        raise Refusal(413, "body too large")
    try:
        return json.loads(await request.read())
    except ValueError:
        raise Refusal(400, "body is not JSON") from None


def text_field(fields: dict[str, Any], name: str, length_max: int, *, empty: bool = False) -> str:
    """A text field of 1 to length_max characters (0 if `empty`). Raises Refusal 400."""
    value = fields.get(name, "" if empty else None)
    if not isinstance(value, str) or len(value) > length_max or not (value or empty):
        raise Refusal(400, f"{name} is missing or malformed")
    return value
