"""The power fails at every step of a deployment: the board has the old program or the new one.

Both programs here consist of parts that check that they belong together, so anything mixed shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import serial
from mpremote.transport_serial import SerialTransport

from tools.deploy import job, link
from tools.deploy.link import DeployError
from tools.sim import image
from tools.sim.board import SimBoard
from tools.sim.world import World

STANDIN = image.PROJECT / "tools" / "sim" / "standin"
BOOT = (image.PROJECT / "boot.py").read_text()
MAIN = """
from homing import part_a, part_b, part_c, part_d
from homing.clock import GEN
assert part_a.GEN == part_b.GEN == part_c.GEN == part_d.GEN == GEN == {0}, "mixed"
try:
    import homing.part_old
    assert {0} == 1, "left over"
except ImportError:
    assert {0} == 2, "missing"
print("generation {0} runs")
"""
CLOCK = (image.PROJECT / "lib/homing/clock.py").read_text()
# As much of the project as boot.py needs; every file more only makes the sweep longer.
BASE = ("boot.py", "main.py") + tuple(
    f"lib/homing/{name}.mpy"
    for name in ("__init__", "board", "provisioning/__init__", "provisioning/reasons")
)


def program(extra: dict[str, str]) -> dict[str, bytes]:
    made = image.board_files(extra, aioble=STANDIN)
    names = {*BASE, *(path.replace(".py", ".mpy") for path in extra if path.startswith("lib/"))}
    return {path: data for path, data in made.items() if path in names}


OLD = program(
    {
        "main.py": MAIN.format(1),
        "lib/homing/part_a.py": "GEN = 1",
        "lib/homing/part_b.py": "GEN = 1",
        # A module that becomes a package, and a package that becomes a module.
        "lib/homing/part_c.py": "GEN = 1",
        "lib/homing/part_d/__init__.py": "from .deep import GEN",
        "lib/homing/part_d/deep.py": "GEN = 1",
        "lib/homing/part_old.py": "GEN = 1",
        "lib/homing/clock.py": CLOCK + "\nGEN = 1",
    }
)
NEW = program(
    {
        "main.py": MAIN.format(2),
        "boot.py": BOOT + "# changed\n",
        "lib/homing/part_a.py": "GEN = 2",
        "lib/homing/part_b.py": "GEN = 2\nTEXT = '''" + "long " * 2000 + "'''",
        "lib/homing/part_c/__init__.py": "from .deep import GEN",
        "lib/homing/part_c/deep.py": "GEN = 2",
        "lib/homing/part_d.py": "GEN = 2",
        "lib/homing/clock.py": CLOCK + "\nGEN = 2",
    }
)
# The first deployment onto a board that somebody uses already, without any Homing.
THEIRS = {
    "boot.py": b"# This file is executed on every boot\n",
    "main.py": b"print('generation 1 runs')\n",
}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(speed=50) as made:
        yield made


def boot(board: SimBoard) -> str:
    """Power on and see which program runs; the whole of what it said must be free of faults."""
    start = len(board.log)
    board.power_on()
    generation = board.wait_log(r"generation (\d) runs|Error|Traceback", 20, start)[1]
    assert generation, board.log[start:]
    return generation


def deploy(board: SimBoard) -> None:
    job.deploy(board.port, NEW, main=True)


def dark(board: SimBoard) -> bool:
    """Whether the power has failed."""
    return board.flash.cut_at is None and board.state == "off"


class _Line:
    """A serial port that goes away with the power, as the USB of the chip does."""

    def __init__(self, plain: serial.Serial, board: SimBoard) -> None:
        self._plain = plain
        self._board = board
        plain.timeout = 0.02

    def read(self, count: int = 1) -> bytes:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            data = self._plain.read(count)
            if data:
                return data
            self._look()
        return b""

    def write(self, data: bytes) -> int | None:
        self._look()
        return self._plain.write(data)

    def _look(self) -> None:
        if dark(self._board):
            raise serial.SerialException("device disconnected")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def deploy_until_dark(board: SimBoard) -> None:
    class Transport(SerialTransport):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.serial = _Line(self.serial, board)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "SerialTransport", Transport)
        try:
            deploy(board)
        except DeployError:
            if not dark(board):
                raise


def reset_to(board: SimBoard, content: bytes) -> None:
    board.cancel_power_cut()
    if board.state != "off":
        board.power_off()
    board.flash.write(content)


def operations(board: SimBoard, content: bytes) -> int:
    """How many flash operations the deployment has, restart included."""
    reset_to(board, content)
    before = board.flash_ops.total
    assert boot(board) == "1"
    deploy(board)
    board.wait_log("generation 2 runs", 20)
    assert board.files() == NEW
    return board.flash_ops.total - before


def cut_and_look(board: SimBoard, content: bytes, at: int, torn: float, again: bool) -> str:
    """Let the power fail in operation `at` + 1; returns the generation that runs afterwards."""
    reset_to(board, content)
    assert boot(board) == "1"
    board.cut_power_after(at, torn)
    deploy_until_dark(board)
    assert dark(board), f"operation {at} did not happen"
    if again:
        # And once more, while boot.py finishes the update, if it is at that.
        board.cut_power_after(at % 5, torn)
        start = len(board.log)
        board.power_on()
        while not dark(board) and "runs" not in board.log[start:]:
            time.sleep(0.01)
        board.cancel_power_cut()
        if board.state != "off":
            board.power_off()
    generation = boot(board)
    left = board.files()
    if generation == "2":
        assert left == NEW
    else:
        owned = {
            path: data
            for path, data in left.items()
            if not path.startswith(("update", "boot.part"))
        }
        assert owned == image.image_files(_as_file(board, content))
    return generation


def _as_file(board: SimBoard, content: bytes) -> str:
    path = board.flash.image_path.with_name("before.img")
    path.write_bytes(content)
    return str(path)


def sweep(world: World, files: dict[str, bytes], cuts: int) -> None:
    board = world.new_board(project=False, files=dict(files))
    content = image.build_image(files)
    total = operations(board, content)
    seen = []
    steps = min(cuts, total)
    for n in range(steps):
        at = n * total // steps
        seen.append(cut_and_look(board, content, at, (0.0, 0.5, 1.0)[n % 3], n % 2 == 1))
    # Both ends have been there, and once the new one runs it does so for good.
    assert seen[0] == "1", seen
    assert "".join(sorted(seen)) == "".join(seen), seen
    assert "2" in seen, seen
    # Whatever the last one left: the next deployment brings everything in order.
    deploy(board)
    assert board.files() == NEW
    world.remove_board(board)


def test_update_at_some_steps(world: World) -> None:
    sweep(world, OLD, 20)


def test_first_deployment_at_some_steps(world: World) -> None:
    sweep(world, THEIRS, 16)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("files", [OLD, THEIRS], ids=["update", "first"])
def test_every_step(world: World, files: dict[str, bytes]) -> None:
    sweep(world, files, 10_000)


def test_the_control(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that writes in place is caught by the same test: the checks are not idle."""

    def in_place(link: object, plan: object, _progress: object) -> None:
        for path, data in plan.write.items():  # type: ignore[attr-defined]
            link.run(f"try: os.mkdir('/{path.rsplit('/', 1)[0]}')\nexcept OSError: pass")  # type: ignore[attr-defined]
            link.write("/" + path, data, lambda _n: None)  # type: ignore[attr-defined]

    monkeypatch.setattr("tools.deploy.update.apply", in_place)
    board = world.new_board(project=False, files=dict(OLD))
    content = image.build_image(OLD)
    reset_to(board, content)
    assert boot(board) == "1"
    with pytest.raises(AssertionError) as caught:
        for at in range(5, 60, 10):
            cut_and_look(board, content, at, 1.0, False)
    assert "did not happen" not in str(caught.value)
    world.remove_board(board)
