"""The power fails in single block operations of the flash, torn ones included."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator

import pytest
from bleak.exc import BleakError
from esp_protocomm.ble import TransportError
from test_power_cut import IDENTITY, MAIN, applied, cut, hand_over, recover

from tools.harness.bench import SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner
from tools.harness.stored import stored

TORN = (0.0, 0.5, 1.0)


def power_failed(lab: SimBench, otherwise: str) -> bool:
    """Whether the power failed before the board said `otherwise`."""
    deadline = time.monotonic() + 30
    while lab.sim.state != "off":
        if otherwise in lab.sim.log:
            return False
        if time.monotonic() > deadline:
            raise AssertionError(f"neither off nor {otherwise}; it said:\n{lab.sim.log}")
        time.sleep(0.01)
    lab.board.skip_to_now()
    return True


def joining(lab: SimBench, owner: Owner) -> None:
    """Everything but the network is stored; the next operations are the save of the network."""
    lab.access_point.dhcp = False
    applied(lab, owner)
    lab.board.wait_state("joining")


@pytest.fixture(scope="module")
def wifi_save_ops() -> int:
    """How many block operations the save of the network takes, on a board just like the others."""
    with SimBench(identity=IDENTITY, files=MAIN) as lab:
        joining(lab, Owner(lab.scene))
        before = lab.sim.flash_ops.total
        lab.access_point.dhcp = True
        lab.board.wait_state("saved")
        return lab.sim.flash_ops.total - before


def cut_in_wifi_save(op: int, torn: float) -> None:
    with SimBench(identity=IDENTITY, files=MAIN) as lab:
        owner = Owner(lab.scene)
        pop = lab.pop()
        joining(lab, owner)
        lab.sim.cut_power_after(op, torn)
        lab.access_point.dhcp = True
        assert power_failed(lab, otherwise='"saved"')
        recover(lab, owner, pop)
        lab.check()


def test_cut_in_each_operation_of_the_save(simulator: None, wifi_save_ops: int) -> None:
    assert wifi_save_ops >= 3
    for op in range(wifi_save_ops):
        cut_in_wifi_save(op, torn=0.5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_torn_in_every_way_in_the_save(simulator: None, wifi_save_ops: int) -> None:
    for op in range(wifi_save_ops):
        for torn in TORN:
            cut_in_wifi_save(op, torn)


def apply_and_fail(lab: SimBench, owner: Owner, op: int, torn: float) -> None:
    """All is handed over and held in RAM; apply makes main store it, and there the power fails."""

    async def work(d: Dialogue) -> None:
        await hand_over(d, lab, owner, apply=False)
        await asyncio.get_running_loop().run_in_executor(None, lab.sim.cut_power_after, op, torn)
        await d.apply()

    lab.board.wait_state("advertising")
    with contextlib.suppress(BleakError, TransportError):
        lab.talk(work)


def cut_in_commit(op: int, torn: float) -> bool:
    """Fail while the association is stored; False when that takes fewer operations."""
    with SimBench(identity=IDENTITY, files=MAIN) as lab:
        owner = Owner(lab.scene)
        pop = lab.pop()
        lab.access_point.dhcp = False  # nothing else is written before the join has worked
        apply_and_fail(lab, owner, op, torn)
        if not power_failed(lab, otherwise='"joining"'):  # first stored, then joined
            return False
        lab.access_point.dhcp = True
        recover(lab, owner, pop)
        lab.check()
        return True


@pytest.mark.parametrize("op", [0, 2])
def test_cut_in_the_commit_of_the_association(simulator: None, op: int) -> None:
    assert cut_in_commit(op, torn=0.5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_cut_in_every_operation_of_the_commit(simulator: None) -> None:
    for torn in TORN:
        op = 0
        while cut_in_commit(op, torn):
            op += 1
        assert op > 3


def fresh_boards(torn: float) -> Iterator[int]:
    """Boards whose power fails while they store their first proof of possession."""
    op = 0
    while True:
        with SimBench(identity={}, files=MAIN, power=False) as lab:
            lab.sim.cut_power_after(op, torn)
            lab.sim.power_on()
            if not power_failed(lab, otherwise="proof of possession"):  # kept before it is shown
                return
            start = len(lab.board.log)
            lab.sim.power_on()
            lab.board.wait_state("advertising")
            shown = lab.board.wait_text(r"proof of possession: (\S+)\s", start=start)[1]
            assert re.fullmatch("[2-9A-HJ-NP-Z]{12}", shown)
            cut(lab)
            start = len(lab.board.log)
            lab.sim.power_on()
            assert lab.board.wait_text(r"proof of possession: (\S+)\s", start=start)[1] == shown
            assert stored(lab.sim, "identity") == {"pop": shown}
        yield op
        op += 1


def test_cut_while_the_first_identity_is_stored(simulator: None) -> None:
    done = []
    for op in fresh_boards(torn=0.5):
        done.append(op)
        if op == 2:
            break
    assert done == [0, 1, 2]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_cut_in_every_operation_of_the_first_identity(simulator: None) -> None:
    for torn in TORN:
        assert len(list(fresh_boards(torn))) > 3
