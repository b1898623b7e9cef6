"""When a board stops to wait for a phone: too many wrong proofs, or too long a time."""

from __future__ import annotations

from typing import Any

import pytest
from bleak import BleakScanner
from bleak.exc import BleakError
from esp_protocomm.security1 import SecurityError
from esp_protocomm.wifi import WifiState

from tools.harness.bench import SimBench
from tools.harness.dialogue import WRONG_PASSWORD, Dialogue

VERSION = "proto-ver"
HALF_AN_HOUR_S = 30 * 60


def main_py(**options: Any) -> dict[str, str]:
    return {"main.py": f"import homing\nhoming.run(**{options!r})\n"}


def advertised(lab: SimBench) -> int:
    async def look() -> int:
        return len(await BleakScanner.discover(timeout=1))

    return lab.run(look())


async def guess(d: Dialogue, times: int) -> None:
    for _ in range(times):
        with pytest.raises(SecurityError):
            await d.secure("WRONGWRONG22")


def assert_stopped(lab: SimBench, why: str) -> None:
    """Nothing on the air, and whoever holds the board can go on: at the REPL, or after a reset."""
    lab.board.wait_state("stopped", why=why)
    told = lab.board.wait_text(r"provisioning has stopped \(.*\n")[0]
    assert "reset the board to begin again" in told
    lab.board.wait_text('"ble-off"')
    assert "ble" not in lab.sim.radios
    lab.world.advance(seconds=3600)
    assert advertised(lab) == 0
    assert lab.board.log.count('"unprovisioned"') == 1
    start = len(lab.board.log)
    lab.board.to_repl()
    lab.board.reset()
    lab.board.wait_text('"advertising"', start=start)
    assert lab.provision().state is WifiState.CONNECTED


def test_five_wrong_proofs_stop_until_a_reset(lab: SimBench) -> None:
    """Not even the right proof is served afterwards, on this connection or another."""
    lab.board.wait_state("advertising")
    dialogue, pop = lab.dialogue(), lab.pop()

    async def work() -> None:
        async with dialogue as d:
            await guess(d, 5)
            with pytest.raises(BleakError):  # refused, or the link has ended already
                await d.secure(pop)  # at once, at its first message

    lab.run(work())
    lab.board.wait_state("wrong-pop", n=5)
    counts = [s["n"] for s in lab.board.states() if s["state"] == "wrong-pop"]
    assert counts == [1, 2, 3, 4, 5]
    assert_stopped(lab, "wrong proofs")


@pytest.mark.sim(files=main_py(wrong_proofs=0))
def test_proofs_without_limit(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    dialogue = lab.dialogue()

    async def work() -> None:
        async with dialogue as d:
            await guess(d, 7)

    lab.run(work())
    lab.board.wait_text(r"wrong proof of possession \(7\)")
    assert lab.provision().state is WifiState.CONNECTED


@pytest.mark.soak
def test_half_an_hour_is_enough(lab: SimBench) -> None:
    ends_after(lab, HALF_AN_HOUR_S)


@pytest.mark.sim(files=main_py(timeout_ms=240_000))
def test_a_limit_of_four_minutes(lab: SimBench) -> None:
    ends_after(lab, 240)


def ends_after(lab: SimBench, limit_s: int) -> None:
    """Counted from the start, whatever failed meanwhile."""
    lab.board.wait_state("advertising")
    lab.world.advance(seconds=limit_s - 120)
    assert "stopped" not in lab.board.log
    status = lab.talk(lambda d: d.provision(lab.ssid, "wrong horse"))
    assert status == WRONG_PASSWORD
    lab.world.advance(seconds=130)
    assert_stopped(lab, "timeout")


@pytest.mark.soak
@pytest.mark.sim(files=main_py(timeout_ms=0))
def test_without_a_timeout(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    lab.world.advance(seconds=2 * HALF_AN_HOUR_S)
    assert lab.provision().state is WifiState.CONNECTED


@pytest.mark.sim(
    files={
        "main.py": """
import asyncio
import homing

async def main():
    async with homing.Provisioner("PROV_badge", pop="K7QM2X9ADRT4", timeout_ms=5000) as p:
        async for event in p:
            print("event", event.kind, getattr(event, "why", ""))
    print("came to an end")

asyncio.run(main())
"""
    }
)
def test_library_form_ends_with_an_event(lab: SimBench) -> None:
    lab.board.wait_text(r"event stopped timeout\s+came to an end")
    assert "ble" not in lab.sim.radios
