"""The local cloud's page: its files, the stream of what happens, and what a person may do.

| request | does |
|---|---|
| `GET /`, `GET /page/<file>` | the page |
| `GET /page/events` | server-sent events: `hello` (key, places, alone), `state`, `clock` |
| `POST /page/<action>` | one action; its fields as JSON, the key in the header `X-Homing-Key` |

A browser lets any web site send requests to this computer. So whatever carries an Origin must carry
the page's own; whatever the browser says comes from another site is refused, but for a visit to the
page; and an action needs the key, which is new with every start and can only be read by the page.
No answer holds a token: one that is to be on a board is drawn by the page, in the browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import snapshot
from .faults import Fault
from .reply import Refusal, fields_of, route, text_field

if TYPE_CHECKING:
    from .server import LocalCloud

PREFIX = "/page/"
_FILES = Path(__file__).with_name("page")
_TYPES = {
    "page.html": "text/html",
    "page.js": "text/javascript",
    "rows.js": "text/javascript",
    "page.css": "text/css",
}
_LOOK_EVERY_S = 0.25  # of the cloud's loop
_CLOCK_EVERY = 4  # looks
_TEXT_MAX = 256
_DELAY_MAX_S = 3600
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Fields = dict[str, Any]


class Panel:
    """Routes and handlers; its only state is the key and who is watching."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._key = secrets.token_urlsafe(16)
        self._watchers: set[asyncio.Task[Any]] = set()
        self._actions: dict[str, Callable[[Fields], None]] = {
            "add-thing": self._add_thing,
            "activate": self._activate,
            "link": self._link,
            "unlink": self._unlink,
            "write": self._write,
            "unmap": self._unmap,
            "add-fault": self._add_fault,
            "remove-fault": self._remove_fault,
            "clear-faults": lambda _fields: self._cloud.faults.clear(),
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._file),
            web.get(PREFIX + "{name:(page|rows)\\.js|page\\.css}", self._file),
            web.get(PREFIX + "events", self._events),
            route("POST", PREFIX + "{action}", self._act),
        ]

    async def stop(self, _application: web.Application) -> None:
        """End every stream, so that the server need not wait for its watchers to leave."""
        for task in self._watchers:
            task.cancel()

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> Any:
        site = request.headers.get("Sec-Fetch-Site", "none")
        if request.path.startswith(PREFIX) and (
            request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}"
            or site not in ("same-origin", "none")
        ):
            raise Refusal(403, "for the page of this cloud only")
        if request.path.startswith(PREFIX) and request.method not in ("GET", "HEAD"):
            key = request.headers.get("X-Homing-Key", "")
            if not secrets.compare_digest(key.encode(), self._key.encode()):
                raise Refusal(403, "the cloud was started anew: load the page again")
        return await handler(request)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "page.html")
        text = (_FILES / name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=_TYPES[name], headers=_HEADERS)

    # -- the stream -------------------------------------------------------------------------

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS | {"Content-Type": "text/event-stream"})
        task = asyncio.current_task()
        assert task is not None
        self._watchers.add(task)
        try:
            await response.prepare(request)
            with contextlib.suppress(ConnectionResetError):
                await self._watch(response)
        finally:
            self._watchers.discard(task)
        return response

    async def _watch(self, response: web.StreamResponse) -> None:
        """Send the state whenever it is another one, and the time in between. It is looked at, not
        announced: what was done from Python and what the clock does by itself show as well."""

        async def send(event: str, data: Any) -> None:
            await response.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())

        await response.write(b"retry: 1000\n\n")
        hello = {"places": snapshot.places(self._cloud), "alone": self._cloud.alone}
        await send("hello", hello | {"key": self._key})
        sent: dict[str, Any] | None = None
        looks = 0
        while True:
            state = snapshot.take(self._cloud)
            if state != sent:
                sent = state
                await send("state", state | {"now": self._cloud.utc()})
            elif looks % _CLOCK_EVERY == 0:
                await send("clock", {"now": self._cloud.utc()})
            looks += 1
            await asyncio.sleep(_LOOK_EVERY_S)

    # -- actions ----------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> dict[str, Any]:
        action = self._actions.get(request.match_info["action"])
        if action is None:
            raise Refusal(404, "no such action")
        action(await fields_of(request))
        return {}

    def _add_thing(self, fields: Fields) -> None:
        token = text_field(fields, "token", 128).strip()
        if len(token) < 8 or not token.isprintable() or "/" in token or " " in token:
            raise Refusal(400, "a thing's token is 8 characters or more, without spaces or slashes")
        if token in self._cloud.thethings.secrets():
            raise Refusal(409, "that token is in use")
        self._cloud.thethings.add_thing(token, activated=fields.get("activated") is True)

    def _activate(self, fields: Fields) -> None:
        thing_id = text_field(fields, "thing_id", _TEXT_MAX)
        self._cloud.thethings.activate(thing_id, fields.get("active") is True)

    def _link(self, fields: Fields) -> None:
        self._cloud.thethings.link(
            text_field(fields, "user", _TEXT_MAX),
            thing_id=text_field(fields, "thing_id", _TEXT_MAX, empty=True),
            token=text_field(fields, "token", 128, empty=True).strip(),
        )

    def _unlink(self, fields: Fields) -> None:
        user = text_field(fields, "user", _TEXT_MAX)
        self._cloud.thethings.unlink(user, text_field(fields, "thing_id", _TEXT_MAX))

    def _write(self, fields: Fields) -> None:
        """What a user does in an app: write one parameter of a node."""
        node_id, device, param = (
            text_field(fields, name, _TEXT_MAX) for name in ("node_id", "device", "param")
        )
        value = fields.get("value")
        if not isinstance(value, bool | int | float | str):
            raise Refusal(400, "value is a number, a text, true or false")
        if not any(node_id == mapped for _user, mapped in self._cloud.rainmaker.mapping.all):
            raise Refusal(409, "nobody has that node: its users alone may write to it")
        self._cloud.rainmaker.nodes.write(node_id, {device: {param: value}})

    def _unmap(self, fields: Fields) -> None:
        """What a user does in an app: remove a node from their account."""
        name, node_id = (text_field(fields, n, _TEXT_MAX) for n in ("user", "node_id"))
        user = dict(self._cloud.rainmaker.accounts.users).get(name, "")
        if (user, node_id) not in self._cloud.rainmaker.mapping.all:
            raise Refusal(404, "not that user's node")
        self._cloud.rainmaker.mapping.remove(user, node_id)

    def _add_fault(self, fields: Fields) -> None:
        what = {
            "status": _number(fields, "status", 400, 599),
            "delay_s": _number(fields, "delay_s", 0, _DELAY_MAX_S) or 0,
            "times": _number(fields, "times", 1, 1000),
            "retry_after": text_field(fields, "retry_after", 32, empty=True) or None,
            "cut": fields.get("cut"),
            "certificate": fields.get("certificate"),
        }
        where = {
            name: text_field(fields, name, _TEXT_MAX, empty=True) or "*"
            for name in ("host", "method", "path")
        }
        if what["retry_after"] and not what["retry_after"].isprintable():
            raise Refusal(400, "Retry-After is one line of text")
        try:
            self._cloud.faults.add(Fault(**what, **where))
        except (TypeError, ValueError) as e:
            raise Refusal(400, str(e)) from None

    def _remove_fault(self, fields: Fields) -> None:
        self._cloud.faults.remove_number(fields.get("number"))


def _number(fields: Fields, name: str, least: float, most: float) -> Any:
    """The number of that name, or None. Raises Refusal 400 if it is something else."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Refusal(400, f"{name} is a number from {least} to {most}")
    if name != "delay_s" and value != int(value):
        raise Refusal(400, f"{name} is a whole number")
    return value if name == "delay_s" else int(value)
