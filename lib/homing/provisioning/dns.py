# A DNS server by which every name leads to this board (RFC 1035): with the answers in portal.py it
# makes phones show the page by themselves. It keeps nothing and believes nothing.

import asyncio
import gc
import socket

from micropython import const

from .softap import ADDRESS

_PORT = const(53)
_POLL_MS = const(50)
_AT_ONCE = const(8)  # questions per turn: the rest is lost in lwip's queue, as UDP may be

_MAX_LEN = const(512)
_HEAD_LEN = const(12)
_MAX_NAME_LEN = const(255)
_MAX_LABEL_LEN = const(63)
_A = const(1)
_ANY = const(255)  # as type and as class
_IN = const(1)
_NOT_IMPLEMENTED = const(4)

_current = None  # the server that is started


def answer(query, address):
    """The answer to one datagram, None for what deserves none. address: four bytes.

    A is answered with the address, AAAA and all others with no record, so that nobody waits.
    """
    if not _HEAD_LEN <= len(query) <= _MAX_LEN or query[2] & 0x80:
        return None  # an answer is never answered: two servers would talk for ever
    flags = query[2] & 0x79  # opcode and "recursion desired" come back
    if flags & 0x78:
        return query[:2] + bytes((flags | 0x80, _NOT_IMPLEMENTED)) + bytes(8)
    if query[4:6] != b"\0\1":
        return None
    end = _HEAD_LEN
    while True:
        if end >= len(query) or end - _HEAD_LEN >= _MAX_NAME_LEN or query[end] > _MAX_LABEL_LEN:
            return None  # no name, or a pointer, of which a question has none
        step = query[end]
        end += step + 1
        if not step:
            break
    question = query[_HEAD_LEN : end + 4]
    if len(question) < end + 4 - _HEAD_LEN:
        return None
    kind, group = question[-3], question[-1]
    found = question[-4] == 0 == question[-2] and kind in (_A, _ANY) and group in (_IN, _ANY)
    # Authoritative, recursion available; one question, one answer or none.
    head = query[:2] + bytes((flags | 0x84, 0x80, 0, 1, 0, int(found), 0, 0, 0, 0))
    if not found:
        return head + question
    # The name as a pointer; a lifetime of 0 s: in other networks it leads elsewhere.
    return head + question + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + address


def off():
    """Close the socket at once; for when no task will run any more."""
    if _current is not None:
        _current.off()


class DnsServer:
    """Answers from start() to stop(); beside the access point a transport without sessions."""

    def __init__(self, address=ADDRESS, port=_PORT):
        self._address = address
        self._port = port
        self._bytes = bytes([int(part) for part in address.split(".")])
        self._sock = None

    def start(self, _protocomm=None, _post=None):
        """Listen, the access point being on. Raises OSError if the port is taken."""
        global _current
        self._sock = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        _current = self
        sock.setblocking(False)
        sock.bind(socket.getaddrinfo(self._address, self._port, 0, socket.SOCK_DGRAM)[0][-1])

    async def run(self):
        """Answer until stop() or cancellation."""
        while self._sock is not None:
            for _ in range(_AT_ONCE):
                if not self._one(self._sock):
                    break
            await asyncio.sleep_ms(_POLL_MS)

    def _one(self, sock):
        try:
            query, peer = sock.recvfrom(_MAX_LEN)
        except OSError:
            return False  # EAGAIN: nobody asks
        found = answer(query, self._bytes)
        if found is not None:
            try:
                sock.sendto(found, peer)
            except OSError:
                pass  # the phone has left, or lwip is short of memory: it will ask again
        return True

    async def stop(self):
        """Close the socket. Idempotent."""
        self.off()

    def hang_up(self):
        """Nobody is connected."""

    def off(self):
        global _current
        _current = None
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            gc.collect()
