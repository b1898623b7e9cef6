"""Power, resets, buttons and flash of a simulated board."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.sim.world import World


@pytest.fixture(scope="module")
def world():
    with World(speed=20) as made:
        yield made


@pytest.fixture
def make(world):
    boards = []

    def new(main, start=True, **files):
        content = {"main.py": main, **files}
        board = world.new_board(f"b{time.monotonic_ns()}", content, project=False)
        boards.append(board)
        if start:
            board.power_on()
        return board

    yield new
    for board in boards:
        world.remove_board(board)


CAUSE = "import machine\nprint('cause', machine.reset_cause())\n"


def test_reset_causes(make):
    board = make(CAUSE + "import time\nif machine.reset_cause() == 1: machine.reset()\n")
    board.wait_log(r"cause 1\n(.*\n)+cause 2\n")
    start = len(board.log)
    board.reset()
    board.wait_log(r"POWERON(.*\n)+cause 1\n", start=start)


def test_rtc_and_its_memory_outlast_a_reset_but_not_the_power(make):
    board = make(
        "import machine, time\nr = machine.RTC()\nprint('at', time.time(), r.memory())\n"
        "if not r.memory():\n"
        "    r.datetime((2026, 7, 1, 0, 12, 0, 0, 0))\n    r.memory(b'kept')\n"
        "    print('date', r.datetime()[:3], time.localtime()[:4])\n    machine.reset()\n"
    )
    board.wait_log(r"at \d b''\ndate \(2026, 7, 1\) \(2026, 7, 1, 12\)\n")
    match = board.wait_log(r"at (\d{5,}) b'kept'")
    assert abs(int(match[1]) - 836222400) < 60  # 2026-07-01T12:00Z in seconds since 2000
    start = len(board.log)
    board.power_off()
    board.power_on()
    board.wait_log(r"at \d b''", start=start)


def test_boot_button_after_reset_and_held_during_reset(world, make):
    board = make(
        "import machine, time\np = machine.Pin(9, machine.Pin.IN, machine.Pin.PULL_UP)\n"
        "print('level', p.value())\n"
        "t = time.ticks_ms()\n"
        "while time.ticks_diff(time.ticks_ms(), t) < 2000:\n"
        "    if not p.value(): print('pressed'); break\n"
        "    time.sleep_ms(20)\n"
        "else: print('not pressed')\n",
        start=False,
    )
    world.set_speed(4)  # so that a press is longer than any hiccup of this machine
    board.press_boot_after_reset(0.2, hold_s=1.5)
    board.power_on()
    board.wait_log(r"level [01]\npressed\n")
    world.set_speed(20)
    world.advance(seconds=2)  # until it is let go
    start = len(board.log)
    board.reset()
    board.wait_log(r"level 1\nnot pressed\n", start=start)
    start = len(board.log)
    board.set_pin(9, 0)
    board.reset()
    board.wait_log(r"DOWNLOAD.*\nwaiting for download\n", start=start)
    assert board.state == "download"
    board.write(b"\r\x03")
    board.set_pin(9, None)
    board.reset()
    board.wait_log("not pressed", start=start)
    assert board.log[start:].count("level") == 1


def test_watchdog_bites_only_who_does_not_feed_it(make):
    board = make(
        CAUSE + "import time\nif machine.reset_cause() == 1:\n"
        # A busy host may stop for a second, which is ten here: that must not look like a bite.
        "    w = machine.WDT(timeout=20000)\n"
        "    for i in range(9): time.sleep_ms(3000); w.feed()\n"
        "    print('fed')\n    time.sleep(60)\n"
    )
    board.wait_log(r"cause 1\nfed\n(.*\n)*.*TG0WDT(.*\n)+cause 3\n")


def test_power_off_ends_the_process_now(make):
    board = make("print('up')\nwhile True: pass\n")
    board.wait_log("up")
    pid = board._supervisor._process.pid
    board.power_off()
    assert board.state == "off"
    assert not Path(f"/proc/{pid}").exists()


SAVE = (
    "import os\n"
    "def save(text):\n"
    "    with open('new', 'w') as f: f.write(text)\n"
    "    os.rename('new', 'value')\n"
    "print('begin')\n"
    "save('second' * 50)\n"
    "print('saved')\n"
)


def test_every_power_cut_leaves_the_old_or_the_new_file(make):
    board = make(SAVE, value="first")
    board.wait_log("saved")
    before = board.flash_ops
    assert before.programs > 0
    assert before.erases > 0
    seen = set()
    for torn in (0, 0.5):
        for cut in range(before.total):
            trial = make(SAVE, start=False, value="first")
            trial.cut_power_after(cut, torn)
            trial.power_on()
            trial.wait_off()
            assert "saved" not in trial.log
            assert trial.flash_ops.total == cut + 1
            value = trial.files()["value"]
            assert value in (b"first", b"second" * 50), (cut, torn)
            seen.add(value)
            trial.power_on()  # and it comes up again and finishes
            trial.wait_log("saved")
            assert trial.files()["value"] == b"second" * 50
            trial.power_off()
    assert b"first" in seen


def test_cut_while_running_and_no_writes_without_a_reason(make):
    board = make(
        "import time\nprint('up')\nwhile True:\n    time.sleep_ms(100)\n"
        "    try: os\n    except NameError: import os\n    "
        "print('tick')\n    f = open('log', 'a'); f.write('x'); f.close()\n"
    )
    board.wait_log(r"tick\ntick")
    board.cut_power_after(7)
    board.wait_off()
    assert board.state == "off"
    quiet = make("import os\nprint(os.listdir(), open('main.py').read()[:6])\n")
    quiet.wait_log(">>> ")
    assert quiet.flash_ops.total == 0


def test_twenty_boards_and_nothing_left_behind():
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    with World() as warm:
        warm.new_board(files={"main.py": ""}, project=False).power_on()
    before = descriptors()
    with World(speed=10) as world:
        boards = []
        for n in range(20):
            board = world.new_board(files={"main.py": f"print('I am', {n})\n"}, project=False)
            board.power_on()
            boards.append(board)
        for n, board in enumerate(boards):
            board.wait_log(f"I am {n}\n")
        assert len({board.mac for board in boards}) == 20
        pids = [board._supervisor._process.pid for board in boards]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert descriptors() <= before


def test_boards_die_with_their_world():
    code = (
        "from tools.sim.world import World\nimport time\nw = World(); w.start()\n"
        "b = w.new_board('a', {'main.py': 'print(1)\\nwhile True: pass'}, project=False)\n"
        "b.power_on(); b.wait_log('1')\n"
        "print(b._supervisor._process.pid, flush=True); time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root
    ) as world:
        pid = int(world.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        world.kill()
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_a_fresh_board_is_up_in_half_a_second(world):
    start = time.monotonic()
    board = world.new_board("quick", {"main.py": "print('first line')\n"}, project=False)
    board.power_on()
    board.wait_log("first line")
    assert time.monotonic() - start < 0.5
