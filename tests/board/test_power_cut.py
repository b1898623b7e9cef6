"""The power fails at every step: afterwards the board finds its way by itself, and nothing is half.

After each cut it is either an unprovisioned board that can be provisioned, or a provisioned one
that comes online and is linked; each cloud makes its change exactly once; its identity stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable

import pytest
from bleak.exc import BleakError
from esp_protocomm.ble import TransportError

from tools.harness.bench import NODE_ID, THING_TOKEN, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, bind, link_id_of
from tools.harness.stored import namespaces, stored

SECRET = "mapping-secret-with-power-cuts"
# Without a proof of possession: it is drawn at the first boot, and must stay the same for ever.
IDENTITY = {"thing_token": THING_TOKEN, "node_id": NODE_ID}
MAIN = {"main.py": "import homing\nhoming.run(persist_token=True)\n"}
board_of_its_own = pytest.mark.sim(identity=IDENTITY, files=MAIN)

Step = Callable[[SimBench, Owner], None]


def cut(lab: SimBench) -> None:
    lab.sim.power_off()
    lab.board.skip_to_now()


async def hand_over(d: Dialogue, lab: SimBench, owner: Owner, apply: bool = True) -> None:
    """All that the app has to say, its own half at both clouds included."""
    await owner.link(await link_id_of(d))
    await bind(d, SECRET, await owner.access_token())
    assert await d.set(lab.ssid.encode(), lab.password.encode()) == 0
    if apply:
        assert await d.apply() == 0


def cut_in_session(lab: SimBench, work: Callable[[Dialogue], object]) -> None:
    """Do `work` in a secured session, and take the power away while it is still open."""

    async def whole(d: Dialogue) -> None:
        result = work(d)
        if asyncio.iscoroutine(result):
            await result
        # The board is switched off on the world's loop, which is this one: from another thread.
        await asyncio.get_running_loop().run_in_executor(None, cut, lab)

    lab.board.wait_state("advertising")
    with contextlib.suppress(BleakError, TransportError):  # the link went with the power
        lab.talk(whole)
    assert lab.sim.state == "off"


def recover(lab: SimBench, owner: Owner, pop: str | None = None) -> None:
    """Power on, provision if the board asks for it, and see everything in place."""
    boot = len(lab.board.log)
    lab.sim.power_on()
    up = lab.board.wait_text(r'@state \{"state": "(advertising|online)"', start=boot)[1]
    if up == "advertising":
        assert stored(lab.sim, "wifi") == {}
        printed = re.search(r"proof of possession: (\S+)\s", lab.board.log[boot:])
        assert printed
        assert pop in (None, printed[1])
        finish(lab, owner, printed[1])
    else:
        wifi = stored(lab.sim, "wifi")
        assert (wifi["ssid"], wifi["password"]) == (lab.ssid.encode(), lab.password.encode())
    lab.board.wait_text(r'"cloud": "thethings", "is": "linked"', start=boot)
    lab.board.wait_text(r'"cloud": "rainmaker", "is": "confirmed"', start=boot)
    whole(lab, pop)


def finish(lab: SimBench, owner: Owner, pop: str) -> None:
    async def work(d: Dialogue) -> None:
        await hand_over(d, lab, owner)
        await d.settled()

    lab.talk(work, pop)


def whole(lab: SimBench, pop: str | None = None) -> None:
    """Nothing damaged, nothing left over, nothing done twice."""
    files = lab.sim.files()
    assert [path for path in files if path.endswith((".bad", ".new"))] == []
    assert '@err {"error": "store"' not in lab.board.log
    kept = namespaces(files)
    assert sorted(kept["thethings"]) == ["thing_id"]
    assert kept["rainmaker"] == {"st": "confirmed"}
    assert pop in (None, kept["identity"]["pop"])
    assert len(lab.cloud.thethings.history) == 1
    assert [c.operation for c in lab.cloud.rainmaker.mapping.history] == ["add"]


# -- one cut, at each step -------------------------------------------------------------------


def while_advertising(lab: SimBench, _owner: Owner) -> None:
    lab.board.wait_state("advertising")
    cut(lab)


def after_secured(lab: SimBench, _owner: Owner) -> None:
    cut_in_session(lab, lambda d: None)


def between_credentials_and_apply(lab: SimBench, owner: Owner) -> None:
    cut_in_session(lab, lambda d: hand_over(d, lab, owner, apply=False))


def right_after_apply(lab: SimBench, owner: Owner) -> None:
    cut_in_session(lab, lambda d: hand_over(d, lab, owner))


def applied(lab: SimBench, owner: Owner) -> None:
    lab.board.wait_state("advertising")
    lab.talk(lambda d: hand_over(d, lab, owner))


def while_joining(lab: SimBench, owner: Owner) -> None:
    lab.access_point.dhcp = False  # the join would last for ever
    applied(lab, owner)
    lab.board.wait_state("joining")
    cut(lab)
    lab.access_point.dhcp = True
    assert stored(lab.sim, "wifi") == {}


def saved_but_not_told(lab: SimBench, owner: Owner) -> None:
    applied(lab, owner)  # and hangs up: nobody reads "connected"
    lab.board.wait_state("saved")
    cut(lab)


def state_reached(state: str) -> Step:
    def step(lab: SimBench, owner: Owner) -> None:
        lab.board.wait_state("advertising")
        finish(lab, owner, lab.pop())
        lab.board.wait_state(state)
        cut(lab)

    return step


def while_linking(lab: SimBench, owner: Owner) -> None:
    # Every link request is answered as if the app were missing, so the board goes on asking.
    waiting = b'{"status": "success", "message": "waiting for app"}'
    fault = lab.cloud.faults.add(path="/v2/things/*", status=200, body=waiting)
    state_reached("online")(lab, owner)
    lab.sim.power_on()
    lab.board.wait_state("cloud", cloud="thethings", **{"is": "waiting"})
    cut(lab)
    lab.cloud.faults.remove(fault)


def while_mapping(lab: SimBench, owner: Owner) -> None:
    lab.scene.reports.enable(NODE_ID, how="never")
    lab.board.wait_state("advertising")
    finish(lab, owner, lab.pop())
    lab.board.wait_state("cloud", cloud="rainmaker", **{"is": "sent"})
    cut(lab)
    lab.scene.reports.enable(NODE_ID)


STEPS: dict[str, Step] = {
    "while advertising": while_advertising,
    "after secured": after_secured,
    "between credentials and apply": between_credentials_and_apply,
    "right after apply": right_after_apply,
    "while joining": while_joining,
    "saved but not told": saved_but_not_told,
    "told": state_reached("provisioned"),
    "BLE is off": state_reached("ble-off"),
    "online": state_reached("online"),
    "clock set": state_reached("clock"),
    "while linking": while_linking,
    "while mapping": while_mapping,
}


# What the life of many cuts below goes through as well, and what has others close by.
ELSEWHERE = {
    *("while advertising", "while joining", "saved but not told"),
    *("BLE is off", "online", "clock set"),
}


@board_of_its_own
@pytest.mark.parametrize(
    "step",
    [pytest.param(s, marks=[pytest.mark.soak] if s in ELSEWHERE else []) for s in STEPS],
)
def test_recovers_from_a_cut(lab: SimBench, step: str) -> None:
    owner = Owner(lab.scene)
    pop = lab.pop()
    STEPS[step](lab, owner)
    recover(lab, owner, pop)


@board_of_its_own
def test_a_cut_at_every_step_of_one_life(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    pop = lab.pop()
    while_advertising(lab, owner)
    lab.sim.power_on()
    while_joining(lab, owner)
    lab.sim.power_on()
    saved_but_not_told(lab, owner)
    for state in ("online", "clock", "cloud", "cloud"):
        lab.sim.power_on()
        lab.board.wait_state(state)
        cut(lab)
    recover(lab, owner, pop)
