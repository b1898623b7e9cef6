"""Whoever holds the cable gets the prompt back, whatever the board is doing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.harness.bench import Bench, SimBench
from tools.harness.dialogue import Dialogue

PROMPT_S = 1
WRONG = b"wrong horse"


def bring_to(bench: Bench, state: str) -> None:
    """Have an advertising board do something."""

    async def leave_it_open(d: Dialogue) -> None:
        pass

    async def apply(d: Dialogue) -> None:
        # Three attempts with a wrong password keep it busy for a while.
        assert await d.set(bench.ssid.encode(), WRONG) == 0
        assert await d.apply() == 0

    bench.board.wait_state("advertising")
    if state == "client":
        bench.talk(leave_it_open)
    elif state == "joining":
        bench.talk(apply)
    elif state == "online":
        bench.provision()
    if state != "advertising":
        bench.board.wait_state(state)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("state", ["advertising", "joining", "online"])
def test_mpremote_exec(bench: Bench, state: str, rounds: Callable[[int, int], range]) -> None:
    board = bench.board
    for turn in rounds(2, 50):
        if state == "online" and turn:
            board.wait_state(state)  # provisioned once, it comes by itself
        else:
            bring_to(bench, state)
        start = len(board.log)
        assert board.mpremote("exec", "print(6 * 7)").strip() == "42"
        assert "join-failed" not in board.log[start:]  # it was still at it
        board.skip_to_now()
        board.write(b"\x04")  # from the prompt that mpremote leaves behind to main.py
        board.wait("boot", cause="soft")


@pytest.mark.parametrize("state", ["advertising", "client", "joining", "online"])
def test_ctrl_c_gives_the_prompt_within_a_second(bench: Bench, state: str) -> None:
    bring_to(bench, state)
    bench.real_time()
    bench.board.to_repl(PROMPT_S)
    if isinstance(bench, SimBench):
        assert "ble" not in bench.sim.radios  # BLE is not left behind either
