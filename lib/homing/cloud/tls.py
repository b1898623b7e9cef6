# Verified TLS connections, one handshake at a time.
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

_CLOCK_YEAR = const(2026)  # a clock before this was never set

# mbedTLS: SSL_ALLOC_FAILED, X509_ALLOC_FAILED, PK_ALLOC_FAILED.
_ALLOC_FAILED = (ENOMEM, -0x7F00, -0x2880, -0x3F80)
# No connection to begin with: ENETUNREACH, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, lwIP's own.
_UNREACHABLE = const((101, 110, 111, 113, 116, 118))
_CONN_EOF = const(-0x7280)  # mbedTLS: SSL_CONN_EOF
_PLATFORM_ERRNO_MIN = const(-255)  # more negative ones are mbedTLS's

# A word of mbedTLS's verify result (x509_crt.h), and what we say.
_REASONS = const(
    (
        ("trusted CA", "unknown authority"),
        ("expected CN", "other host name"),
        ("has expired", "expired"),
        ("in the future", "not valid yet"),
    )
)

_turn = None  # (event loop's queue, Lock): two handshakes at once do not fit in a C3


def turn():
    """The lock to hold from before run() until the handshake is over."""
    # Made anew for every event loop: one that Ctrl-C left locked must not stop the next.
    global _turn
    if _turn is None or _turn[0] is not core._task_queue:
        _turn = (core._task_queue, asyncio.Lock())
    return _turn[1]


# How asyncio's own streams wait for a socket (pinned release); MicroPython awaits generators.


def _writable(sock):
    yield core._io_queue.queue_write(sock)


def readable(sock):
    """Await it until there is something to read."""
    yield core._io_queue.queue_read(sock)


async def run(host, port, talk, context=None):
    """What `await talk(secure)` returns; the connection is there for that long. The handshake is
    part of the first write. context: as roots.context() makes it; that is the default.

    Raises CloudError; the name look-up is one blocking call of the platform.
    """
    if gmtime()[0] < _CLOCK_YEAR:
        raise CloudError("clock not set")
    gc.collect()  # TLS wants its memory in large pieces
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
        context = context or roots.context(host)
        secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        return await talk(secure)
    except OSError as e:
        raise network_error(e.errno) from None
    except ValueError as e:
        raise CloudError("certificate", _refusal(str(e))) from None
    finally:
        for each in (secure, sock):
            if each is not None:
                try:
                    each.close()
                except OSError:
                    pass  # it was gone already


def network_error(errno):
    """The CloudError that an OSError of a connection stands for."""
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
