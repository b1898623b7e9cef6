# An MQTT 3.1.1 client (OASIS standard of 2014) over a connection of tls.py, in bounded memory.
#
# One object serves all connections of a board, one after the other: what it needs is allocated
# once. QoS 0 and 1, clean sessions. It fails loudly: every fault ends the connection; when to come
# back is decided by who uses it. One task calls publish() and subscribe(); messages are delivered
# from the reader's task, one at a time, and are acknowledged when they have been taken.
# What belongs to a connection is None between two of them.
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import asyncio
from struct import pack_into, unpack_from
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from . import tls
from .errors import CloudError

# Packet types, in the upper half of the first byte (2.2.1).
_CONNACK = const(2)
_PUBLISH = const(3)
_PUBACK = const(4)
_SUBACK = const(9)
_PINGRESP = const(13)

_CONNECT_HEAD = b"\x00\x04MQTT\x04\x02"  # protocol level 4; clean session
_PINGREQ = b"\xc0\x00"
_DISCONNECT = b"\xe0\x00"
_DUP = const(8)
_REFUSED = const(0x80)  # in SUBACK

_KEEP_ALIVE_S = const(120)  # the server gives up after one and a half times that
_PING_MS = const(60000)
_ANSWER_MS = const(10000)  # to a ping, or for the rest of a packet
_SEND_MS = const(15000)  # for one packet to leave, however slow the network
_HEAD_LEN_MAX = const(5)
_LENGTH_BYTES = const(4)
# Topic, packet identifier and payload of what is taken: 4 KB of payload and a long topic.
PACKET_LEN_MAX = const(4096 + 256)


class Mqtt:
    """on_message(topic, payload): called with two memoryviews, valid until it returns.
    on_skipped(length): an incoming message of that many bytes was too long, and is lost.

    news: an Event, set when there is something for wait() to return for; set it to be woken.
    """

    def __init__(self, on_message, on_skipped, ping_ms=_PING_MS):
        self.news = asyncio.Event()
        self._on_message = on_message
        self._on_skipped = on_skipped
        self._ping_ms = ping_ms
        self._packet = memoryview(bytearray(PACKET_LEN_MAX))
        self._head = bytearray(_HEAD_LEN_MAX)
        self._ack = bytearray(b"\x40\x02\x00\x00")
        self._id = 0
        self._secure = None
        self._tasks = ()

    async def start(self, secure, client_id, timeout_ms=20000):
        """Open the session. secure: what tls.run() gives. Raises CloudError."""
        # An event, and a lock that nobody has cancelled with, for this loop and this connection.
        self.news.clear()
        self._sending = asyncio.Lock()
        self._secure = secure
        self._stream = asyncio.StreamWriter(secure)
        self._fault = None
        self._acked = None  # (packet type, identifier, first byte of what follows)
        self._last = 0  # identifier of the last message that was acknowledged
        self._heard = True
        name = client_id.encode()
        body = bytearray(len(_CONNECT_HEAD) + 4)
        body[: len(_CONNECT_HEAD)] = _CONNECT_HEAD
        pack_into(">HH", body, len(_CONNECT_HEAD), _KEEP_ALIVE_S, len(name))
        await self._bounded(self._open(body, name), timeout_ms)
        self._tasks = (asyncio.create_task(self._read()), asyncio.create_task(self._watch()))

    async def _open(self, body, name):
        await self._send(0x10, (body, name))
        kind, length = await self._header()
        if kind >> 4 != _CONNACK or length != 2:
            raise CloudError("protocol", "no CONNACK")
        await self._fill(self._packet[:2])
        if self._packet[1]:
            raise CloudError("refused", "CONNACK %d" % self._packet[1])

    def stop(self):
        """End the session; the connection is closed by whoever has made it."""
        for task in self._tasks:
            task.cancel()
        self._tasks = ()
        self._secure = self._stream = None

    async def leave(self, timeout_ms=1000):
        """Say goodbye, so that the server need not guess."""
        await self._bounded(self._write(_DISCONNECT), timeout_ms)

    async def publish(self, topic, parts, qos=1, timeout_ms=5000):
        """Send one message; True when it was acknowledged within that time, or for QoS 0.

        parts: buffers that are sent one after the other, or a function that gives them anew at
        every call, always the same ones: then they need not exist at once. Raises CloudError.
        """
        topic = topic.encode()
        start = bytearray(2)
        pack_into(">H", start, 0, len(topic))
        head = [start, topic]
        if qos:
            self._next_id(head)
        await self._bounded(self._send(0x30 | qos << 1, head, parts), _SEND_MS)
        return not qos or await self._answer(_PUBACK, timeout_ms)

    async def subscribe(self, topic, qos=1, timeout_ms=10000):
        """Receive what is published under the topic. Raises CloudError, also when refused."""
        topic = topic.encode()
        head = []
        self._next_id(head)
        length = bytearray(2)
        pack_into(">H", length, 0, len(topic))
        head += [length, topic, bytes((qos,))]
        await self._bounded(self._send(0x82, head), _SEND_MS)
        if not await self._answer(_SUBACK, timeout_ms):
            raise CloudError("timeout", "no SUBACK")
        if self._acked[2] >= _REFUSED:
            raise CloudError("refused", "subscription")

    async def wait(self, timeout_ms):
        """Until there is news, or that time is over. Raises CloudError after the end."""
        if not self._fault:
            try:
                await asyncio.wait_for_ms(self.news.wait(), timeout_ms)
            except asyncio.TimeoutError:
                pass
        self.news.clear()
        if self._fault:
            raise self._fault

    async def _bounded(self, work, timeout_ms):
        try:
            return await asyncio.wait_for_ms(work, timeout_ms)
        except asyncio.TimeoutError:
            raise CloudError("timeout", "no answer in %d ms" % timeout_ms) from None
        except OSError as e:
            raise tls.network_error(e.errno) from None

    # -- out ------------------------------------------------------------------------------------

    def _next_id(self, head):
        self._id = self._id % 0xFFFF + 1
        packed = bytearray(2)
        pack_into(">H", packed, 0, self._id)
        head.append(packed)
        self._acked = None

    async def _answer(self, kind, timeout_ms):
        # Whether the packet that was sent last was acknowledged.
        end = ticks_add(ticks_ms(), timeout_ms)
        while not (self._acked and self._acked[0] == kind and self._acked[1] == self._id):
            left_ms = ticks_diff(end, ticks_ms())
            if left_ms <= 0:
                return False
            await self.wait(left_ms)
        return True

    async def _send(self, kind, head, parts=()):
        make = parts if callable(parts) else lambda: parts
        length = 0
        for part in head:
            length += len(part)
        for part in make():  # pyright: ignore[reportGeneralTypeIssues]
            length += len(part)
        async with self._sending:
            first = self._head
            first[0] = kind
            end = 1
            while True:
                first[end] = length & 0x7F | (0x80 if length > 0x7F else 0)
                length >>= 7
                end += 1
                if not length:
                    break
                if end == _HEAD_LEN_MAX:
                    raise CloudError("too long", "a message of ours")
            await self._put(memoryview(first)[:end])
            for part in head:
                await self._put(part)
            for part in make():  # pyright: ignore[reportGeneralTypeIssues]
                await self._put(part)

    async def _write(self, packet):
        async with self._sending:
            await self._put(packet)

    async def _put(self, part):
        self._stream.write(part)
        await self._stream.drain()

    # -- in -------------------------------------------------------------------------------------

    async def _read(self):
        try:
            while True:
                kind, length = await self._header()
                await self._take(kind, length)
                self._heard = True
        except CloudError as e:
            self._end(e)
        except OSError as e:
            self._end(tls.network_error(e.errno))

    def _end(self, fault):
        self._fault = self._fault or fault
        self.news.set()

    async def _watch(self):
        # Whether anybody is still there: a router that was switched off says nothing.
        try:
            while True:
                await asyncio.sleep_ms(self._ping_ms)
                self._heard = False
                await self._bounded(self._write(_PINGREQ), _SEND_MS)
                await asyncio.sleep_ms(_ANSWER_MS)
                if not self._heard:
                    raise CloudError("timeout", "no answer to a ping")
        except CloudError as e:
            self._end(e)

    async def _header(self):
        view = self._packet[:1]
        await self._fill(view)
        kind = view[0]
        length = 0
        for at in range(_LENGTH_BYTES):
            await self._fill(view)
            length |= (view[0] & 0x7F) << 7 * at
            if view[0] < 0x80:
                return kind, length
        raise CloudError("protocol", "bad length")

    async def _fill(self, view):
        # What is read stays in the buffer of TLS until asked for: there is no second one here.
        at = 0
        while at < len(view):
            count = self._secure.readinto(view[at:])
            if count is None:
                await tls.readable(self._secure)  # pyright: ignore[reportGeneralTypeIssues]
            elif count:
                at += count
            else:
                raise CloudError("cut", "connection lost")

    async def _take(self, kind, length):
        packet = self._packet
        kept = min(length, PACKET_LEN_MAX)
        await self._fill(packet[:kept])
        left = length - kept
        if left:
            await self._skip(left)
        of = kind >> 4
        if of == _PUBLISH:
            await self._message(kind, packet[:kept], length)
        elif of in (_PUBACK, _SUBACK) and 2 <= length == kept:
            self._acked = (of, unpack_from(">H", packet)[0], packet[2] if length > 2 else 0)
            self.news.set()
        elif of != _PINGRESP:
            raise CloudError("protocol", "packet type %d" % of)

    async def _skip(self, left):
        rest = self._packet[PACKET_LEN_MAX // 2 :]  # topic and identifier are before that
        while left:
            part = rest[: min(left, len(rest))]
            await self._fill(part)
            left -= len(part)

    async def _message(self, kind, packet, length):
        qos = kind >> 1 & 3
        start = 2 + (unpack_from(">H", packet)[0] if len(packet) >= 2 else 0)
        end = start + (2 if qos else 0)
        if qos > 1 or end > len(packet) or end > PACKET_LEN_MAX // 2:
            raise CloudError("protocol", "bad message")
        identifier = unpack_from(">H", packet, start)[0] if qos else 0
        if length > PACKET_LEN_MAX:
            self._on_skipped(length)
        elif not (kind & _DUP and identifier and identifier == self._last):
            # A repetition of what was taken already is only acknowledged once more.
            self._on_message(packet[2:start], packet[end:])
        if qos:
            self._last = identifier
            pack_into(">H", self._ack, 2, identifier)
            await self._bounded(self._write(self._ack), _SEND_MS)
