"""What a board may not do inside a BLE handler, and how the channel carries events meanwhile."""

import pytest

from tools.sim.channel import BoardError, ChannelClosed
from tools.sim.world import World

MAIN = """
import _world, time, socket, network, os
wlan = network.WLAN()
wlan.active(True)
def handler(name):
    _world.in_handler += 1
    try:
        if name == 'sleep': time.sleep_ms(10)
        elif name == 'print': print('from a handler')
        elif name == 'open': open('x', 'w')
        elif name == 'scan': wlan.scan()
        elif name == 'connect': wlan.connect('a', 'b' * 8)
        elif name == 'socket': socket.socket()
        elif name == 'dns': socket.getaddrinfo('a', 1)
        elif name == 'status': return wlan.status()
        elif name == 'charge': _world.charge(300)
        return 'done'
    finally:
        _world.in_handler -= 1
_world.on('test', handler)
_world.on('plain', lambda x: x + 1)
print('ready')
"""


@pytest.fixture
def world():
    with World(speed=10) as made:
        yield made


def start(world, code, **kwargs):
    board = world.new_board(None, {"main.py": MAIN + code}, project=False, **kwargs)
    board.power_on()
    board.wait_log("ready")
    return board


def ask(world, board, *args):
    return world.run(board._supervisor.channel.request(*args), 10)


@pytest.mark.parametrize("what", ["sleep", "print", "open", "scan", "connect", "socket", "dns"])
def test_forbidden_in_a_handler(world, what):
    board = start(world, "while True: time.sleep(1)")
    with pytest.raises(BoardError, match="RuntimeError: .* inside a BLE handler"):
        ask(world, board, "test", what)
    assert len(board.violations) == 1
    assert "from a handler" not in board.log
    assert "x" not in board.files()


def test_allowed_in_a_handler(world):
    board = start(world, "while True: time.sleep(1)")
    assert ask(world, board, "test", "status") == 1000
    before = world.clock.now_ms()
    assert ask(world, board, "test", "charge") == "done"
    assert world.clock.now_ms() - before >= 300
    assert board.violations == []


@pytest.mark.parametrize(
    "waiting",
    [
        "time.sleep(3600)",
        "import asyncio\nasync def main(): await asyncio.sleep(3600)\nasyncio.run(main())",
        "import select\nselect.poll().poll(-1)",
        "wlan.scan(); wlan.scan(); wlan.scan(); wlan.scan(); wlan.scan(); wlan.scan()",
    ],
)
def test_events_arrive_while_the_program_waits(world, waiting):
    board = start(world, waiting)
    for n in range(5):
        assert ask(world, board, "plain", n) == n + 1


def test_a_handler_is_never_entered_from_another(world):
    board = start(
        world,
        "depth = 0\n"
        "def nested(n):\n"
        "    global depth\n    depth += 1\n    d = depth\n"
        "    wlan.status()\n    wlan.status()\n    depth -= 1\n    return d\n"
        "_world.on('nested', nested)\nprint('set')\nwhile True: time.sleep(1)",
    )
    board.wait_log("set")

    async def many():
        import asyncio

        channel = board._supervisor.channel
        return await asyncio.gather(*(channel.request("nested", n) for n in range(20)))

    assert world.run(many(), 10) == [1] * 20


def test_ctrl_c_during_calls_leaves_the_channel_sound(world):
    board = start(world, "")
    for _ in range(8):
        start_at = len(board.log)
        board.write(b"while True: wlan.status(); time.sleep_ms(0)\r\r")
        board.wait_log(r"\.\.\.", 3, start_at)
        world.run(_pause(0.5))
        board.write(b"\x03")
        board.wait_log(r"KeyboardInterrupt: \n>>> ", 3, start_at)
    board.write(b"print('st', wlan.status())\r")
    board.wait_log(r"\nst 1000\n", 3)
    assert board.boots == 1


async def _pause(seconds):
    import asyncio

    await asyncio.sleep(seconds)


def test_requests_of_a_dead_board_end(world):
    board = start(world, "while True: pass")

    async def asked_in_vain():
        import asyncio

        channel = board._supervisor.channel
        asyncio.get_running_loop().call_later(0.5, board.power_off)
        return await channel.request("plain", 1)

    with pytest.raises(ChannelClosed):
        world.run(asked_in_vain(), 10)


def test_heap_model_and_its_override(world):
    board = start(
        world,
        "import esp32\n"
        "def free(): return esp32.idf_heap_info(esp32.HEAP_DATA)[0][1:3]\n"
        "a = free()\n_world.radio('ble', True)\nb = free()\n_world.radio('ble', False)\n"
        "print('less', b[0] < a[0], b[1] < 45 * 1024 * 2, free() == a)\n"
        "while True:\n    time.sleep(1)\n    print(free())\n",
    )
    board.wait_log("less True True True")
    board.idf_heap = (60000, 30000)
    board.wait_log(r"\(60000, 30000\)")
