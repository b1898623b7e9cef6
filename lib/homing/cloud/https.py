# One verified HTTPS request at a time (RFC 9112), in bounded memory, over asyncio streams.
#
# Sockets are opened here and not by asyncio.open_connection, which leaks them when it is cancelled;
# and an SSLSocket whose handshake failed lets go of its socket without closing it. So both are
# closed here, whatever happened.

import asyncio
import gc
import socket
from asyncio import core  # pyright: ignore[reportAttributeAccessIssue]
from errno import EINPROGRESS, ENOMEM
from time import gmtime

from micropython import const

from . import roots
from .errors import CloudError

_CHUNK_LEN = const(512)
_LINE_MAX = const(256)  # what is kept of a header line; the rest is skipped
_HEAD_MAX = const(8192)  # all header lines together, kept or not
_CLOCK_YEAR = const(2026)  # a clock before this was never set
_HTTPS_PORT = const(443)

# mbedTLS: SSL_ALLOC_FAILED, X509_ALLOC_FAILED, PK_ALLOC_FAILED.
_ALLOC_FAILED = (ENOMEM, -0x7F00, -0x2880, -0x3F80)
# No connection to begin with: ENETUNREACH, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, lwIP's own.
_UNREACHABLE = (101, 110, 111, 113, 116, 118)
_CONN_EOF = const(-0x7280)  # mbedTLS: SSL_CONN_EOF
_PLATFORM_ERRNO_MIN = const(-255)  # more negative ones are mbedTLS's

# A word of mbedTLS's verify result (x509_crt.h), and what we say.
_REASONS = (
    ("trusted CA", "unknown authority"),
    ("expected CN", "other host name"),
    ("has expired", "expired"),
    ("in the future", "not valid yet"),
)

_LINE_END = b"\r\n"

_turn = None  # (event loop's queue, Lock): two TLS sessions at once do not fit in a C3


def _lock():
    # Made anew for every event loop: one that Ctrl-C left locked must not stop the next.
    global _turn
    if _turn is None or _turn[0] is not core._task_queue:
        _turn = (core._task_queue, asyncio.Lock())
    return _turn[1]


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
    async with _lock():
        if gmtime()[0] < _CLOCK_YEAR:
            raise CloudError("clock not set")
        gc.collect()  # TLS wants its memory in large pieces
        try:
            return await asyncio.wait_for_ms(_exchange(host, port, parts, max_body), timeout_ms)
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


# How asyncio's own streams wait for a socket (pinned release); MicroPython awaits generators.


def _writable(sock):
    yield core._io_queue.queue_write(sock)


def _readable(sock):
    yield core._io_queue.queue_read(sock)


async def _exchange(host, port, parts, max_body):
    try:
        address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    except OSError:
        raise CloudError("dns", "no address for " + host) from None
    sock = secure = None
    try:
        sock = socket.socket(address[0], address[1], address[2])
        sock.setblocking(False)
        try:
            sock.connect(address[-1])
        except OSError as e:
            if e.errno != EINPROGRESS:
                raise
        await _writable(sock)  # pyright: ignore[reportGeneralTypeIssues]
        secure = roots.context(host).wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False
        )
        stream = asyncio.StreamWriter(secure)
        for part in parts:
            stream.write(part)
            await stream.drain()
        return await _Response(secure).read(max_body)
    except OSError as e:
        raise _network_error(e.errno) from None
    except ValueError as e:
        raise CloudError("certificate", _refusal(str(e))) from None
    finally:
        for each in (secure, sock):
            if each is not None:
                try:
                    each.close()
                except OSError:
                    pass  # it was gone already


def _network_error(errno):
    if errno in _ALLOC_FAILED:
        return CloudError("memory", "not enough for TLS")
    if errno in _UNREACHABLE:
        return CloudError("connect", "errno %d" % errno)
    if errno == _CONN_EOF or errno > _PLATFORM_ERRNO_MIN:
        return CloudError("cut", "connection lost")
    return CloudError("tls", "mbedtls -0x%x" % -errno)


def _refusal(text):
    found = [said for word, said in _REASONS if word in text]
    return ", ".join(found) or "refused"


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
            await _readable(self._secure)  # pyright: ignore[reportGeneralTypeIssues]
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
