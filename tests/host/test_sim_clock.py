"""The world's clock as boards see it: speed, skipping, and what waiting means there."""

import asyncio
import time

import pytest

from tools.sim.world import World


@pytest.fixture
def world():
    with World(speed=10) as made:
        yield made


def board_with(world, main, **kwargs):
    board = world.new_board(None, {"main.py": main}, project=False, **kwargs)
    board.power_on()
    return board


def test_loop_and_board_agree_on_the_time(world):
    async def sleep():
        loop = asyncio.get_running_loop()
        start = loop.time(), world.clock.now_ms(), time.monotonic()
        await asyncio.sleep(2)
        return loop.time() - start[0], world.clock.now_ms() - start[1], time.monotonic() - start[2]

    loop_s, clock_ms, real_s = world.run(sleep())
    assert 2 <= loop_s < 4
    assert 2000 <= clock_ms < 4000
    assert 0.2 <= real_s < 1

    board = board_with(
        world,
        "import time\nt = time.ticks_ms(); e = time.time()\ntime.sleep(5)\n"
        "print('took', time.ticks_diff(time.ticks_ms(), t), time.time() - e)\n",
    )
    match = board.wait_log(r"took (\d+) (\d+)")
    assert 5000 <= int(match[1]) < 9000
    assert 5 <= int(match[2]) < 9


def test_time_is_an_integer_from_2000(world):
    board = board_with(
        world,
        "import time\nprint(type(time.time()), time.time() < 100, time.gmtime(0), "
        "time.mktime((2026, 3, 1, 12, 30, 15, 0, 0)), time.localtime(825683415))\n",
    )
    board.wait_log(
        r"<class 'int'> True \(2000, 1, 1, 0, 0, 0, 5, 1\) 825683415 "
        r"\(2026, 3, 1, 12, 30, 15, 6, 60\)\n"
    )


def test_advance_fires_every_timer_in_order(world):
    board = board_with(
        world,
        "import asyncio, time\n"
        "t0 = time.ticks_ms()\n"
        "async def every(name, s):\n"
        "    while True:\n"
        "        await asyncio.sleep(s)\n"
        "        print('@', name, time.ticks_diff(time.ticks_ms(), t0) // 1000)\n"
        "async def main():\n"
        "    asyncio.create_task(every('hour', 3600))\n"
        "    print('ready')\n"
        "    await every('quarter', 900)\n"
        "asyncio.run(main())\n",
    )
    board.wait_log("ready")
    start = time.monotonic()
    world.advance(hours=24)
    assert time.monotonic() - start < 20
    deadline = time.monotonic() + 5
    while board.log.count("@ hour") < 24 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert board.log.count("@ hour") == 24
    # Each sleep begins when the one before has ended, up to one step of the skip late.
    assert board.log.count("@ quarter") in (95, 96)
    times = [int(line.split()[2]) for line in board.log.splitlines() if line.startswith("@")]
    assert times == sorted(times)


def test_advance_with_a_blinking_board_and_timers_of_the_loop(world):
    board = board_with(
        world,
        "import time\nfrom machine import Pin\nled = Pin(8, Pin.OUT)\nn = 0\nprint('ready')\n"
        "while True:\n    led.toggle(); n += 1\n    time.sleep_ms(500)\n"
        "    if n % 100 == 0: print('n', n)\n",
    )
    board.wait_log("ready")
    fired = []
    world.do(world.loop.call_later, 1800, fired.append, True)
    start = time.monotonic()
    world.advance(hours=1)
    assert fired == [True]
    assert time.monotonic() - start < 20
    board.wait_log(r"n \d00")


def test_advance_does_not_wait_for_a_busy_or_an_idle_board(world):
    busy = board_with(world, "print('busy')\nwhile True: pass\n")
    prompt = board_with(world, "print('prompt')\n")
    busy.wait_log("busy")
    prompt.wait_log(">>> ")
    start = time.monotonic()
    before = world.clock.now_ms()
    world.advance(minutes=1)
    assert world.clock.now_ms() - before >= 60000
    assert time.monotonic() - start < 15


def test_a_day_of_a_sleeping_board_costs_no_writes(world):
    board = board_with(world, "import time\nprint('x')\nwhile True: time.sleep(600)\n")
    board.wait_log("x")
    world.advance(hours=24)
    assert board.flash_ops.total == 0


def test_timer_and_thread_safe_flag(world):
    board = board_with(
        world,
        "import asyncio\nfrom machine import Timer\n"
        "flag = asyncio.ThreadSafeFlag()\n"
        "t = Timer(0, mode=Timer.PERIODIC, period=1000, callback=lambda t: flag.set())\n"
        "async def main():\n"
        "    for i in range(3):\n        await flag.wait()\n        print('flag', i)\n"
        "asyncio.run(main())\nt.deinit()\n",
    )
    board.wait_log(r"flag 0\nflag 1\nflag 2\n")


def test_speed_can_change(world):
    board = board_with(
        world,
        "import time\nprint('go')\nwhile True:\n    time.sleep(10)\n    print('tick')\n",
    )
    board.wait_log("go")
    world.set_speed(100)
    start = time.monotonic()
    board.wait_log(r"(tick\n){3}")
    assert time.monotonic() - start < 2


def test_crypto_is_charged_only_when_asked(world):
    module = "def public_key(p): return p\ndef shared_secret(p, q): return q\n"
    files = {
        "lib/homing/__init__.py": "",
        "lib/homing/crypto/__init__.py": "",
        "lib/homing/crypto/x25519.py": module,
        "main.py": (
            "import time\nfrom homing.crypto.x25519 import shared_secret\n"
            "t = time.ticks_ms()\nshared_secret(b'', b'')\n"
            "print('ms', time.ticks_diff(time.ticks_ms(), t))\n"
        ),
    }
    cost = {}
    for charge in (True, False):
        board = world.new_board(None, files, charge=charge, project=False)
        board.power_on()
        cost[charge] = int(board.wait_log(r"ms (\d+)")[1])
    assert 204 <= cost[True] < 1000
    assert cost[False] < 204
