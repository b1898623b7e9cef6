"""The serial line: real mpremote in every state, Ctrl-C, soft resets, identity, ways to be safe."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.harness import leaks
from tools.harness.bench import Bench, SimBench
from tools.harness.board import Board
from tools.harness.dialogue import Dialogue

ROOT = Path(__file__).resolve().parents[2]


# -- mpremote --------------------------------------------------------------------------------


def test_mpremote_files(bench: Bench, tmp_path: Path) -> None:
    board = bench.board
    board.wait_state("advertising")
    blob = bytes(range(256)) * 9
    local, back = tmp_path / "blob.bin", tmp_path / "back.bin"
    local.write_bytes(blob)
    board.mpremote("fs", "cp", str(local), ":blob.bin")
    assert "blob.bin" in board.mpremote("fs", "ls")
    board.mpremote("fs", "cp", ":blob.bin", str(back))
    assert back.read_bytes() == blob
    assert "homing.run(app)" in board.mpremote("fs", "cat", ":main.py")
    board.mpremote("fs", "rm", ":blob.bin")
    assert "blob.bin" not in board.mpremote("fs", "ls")


def test_mpremote_run_soft_reset_and_reset(bench: Bench, tmp_path: Path) -> None:
    board = bench.board
    board.wait_state("advertising")
    script = tmp_path / "script.py"
    script.write_text("import homing\nprint('version', homing.__version__)\n")
    assert re.search(r"version \d+\.\d+\.\d+", board.mpremote("run", str(script)))
    board.mpremote("soft-reset")
    assert board.mpremote("resume", "exec", "print('after')").strip() == "after"
    board.mpremote("reset")
    cause = "from homing.board import reset_cause; print(reset_cause())"
    assert board.mpremote("resume", "exec", cause).strip().endswith("hard")


# -- Ctrl-C and what it says ------------------------------------------------------------------


def test_ctrl_c_then_soft_reset_runs_main_again(bench: Bench) -> None:
    board = bench.board
    board.wait_state("advertising")
    start = len(board.log)
    board.to_repl()
    assert "KeyboardInterrupt" in board.log[start:]
    board.type("print('here', 5 * 5)")
    board.wait_text(r"\nhere 25\r?\n", start=start)
    board.soft_reset()
    board.wait("boot", cause="soft")
    board.wait_state("advertising")


def test_every_at_line_is_json(bench: Bench) -> None:
    board = bench.board
    board.wait_state("advertising")
    bench.provision()
    board.wait_state("running")
    seen = set()
    for line in board.log.splitlines():
        if not line.startswith("@"):
            assert not re.search(r"@(boot|state|ok|err) ", line), line
            continue
        tag, _, body = line.partition(" ")
        fields = json.loads(body)
        seen.add(tag)
        first = {"@boot": "homing", "@state": "state", "@ok": "done", "@err": "error"}[tag]
        assert next(iter(fields)) == first
    assert {"@boot", "@state"} <= seen


# -- identity --------------------------------------------------------------------------------


def identity(board: Board, *args: str) -> subprocess.CompletedProcess[str]:
    """`homing identity set` as a person types it."""
    with board.lent() as address:
        done = subprocess.run(
            [sys.executable, "-m", "tools.cli", "identity", "set", "--port", address, *args],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )
    leaks.run().text("identity", done.stdout + done.stderr)
    return done


def capabilities(bench: Bench, pop: str) -> list[str]:
    async def work(d: Dialogue) -> list[str]:
        version = json.loads(await d.transport.send("proto-ver", b"ESP"))
        return version.get("homing", {}).get("cap", [])

    return bench.talk(work, pop)


def test_identity_is_written_and_outlives_a_new_network(bench: Bench) -> None:
    board = bench.board
    board.wait_state("advertising")
    pop, token, node = (secrets.token_hex(n) for n in (6, 20, 8))
    leaks.run().secret(token, leaks.TOKEN)
    given = ("--pop", pop, "--thing-token", token, "--node-id", node)
    start = len(board.log)
    for answer in ("written", "already so; nothing was written"):
        done = identity(board, *given)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == answer
        for secret in (pop, token):
            assert secret not in done.stdout + done.stderr
    for _ in range(2):
        board.reset()
        board.wait_state("advertising")
        assert f"proof of possession: {pop}" in board.log[start:]
        assert sorted(capabilities(bench, pop)) == ["cloud_bind", "cloud_link"]
        start = len(board.log)
        board.to_repl()
        board.type("import homing; homing.forget_wifi()")
        board.wait("ok", done="forget_wifi")
    assert token not in board.log
    outside_the_banner = re.sub(r"(proof of possession|QR|link): .*", "", board.log)
    assert pop not in outside_the_banner
    erased = identity(board, "--erase", "thing_token", "--erase", "node_id")
    assert erased.returncode == 0, erased.stderr
    board.reset()
    board.wait_state("advertising")
    assert capabilities(bench, pop) == []


@pytest.mark.parametrize(
    ("args", "cure"),
    [
        (("--pop", "has a space"), "printable ASCII without spaces"),
        (("--pop", "umlaut-ä"), "printable ASCII without spaces"),
        (("--thing-token", "t" * 129), "1 to 128 bytes"),
        (("--node-id", ""), "1 to 64 bytes"),
        (("--erase", "colour"), "there are: "),
        ((), "nothing to set: give --node-id, --pop"),
    ],
    ids=["space", "umlaut", "long", "empty", "unknown", "none"],
)
def test_bad_identity_is_refused_with_the_cure(
    bench: Bench, args: tuple[str, ...], cure: str
) -> None:
    board = bench.board
    board.wait_state("advertising")
    before = bench.pop()
    done = identity(board, *args)
    assert done.returncode != 0
    assert cure in done.stderr
    assert "Traceback" not in done.stderr
    if args and args[0] != "--erase" and args[1]:
        assert args[1] not in done.stdout + done.stderr + board.log
    start = len(board.log)
    board.reset()
    assert board.wait_text(r"proof of possession: (\S+)\s", start=start)[1] == before


def test_identity_without_a_board_says_so(simulator: None) -> None:
    command = (
        "tools.cli",
        "identity",
        "set",
        "--port",
        "/dev/no-such-board",
        "--pop",
        "K7QM2X9ADRT4",
    )
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode != 0
    assert "cannot open /dev/no-such-board; is it the right port" in done.stderr
    assert "K7QM2X9ADRT4" not in done.stdout + done.stderr


# -- ways to be safe -------------------------------------------------------------------------


@pytest.fixture
def too_old(bench: Bench, tmp_path: Path) -> Iterator[Board]:
    """A board whose boot.py wants a MicroPython of the far future."""
    source = (ROOT / "boot.py").read_text()
    future = tmp_path / "boot.py"
    future.write_text(re.sub(r"_MIN = \(\d+, \d+\)", "_MIN = (99, 1)", source, count=1))
    assert future.read_text() != source
    bench.board.wait_state("advertising")
    bench.board.mpremote("fs", "cp", str(future), ":boot.py")
    yield bench.board
    bench.board.mpremote("fs", "cp", str(ROOT / "boot.py"), ":boot.py")


def test_too_old_micropython_is_refused_with_a_sentence(too_old: Board) -> None:
    start = len(too_old.log)
    too_old.reset()
    too_old.wait_text(r"Homing needs MicroPython 99\.1 or newer, this is 1\.\d+: ", start=start)
    too_old.wait_text(r">>> $", start=start)
    said = too_old.log[start:]
    assert "flash a newer image" in said
    assert "@boot" not in said
    assert "@state" not in said  # main.py did not run


def test_boot_pressed_after_reset_is_safe_mode(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    start = len(lab.board.log)
    lab.sim.press_boot_after_reset(delay_s=0.5, hold_s=5)
    lab.board.reset()
    lab.board.wait_text("BOOT was pressed: main.py is not run", start=start)
    lab.board.wait_text(r">>> $", start=start)
    assert "@state" not in lab.board.log[start:]
    lab.world.advance(seconds=6)  # it is let go
    assert lab.board.mpremote("exec", "print(6 * 7)").strip() == "42"
    lab.board.reset()
    lab.board.wait("boot", cause="power")
    lab.board.wait_state("advertising")


def test_boot_held_during_reset_is_download_mode(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    start = len(lab.board.log)
    lab.sim.set_pin(9, 0)
    lab.board.reset()
    lab.board.wait_text("waiting for download", start=start)
    assert "@boot" not in lab.board.log[start:]
    lab.sim.set_pin(9, None)
    lab.board.reset()
    lab.board.wait_state("advertising")
