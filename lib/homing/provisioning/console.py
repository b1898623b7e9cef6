# The same endpoints on the REPL's serial port, as lines of text (protocomm's console transport):
#
#     <endpoint> <session id> <request as hex>
#
# and the reply is a line of hex. ESP-IDF's console takes 255 characters, which Security 2's first
# message (406 bytes) does not fit; this one takes any request that BLE does. No echo: it would tear
# the lines that the board says meanwhile. Ctrl-C is not seen here: it interrupts the program, as
# ever, and so mpremote gets in.

import asyncio
import sys
from binascii import hexlify, unhexlify
from select import POLLIN, poll
from time import ticks_diff, ticks_ms

from micropython import const

from ..protocomm.errors import Refused, tell

_LINE_LEN = const(1152)  # 512 bytes as hex, a name and a number
_TURN_LEN = const(256)  # bytes until everybody else has a turn
_POLL_MS = const(20)
_MID_LINE_MS = const(5)  # the UART's buffer has 260 bytes, 22 ms at 115,200 baud
_MAX_ID = const(0xFFFFFFFF)  # that one means "no session" (protocomm.h)
# Whoever has a session keeps the other ways in shut, and nobody hangs up on a serial line.
_IDLE_MS = const(300000)
_SPACE = const(32)
_TILDE = const(126)
_BACKSPACES = b"\x08\x7f"
_VERSION = "proto-ver"
_USAGE = "a line is: <endpoint> <session id> <request as hex>"


class ConsoleTransport:
    """Offers the endpoints of a protocomm router on the serial port. All of it runs in main.

    commands: {line: f}, what else may be typed; f() is called.
    """

    def __init__(self, commands=None):
        self._commands = commands or {}
        self._router = self._post = self._session = None

    def start(self, protocomm, post=None):
        """protocomm: as for BLE. post gets ("client", id) and ("gone", id)."""
        self._router = protocomm
        self._post = post

    async def run(self):
        """Read lines and answer them; until stop() or cancellation."""
        line = b""  # its memory is only taken while somebody types
        size = 0  # of the line so far; beyond its room it is not kept
        one = bytearray(1)
        stdin = sys.stdin
        poller = poll()
        poller.register(stdin, POLLIN)
        last_ms = ticks_ms()
        router = self._router
        while router is not None:
            left = _TURN_LEN
            # Not more than one at a time: the chip would wait for the rest.
            while left and poller.poll(0) and stdin.readinto(one):  # pyright: ignore - it has that
                left -= 1
                c = one[0]
                if c == 13 or c == 10:
                    if size > _LINE_LEN:
                        _error("line longer than %d characters, or no memory for it" % _LINE_LEN)
                    elif size:
                        self._do(router, str(memoryview(line)[:size], "ascii"))
                        last_ms = ticks_ms()
                    size = 0
                    line = b""
                elif size > _LINE_LEN:
                    pass  # lost, up to its end
                elif c in _BACKSPACES:
                    size = max(0, size - 1)
                elif _SPACE <= c <= _TILDE:
                    try:
                        line = line or bytearray(_LINE_LEN)
                        if size < _LINE_LEN:
                            line[size] = c
                        size += 1
                    except MemoryError:
                        size = _LINE_LEN + 1
            if self._session and ticks_diff(ticks_ms(), last_ms) > _IDLE_MS:
                self.hang_up()
            await asyncio.sleep_ms(0 if not left else _MID_LINE_MS if size else _POLL_MS)
            router = self._router

    async def stop(self):
        """Idempotent; what is typed from now on waits for the REPL."""
        self.hang_up()
        self._router = None

    def hang_up(self):
        """End the session, if there is one."""
        session, self._session = self._session, None
        if session and self._router:
            self._router.close(self)
            tell(self._post, ("gone", session))

    def _do(self, router, line):
        command = self._commands.get(line)
        words = line.split()
        try:
            if command:
                command()
            elif words == ["help"]:
                print(_USAGE)
                print("endpoints: " + ", ".join(router.names()))
                print("or: " + ", ".join(sorted(self._commands) + ["help"]))
            elif len(words) == 3:
                self._request(router, words[0], words[1], words[2])
            elif words:
                _error(_USAGE + "; or help")
        except Refused as e:
            _error(str(e))
        except Exception as e:  # noqa: BLE001 a line must not end the service
            _error(type(e).__name__)

    def _request(self, router, name, number, text):
        if name not in router.names():
            raise Refused("no such endpoint; help lists them")
        if not number.isdigit() or int(number) >= _MAX_ID:
            raise Refused("a session id is a number from 0 to %d" % (_MAX_ID - 1))
        try:
            data = unhexlify(text)
        except ValueError:
            raise Refused("the request is not hex, two digits a byte") from None
        session = b"console %d" % int(number)  # like no id of another way in
        if session != self._session and name != _VERSION:  # that one needs none
            if not router.open(session, self):
                raise Refused("busy: another client has a session")
            if not self._session:
                tell(self._post, ("client", session))
            self._session = session
        print(str(hexlify(router.handle(session, name, data)), "ascii"))
        if router.delivered:
            router.delivered(name)


def _error(why):
    print('@err {"error": "console", "why": "%s"}' % why)
