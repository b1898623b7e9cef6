"""TLS wants its memory in one piece: a board that has none restarts, and goes online after that."""

from __future__ import annotations

import pytest

from tools.harness.bench import NODE_ID, POP, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, bind, link_id_of
from tools.harness.stored import stored

SECRET = "mapping-secret-over-a-restart"
FREE = 100 * 1024
ENOUGH = 45 * 1024
NOT_ENOUGH = "not enough memory in one piece for TLS"


def provision(lab: SimBench) -> None:
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> None:
        await owner.link(await link_id_of(d))
        await bind(d, SECRET, await owner.access_token())
        await d.provision(lab.ssid, lab.password)

    lab.board.wait_state("advertising")
    lab.talk(work)


def test_restarts_in_state_saved_and_goes_online(lab: SimBench) -> None:
    lab.sim.idf_heap = (FREE, ENOUGH - 1)
    provision(lab)
    lab.board.wait_state("provisioned", told=True)  # the client has its answer
    assert lab.board.wait_state("ble-off")["idf_largest"] == ENOUGH - 1
    kept = stored(lab.sim, "wifi")
    assert kept["ssid"] == lab.ssid.encode()
    lab.board.wait("boot", cause="hard")
    lab.board.wait_state("online")
    lab.board.wait_state("cloud", cloud="thethings", **{"is": "linked"})
    log = lab.board.log
    first, second = log.split("@boot")[1:]  # one restart, even though memory stays short
    assert NOT_ENOUGH in first
    assert '"online"' not in first
    assert "advertising" not in second
    assert "proof of possession" not in second
    assert len(lab.cloud.thethings.history) == 1
    # The user's token lived in RAM, and the board says what became of that.
    lab.board.wait_text(r'"cloud": "rainmaker", "is": "needs token"')


@pytest.mark.sim(
    identity={"pop": POP, "node_id": NODE_ID},
    files={"main.py": "import homing\nhoming.run(persist_token=True)\n"},
)
def test_a_persisted_token_outlives_the_restart(lab: SimBench) -> None:
    lab.sim.idf_heap = (FREE, ENOUGH - 1)

    async def work(d: Dialogue) -> None:
        await bind(d, SECRET, await Owner(lab.scene).access_token())
        await d.provision(lab.ssid, lab.password)

    lab.board.wait_state("advertising")
    lab.talk(work)
    lab.board.wait("boot", cause="hard")
    lab.board.wait_state("cloud", cloud="rainmaker", **{"is": "confirmed"})
    assert len(lab.cloud.rainmaker.mapping.history) == 1


def test_no_restart_with_just_enough(lab: SimBench) -> None:
    lab.sim.idf_heap = (FREE, ENOUGH)
    provision(lab)
    lab.board.wait_state("online")
    lab.board.wait_text(r'"cloud": "rainmaker", "is": "confirmed"')
    assert lab.sim.log.count("@boot") == 1
    assert NOT_ENOUGH not in lab.sim.log
