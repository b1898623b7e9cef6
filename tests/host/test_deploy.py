"""`homing deploy` on simulated boards: what it writes, what it leaves alone, what it refuses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mpremote import mip
from mpremote.transport_serial import SerialTransport
from serial_proxy import SerialProxy

from tools.board_port import PortError
from tools.cli import main
from tools.deploy import job, link, plan
from tools.deploy.link import DeployError
from tools.sim import image
from tools.sim.board import SimBoard
from tools.sim.world import World

STANDIN = image.PROJECT / "tools" / "sim" / "standin"
WANTED = image.board_files(aioble=STANDIN)
CLOCK = (image.PROJECT / "lib/homing/clock.py").read_text()
DEFAULT_BOOT = (
    "# This file is executed on every boot (including wake-boot from deepsleep)\n"
    "#import esp\n#esp.osdebug(None)\n#import webrepl\n#webrepl.start()\n"
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(speed=20) as made:
        yield made


@pytest.fixture(autouse=True)
def boards_of_one_test(world: World) -> Iterator[None]:
    """What runs on for nobody keeps a processor busy all the same."""
    yield
    for board in list(world.boards.values()):
        world.remove_board(board)


def started(world: World, files: Mapping[str, str | bytes | None] | None = None) -> SimBoard:
    """A board with the project on it and `files`, whose program runs."""
    board = world.new_board(files=files, aioble=STANDIN)
    board.power_on()
    board.wait_log("advertising as")  # it has drawn and stored its identity
    return board


def bare(world: World, files: Mapping[str, str | bytes | None] | None = None) -> SimBoard:
    """A board with MicroPython and `files`."""
    board = world.new_board(files=files, project=False)
    board.power_on()
    board.wait_log(">>> ")
    return board


def own(board: SimBoard) -> dict[str, bytes]:
    """What is on the board apart from what the program itself stores."""
    return {path: data for path, data in board.files().items() if not path.startswith("nvs/")}


def verb(board: SimBoard, *options: str) -> Result:
    arguments = ["deploy", "--port", board.port, "--aioble", str(STANDIN), "--any-aioble", *options]
    return CliRunner().invoke(main, arguments)


def still_as_before(board: SimBoard, before: dict[str, bytes], start: int) -> None:
    """Nothing changed, and the program has been started again."""
    board.wait_log("advertising as|generation", start=start)
    assert own(board) == before


# -- what it writes --------------------------------------------------------------------------


def test_fresh_board_then_nothing_to_do(world: World) -> None:
    board = bare(world)
    result = verb(board)
    assert result.exit_code == 0, result.output
    assert f"wrote {len(WANTED)} files" in result.output
    assert 'started: @boot {"homing"' in result.output
    assert own(board) == WANTED
    assert any(path.endswith(".der") for path in WANTED)
    assert not [path for path in WANTED if path.startswith("lib/") and path.endswith(".py")]
    board.wait_log("advertising as")
    # Again: nothing is written, and the program runs again.
    ops, start = board.flash_ops, len(board.log)
    result = verb(board)
    assert result.exit_code == 0, result.output
    assert "up to date; nothing was written" in result.output
    assert board.flash_ops == ops
    board.wait_log("advertising as", start=start)


def test_micropythons_own_boot_py_makes_way(world: World) -> None:
    board = bare(world, {"boot.py": DEFAULT_BOOT})
    assert verb(board).exit_code == 0
    assert own(board) == WANTED


def test_one_changed_module_is_one_file(world: World) -> None:
    board = started(world, {"lib/homing/clock.py": CLOCK + "\n_X = 1\n"})
    result = job.deploy(board.port, WANTED)
    assert list(result.plan.write) == ["lib/homing/clock.mpy"]
    assert result.plan.remove == result.plan.make == []
    assert own(board) == WANTED


def test_leftovers_go_and_others_files_stay(world: World) -> None:
    mine = {"lib/mine.py": "X = 1", "data/readings.csv": "1", "lib/homing.txt": "notes"}
    board = bare(
        world,
        {
            **WANTED,
            **mine,
            "main.py": "",
            "lib/homing/old/deep/a.mpy": b"M\x06",
            "lib/aioble/central.py": "1",
        },
    )
    # A source wins over the .mpy beside it, so this one is not harmless. (Not through the cache of
    # compiled modules: as it is.)
    board.power_off()
    fs = image.read_image(board.flash.image_path)
    with fs.open("lib/homing/store.py", "w") as file:
        file.write("raise SystemError('old')")
    with fs.open("lib/aioble/core.py", "w") as file:
        file.write("raise SystemError('old')")
    fs.unmount()
    board.flash.write(bytes(fs.context.buffer))
    board.power_on()
    result = verb(board, "--main")
    assert result.exit_code == 0, result.output
    assert "- lib/homing/old/deep/a.mpy" in result.output
    assert "removed 5" in result.output  # three files and two directories
    after = own(board)
    assert {p: d for p, d in after.items() if p in WANTED} == WANTED
    # Theirs are there as they were, and nothing else is.
    kept = ["data/readings.csv", "lib/aioble/central.mpy", "lib/homing.txt", "lib/mine.mpy"]
    assert sorted(set(after) - set(WANTED)) == kept
    assert "old" not in image.read_image(board.flash.image_path).listdir("/lib/homing")


def test_main_py_is_the_makers(world: World) -> None:
    theirs = 'print("mine", 6 * 7)\n'
    board = bare(world, {"main.py": theirs})
    result = verb(board)
    assert result.exit_code == 0, result.output
    assert "main.py on the board is another one and was kept" in result.output
    assert own(board)["main.py"] == theirs.encode()
    board.wait_log("mine 42")
    result = verb(board, "--main")
    assert result.exit_code == 0, result.output
    assert "wrote 1 files" in result.output
    assert own(board) == WANTED


def test_main_py_from_another_file(world: World, tmp_path: Path) -> None:
    mine = tmp_path / "lamp.py"
    mine.write_text("# of a maker\nprint('lamp', 6 * 7)\n")
    board = bare(world, {**WANTED, "main.py": ""})
    result = verb(board, "--main", str(mine))
    assert result.exit_code == 0, result.output
    assert own(board) == {**WANTED, "main.py": mine.read_bytes()}
    board.wait_log("lamp 42")
    result = verb(board, "--main", "--dry-run")  # without a file it is the project's
    assert "+ main.py" in result.output
    assert verb(board, "--main", str(tmp_path / "none.py")).exit_code == 2


def test_a_script_with_an_error_goes_nowhere(world: World, tmp_path: Path) -> None:
    mine = tmp_path / "lamp.py"
    mine.write_text("import homing\n\ndef f(:\n    pass\n")
    board = bare(world, {"main.py": ""})
    before, ops = own(board), board.flash_ops
    result = verb(board, "--main", str(mine))
    assert result.exit_code == 1
    assert f'File "{mine}", line 3' in result.output
    assert "SyntaxError: invalid syntax" in result.output
    # Functions that become machine code are fine: the chip compiles them.
    mine.write_text("import micropython\n@micropython.viper\ndef f(a: int): return a\n1 +\n")
    assert f'File "{mine}", line 4' in verb(board, "--main", str(mine)).output
    assert (own(board), board.flash_ops) == (before, ops)


def test_dry_run_writes_nothing(world: World) -> None:
    board = started(world, {"lib/homing/clock.py": CLOCK + "\n_X = 1\n"})
    ops = board.flash_ops
    result = verb(board, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "+ lib/homing/clock.mpy" in result.output
    assert board.flash_ops == ops


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No package index in reach, and no aioble kept from earlier."""
    monkeypatch.setattr(mip, "_PACKAGE_INDEX", "http://127.0.0.1:9")
    monkeypatch.setenv("HOMING_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AIOBLE", raising=False)


def test_offline_the_boards_aioble_stays(world: World, offline: None) -> None:
    board = started(
        world, {"lib/homing/clock.py": CLOCK + "\n_X = 1\n", "lib/aioble/central.py": "X = 1"}
    )
    before = own(board)
    result = CliRunner().invoke(main, ["deploy", "--port", board.port])
    assert result.exit_code == 0, result.output
    assert "  = lib/aioble on the board was kept (mip cannot fetch aioble 0.6.2: " in result.output
    assert "wrote 1 files" in result.output
    assert own(board) == {**before, "lib/homing/clock.mpy": WANTED["lib/homing/clock.mpy"]}


@pytest.mark.parametrize("server", [None, b""])
def test_offline_without_a_whole_aioble(world: World, offline: None, server: bytes | None) -> None:
    board = bare(
        world,
        {
            path: (server if path == "lib/aioble/server.mpy" else data)
            for path, data in WANTED.items()
            if path.startswith("lib/aioble/")
        },
    )
    ops = board.flash_ops
    result = CliRunner().invoke(main, ["deploy", "--port", board.port])
    assert result.exit_code == 1
    assert "mip cannot fetch aioble 0.6.2" in result.output
    assert "--aioble" in result.output
    assert board.flash_ops == ops


# -- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"boot.py": "import webrepl_setup_of_mine"}, "boot.py of its own.*--boot"),
        ({"homing.py": ""}, "/homing.py on the board would hide"),
        ({"homing/node.py": ""}, "/homing on the board would hide"),
        ({"lib/aioble.py": ""}, "/lib/aioble.mpy on the board would hide"),
    ],
)
def test_foreign_files_in_the_way(world: World, files: dict[str, str], said: str) -> None:
    board = bare(world, {**files, "main.py": "print('generation 0')"})
    before, ops, start = own(board), board.flash_ops, len(board.log)
    with pytest.raises(DeployError, match=said):
        job.deploy(board.port, WANTED)
    assert board.flash_ops == ops
    if "boot.py" not in files:  # that one fails, as the makers' own may
        still_as_before(board, before, start)


def test_foreign_boot_py_replaced_when_asked(world: World) -> None:
    board = bare(world, {"boot.py": "X = 1"})
    assert verb(board).exit_code == 1
    assert verb(board, "--boot").exit_code == 0
    assert own(board) == WANTED


_PRETEND = """
import sys
class _Implementation:
    name = "micropython"
    version = {version}
    _mpy = sys.implementation._mpy
class _Sys:
    implementation = _Implementation
    platform = "esp32"
sys.modules["sys"] = _Sys
"""


def test_an_interpreter_that_is_too_old(world: World) -> None:
    # Homing is in a comment: the board passes for one of ours.
    board = bare(world, {"boot.py": "# homing" + _PRETEND.format(version=(1, 28, 1, ""))})
    before, ops = own(board), board.flash_ops
    result = verb(board)
    assert result.exit_code == 1
    assert "runs MicroPython 1.28; Homing needs 1.29 or newer" in result.output
    assert (own(board), board.flash_ops) == (before, ops)


def test_the_simulators_aioble_never_reaches_a_chip(world: World) -> None:
    board = bare(world, {"boot.py": "# homing" + _PRETEND.format(version=(1, 29, 0, ""))})
    ops = board.flash_ops
    result = verb(board)
    assert result.exit_code == 1
    assert "of no use on a chip" in result.output
    assert board.flash_ops == ops


def test_no_room(world: World) -> None:
    board = started(world, {"big.bin": bytes(1_400_000), "lib/homing/clock.py": CLOCK + "\n_X = 1"})
    big = {**WANTED, "lib/homing/ca.bin": os.urandom(200_000)}
    before, ops, start = own(board), board.flash_ops, len(board.log)
    with pytest.raises(DeployError, match="not enough room on the board: .* KB needed"):
        job.deploy(board.port, big)
    assert board.flash_ops == ops
    still_as_before(board, before, start)


def test_full_while_writing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan.Plan, "blocks", property(lambda _plan: 0))
    board = started(world, {"big.bin": bytes(1_400_000), "lib/homing/clock.py": CLOCK + "\n_X = 1"})
    before, start = own(board), len(board.log)
    with pytest.raises(DeployError, match="file system is full; nothing was changed"):
        job.deploy(board.port, {**WANTED, "lib/homing/ca.bin": os.urandom(400_000)})
    still_as_before(board, before, start)


# -- interruptions of the link (those of the power: test_deploy_power.py) ----------------------


def test_interrupted_by_the_person(world: World) -> None:
    board = started(world, {"lib/homing/clock.py": CLOCK + "\n_X = 1\n"})
    before, start = own(board), len(board.log)

    def impatient(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.deploy(board.port, WANTED, progress=job.Progress(wrote=impatient))
    still_as_before(board, before, start)


OLD = {**WANTED, "main.py": b"print('generation', 0)"}
OLD.update((path, b"old") for path in WANTED if path.endswith(".der"))
NEW = {**WANTED, "main.py": b"print('generation', 1)"}


@pytest.fixture(scope="module")
def line_bytes(world: World) -> int:
    """How much the host has to say for an update from OLD to NEW."""
    board = bare(world, OLD)
    line = board.serve_tcp()
    with SerialProxy(lambda _n: line) as proxy:
        job.deploy(proxy.url, NEW, main=True)
    assert own(board) == NEW
    world.remove_board(board)
    return proxy.sent


@pytest.mark.parametrize("part", [0.01, 0.2, 0.6, 0.9, 0.99])
def test_port_that_vanishes(
    world: World, line_bytes: int, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_READ_S", 1.0)
    # mpremote polls a socket every 10 ms, but waits for a pty: let it wait for both.
    monkeypatch.setattr(SerialTransport, "_is_pty_device", staticmethod(lambda _device: True))
    board = bare(world, OLD)
    line = board.serve_tcp()
    with (
        SerialProxy(lambda _n: line, round(line_bytes * part)) as proxy,
        pytest.raises((DeployError, PortError)) as caught,
    ):
        job.deploy(proxy.url, NEW, main=True)
    assert caught.value.exit_code == 1
    start = len(board.log)
    board.reset()
    generation = board.wait_log(r"generation (\d)", start=start)[1]
    after = {
        path: data
        for path, data in own(board).items()
        if not path.startswith(("update", "boot.part"))
    }
    assert after == (OLD, NEW)[int(generation)]
    # And the next one starts from there.
    job.deploy(board.port, NEW, main=True)
    assert own(board) == NEW


def test_a_board_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_READ_S", 0.2)
    ours, theirs = os.openpty()
    try:
        with pytest.raises(DeployError, match="does not come to its prompt; press RESET"):
            job.deploy(os.ttyname(theirs), WANTED)
    finally:
        os.close(ours)
        os.close(theirs)


def test_damage_on_the_way_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    board = started(world, {"lib/homing/clock.py": CLOCK + "\n_X = 1\n"})
    before, start = own(board), len(board.log)
    plain = link.Link.write

    def damaged(self: link.Link, path: str, data: bytes, progress: object) -> None:
        plain(self, path, data[:-1] + b"?" if path.endswith(".mpy") else data, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(link.Link, "write", damaged)
    with pytest.raises(DeployError, match="clock.mpy arrived damaged; nothing was changed"):
        job.deploy(board.port, WANTED)
    still_as_before(board, before, start)


def test_wanted_is_what_the_simulator_runs(tmp_path: Path) -> None:
    # One function makes both, so this is about the files of the project being in it at all.
    digest = hashlib.sha256(WANTED["boot.py"]).digest()
    assert digest == hashlib.sha256((image.PROJECT / "boot.py").read_bytes()).digest()
    assert {"main.py", "lib/homing/node.mpy", "lib/aioble/core.mpy"} <= set(WANTED)
