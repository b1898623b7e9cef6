"""Bytes over HTTP as a test wants to send them: whole requests, or whatever else, on raw sockets.

`HttpTransport` is what esp-protocomm needs of a transport; it behaves like esp_prov's: one
connection that is kept, and the cookie echoed as it came. `HttpDialogue` is a Dialogue over it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

from .dialogue import Dialogue


class NoAnswer(ConnectionError):
    """The board closed the socket without a word, or in mid-answer."""


@dataclass(frozen=True)
class Reply:
    status: int
    head: dict[str, str]  # names in lower case
    body: bytes
    line: str

    @property
    def cookie(self) -> str | None:
        """session=<u32>, if a session was created for this request."""
        return self.head.get("set-cookie")


def post(
    endpoint: str, body: bytes, *, cookie: str | None = None, lines: str = "", http: str = "1.1"
) -> bytes:
    """A request as esp_prov sends it; `lines`: further header lines, each with its CRLF."""
    head = (
        f"POST /{endpoint} HTTP/{http}\r\nHost: 192.168.4.1\r\nAccept-Encoding: identity\r\n"
        f"Content-Length: {len(body)}\r\nContent-type: application/x-www-form-urlencoded\r\n"
        f"Accept: text/plain\r\n{lines}"
    )
    if cookie is not None:
        head += f"Cookie: {cookie}\r\n"
    return head.encode("latin-1") + b"\r\n" + body


class Socket:
    """One TCP connection: `async with Socket(address) as s: s.write(...); await s.reply()`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._writer.transport.abort()

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def write_eof(self) -> None:
        self._writer.write_eof()

    async def reply(self) -> Reply:
        """The next one. Raises NoAnswer."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:-2])
            fields = {name.lower(): value for name, value in fields.items()}
            body = await self._reader.readexactly(int(fields["content-length"]))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise NoAnswer(f"after {getattr(error, 'partial', b'')!r}") from error
        return Reply(int(head[0].split()[1]), fields, body, head[0])

    async def closed(self, within_s: float = 3.0) -> bool:
        """Wait until the board closes it; whether it did so without sending anything more.

        Raises TimeoutError.
        """
        async with asyncio.timeout(within_s):
            try:
                return await self._reader.read() == b""
            except ConnectionError:
                return True

    async def ask(self, endpoint: str, body: bytes, **options: str | None) -> Reply:
        self.write(post(endpoint, body, **options))  # type: ignore[arg-type]
        return await self.reply()


class HttpTransport:
    """For esp-protocomm: `async with HttpTransport(address) as t: await t.send(endpoint, data)`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: Socket | None = None
        self.cookie: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Close the socket; the next request opens another one, with the cookie."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def send(self, endpoint: str, data: bytes) -> bytes:
        if self._socket is None:
            self._socket = await Socket(self._address).__aenter__()
        try:
            reply = await self._socket.ask(endpoint, data, cookie=self.cookie)
        except NoAnswer:
            self.hang_up()
            raise
        if reply.status != 200:
            self.hang_up()
            raise ConnectionError(reply.line)
        self.cookie = reply.cookie or self.cookie
        return reply.body


class HttpDialogue(Dialogue):
    """`async with HttpDialogue(phone.address()) as d: await d.secure(pop)`."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(f"{address[0]}:{address[1]}", 0)
        self.transport = HttpTransport(address)  # type: ignore[assignment]

    async def open(self) -> Self:
        return self

    async def close(self) -> None:
        self.transport.hang_up()  # type: ignore[attr-defined]
