"""The local cloud's server: one loopback port, TLS with both host names, faults, a redacted log."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import ssl
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import rainmaker, thethings
from .admin import Admin
from .broker import CLOUD_NAME, MQTT_HOST
from .certs import Authority
from .faults import Faults
from .mqtt import Mqtt
from .node_credentials import KeyKind, NodeCredentials, issue
from .reply import Refusal

_LOOPBACK = "127.0.0.1"
_LOG_LEN = 10_000
_PREFIXES = {thethings.HOST: ("/v2/",), rainmaker.HOST: ("/v1/", "/apiversions", "/mqtt_host")}
# Of the plain listener: the host that it is, whatever it was asked by.
_PLAIN_HOST = web.AppKey("plain_host", str)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One request as the log keeps it: the route's pattern instead of the path, because a path may
    hold a thing's token; no headers and no bodies, ever. An MQTT message is one of the methods
    "MQTT in" and "MQTT out", with its topic as the route; "MQTT connect" is a client that the real
    broker would have refused. why: what is wrong, and what to do about it."""

    at: float  # UTC, seconds
    host: str
    method: str
    route: str
    status: int | None  # None: the connection was cut
    fault: str = ""
    why: str = ""

    def __str__(self) -> str:
        answer = "cut" if self.status is None else str(self.status)
        notes = "".join(f" ({note})" for note in (self.fault, self.why) if note)
        return f"{self.method} {self.host}{self.route} {answer}{notes}"


class LocalCloud:
    """Both clouds on HTTPS under an authority of their own, bound to loopback only.

    utc: the clock, seconds since 1970 (a simulated world passes its own). alone: no simulator's
    boards use it, which its page then says. Delays use the running loop's time. Use:
    `await cloud.start()`, then `port`, `ca_der`, `thethings`, `rainmaker`, `faults`, `log`;
    `await cloud.stop()`; or `async with`. RainMaker's MQTT host is there after `start_mqtt`.
    """

    hosts = (thethings.HOST, rainmaker.HOST)

    def __init__(
        self, *, utc: Callable[[], float] = time.time, port: int = 0, alone: bool = False
    ) -> None:
        self.utc = utc
        self.alone = alone
        self._wanted_port = port
        self._authority = Authority()
        self.ca_der = self._authority.der
        self.ca_pem = self._authority.pem
        self.thethings = thethings.Thethings(utc)
        self.rainmaker = rainmaker.RainMaker(utc)
        self.faults = Faults()
        self.log: collections.deque[Entry] = collections.deque(maxlen=_LOG_LEN)
        self.observers: list[Callable[[Entry], None]] = []  # called with each new entry
        self.mqtt = Mqtt(self._authority, self.rainmaker, self._note_message)
        self.port = 0
        self.admin_port = 0
        self._runners: list[web.AppRunner] = []
        self._wrong: dict[str, ssl.SSLContext] = {}

    async def __aenter__(self) -> LocalCloud:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        context = self._authority.server_context(self.hosts)
        context.sni_callback = self._choose_certificate
        application = web.Application(middlewares=[self._middleware])
        application.add_routes([*self.thethings.routes(), *self.rainmaker.routes()])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        self.port = await self._listen(runner, self._wanted_port, context)

    async def start_plain(self, port: int = 0) -> str:
        """Offer RainMaker over plain HTTP too, and return its base URL: for esp-rainmaker-cli,
        which trusts only the certificates that are inside its package."""
        application = web.Application(middlewares=[self._middleware])
        application[_PLAIN_HOST] = rainmaker.HOST
        application.add_routes(self.rainmaker.routes())
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        return f"http://{_LOOPBACK}:{await self._listen(runner, port, None)}"

    async def start_mqtt(self, port: int = 0) -> None:
        """Run RainMaker's MQTT host, for nodes with credentials of `new_node`; it may be stopped
        (`mqtt.stop`) and started again, on the same port. Raises BrokerError, with the cure, if
        mosquitto is missing."""
        await self.mqtt.start(port)

    def new_node(self, node_id: str, kind: KeyKind = "ec") -> NodeCredentials:
        """Issue credentials for a node, and know it by them from now on. Raises ValueError."""
        if node_id == CLOUD_NAME:
            raise ValueError("that is the cloud's own name at its broker")
        made = issue(self._authority, node_id, MQTT_HOST, kind)
        self.rainmaker.nodes.get(node_id).certificate = made.certificate
        return made

    async def start_admin(self, port: int = 0) -> None:
        """Listen for the admin interface (plain HTTP, loopback): see tools/cloud/admin.py."""
        runner = web.AppRunner(Admin(self).application(), access_log=None, shutdown_timeout=0.5)
        self.admin_port = await self._listen(runner, port, None)

    async def _listen(
        self, runner: web.AppRunner, port: int, context: ssl.SSLContext | None
    ) -> int:
        await runner.setup()
        self._runners.append(runner)
        # No way to bind to anything but loopback: this is a toy that knows no attackers.
        site = web.TCPSite(runner, _LOOPBACK, port, ssl_context=context)
        await site.start()
        return runner.addresses[0][1]

    async def stop(self) -> None:
        await self.mqtt.stop()
        while self._runners:
            await self._runners.pop().cleanup()

    def secrets(self) -> list[str]:
        """Every secret that exists or was seen here, for tests that search logs for them."""
        return [*self.thethings.secrets(), *self.rainmaker.secrets()]

    def count(self, method: str, route: str, status: int | None = 200) -> int:
        """How many requests for this route were answered so."""
        return sum((e.method, e.route, e.status) == (method, route, status) for e in self.log)

    def _note(self, entry: Entry) -> None:
        self.log.append(entry)
        for observer in self.observers:
            observer(entry)

    def _note_message(self, method: str, topic: str, status: int, why: str) -> None:
        self._note(Entry(self.utc(), MQTT_HOST, method, f"/{topic}", status, why=why))

    # -- TLS --------------------------------------------------------------------------------

    def _choose_certificate(
        self, connection: ssl.SSLObject, host: str | None, _context: ssl.SSLContext
    ) -> None:
        fault = self.faults.for_connection(host or "")
        if fault is not None and fault.certificate is not None:
            connection.context = self._wrong_context(fault.certificate)

    def _wrong_context(self, kind: str) -> ssl.SSLContext:
        if kind not in self._wrong:
            if kind == "host":
                made = self._authority.server_context(("elsewhere.example",))
            elif kind == "expired":
                made = self._authority.server_context(self.hosts, expired=True)
            else:
                made = Authority("Some other authority").server_context(self.hosts)
            self._wrong[kind] = made
        return self._wrong[kind]

    # -- requests ---------------------------------------------------------------------------

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        host = request.app.get(_PLAIN_HOST) or (request.host or "").partition(":")[0].lower()
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "(unknown)"
        fault = self.faults.for_request(host, request.method, request.path)

        def log(status: int | None, what: str = "") -> None:
            self._note(Entry(self.utc(), host, request.method, route, status, what))

        if fault is not None and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault is not None and fault.cut == "before":
            log(None, "cut before handling")
            return _cut(request)
        if fault is not None and fault.status is not None and fault.body is None:
            log(fault.status, "fault")
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
            return web.json_response({"message": "fault"}, status=fault.status, headers=headers)
        status, answer = await self._handle(request, handler, host)
        if fault is not None and fault.cut == "after":
            log(None, "cut after handling")
            return _cut(request)
        if fault is not None and fault.body is not None:
            status = fault.status or 200
            log(status, "fault: other body")
            return web.Response(status=status, body=fault.body)
        log(status, "delayed" if fault is not None else "")
        return web.json_response(answer, status=status)

    async def _handle(
        self, request: web.Request, handler: Any, host: str
    ) -> tuple[int, dict[str, Any] | list[Any]]:
        if not request.path.startswith(_PREFIXES.get(host, ())):
            return 421, {"message": "not a host of this cloud, or not its path"}
        try:
            return 200, await handler(request)
        except Refusal as refusal:
            return refusal.status, refusal.body
        except web.HTTPException as e:
            return e.status, {"message": e.reason}


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # goes nowhere
