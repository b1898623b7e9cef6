"""A simulated board behind its serial line, driven by the real mpremote."""

import subprocess
import sys
import time

import pytest
import serial

from tools.sim.world import World


@pytest.fixture(scope="module")
def world():
    with World(speed=10) as made:
        yield made


@pytest.fixture
def make(world):
    boards = []

    def new(main="", **kwargs):
        kwargs.setdefault("project", False)
        files = {"boot.py": "print('boot')\n", "main.py": main, **kwargs.pop("files", {})}
        board = world.new_board(f"b{time.monotonic_ns()}", files, **kwargs)
        boards.append(board)
        board.power_on()
        return board

    yield new
    for board in boards:
        world.remove_board(board)


def mpremote(address, *args, timeout=30):
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", address, *args],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_boots_like_the_chip(make):
    board = make("import sys\nprint('main', sys.path)\nx = 7\n")
    board.wait_log(r">>> $")
    assert "rst:0x1 (POWERON)" in board.log
    assert board.log.index("boot\n") < board.log.index("main [")
    assert board.state == "repl"
    # main.py and the REPL share __main__
    assert mpremote(board.port, "resume", "exec", "print(x)").strip() == "7"


def test_exception_in_main_prints_the_traceback_and_leaves_the_repl(make):
    board = make("def f():\n    raise ValueError('here')\nf()\n")
    board.wait_log(r">>> $")
    wanted = (
        "Traceback (most recent call last):\n"
        '  File "main.py", line 3, in <module>\n'
        '  File "main.py", line 2, in f\n'
        "ValueError: here\n"
    )
    assert wanted in board.log
    assert "sim/" not in board.log


def test_failing_boot_skips_main(make):
    board = make("print('ran main')", files={"boot.py": "1/0\n"})
    board.wait_log(r">>> $")
    assert "ZeroDivisionError" in board.log
    assert "ran main" not in board.log


def test_system_exit_in_main_is_a_soft_reset(make):
    board = make(
        "import machine, sys\nprint('n', machine.reset_cause())\n"
        "if machine.reset_cause() != machine.SOFT_RESET: sys.exit()\n"
    )
    board.wait_log(r"MPY: soft reboot\nboot\nn 5\n")


def test_mpremote_file_verbs(make, tmp_path):
    board = make()
    local = tmp_path / "data.bin"
    local.write_bytes(bytes(range(256)) * 40)
    mpremote(board.port, "fs", "cp", str(local), ":data.bin")
    mpremote(board.port, "fs", "mkdir", ":d")
    assert board.files()["data.bin"] == local.read_bytes()
    back = tmp_path / "back.bin"
    mpremote(board.port, "fs", "cp", ":data.bin", str(back))
    assert back.read_bytes() == local.read_bytes()
    listing = mpremote(board.port, "fs", "ls")
    assert "data.bin" in listing and "d/" in listing and "_sim" not in listing
    mpremote(board.port, "fs", "rm", ":data.bin")
    assert "data.bin" not in board.files()
    assert mpremote(board.port, "fs", "cat", ":boot.py").strip() == "print('boot')"


def test_mpremote_run_and_exec(make, tmp_path):
    board = make("import time\nwhile True: time.sleep(1)\n")  # has to be interrupted first
    board.wait_log("boot")
    script = tmp_path / "script.py"
    script.write_text("import os\nprint(os.uname().machine)\n")
    assert "ESP32C3" in mpremote(board.port, "run", str(script))
    assert mpremote(board.port, "eval", "6*7").strip() == "42"


def test_mpremote_mount_carries_binary_data(make, tmp_path):
    board = make()
    (tmp_path / "blob.bin").write_bytes(bytes(range(256)) * 8)
    code = "d = open('/remote/blob.bin', 'rb').read(); print(len(d), sum(d))"
    out = mpremote(board.port, "mount", str(tmp_path), "exec", code)
    assert f"2048 {sum(range(256)) * 8}" in out


def test_raw_soft_reset_skips_main_and_plain_one_does_not(make):
    board = make("print('ran main')")
    board.wait_log(r">>> $")
    start = len(board.log)
    mpremote(board.port, "soft-reset")
    assert "MPY: soft reboot\nboot\nraw REPL" in board.log[start:]
    assert "ran main" not in board.log[start:]
    start = len(board.log)
    board.write(b"\x02\r\x04")
    board.wait_log(r"soft reboot\nboot\nran main\n", start=start)


def test_reset_verb_resets_the_chip(make):
    board = make("import machine\nprint('cause', machine.reset_cause())\n")
    board.wait_log("cause 1")
    mpremote(board.port, "reset")
    board.wait_log("cause 2")
    assert "RTC_SW_SYS_RST" in board.log


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import time\nwhile True: time.sleep(60)",
        "import asyncio\nasync def m():\n    while True: await asyncio.sleep(60)\nasyncio.run(m())",
    ],
)
def test_ctrl_c_stops_what_runs(make, loop):
    board = make(f"print('running')\n{loop}\n")
    board.wait_log("running")
    start = time.monotonic()
    board.write(b"\r\x03\x03")
    board.wait_log("KeyboardInterrupt", 3)
    board.wait_log(r">>> $", 3)
    assert time.monotonic() - start < 3
    assert board.boots == 1, board.log
    board.write(b"print(5 * 5)\r")
    board.wait_log(r"\n25\n", 3)


def test_ctrl_c_never_strikes_inside_the_collector(make):
    board = make(
        "import asyncio, gc\n"
        "async def m():\n    a = [bytearray(50) for _ in range(3000)]\n"
        "    while True:\n        gc.collect()\n        await asyncio.sleep_ms(0)\n"
        "print('running')\nasyncio.run(m())\n"
    )
    start = 0
    for n in range(12):
        board.wait_log("running\n", 5, start)
        time.sleep(0.007 * n)
        board.write(b"\x03")
        board.wait_log(r"KeyboardInterrupt: \n(.*\n)*>>> $", 5, start)
        start = len(board.log)
        board.write(b"\x04")
    assert "FATAL" not in board.log
    assert "MemoryError" not in board.log


def test_ctrl_c_that_comes_too_late_is_forgotten(make):
    board = make("import time\nprint('running')\n")
    board.wait_log(r">>> $")
    for n in range(10):  # about when main.py ends by itself
        start = len(board.log)
        board.write(b"\x04")
        board.wait_log("boot\n", 5, start)
        time.sleep(0.001 * n)
        board.write(b"\x03")
        board.wait_log(r"boot\n(.*\n)*>>> $", 5, start)
        start = len(board.log)
        board.write(b"import time; time.sleep(4); print('slept', 1)\r")
        board.wait_log(r"\nslept 1\n", 5, start)
        assert "KeyboardInterrupt" not in board.log[start:]


def test_ctrl_c_ten_times_never_kills_the_interpreter(make):
    board = make("x = 1\n")
    board.wait_log(r">>> $")
    for _ in range(10):
        start = len(board.log)
        board.write(b"while True: pass\r\r")
        while not board._supervisor._executing():
            time.sleep(0.01)
        board.write(b"\x03")
        board.wait_log(r"KeyboardInterrupt: \n>>> $", 3, start)
    board.write(b"\x03\x03x\r")  # at the prompt it is a character
    board.wait_log(r"\n1\n", 3)
    assert board.boots == 1


def test_nobody_reads_and_the_board_goes_on(make):
    board = make("for i in range(3000): print('line', i, 'x' * 80)\nprint('done', 1)\n")
    board.wait_log("done 1", 20)
    assert mpremote(board.port, "eval", "1+1").strip() == "2"


def test_pty_survives_hosts_that_come_and_go(make):
    board = make()
    board.wait_log(r">>> $")
    for n in range(5):
        with serial.Serial(board.port, 115200, timeout=2) as link:
            link.write(f"print('say', {n})\r".encode())
            assert link.read_until(f"say {n}\r\n".encode()).endswith(f"say {n}\r\n".encode())


def test_input_waits_for_the_file_system(make):
    board = make("print('main ran')")
    board.write(b"print('early bird')\r")  # the board has only just been switched on
    board.wait_log(r"\nearly bird\n")


def test_serial_over_tcp(make):
    board = make()
    port = board.serve_tcp()
    assert mpremote(f"socket://127.0.0.1:{port}", "eval", "3*3").strip() == "9"
    # and the pty still works beside it
    assert mpremote(board.port, "eval", "4*4").strip() == "16"


def test_missing_parts_say_who_lacks_them(make):
    board = make(
        "import machine, esp32, os\n"
        "for module, name in ((machine, 'ADC'), (esp32, 'NVS'), (os, 'system')):\n"
        "    try: getattr(module, name)\n"
        "    except AttributeError as e: print(e)\n"
    )
    board.wait_log(r"machine\.ADC: the simulator lacks it\nesp32\.NVS: .*\nos\.system: ")


def test_entropy_needs_a_radio(make):
    board = make(
        "import os, network\n"
        "try: os.urandom(4)\n"
        "except OSError as e: print('refused', e)\n"
        "network.WLAN().active(True)\nprint('got', len(os.urandom(4)))\n"
    )
    board.wait_log(r"refused os\.urandom before .*\ngot 4\n")


def test_heap_limit_is_kept(make):
    board = make("b = bytearray(200000)\n", heap="128k")
    board.wait_log("MemoryError")
