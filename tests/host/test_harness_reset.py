"""The harness resets boards by what their address has, and says so when there is nothing."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from esp_pylib.serial_reset import hard_reset
from serial.tools import list_ports

from tools.harness import reset
from tools.harness.board import GAP, Board, BoardError
from tools.sim.board import SimBoard
from tools.sim.rfc2217 import Lines
from tools.sim.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(speed=20) as made:
        yield made


@pytest.fixture
def sim(world: World) -> Iterator[SimBoard]:
    board = world.new_board()
    board.power_on()
    yield board
    if board.name in world.boards:
        world.remove_board(board)


@pytest.fixture
def silent() -> Iterator[str]:
    ours, theirs = os.openpty()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


@contextlib.contextmanager
def opened(address: str, ways: list[reset.Way] | None = None, **options: Any) -> Iterator[Board]:
    board = Board(address, ways, **options)
    board.open()
    with contextlib.closing(board):
        yield board


def power_ons(sim: SimBoard) -> int:
    return sim.log.count("(POWERON)")


def test_rts_while_dtr_is_let_go(sim: SimBoard) -> None:
    with opened(f"rfc2217://127.0.0.1:{sim.serve_rfc2217()}") as board:
        board.wait_state("advertising")
        # Opening has asserted both, and two asserted lines pull nothing.
        hard_reset(board.link)
        assert power_ons(sim) == 1
        for times in (2, 3):
            board.reset()
            assert power_ons(sim) == times
            board.wait("boot", cause="power")
            board.wait_state("advertising")
    assert "waiting for download" not in sim.log


def test_the_lines_are_wired_as_on_a_devkit(sim: SimBoard) -> None:
    """DTR alone holds BOOT, RTS alone holds EN; at EN's rise BOOT decides."""
    sim.wait_log("advertising as")
    lines = Lines(lambda dtr, rts: sim.world.do(sim._set_lines, dtr, rts))
    lines.rts = True
    assert sim.state == "off"
    sim.set_pin(9, 0)
    lines.rts = False
    assert sim.state == "download"
    sim.set_pin(9, None)
    lines.rts = True
    sim.power_off()
    lines.rts = False
    assert sim.state == "off"  # no power, no start
    lines.rts = True
    sim.power_on()
    assert sim.state == "off"  # not before EN rises
    lines.rts = False
    start = len(sim.log)
    sim.wait_log("@boot", start=start - 1)
    lines.dtr = True
    sim.wait_log("BOOT was pressed", start=start - 1)


def test_falls_back_to_the_prompt_and_remembers(
    sim: SimBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A serial server whose RTS leads nowhere: the second reset does not wait for it again."""
    monkeypatch.setattr("tools.harness.board._RESET_S", 2.0)
    monkeypatch.setattr(SimBoard, "_set_lines", lambda *_: None)
    notes: list[str] = []
    address = f"rfc2217://127.0.0.1:{sim.serve_rfc2217()}"
    with opened(address, note=lambda _source, text: notes.append(text)) as board:
        board.wait_state("advertising")
        for _ in range(2):
            board.reset()
            board.wait("boot", cause="hard")
            board.wait_state("advertising")
    tried = [note for note in notes if note.startswith("reset by")]
    assert tried == ["reset by RTS", *["reset by machine.reset() at the REPL"] * 2]


def test_nothing_works_says_what_was_tried(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reset, "_REPL_S", 0.3)
    with opened(silent) as board, pytest.raises(BoardError) as caught:
        board.reset()
    said = str(caught.value)
    assert f"the board at {silent} could not be reset" in said
    assert "  RTS: the port has no such line" in said
    assert "  machine.reset() at the REPL: no prompt within 0.3 s after Ctrl-C" in said
    assert "--reset-command" in said


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise SystemExit('no hub found')", "exit code 1: no hub found"),
        ("import sys; sys.exit(3)", "exit code 3: no output"),
        ("pass", "no sign of life: none within 0.5 s"),
        ("import time; time.sleep(9)", "still running after 0.5 s"),
    ],
    ids=["fails", "fails silently", "does nothing", "hangs"],
)
def test_a_command_that_does_not_work(
    sim: SimBoard, code: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset, "_COMMAND_TIMEOUT_S", 0.5 if "sleep" in code else 30)
    monkeypatch.setattr("tools.harness.board._RESET_S", 0.5)
    sim.wait_log("advertising as")
    ways = reset.ways(sim.port, command=shlex.join([sys.executable, "-c", code]))
    with opened(sim.port, ways) as board, pytest.raises(BoardError, match=why):
        board.reset()
    assert power_ons(sim) == 1


def test_what_an_address_may_have() -> None:
    def names(*args: str | None) -> list[str]:
        return [way.name for way in reset.ways(*args)]  # type: ignore[arg-type]

    both = ["RTS", "machine.reset() at the REPL"]
    for address in ("/dev/ttyACM0", "id:1234", "rfc2217://host:1"):
        assert names(address) == both
    assert names("socket://host:1") == both[1:]
    assert names("/dev/ttyACM0", "repl") == both[1:]
    assert names("/dev/ttyACM0", None, "uhubctl -a 2") == ["the command 'uhubctl -a 2'"]


def test_a_raw_socket_has_no_rts(sim: SimBoard) -> None:
    address = f"socket://127.0.0.1:{sim.serve_tcp()}"
    why = "a raw socket carries no RTS line; rfc2217:// does"
    with opened(address, reset.ways(address, "rts")) as board, pytest.raises(BoardError, match=why):
        board.reset()


def test_by_serial_number_wherever_it_comes_back(
    sim: SimBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`id:…` leads to a port, and again to another one after each reset."""
    monkeypatch.setattr(list_ports, "comports", sim.list_ports)
    sim.usb_away_s = 4.0
    (usb,) = sim.list_ports()
    with opened(f"id:{usb.serial_number}", [reset.Own(sim.reset)]) as board:
        assert board.address == usb.device
        board.reset()
        board.wait_text('"advertising"')
        assert board.address != usb.device
        assert GAP in board.log


def test_ctrl_c_is_repeated(sim: SimBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that falls into the start of the chip is lost."""
    monkeypatch.setattr("tools.harness.board._CTRL_C_S", 1.0)
    with opened(sim.port) as board:
        board.wait_state("advertising")
        plain, sent = board.write, []

        def lossy(data: bytes) -> None:
            sent.append(data)
            if len(sent) > 1:
                plain(data)

        monkeypatch.setattr(board, "write", lossy)
        board.to_repl()
    assert sent == [b"\x03"] * 2


def test_a_port_that_does_not_come_back(
    world: World, sim: SimBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits is told at once, not at the deadline."""
    monkeypatch.setattr("tools.harness.board._BACK_S", 0.5)
    with opened(sim.port) as board:
        board.wait_state("advertising")
        world.remove_board(sim)
        with pytest.raises(BoardError, match="its port went away"):
            board.wait_state("online", timeout_s=60)
        with pytest.raises(BoardError, match="cannot write"):
            board.to_repl()
