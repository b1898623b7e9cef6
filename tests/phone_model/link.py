"""How a request reaches the board: a GATT connection or HTTP, with accidents on the way."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

from bumble import att, core

from tools.harness.http_phone import NoAnswer, Reply, Socket
from tools.sim.ether import SUPERVISION_TIMEOUT_S
from tools.sim.phone import Link, LinkLost, Phone
from tools.sim.soft_ap import SoftApPhone


class Cut(Exception):
    """The phone has gone, as the case wanted it. delivered: its last request has arrived."""

    def __init__(self, delivered: bool) -> None:
        super().__init__()
        self.delivered = delivered


class Failed(Exception):
    """The client sees its request fail. code: the ATT error, None otherwise."""

    def __init__(self, why: object, code: int | None = None) -> None:
        super().__init__(str(why))
        self.code = code


@dataclass(frozen=True)
class Accident:
    """What happens at request `at`, counted from 0: "goodbye" or "vanish" (the phone goes),
    "rival" (a second phone tries), "socket" (the connection under HTTP is made anew).

    late: after the board has the request, before the client has the answer.
    """

    at: int
    kind: str
    late: bool = False


class Way:
    """Counts requests and lets the accident happen."""

    def __init__(self, accident: Accident | None) -> None:
        self._accident = accident
        self.sent = 0
        self.trace: list[str] = []
        self.in_session = False  # when the accident happened
        self.superseded = False  # by the session of a rival
        self.left: str | None = None  # how the phone has gone

    async def send(self, endpoint: str, data: bytes) -> bytes:
        """One request, answered. Raises Failed, or Cut."""
        accident, now = self._accident, self.sent
        self.sent += 1
        self.trace.append(f"{endpoint} {len(data)}")
        leaves = False
        if accident is not None and accident.at == now:
            leaves = accident.kind in ("goodbye", "vanish")
            if not leaves:
                self.in_session = any("prov-session" in line for line in self.trace[:-1])
                await self.disturb(accident.kind)
            elif not accident.late:
                await self.leave(accident.kind)
                raise Cut(delivered=False)
        reply = await self._exchange(endpoint, data, leaves)
        if leaves:
            assert accident is not None
            await self.leave(accident.kind)
            raise Cut(delivered=True)
        self.trace[-1] += f"->{len(reply)}"
        return reply

    async def _exchange(self, endpoint: str, data: bytes, blind: bool) -> bytes:
        raise NotImplementedError

    async def disturb(self, kind: str) -> None:
        raise NotImplementedError

    async def leave(self, kind: str) -> None:
        """The phone goes, by "goodbye" or "vanish"."""
        self.left = kind
        await self._leave(kind)

    async def _leave(self, kind: str) -> None:
        raise NotImplementedError


class BleWay(Way):
    """Write with response, then read, at once and one after the other."""

    def __init__(self, phone: Phone, link: Link, accident: Accident | None) -> None:
        super().__init__(accident)
        self._phone, self._link = phone, link
        self.paths: dict[str, int] = {}  # endpoint → value handle, as the client found them

    async def _exchange(self, endpoint: str, data: bytes, blind: bool) -> bytes:
        handle = self.paths[endpoint]
        try:
            if blind:
                await self._link.write(handle, data)
                return b""
            return await self._link.ask(handle, data)
        except att.ATT_Error as error:
            raise Failed(error, int(error.error_code)) from error
        except (LinkLost, core.BaseBumbleError, TimeoutError) as error:
            raise Failed(error) from error

    async def disturb(self, kind: str) -> None:
        assert kind == "rival", kind
        # Legacy advertising ends with a connection: a second phone finds nobody.
        rival = await Phone.on_ether(self._phone._controller.link)  # type: ignore[union-attr]
        try:
            heard = await rival.scan(1.0)
            assert not heard, f"a second phone sees {heard}"
        finally:
            await rival.close()

    async def _leave(self, kind: str) -> None:
        if kind == "vanish":
            await self._phone.vanish()
            await asyncio.sleep(SUPERVISION_TIMEOUT_S)
        else:
            await self._link.disconnect()


class HttpWay(Way):
    """POST over a connection that is kept, or made anew for each request; cookies as stored.

    jar: the cookie store of the app, of whatever life before. pools: a connection is kept.
    """

    def __init__(
        self,
        phone: SoftApPhone,
        address: tuple[str, int],
        jar: dict[str, str],
        pools: bool,
        chance: random.Random,
        accident: Accident | None,
    ) -> None:
        super().__init__(accident)
        self._phone, self._address, self._jar = phone, address, jar
        self._pools, self._chance = pools, chance
        self._socket: Socket | None = None

    def _cookie(self) -> str | None:
        return ";".join(f"{name}={value}" for name, value in self._jar.items()) or None

    async def _reply(self, endpoint: str, data: bytes) -> Reply:
        if self._socket is None:
            self._socket = await Socket(self._address).__aenter__()
        try:
            return await self._socket.ask(endpoint, data, cookie=self._cookie())
        finally:
            if not self._pools:
                self._hang_up()

    async def _exchange(self, endpoint: str, data: bytes, blind: bool) -> bytes:
        if blind:  # the answer is on its way: by then the board has the request for certain
            async with Socket(self._address) as socket:
                with contextlib.suppress(NoAnswer, OSError):
                    await socket.ask(endpoint, data, cookie=self._cookie())
            return b""
        try:
            reply = await self._reply(endpoint, data)
        except (NoAnswer, OSError) as error:
            self._hang_up()
            raise Failed(error) from error
        if reply.status != 200:
            self._hang_up()
            raise Failed(reply.line)
        if reply.cookie is not None:
            assert ";" not in reply.cookie, f"a cookie with attributes: {reply.cookie}"
            name, _, value = reply.cookie.partition("=")
            assert len(reply.cookie) <= 19 and name == "session" and 0 <= int(value) < 1 << 32
            self._jar[name] = value
        return reply.body

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def disturb(self, kind: str) -> None:
        self._hang_up()
        if kind == "rival":
            # No cookie, another socket: a session of its own, which ends this one.
            async with Socket(self._address) as socket:
                with contextlib.suppress(NoAnswer):
                    reply = await socket.ask("proto-ver", b"ESP")
                    self.superseded = reply.cookie is not None

    async def _leave(self, kind: str) -> None:
        self._hang_up()
        if kind == "vanish":
            self._phone.vanish()
        else:
            self._phone.leave()
