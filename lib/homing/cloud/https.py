# One verified HTTPS request at a time (RFC 9112), in bounded memory, over asyncio streams.

import asyncio
import gc

from micropython import const

from . import tls
from .errors import CloudError

_CHUNK_LEN = const(512)
_LINE_MAX = const(256)  # what is kept of a header line; the rest is skipped
_HEAD_MAX = const(8192)  # all header lines together, kept or not
_HTTPS_PORT = const(443)
_LINE_END = b"\r\n"


async def request(method, url, headers=None, body=b"", *, timeout_ms=20000, max_body=4096):
    """Returns (status, headers, body); of the headers only "retry-after" is kept.

    url: https://host[:port]/path; headers: dict of str, a long value as a list of bytes, which is
    sent as it is: a heap full of holes has no room for it in one piece. timeout_ms: the whole
    exchange, but the name look-up is one blocking call of the platform. Raises CloudError;
    ValueError for a request that must not be sent because a part of it has control characters.
    """
    host, port, path = _split(url)
    lines = [method + " " + path + " HTTP/1.1", "Host: " + host, "Connection: close"]
    parts = []
    for name, value in (headers or {}).items():
        if isinstance(value, str):
            lines.append(name + ": " + value)
        else:
            parts.append((name + ": ").encode())
            parts.extend(value)
            parts.append(_LINE_END)
    if body:
        lines.append("Content-Length: " + str(len(body)))
    for line in lines:
        _check(line.encode())
    for part in parts:
        if part is not _LINE_END:
            _check(part)
    parts.insert(0, ("\r\n".join(lines) + "\r\n").encode())
    parts.append(_LINE_END + body)

    async def exchange(secure):
        stream = asyncio.StreamWriter(secure)
        for part in parts:
            stream.write(part)
            await stream.drain()
        return await _Response(secure).read(max_body)

    async with tls.turn():
        try:
            return await asyncio.wait_for_ms(tls.run(host, port, exchange), timeout_ms)
        except asyncio.TimeoutError:
            raise CloudError("timeout", "no answer in %d ms" % timeout_ms) from None
        except MemoryError:
            raise CloudError("memory") from None
        finally:
            gc.collect()  # the finalisers give mbedTLS's memory back


def _check(text):
    for byte in text:
        if not 0x20 <= byte < 0x7F:
            raise ValueError("control character in a request")


def _split(url):
    if not url.startswith("https://"):
        raise ValueError("https only")
    host, _, path = url[8:].partition("/")
    host, _, port = host.partition(":")
    return host, int(port or _HTTPS_PORT), "/" + path


class _Response:
    """Reads one response; never holds more than a chunk, a line and the body."""

    def __init__(self, secure):
        self._secure = secure
        # recv() is one read. read(), and so asyncio's Stream, goes on until it has enough or would
        # block: it swallows the "end" of a server that then waits for ours, and the next read never
        # ends. Interpreters built without DTLS have only read().
        self._recv = getattr(secure, "recv", None) or secure.read
        self._chunk = b""
        self._at = 0
        self._head_left = _HEAD_MAX

    async def read(self, max_body):
        while True:
            status = self._status(await self._line())
            length, chunked, kept = await self._fields()
            if not 100 <= status < 200:  # interim responses come before the one that counts
                break
        if status in (204, 304):
            return status, kept, b""
        if chunked:
            return status, kept, await self._chunks(max_body)
        if length is None:
            return status, kept, await self._until_end(max_body)
        if length > max_body:
            raise CloudError("too long", "body of %d bytes" % length)
        body = bytearray(length)
        await self._fill(body, 0)
        return status, kept, bytes(body)

    def _status(self, line):
        if not (line.startswith(b"HTTP/1.") and line[8:9] == b" "):
            raise CloudError("protocol", "not HTTP")
        return _number(line[9:12], 10)

    async def _fields(self):
        length, chunked, kept = None, False, {}
        while True:
            line = await self._line()
            if not line:
                return length, chunked, kept
            colon = line.find(b":")
            name, value = line[:colon].lower(), line[colon + 1 :].strip()
            if name == b"content-length":
                length = _number(value, 10)
            elif name == b"transfer-encoding":
                chunked = b"chunked" in value.lower()
            elif name == b"retry-after":
                kept["retry-after"] = value

    async def _chunks(self, max_body):
        body = bytearray()
        while True:
            line = await self._line()
            length = _number(line.split(b";")[0].strip(), 16)
            if len(body) + length > max_body:
                raise CloudError("too long", "body over %d bytes" % max_body)
            if not length:
                return bytes(body)
            start = len(body)
            body.extend(bytearray(length))
            await self._fill(body, start)
            await self._line()  # the line end after the data

    async def _until_end(self, max_body):
        body = b""
        while self._at < len(self._chunk) or await self._more():
            body += self._chunk[self._at :]
            self._at = len(self._chunk)
            if len(body) > max_body:
                raise CloudError("too long", "body over %d bytes" % max_body)
        return body

    async def _more(self):
        chunk = None
        while chunk is None:
            await tls.readable(self._secure)  # pyright: ignore[reportGeneralTypeIssues]
            chunk = self._recv(_CHUNK_LEN)
        self._chunk = chunk
        self._at = 0
        return len(chunk)

    async def _need(self):
        if self._at == len(self._chunk) and not await self._more():
            raise CloudError("cut", "connection lost")

    async def _fill(self, body, start):
        while start < len(body):
            await self._need()
            part = self._chunk[self._at : self._at + len(body) - start]
            body[start : start + len(part)] = part
            start += len(part)
            self._at += len(part)

    async def _line(self):
        line = b""
        while True:
            await self._need()
            end = self._chunk.find(b"\n", self._at)
            stop = len(self._chunk) if end < 0 else end
            line += self._chunk[self._at : min(stop, self._at + _LINE_MAX - len(line))]
            self._head_left -= stop - self._at + 1
            if self._head_left < 0:
                raise CloudError("too long", "headers")
            self._at = stop if end < 0 else end + 1
            if end >= 0:
                return line.rstrip()


def _number(text, base):
    # int() would also take signs, spaces and underscores.
    value = 0
    for byte in text.lower():
        digit = b"0123456789abcdef".find(bytes((byte,)))
        if not 0 <= digit < base or value > 1 << 24:
            raise CloudError("protocol", "not a number")
        value = value * base + digit
    if not text:
        raise CloudError("protocol", "not a number")
    return value
