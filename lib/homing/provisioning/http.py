# Protocomm over HTTP/1.1: POST /<endpoint>, the session as a cookie (protocomm_httpd.c). Requests
# are handled in main, one socket per task, and never is main kept waiting by a client.
#
# A page, for phones without an app, is an object with
#   get(path, host, peer) -> (status, head, body) or None (404): path (str) without its query; host:
#       of the header Host, b"" if there is none; peer: what is equal for the same phone. status:
#       b"200 OK"; head: further header lines, each with its \r\n; body: bytes, or a binary file
#       that can seek, sent in pieces and closed. It must not take long: main waits.
#   posted(host, origin, peer, app) -> whether it may be answered: a POST to an endpoint has come.
#       origin: of the header Origin, b"" if there is none, as with apps. app: it is not from the
#       page, which marks what it sends by a header, Homing-Page. The page is told "403 Forbidden"
#       where apps see the socket closed: a browser would send the same again, and count twice.
# Without one a GET is what it is to ESP-IDF: 405 for an endpoint, 404 for anything else.

# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
# (what is None before start(), and a stream that reads and writes)

import asyncio
import gc
import os
import socket
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from ..protocomm.errors import Refused, tell

_MAX_BODY_LEN = const(4096)
_SMALL_LEN = const(1024)
_MAX_LINE_LEN = const(1024)
_MAX_HEAD_LEN = const(4096)
_READ_LEN = const(512)
_WHOLE_LEN = const(1460)  # head and body in one segment, if they fit

_MAX_SOCKETS = const(4)
_TIMEOUT_MS = const(5000)  # without a byte
_REQUEST_MS = const(20000)  # for all of a request, however its bytes drip
_POLL_MS = const(50)
_AWAY_MS = const(500)
_STOP_MS = const(1000)

# Where other ways in wait for this session to end.
_UNSECURED_MS = const(20000)
_SECURED_MS = const(120000)

_NO_COOKIE_LEN = const(19)  # ESP-IDF reads a cookie of up to that length; a longer one is none
_NONE = const(0xFFFFFFFF)  # no session's number

_NOT_FOUND = b"404 Not Found"
_FORBIDDEN = b"403 Forbidden"
_NOT_ALLOWED = b"405 Method Not Allowed"
_OK = b"200 OK"


class _Close(Exception):
    """The socket is closed without an answer."""


class _Client:
    # One socket. since: ticks_ms of the last byte; began: of the request under way, else None.

    def __init__(self, sock, peer):
        self.sock = sock
        self.stream = asyncio.StreamReader(sock)
        self.peer = peer
        self.buf = bytearray()
        self.since = ticks_ms()
        self.began = None
        self.task = None

    async def fill(self):
        data = await self.stream.read(_READ_LEN)
        if not data:
            raise _Close
        now = self.since = ticks_ms()
        if self.began is None:
            self.began = now
        self.buf.extend(data)

    async def line(self):
        while True:
            end = self.buf.find(b"\n")
            if end > _MAX_LINE_LEN or (end < 0 and len(self.buf) > _MAX_LINE_LEN):
                raise _Close
            if end >= 0:
                line = bytes(memoryview(self.buf)[:end])
                self.buf = self.buf[end + 1 :]
                return line.rstrip(b"\r")
            await self.fill()

    async def body(self, length):
        while len(self.buf) < length:
            await self.fill()
        body = bytes(memoryview(self.buf)[:length])
        self.buf = self.buf[length:]
        return body

    async def send(self, data):
        self.stream.write(data)
        await self.stream.drain()
        self.since = ticks_ms()

    def overdue(self, now, timeout_ms):
        # Between requests a socket has all the time there is: clients do not expect to lose it
        # while somebody types a password.
        began = self.began
        return began is not None and (
            ticks_diff(now, self.since) > timeout_ms or ticks_diff(now, began) > _REQUEST_MS
        )


class HttpServer:
    """Offers the endpoints of a protocomm router over HTTP.

    address, port: where to listen. page: see above. shared: other ways in wait for this session,
    so one without requests ends: after 20 s, or 120 s once it is secured. Otherwise it stays.
    """

    def __init__(self, address, port=80, *, page=None, shared=False, timeout_ms=_TIMEOUT_MS):
        self._address = address
        self._port = port
        self._page = page
        self._shared = shared
        self._timeout_ms = timeout_ms
        self._watched_ms = 0
        self.faults = 0  # requests that ended without an answer
        self._clients = []
        self._listener = None
        self._waiting = None  # accepted, but there was no room
        self._large = None  # the client whose large body is being read
        self._router = None
        self._post = None
        self._forget()

    def _forget(self):
        self._session = None  # b"<u32>", the value of the cookie
        self._opener = None  # the socket that opened it, unless it has shown the cookie since
        self._asked_ms = 0

    def start(self, protocomm, post=None):
        """Listen. protocomm: as for the BLE transport; post gets ("client", id) and ("gone", id).

        Raises OSError if the port is taken.
        """
        self._router = protocomm
        self._post = post
        sock = socket.socket()
        self._listener = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(socket.getaddrinfo(self._address, self._port)[0][-1])
        sock.listen(_MAX_SOCKETS)
        sock.setblocking(False)

    async def run(self):
        """Serve until stop() or cancellation."""
        self._watched_ms = ticks_ms()
        try:
            while self._listener is not None:
                try:
                    self._accept()
                except MemoryError:
                    gc.collect()  # whoever waits will be taken in later
                self._watch()
                await asyncio.sleep_ms(_POLL_MS)
        finally:
            self._drop_clients()

    async def stop(self):
        """Close everything. Idempotent."""
        self._drop_clients()
        waited_ms = 0
        while self._clients and waited_ms < _STOP_MS:
            await asyncio.sleep_ms(_POLL_MS)
            waited_ms += _POLL_MS
        self.off()

    def hang_up(self):
        """End the session and close every socket."""
        self._end_session()
        self._drop_clients()

    def off(self):
        """Close everything at once, for when no task will run any more."""
        for client in self._clients:
            client.sock.close()
        self._clients = []
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._waiting is not None:
            self._waiting[0].close()
            self._waiting = None
        self._end_session()
        self._router = self._post = None
        gc.collect()

    # -- sockets -----------------------------------------------------------------------------

    def _accept(self):
        while True:
            if self._waiting is None:
                try:
                    self._waiting = self._listener.accept()
                except OSError:
                    return  # nobody there
            if len(self._clients) >= _MAX_SOCKETS:
                self._purge()
                return  # there is room once that task has ended
            sock, peer = self._waiting
            self._waiting = None
            sock.setblocking(False)
            # The unix port gives a struct sockaddr.
            peer = peer[0] if isinstance(peer, tuple) else bytes(peer[4:8])
            client = _Client(sock, peer)
            self._clients.append(client)
            client.task = asyncio.create_task(self._serve(client))

    def _purge(self):
        # Room for a newcomer: whoever waits longest between two requests has to go.
        idle = [client for client in self._clients if client.began is None]
        if idle:
            now = ticks_ms()
            max(idle, key=lambda client: ticks_diff(now, client.since)).task.cancel()

    def _watch(self):
        now = ticks_ms()
        # Main was away, in a handshake of Security 2 or a scan: that is nobody's fault.
        away_ms = ticks_diff(now, self._watched_ms) - _POLL_MS
        self._watched_ms = now
        for client in self._clients:
            if away_ms > _AWAY_MS:
                client.since = ticks_add(client.since, away_ms)
                if client.began is not None:
                    client.began = ticks_add(client.began, away_ms)
            if client.overdue(now, self._timeout_ms):
                client.task.cancel()
        if self._shared and self._session is not None:
            limit_ms = _SECURED_MS if self._router.security.ready else _UNSECURED_MS
            if ticks_diff(now, self._asked_ms) > limit_ms:
                self._end_session()

    def _drop_clients(self):
        for client in self._clients:
            client.task.cancel()

    async def _serve(self, client):
        try:
            while await self._request(client):
                client.began = ticks_ms() if client.buf else None
        except Exception:  # noqa: BLE001 whatever it is, no answer
            self.faults += client.began is not None
        finally:
            client.sock.close()
            self._clients.remove(client)
            if self._opener is client:
                self._opener = None

    # -- requests ----------------------------------------------------------------------------

    async def _request(self, client):
        """Answer one; whether the socket stays."""
        line = await client.line()
        if not line:
            line = await client.line()  # RFC 9112, 2.2: one empty line too many is forgiven
        parts = line.split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            raise _Close
        method = parts[0]
        path = parts[1].split(b"?", 1)[0].decode()
        keep = parts[2] != b"HTTP/1.0"
        length, cookie, host, head_len = 0, None, b"", len(line)
        origin, app = b"", True
        while True:
            line = await client.line()
            if not line:
                break
            head_len += len(line)
            name, colon, value = line.partition(b":")
            if head_len > _MAX_HEAD_LEN or not colon:
                raise _Close
            name, value = name.lower(), value.strip()
            if name == b"content-length":
                length = _length(value)
            elif name == b"transfer-encoding":
                raise _Close  # ESP-IDF sees no length then
            elif name == b"cookie":
                cookie = value if cookie is None else cookie + b";" + value
            elif name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"homing-page":
                app = self._page is None
            elif name == b"connection" and b"close" in value.lower():
                keep = False
        if method == b"POST":
            name = path[1:]
            if path[:1] != "/" or name not in self._router.names():
                await self._body(
                    client, length
                )  # closing before it is read would reset the answer away
                return await self._status(client, _NOT_FOUND)
            if not length:
                raise _Close
            data = await self._body(client, length)
            page = self._page
            if page is not None and not page.posted(host, origin, client.peer, app):
                return await self._status(client, _FORBIDDEN)
            cookie = self._session_line(client, cookie)
            status = _OK
            try:
                answer = self._answer(name, data)
            except Refused:
                if app:
                    raise
                status, answer, name = _FORBIDDEN, b"", None
            await self._reply(client, status, b"Content-Type: text/html\r\n" + cookie, answer, keep)
            delivered = getattr(self._router, "delivered", None)
            if delivered is not None and name is not None:
                delivered(name)
            return keep
        await self._body(client, length)
        found = None
        if method == b"GET" and self._page is not None:
            found = self._page.get(path, host, client.peer)
        if found is None:
            known = path[1:] in self._router.names()
            return await self._status(client, _NOT_ALLOWED if known else _NOT_FOUND)
        status, head, body = found
        await self._reply(client, status, head, body, keep)
        return keep

    async def _body(self, client, length):
        if length <= _SMALL_LEN:
            return await client.body(length)
        # One large body at a time: four would be more heap than a board may have left.
        if self._large is not None:
            raise _Close
        self._large = client
        try:
            return await client.body(length)
        finally:
            self._large = None

    def _session_line(self, client, cookie):
        # Continue the session, or open one: the header line that goes with it.
        if not self._continues(client, cookie) and self._open(client):
            return b"Set-Cookie: session=%s\r\n" % self._session
        return b""

    def _answer(self, name, data):
        self._asked_ms = ticks_ms()
        # Without a session, because a client has come in another way, proto-ver alone answers.
        return self._router.handle(self._session, name, data, _MAX_BODY_LEN)

    def _continues(self, client, cookie):
        session = self._session
        if session is None:
            return False
        if cookie is None:
            return client is self._opener
        shown = False
        for each in cookie.split(b";"):
            each = each.strip()
            if each.startswith(b"session="):
                shown = True
                if each[8:] == session:
                    self._opener = None  # from now on the cookie counts, and the socket does not
                    return True
        if shown or len(cookie) <= _NO_COOKIE_LEN:
            return False
        return client is self._opener

    def _open(self, client):
        router = self._router
        old = self._session
        number = _NONE
        while number == _NONE or b"%d" % number == old:
            number = int.from_bytes(os.urandom(4), "little")
        was_ready = old is not None and router.security.ready
        session = b"%d" % number
        if not router.open(session, self):
            return False
        self._session = session
        self._opener = client
        if was_ready:
            tell(self._post, ("gone", old))
        if old is None or was_ready:
            tell(self._post, ("client", session))
        return True

    def _end_session(self):
        session = self._session
        self._forget()
        if session is not None:
            self._router.close(self)
            tell(self._post, ("gone", session))

    # -- answers -----------------------------------------------------------------------------

    async def _status(self, client, status):
        # As ESP-IDF's server does: says so, and closes.
        await self._reply(client, status, b"Content-Type: text/html\r\n", status[4:], False)
        return False

    async def _reply(self, client, status, head, body, keep):
        stored = not isinstance(body, (bytes, bytearray, memoryview))
        try:
            length = body.seek(0, 2) if stored else len(body)
            head = b"HTTP/1.1 %s\r\n%s%s%s\r\n" % (
                status,
                head,
                b"" if status[:3] == b"204" else b"Content-Length: %d\r\n" % length,
                b"" if keep else b"Connection: close\r\n",
            )
            if not stored:
                if len(head) + length > _WHOLE_LEN:
                    await client.send(head)
                    await client.send(body)
                else:
                    await client.send(head + body)
                return
            await client.send(head)
            body.seek(0)
            piece = bytearray(_READ_LEN)
            view = memoryview(piece)
            while True:
                n = body.readinto(piece)
                if not n:
                    return
                await client.send(view[:n])
        finally:
            if stored:
                body.close()


def _length(value):
    if not value.isdigit() or len(value) > 5 or int(value) > _MAX_BODY_LEN:
        raise _Close
    return int(value)
