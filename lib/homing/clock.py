# The clock, by SNTP (RFC 4330). Certificates cannot be checked without it: the chip starts in 2000.

import asyncio
import os
import socket
from time import ticks_diff, ticks_ms, time

from micropython import const

from . import board

_PORT = const(123)
_POLL_MS = const(50)
# Seconds from 1900 (NTP) to 2000 (this port), and what no true answer of today can be below.
_NTP_TO_2000 = const(3155673600)
SET_AFTER = const(820540800)  # 2026-01-01 in seconds since 2000


def is_set():
    """Whether time() can be the time of day; it counts from 2000 after power-on."""
    return time() >= SET_AFTER


async def ask(host, timeout_ms=3000):
    """Seconds since 2000 from one server. Raises OSError; name look-up blocks (up to seconds)."""
    address = socket.getaddrinfo(host, _PORT, 0, socket.SOCK_DGRAM)[0][-1]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        query = bytearray(48)
        query[0] = 0x23  # version 4, client
        query[40:48] = os.urandom(8)  # comes back as the originate time: a blind forger fails
        sock.sendto(query, address)
        start = ticks_ms()
        while ticks_diff(ticks_ms(), start) < timeout_ms:
            await asyncio.sleep_ms(_POLL_MS)
            try:
                answer = sock.recv(48)
            except OSError:
                continue  # EAGAIN: nothing yet
            if len(answer) < 48 or answer[24:32] != query[40:48]:
                continue
            if answer[0] & 7 != 4 or not 0 < answer[1] < 16:  # server; stratum 0 is a refusal
                continue
            seconds = int.from_bytes(answer[40:44], "big")
            if seconds < 0x80000000:  # era 1 begins in 2036
                seconds += 1 << 32
            seconds -= _NTP_TO_2000
            if seconds >= SET_AFTER:
                return seconds
        raise OSError(116)  # ETIMEDOUT
    finally:
        sock.close()


async def set_from(hosts):
    """Set the clock from the first server that answers; False when none did."""
    for host in hosts:
        try:
            board.set_clock(await ask(host))
        except OSError:
            continue
        return True
    return False
