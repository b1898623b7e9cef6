"""A board's access point in the simulator, as phones and a board's own sockets meet it."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tools.sim.soft_ap import NoSuchNetwork, WrongPassword
from tools.sim.world import World

UP = """
import asyncio, network, socket, time
ap = network.WLAN(network.AP_IF)
ap.active(True)
ap.config(essid='PROV_x', security=3, key=b'secret123', channel=6, max_clients=2)
sta = network.WLAN()
sta.active(True)
def stations(): print('stations', len(ap.status('stations')), ap.config('channel'))
"""
ECHO = """
async def serve(reader, writer):
    print('from', bytes(writer.get_extra_info('peername')[4:8]))
    while data := await reader.read(100):
        writer.write(b'echo ' + data)
        await writer.drain()
    print('gone')
    writer.close()
    await writer.wait_closed()
async def datagrams():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    s.bind(socket.getaddrinfo('0.0.0.0', 53, 0, socket.SOCK_DGRAM)[0][-1])
    while True:
        try:
            data, peer = s.recvfrom(100)
            s.sendto(b're: ' + data, peer)
        except OSError:
            await asyncio.sleep_ms(20)
async def main(then=None):
    await asyncio.start_server(serve, '192.168.4.1', 80)
    asyncio.create_task(datagrams())
    print('up')
    await asyncio.sleep(2)
    if then: await then()
    await asyncio.sleep(1000)
"""


@pytest.fixture
def world():
    with World(speed=5) as made:
        made.point = made.add_access_point(b"home", b"secret456", channel=11)
        yield made


def start(world, code):
    board = world.new_board(None, {"main.py": UP + ECHO + code}, project=False)
    board.power_on()
    return board


SERVE = "asyncio.run(main())\n"


def ask(address, data=b"hello"):
    with socket.create_connection(address, 5) as s:
        s.sendall(data)
        return s.recv(100)


def cut(s):
    """Wait until the connection is over; whether nothing more came through it."""
    try:
        return s.recv(100) == b""
    except ConnectionError:
        return True


def test_who_gets_in(world):
    board = start(world, SERVE)
    board.wait_log("up")
    ap = board.soft_ap
    assert (ap.ssid, ap.password, ap.auth, ap.channel) == (b"PROV_x", b"secret123", 3, 6)
    for password in (b"", b"secret124"):
        with pytest.raises(WrongPassword):
            ap.join(b"PROV_x", password)
    with pytest.raises(NoSuchNetwork):
        ap.join(b"PROV_y", b"secret123")
    first, second = (ap.join("PROV_x", "secret123") for _ in range(2))
    with pytest.raises(NoSuchNetwork, match="as many stations"):
        ap.join("PROV_x", "secret123")
    assert first.mac != second.mac
    first.leave()
    assert not first.joined and ap.join("PROV_x", "secret123").joined


def test_tcp_and_udp_reach_the_board_under_an_address_of_each_phone(world):
    board = start(world, SERVE)
    board.wait_log("up")
    for number in (2, 3):
        phone = board.soft_ap.join("PROV_x", "secret123")
        assert phone.ip == f"192.168.4.{number}"
        assert ask(phone.address()) == b"echo hello"
        board.wait_log(rf"from b'\\x7f\\x00\\x04\\x0{number}'")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.sendto(b"who", phone.address(53))
            assert s.recv(100) == b"re: who"
        with socket.create_connection(phone.address(81), 5) as s:
            assert cut(s)  # nothing is served there


def test_leaving_cuts_and_vanishing_says_nothing(world):
    board = start(world, SERVE)
    board.wait_log("up")
    ap = board.soft_ap
    leaver, vanisher = (ap.join("PROV_x", "secret123") for _ in range(2))
    with socket.create_connection(leaver.address(), 5) as s:
        s.sendall(b"a")
        assert s.recv(100) == b"echo a"
        leaver.leave()
        assert cut(s)
    board.wait_log("gone|OSError|ECONNRESET")
    with socket.create_connection(vanisher.address(), 5) as s:
        s.sendall(b"b")
        assert s.recv(100) == b"echo b"
        said = len(board.log)
        vanisher.vanish()
        assert cut(s)
    time.sleep(0.3)
    assert board.log[said:] == ""
    vanisher.rejoin()
    assert ask(vanisher.address()) == b"echo hello"


@pytest.mark.parametrize("drops", [False, True])
def test_it_follows_the_station_to_its_channel(world, drops):
    board = start(
        world,
        "async def join():\n"
        "    stations()\n"
        "    sta.connect('home', 'secret456')\n"
        "    while not sta.isconnected(): await asyncio.sleep_ms(50)\n"
        "    stations()\n"
        "asyncio.run(main(join))\n",
    )
    board.soft_ap.drops = drops
    board.wait_log("up")
    phone = board.soft_ap.join("PROV_x", "secret123")
    board.wait_log("stations 1 6\n" + ("stations 0 11" if drops else "stations 1 11"))
    assert phone.joined is not drops and phone.lost == drops
    if drops:
        phone.rejoin()
    assert ask(phone.address()) == b"echo hello"


def test_switching_it_off_or_a_reset_drops_everybody(world):
    board = start(world, "async def off(): ap.active(False)\nasyncio.run(main(off))\n")
    board.wait_log("up")
    phone = board.soft_ap.join("PROV_x", "secret123")
    board.world.advance(seconds=3)
    assert not board.soft_ap.on and not phone.joined and phone.lost == 1
    with pytest.raises(NoSuchNetwork):
        phone.rejoin()
    board.reset()
    board.wait_log("up", start=len(board.log))
    phone.rejoin()
    board.power_off()
    assert not phone.joined and not board.soft_ap.on


def test_what_the_driver_refuses(world):
    board = world.new_board(
        None,
        {
            "main.py": "import network\n"
            "ap = network.WLAN(network.AP_IF)\n"
            "def t(**k):\n"
            "    try:\n"
            "        ap.config(**k)\n"
            "        print('ok', ap.config('ssid'), ap.config('authmode'))\n"
            "    except Exception as e:\n"
            "        print(type(e).__name__, e)\n"
            "t(ssid='x')\n"
            "ap.active(True)\n"
            "t(ssid='x', security=3, key='short')\n"
            "t(ssid='y' * 40, security=0, key='')\n"
            "t(channel=14)\n"
            "t(reconnects=1)\n"
            "t(ssid='z', authmode=4, password='longenough')\n"
        },
        project=False,
    )
    board.power_on()
    board.wait_log(
        "OSError Wifi Invalid Mode\nOSError Wifi Invalid Password\nok y{32} 0\n"
        "OSError 258\nOSError STA required\nok z 4\n"
    )


def test_time_is_not_skipped_under_a_request(world):
    """A board that thinks about an answer is not idle, and its phone is heard meanwhile."""
    board = start(world, SERVE)
    board.wait_log("up")
    address = board.soft_ap.join("PROV_x", "secret123").address()

    async def talk():
        reader, writer = await asyncio.open_connection(*address)
        for n in range(20):
            writer.write(b"%d" % n)
            assert await reader.read(100) == b"echo %d" % n
        writer.close()

    future = asyncio.run_coroutine_threadsafe(talk(), world.loop)
    before = world.clock.now_us()
    while not future.done():
        world.advance(seconds=0.1)
    future.result()
    assert (world.clock.now_us() - before) / 1e6 < 60


def test_every_phone_of_many_has_an_address(world):
    """A long test sends more phones than the network has addresses."""
    board = start(world, SERVE)
    board.wait_log("up")
    seen = set()
    for _ in range(300):
        phone = board.soft_ap.join(b"PROV_x", b"secret123")
        seen.add(phone.ip)
        phone.leave()
    assert seen == {f"192.168.4.{n}" for n in range(2, 255)}
