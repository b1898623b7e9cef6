"""The whole job while BLE events strike between main's statements, at points a seed chooses.

What each publication must look like to a handler in between is in tests/host/test_publications.py.
"""

from __future__ import annotations

import pytest

from tools.harness.bench import SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, bind, link_id_of
from tools.sim.instrument import preempt

SECRET = "mapping-secret-of-the-test"
SCAN_START, SCAN_STATUS = bytes.fromhex("5206080118052078"), bytes.fromhex("0802")


def seeded(seed: int, *marks: pytest.MarkDecorator):  # noqa: ANN201 - what pytest calls a parameter
    marks = (pytest.mark.sim(transform=preempt(seed)), *marks)
    return pytest.param(seed, marks=marks, id=f"seed {seed}")


@pytest.mark.parametrize("seed", [seeded(1), seeded(2), seeded(3, pytest.mark.soak)])
def test_main_job(lab: SimBench, seed: int) -> None:
    """Scanned, linked, mapped, a wrong password corrected, joined, online, both clouds done."""
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> str:
        for _ in range(5):
            await d.ask("prov-scan", SCAN_START)
            await d.ask("prov-scan", SCAN_STATUS)
        link_id = await link_id_of(d)
        await bind(d, SECRET, await owner.access_token())
        await d.join(lab.ssid.encode(), b"not the right horse", poll_s=0.1)
        await d.join(lab.ssid.encode(), lab.password.encode(), poll_s=0.1)
        return link_id

    lab.board.wait_state("advertising")
    link_id = lab.talk(work)
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("online")
    lab.run(owner.link(link_id))
    lab.board.wait_text(r'"is": "linked"')
    lab.board.wait_text(r'"is": "confirmed"')
    assert "Unhandled exception" not in lab.board.log
    assert "@err" not in lab.board.log
