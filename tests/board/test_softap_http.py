"""The HTTP server's rules, by raw sockets: protocol of Espressif's protocomm_httpd, to the letter.

What a rule costs a client is seen from outside only: an answer, a new cookie, or a closed socket.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from esp_protocomm.security1 import Security1
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiState, get_status, provision_wifi

from tools.harness.bench import POP, SimBench
from tools.harness.http_phone import HttpTransport, NoAnswer, Reply, Socket, post

VERSION, SESSION, CONFIG = "proto-ver", "prov-session", "prov-config"
COOKIE = re.compile(r"session=\d{1,10}")  # at most 18 characters, no attributes
_STALL_S = 5  # the board's
_REQUEST_S = 20

pytestmark = pytest.mark.sim(
    files={
        "main.py": "import homing\n"
        "def big(data):\n"
        "    print('big:', len(data), data == b'x' * len(data))\n"
        "homing.run(transports=('softap',), endpoints={'big': big})\n"
    }
)

Work = Callable[[tuple[str, int]], Coroutine[Any, Any, None]]


def talk(lab: SimBench, work: Work) -> None:
    """A phone joins and does `work` with the address of the board's port 80."""
    lab.board.wait_state("advertising")
    address = lab.sim.soft_ap.join(lab.name()).address()
    lab.run(work(address))


async def still_serves(address: tuple[str, int]) -> None:
    async with Socket(address) as s:
        assert (await s.ask(VERSION, b"ESP")).status == 200


def test_the_answer(lab: SimBench) -> None:
    async def work(address: tuple[str, int]) -> None:
        async with Socket(address) as s:
            first = await s.ask(VERSION, b"none")
            assert first.line == "HTTP/1.1 200 OK"
            assert first.head["content-type"] == "text/html"
            assert first.head["content-length"] == str(len(first.body))
            assert b'"sec_ver":1' in first.body
            assert COOKIE.fullmatch(first.cookie or "")
            # Kept alive; the cookie comes once, and all the same whatever the body says.
            again = await s.ask(VERSION, b"\0" * 4096, cookie=first.cookie)
            assert again.body == first.body and again.cookie is None
            # Case, order and blanks of what comes do not matter.
            s.write(b"POST /proto-ver?x=1 HTTP/1.1\r\ncOOKIE:" + (first.cookie or "").encode())
            s.write(b"\r\ncontent-LENGTH:   3  \r\n\r\nESP")
            assert (await s.reply()).cookie is None

    talk(lab, work)


def test_the_cookie_and_the_socket(lab: SimBench) -> None:
    """Every line of the continuation test."""

    async def work(address: tuple[str, int]) -> None:
        async def cookie_of(s: Socket, **options: Any) -> str | None:
            return (await s.ask(VERSION, b"ESP", **options)).cookie

        async with Socket(address) as a, Socket(address) as b:
            one = await cookie_of(a)
            assert one and await cookie_of(a) is None  # no cookie: the opener's socket goes on
            two = await cookie_of(b)
            assert two and two != one  # no cookie on another socket: a new session
            assert await cookie_of(b, cookie=two) is None
            three = await cookie_of(b)
            assert three  # a cookie was shown: from now on the socket alone does not count
            assert await cookie_of(a, cookie=three) is None  # and the cookie does anywhere
            # Present but wrong: a new session, on the opener's socket too, and never a refusal.
            now = three
            for wrong in (one, "session=", "session=-1", "{}0", "{}", "Session=1", "a=b", "x"):
                short = now[:-1] if wrong == "{}" else now
                four = await cookie_of(a, cookie=wrong.replace("{}", short))
                assert four and four not in (one, two, three, now), wrong
                now = four
            assert await cookie_of(a) is None
            # More than 19 characters that hold no session are, to ESP-IDF, no cookie.
            assert await cookie_of(a, cookie="theme=dark; lang=en; a=1") is None
            assert await cookie_of(b, cookie="theme=dark; lang=en; a=1")
            five = await cookie_of(a)
            assert five
            # Among others, as browsers and Android join them.
            for held in (f"{five};a=b", f"a=b; {five}", f"{one};{five}", f"lang=en ;  {five} ; x"):
                assert await cookie_of(b, cookie=held) is None, held
            lines = f"Cookie: a=b\r\nCookie: {five}\r\n"
            assert await cookie_of(b, lines=lines) is None
        async with Socket(address) as c:  # closing sockets ends no session
            assert await cookie_of(c, cookie=five) is None

    talk(lab, work)


def test_a_session_outlives_its_sockets_and_ends_with_the_next(lab: SimBench) -> None:
    async def work(address: tuple[str, int]) -> None:
        async with HttpTransport(address) as t, HttpTransport(address) as stranger:
            security = await establish_session(t, Security1(POP))
            for _ in range(3):
                t.hang_up()
                assert (await get_status(t, security)).state is WifiState.CONNECTING
                # proto-ver takes part, and disturbs neither session nor keystream.
                assert b"prov" in await t.send(VERSION, b"wifi_scan")
            await stranger.send(VERSION, b"ESP")
            with pytest.raises(NoAnswer):
                await get_status(t, security)
            security = await establish_session(t, Security1(POP))
            assert (await get_status(t, security)).state is WifiState.CONNECTING

    talk(lab, work)


@pytest.mark.parametrize("path", ["failures", "statuses"])
def test_what_closes_the_socket(lab: SimBench, path: str) -> None:
    head = "POST /proto-ver HTTP/1.1\r\nHost: 192.168.4.1\r\n"
    good = "\r\nContent-Length: 3\r\n\r\nESP"
    silent = [
        head + "\r\n",  # no length
        head + "Content-Length: 0\r\n\r\n",
        head + "Content-Length: 4097\r\n\r\n" + 4097 * "x",
        head + "Content-Length: 99999999999999999999\r\n\r\n",
        head + "Content-Length: -3\r\n\r\nESP",
        head + "Content-Length: 0x3\r\n\r\nESP",
        head + "Content-Length: 3, 3\r\n\r\nESP",
        head + "Content-Length: \r\n\r\n",
        # Each of these would be answered but for one thing.
        head + "Transfer-Encoding: chunked" + good,
        head + "no colon" + good,
        "POST /proto-ver" + good,
        "POST /proto-ver HTTP/2" + good,
        "POST  /proto-ver HTTP/1.1" + good,
        "POST /proto-ver?%s HTTP/1.1" % ("x" * 1100) + good,
        head + "X: %s" % ("x" * 1100) + good,
        head + "\r\n".join(f"X-{n}: {'x' * 900}" for n in range(6)) + good,
        "POST /prov-session HTTP/1.1\r\nContent-Length: 4\r\n\r\n\xff\xff\xff\xff",
        "POST /prov-config HTTP/1.1\r\nContent-Length: 2\r\n\r\nR\0",  # before there is a session
        "\xff\xfe /\xff HTTP/1.1\r\n\r\n",
        "\r\n\r\n\r\n\r\n",
    ]
    told = [
        ("POST /nonsense HTTP/1.1\r\nContent-Length: 3\r\n\r\nESP", 404),
        ("POST /esp_local_ctrl/session HTTP/1.1\r\nContent-Length: 3\r\n\r\nESP", 404),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nESP", 404),
        ("POST proto-ver HTTP/1.1\r\nContent-Length: 3\r\n\r\nESP", 404),
        ("POST /Proto-Ver HTTP/1.1\r\nContent-Length: 3\r\n\r\nESP", 404),
        ("GET /proto-ver HTTP/1.1\r\n\r\n", 405),
        ("PUT /prov-session HTTP/1.1\r\nContent-Length: 3\r\n\r\nESP", 405),
        ("GET / HTTP/1.1\r\nHost: captive.apple.com\r\n\r\n", 404),
        ("HEAD /generate_204 HTTP/1.1\r\n\r\n", 404),
    ]

    async def work(address: tuple[str, int]) -> None:
        if path == "failures":
            for request in silent:
                async with Socket(address) as s:
                    s.write(request.encode("latin-1"))
                    assert await s.closed(), request[:80]
        else:
            for request, status in told:
                async with Socket(address) as s:
                    s.write(request.encode())
                    reply = await s.reply()
                    assert (reply.status, reply.cookie) == (status, None), request
                    assert await s.closed(), request
        await still_serves(address)

    talk(lab, work)


def test_versions_of_http_and_pipelining(lab: SimBench) -> None:
    async def work(address: tuple[str, int]) -> None:
        for options in ({"http": "1.0"}, {"lines": "Connection: Close\r\n"}):
            async with Socket(address) as s:
                assert (await s.ask(VERSION, b"ESP", **options)).status == 200
                assert await s.closed()
        async with Socket(address) as s:
            s.write(b"\r\n" + post(VERSION, b"a") + post("nothing", b"b") + post(VERSION, b"c"))
            assert [(await s.reply()).status for _ in range(2)] == [200, 404]
            assert await s.closed()
        async with Socket(address) as s:
            for piece in (post(VERSION, b"ESP") * 3)[:-1], b"P":
                s.write(piece)
                await asyncio.sleep(0.1)
            assert [(await s.reply()).status for _ in range(3)] == [200] * 3
            s.write_eof()
            assert await s.closed()

    talk(lab, work)


def test_bodies_of_four_kilobytes(lab: SimBench) -> None:
    """As large as a body may be, encrypted, byte by byte the same; larger replies do not exist."""

    async def work(address: tuple[str, int]) -> None:
        async with HttpTransport(address) as t:
            security = await establish_session(t, Security1(POP))
            for length in (1, 511, 513, 4095, 4096):
                reply = await t.send("big", security.encrypt(b"x" * length))
                assert security.decrypt(reply) == b"ok"
                lab_lengths.append(length)

    lab_lengths: list[int] = []
    talk(lab, work)
    for length in lab_lengths:
        lab.board.wait_text(f"big: {length} True")


def test_one_large_body_at_a_time(lab: SimBench) -> None:
    """What clients can make the board keep is bounded, and small requests pass all the same."""

    async def work(address: tuple[str, int]) -> None:
        large = post(VERSION, b"x" * 4096)
        async with Socket(address) as first, Socket(address) as second:
            first.write(large[:3000])
            await asyncio.sleep(0.5)
            second.write(large)
            assert await second.closed()
            await still_serves(address)
            first.write(large[3000:])
            assert (await first.reply()).status == 200
            first.write(large)
            assert (await first.reply()).status == 200
            first.write(large[:3000])
            await asyncio.sleep(0.5)
        async with Socket(address) as third:  # one that left in the middle holds nothing up
            await asyncio.sleep(0.5)
            third.write(large)
            assert (await third.reply()).status == 200

    talk(lab, work)


def test_the_slow_hinder_nobody(lab: SimBench) -> None:
    """Four sockets; one that stalls is closed without a word, however it drips."""

    async def work(address: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        # Three that stall at any point of a request, and one that works beside them.
        stalled = [Socket(address) for _ in range(3)]
        for s, begun in zip(
            stalled, (b"PO", post(VERSION, b"")[:-2], post(VERSION, b"ESP")[:-1]), strict=True
        ):
            await s.__aenter__()
            s.write(begun)
        begun_at = loop.time()
        async with Socket(address) as s:
            assert (await s.ask(VERSION, b"ESP")).status == 200
            assert loop.time() - begun_at < _STALL_S
            for one in stalled:
                assert await one.closed(2 * _STALL_S)
            assert _STALL_S - 1 < loop.time() - begun_at < 2 * _STALL_S
            assert (await s.ask(VERSION, b"ESP")).status == 200
        # All four places are taken by requests that never end: the fifth waits for the first.
        dripping = [Socket(address) for _ in range(4)]
        for one in dripping:
            await one.__aenter__()
            one.write(b"POST /proto-ver HTTP/1.1\r\n")
        begun_at = loop.time()

        async def drip() -> None:
            while True:
                await asyncio.sleep(2)
                for one in dripping:
                    one.write(b"x")

        task = asyncio.create_task(drip())
        await still_serves(address)
        assert loop.time() - begun_at < _REQUEST_S + _STALL_S
        task.cancel()
        for one in dripping:
            one.close()

    talk(lab, work)


BUSY = """
import asyncio
import time
import homing
from homing.provisioning.softap import SoftApTransport
from homing.wifi import access_point

def slow(data):
    time.sleep_ms(12000)
    return b"done"

async def main():
    way = SoftApTransport(access_point(), "PROV_busy")
    p = homing.Provisioner("PROV_busy", pop="K7QM2X9ADRT4", transports=[way], scan=None)
    p.endpoint("slow", reply=slow)
    async with p:
        async for event in p:
            print("event:", event.kind)

asyncio.run(main())
"""


@pytest.mark.sim(files={"main.py": BUSY})
def test_what_takes_the_board_long_costs_no_client_its_socket(lab: SimBench) -> None:
    """As a handshake of Security 2 does without native code: main is away for longer than a client
    may stall."""
    lab.board.wait_text("event: advertising")
    address = lab.sim.soft_ap.join("PROV_busy").address()

    async def work() -> None:
        async with HttpTransport(address) as t, Socket(address) as other:
            security = await establish_session(t, Security1(POP))
            request = post(VERSION, b"ESP", cookie=t.cookie)
            other.write(request[:-1])
            await asyncio.sleep(1)
            asked = asyncio.create_task(t.send("slow", security.encrypt(b"x")))
            await asyncio.sleep(6)
            other.write(request[-1:])
            assert security.decrypt(await asked) == b"done"
            assert (await other.reply()).status == 200
            kept = t._socket
            assert (await get_status(t, security)).state is WifiState.CONNECTING
            assert t._socket is kept

    lab.run(work())


def test_the_oldest_idle_socket_makes_room(lab: SimBench) -> None:
    async def work(address: tuple[str, int]) -> None:
        idle = [await Socket(address).__aenter__() for _ in range(4)]
        for s in idle:
            assert (await s.ask(VERSION, b"ESP")).status == 200
            await asyncio.sleep(0.3)
        async with Socket(address) as newcomer:
            assert (await newcomer.ask(VERSION, b"ESP")).status == 200
            assert await idle[0].closed()
            for s in idle[1:]:
                assert (await s.ask(VERSION, b"ESP")).status == 200

    talk(lab, work)


def test_an_idle_socket_stays(lab: SimBench) -> None:
    """A password may take minutes to type, and esp_prov does not connect again."""

    async def work(address: tuple[str, int]) -> None:
        async with HttpTransport(address) as t:
            security = await establish_session(t, Security1(POP))
            await asyncio.sleep(65)
            assert (await get_status(t, security)).state is WifiState.CONNECTING

    talk(lab, work)


def test_garbage(lab: SimBench, rounds: Callable[[int, int], range]) -> None:
    """Whatever comes, the board serves on, and its heap is what it was."""
    lot = random.Random(1)

    async def work(address: tuple[str, int]) -> None:
        good = post(SESSION, bytes(range(64)))
        for n in rounds(40, 1000):
            data = bytearray(good)
            for _ in range(lot.randrange(1, 6)):
                data[lot.randrange(len(data))] = lot.randrange(256)
            if n % 3 == 0:
                data = bytearray(lot.randbytes(lot.randrange(1, 3000)))
            async with Socket(address) as s:
                s.write(bytes(data[: lot.randrange(1, len(data) + 1)]))
                s.write_eof()
                try:
                    reply: Reply | None = await s.reply()
                except NoAnswer:
                    reply = None
                assert reply is None or reply.status in (404, 405)
        async with HttpTransport(address) as t:
            security = await establish_session(t, Security1(POP))
            state = await provision_wifi(t, security, lab.ssid, lab.password)
            assert state.state is WifiState.CONNECTED

    talk(lab, work)
    lab.board.wait_state("provisioned", told=True)
