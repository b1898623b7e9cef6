"""Names, connections, TLS and time through the world, as a board's sockets meet them."""

import asyncio
import ssl
import time

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tools.sim.world import World

ONLINE = """
import asyncio, network, socket, time, tls, sys
w = network.WLAN()
w.active(True)
w.connect('home', 'secret123')
while not w.isconnected(): time.sleep_ms(50)
print('online')
"""


@pytest.fixture
def world():
    with World(speed=5) as made:
        made.point = made.add_access_point(b"home", b"secret123")
        yield made


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def start(world, code, **files):
    board = world.new_board(None, {"main.py": ONLINE + code, **files}, project=False)
    board.power_on()
    return board


class Server:
    """An echo server on the world's loop that can go silent."""

    def __init__(self, world, context=None):
        self.world = world
        self.connections = 0
        self.heard = b""

        async def serve():
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
            return server.sockets[0].getsockname()[1]

        self.port = world.run(serve())

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while data := await reader.readline():
                self.heard += data
                writer.write(b"echo " + data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


ASK = """
def der(): return open('/ca.der', 'rb').read()
async def ask(host, port, secure=False):
    context = None
    if secure:
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
        context.load_verify_locations(der())
    try:
        r, wr = await asyncio.open_connection(host, port, ssl=context, server_hostname=host) \\
            if secure else await asyncio.open_connection(host, port)
        wr.write(b'hello\\n')
        await wr.drain()
        print('answer', await r.readline())
        await wr.wait_closed()
    except (OSError, ValueError) as e:
        print('failed', type(e).__name__, e)
"""


def test_plain_connection_by_name(world):
    server = Server(world)
    world.route("api.example.com", 80, "127.0.0.1", server.port)
    board = start(world, ASK + "asyncio.run(ask('api.example.com', 80))\n")
    board.wait_log(r"answer b'echo hello\\n'")
    assert server.heard == b"hello\n"
    assert board.network.lookups == [("api.example.com", 80)]


def test_unknown_names_and_no_network(world):
    board = start(
        world,
        ASK + "asyncio.run(ask('unknown.example.com', 80))\nw.disconnect()\n"
        "asyncio.run(ask('api.example.com', 80))\n",
    )
    world.route("api.example.com", 80, "127.0.0.1", 9)
    board.wait_log(r"failed OSError -202\nfailed OSError -202\n")


def test_no_internet_behind_the_access_point(world):
    world.route("api.example.com", 80, "127.0.0.1", 9)
    world.point.internet = False
    start(world, ASK + "asyncio.run(ask('api.example.com', 80))\n").wait_log(r"failed OSError -202")


@pytest.mark.parametrize("name", ["api.example.com", "other.example.com"])
def test_tls_checks_the_real_name(world, authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    server = Server(world, context)
    world.route("api.example.com", 443, "127.0.0.1", server.port)
    root = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    board = start(
        world,
        ASK + "asyncio.run(ask('api.example.com', 443, True))\n",
        **{"ca.der": root.public_bytes(Encoding.DER)},
    )
    if name == "api.example.com":
        board.wait_log(r"answer b'echo hello\\n'")
    else:
        board.wait_log(r"failed (OSError|ValueError)")
        assert server.heard == b""


def test_traffic_stalls_with_the_access_point_and_goes_on_after_it(world):
    server = Server(world)
    world.route("api.example.com", 80, "127.0.0.1", server.port)
    board = start(
        world,
        "async def main():\n"
        "    r, wr = await asyncio.open_connection('api.example.com', 80)\n"
        "    n = 0\n"
        "    while True:\n"
        "        wr.write(b'%d\\n' % n); await wr.drain()\n"
        "        print('got', await r.readline()); n += 1\n"
        "        await asyncio.sleep_ms(100)\n"
        "asyncio.run(main())\n",
    )
    board.wait_log(r"echo 3")
    world.point.up = False
    time.sleep(0.1)
    stalled = len(board.log)
    time.sleep(0.3)
    assert "echo" not in board.log[stalled:]
    world.point.up = True
    board.wait_log("echo", start=stalled)
    assert server.connections == 1


def test_connections_break_when_the_address_is_lost(world):
    server = Server(world)
    world.route("api.example.com", 80, "127.0.0.1", server.port)
    board = start(
        world,
        "async def main():\n"
        "    r, wr = await asyncio.open_connection('api.example.com', 80)\n"
        "    wr.write(b'x\\n'); await wr.drain(); print(await r.readline())\n"
        "    try: print('read', await r.read(10))\n"
        "    except OSError as e: print('broken', e)\n"
        "asyncio.run(main())\n",
    )
    board.wait_log("echo x")
    world.point.up = False
    world.advance(minutes=5)
    board.wait_log("broken|read b''")


def test_time_server(world):
    board = start(
        world,
        "a = socket.getaddrinfo('pool.ntp.org', 123, 0, socket.SOCK_DGRAM)[0][-1]\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.sendto(b'\\x1b' + bytes(47), a)\n"
        "m = s.recv(48)\n"
        "print('ntp', int.from_bytes(m[40:44], 'big') - 2208988800, m[0] & 7)\n",
    )
    match = board.wait_log(r"ntp (\d+) 4")
    assert abs(int(match[1]) - world.clock.utc().timestamp()) < 30
    world.advance(hours=10)
    assert world.ntp.asked == 1


def test_a_server_on_the_board(world):
    board = start(
        world,
        "async def serve(r, wr):\n"
        "    wr.write(b'board ' + await r.readline()); await wr.drain(); await wr.wait_closed()\n"
        "async def main():\n"
        "    await asyncio.start_server(serve, '0.0.0.0', 80)\n"
        "    print('serving')\n"
        "    while True: await asyncio.sleep(1)\n"
        "asyncio.run(main())\n",
    )
    board.wait_log("serving")

    async def visit():
        reader, writer = await asyncio.open_connection("127.0.0.1", board.network.served[80])
        writer.write(b"says\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert world.run(visit(), 10) == b"board says\n"


def test_advance_lets_requests_finish(world):
    """A day of polling a slow server: no request is hurried into its timeout."""
    server = Server(world)
    world.route("api.example.com", 80, "127.0.0.1", server.port)
    board = start(
        world,
        "async def once():\n"
        "    r, wr = await asyncio.open_connection('api.example.com', 80)\n"
        "    wr.write(b'poll\\n'); await wr.drain()\n"
        "    await r.readline(); await wr.wait_closed()\n"
        "async def main():\n"
        "    print('ready')\n"
        "    while True:\n"
        "        await asyncio.sleep(1800)\n"
        "        try: await asyncio.wait_for(once(), 10); print('polled')\n"
        "        except Exception as e: print('late', repr(e))\n"
        "asyncio.run(main())\n",
    )
    board.wait_log("ready")
    world.advance(hours=24)
    assert "late" not in board.log
    assert board.log.count("polled") in (47, 48)
    assert not board.network.in_use  # closed connections do not linger in the relay
