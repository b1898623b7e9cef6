"""Reset after reset, soft and hard: the board is found again, provisionable, on its network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from esp_protocomm.wifi import WifiState

from tools.board_boot import await_boot
from tools.harness.bench import Bench, SimBench

pytestmark = pytest.mark.timeout(3600)  # with --soak on a board
Rounds = Callable[[int, int], range]
_FIRST_WORDS_S = 20  # as long as `homing flash` waits for them
# How long a simulated port stays away: less than the board needs for its first line, and more.
_AWAY_S = (0.02, 0.5, 1.5)


def test_provisionable_after_soft_and_hard_resets(bench: Bench, rounds: Rounds) -> None:
    board = bench.board
    board.wait_state("advertising")
    for _ in rounds(3, 20):
        board.soft_reset()
        board.wait("boot", cause="soft")
        board.wait_state("advertising")
    for _ in rounds(3, 20):
        board.reset()
        board.wait("boot")
        board.wait_state("advertising")
    assert bench.provision().state is WifiState.CONNECTED
    board.wait_state("online")


def test_online_again_after_every_soft_reset(bench: Bench, rounds: Rounds) -> None:
    """By mpremote, which leaves the board at its prompt, and then by Ctrl-D: Wi-Fi was on."""
    board = bench.board
    board.wait_state("advertising")
    assert bench.provision().state is WifiState.CONNECTED
    board.wait_state("online")
    for _ in rounds(2, 20):
        board.mpremote("soft-reset")
        board.skip_to_now()
        board.write(b"\x04")
        board.wait("boot", cause="soft")
        board.wait_state("online")
        board.soft_reset()
        board.wait_state("online")
    assert "advertising" not in board.log.rpartition('"ble-off"')[2]


def test_first_words_wherever_the_port_comes_back(bench: Bench, rounds: Rounds) -> None:
    """A port that goes away at a reset is found by its serial number, as `homing flash` does."""
    board = bench.board
    board.wait_state("advertising")
    names = {board.address}
    for turn in rounds(len(_AWAY_S), 20):
        if isinstance(bench, SimBench):
            bench.sim.usb_away_s = _AWAY_S[turn % len(_AWAY_S)]
        board.to_repl()
        board.type("import machine; machine.reset()")
        with board.lent():
            said = await_boot(board.port.again(_FIRST_WORDS_S), _FIRST_WORDS_S)
        assert said.startswith("@")
        names.add(board.address)
        board.wait_state("advertising")
        # And with the port open all the while: whoever reads it stays with the board.
        start = len(board.log)
        board.reset()
        board.wait_text(r'"state": "advertising"', start=start)
        names.add(board.address)
    if isinstance(bench, SimBench):
        assert len(names) > 1  # it has been away
