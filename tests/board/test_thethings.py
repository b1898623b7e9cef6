"""thethings.io: a board and its owner's app meet by a shared id, in whichever order they come."""

from __future__ import annotations

import pytest

from tools.harness.bench import POP, THING_TOKEN, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, link_id_of
from tools.harness.stored import stored

FIXED = "serial-0042"
BOARD_POST = ("POST", "/v2/things/{token}/link-id")
ONLY_THETHINGS = {"pop": POP, "thing_token": THING_TOKEN}
# No app: nothing that blinks twice a second has to be lived through when time is skipped.
QUIET = {"main.py": "import homing\nhoming.run()\n"}


def wait_cloud(lab: SimBench, state: str, **fields: object) -> dict[str, object]:
    return lab.board.wait_state("cloud", cloud="thethings", **{"is": state}, **fields)


def provision(lab: SimBench, owner: Owner | None = None) -> str:
    """Provision, and with an owner let the app post the id first; returns the id."""

    async def work(d: Dialogue) -> str:
        link_id = await link_id_of(d)
        if owner:
            assert await owner.link(link_id) == "waiting for thing"
        await d.provision(lab.ssid, lab.password)
        return link_id

    lab.board.wait_state("advertising")
    return lab.talk(work)


def said(lab: SimBench, state: str) -> int:
    return sum(s["state"] == "cloud" and s.get("is") == state for s in lab.board.states())


def test_app_first(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    provision(lab, owner)
    thing_id = wait_cloud(lab, "linked")["thing_id"]
    assert lab.run(owner.things()) == [thing_id]
    assert said(lab, "waiting") == 0
    assert lab.cloud.count(*BOARD_POST) == 1  # the first post did it
    assert len(lab.cloud.thethings.history) == 1


def test_board_first(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    link_id = provision(lab)
    wait_cloud(lab, "waiting")
    assert lab.run(owner.things()) == []
    assert lab.run(owner.link(link_id)) == "linked"
    thing_id = wait_cloud(lab, "linked")["thing_id"]
    assert lab.run(owner.things()) == [thing_id]
    assert len(lab.cloud.thethings.history) == 1


def test_link_survives_reboots_without_another_request(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    provision(lab, owner)
    thing_id = wait_cloud(lab, "linked")["thing_id"]
    assert stored(lab.sim, "thethings") == {"thing_id": thing_id}
    requests = lab.cloud.count(*BOARD_POST)
    programs = lab.sim.flash_ops
    for restart in (lab.sim.reset, power_cycle(lab)):
        lab.board.skip_to_now()
        restart()
        lab.board.wait("boot")
        assert wait_cloud(lab, "linked")["thing_id"] == thing_id
    lab.world.advance(minutes=2)
    assert lab.cloud.count(*BOARD_POST) == requests
    assert lab.sim.flash_ops == programs  # and nothing was written for it
    assert len(lab.cloud.thethings.history) == 1


def power_cycle(lab: SimBench):
    def cycle() -> None:
        lab.sim.power_off()
        lab.sim.power_on()

    return cycle


@pytest.mark.sim(identity=ONLY_THETHINGS, files=QUIET)
def test_not_activated_is_its_own_state(lab: SimBench) -> None:
    thing = lab.cloud.thethings.add_thing(THING_TOKEN, activated=False)
    owner = Owner(lab.scene)
    provision(lab, owner)
    wait_cloud(lab, "failed(not activated)")
    lab.world.advance(minutes=16)
    assert said(lab, "failed(not activated)") == 1  # said once, not at every try
    assert said(lab, "linked") == 0
    assert lab.cloud.count(*BOARD_POST, 403) > 1  # it does look again
    thing.activated = True
    lab.world.advance(minutes=16)
    wait_cloud(lab, "linked", thing_id=thing.thing_id)
    assert len(lab.cloud.thethings.history) == 1


@pytest.mark.sim(identity={"pop": POP, "thing_token": "nobody-knows-this-token"}, files=QUIET)
def test_unknown_token_is_final(lab: SimBench) -> None:
    provision(lab)
    wait_cloud(lab, "failed(unknown thing token)")
    lab.world.advance(minutes=16)
    assert lab.cloud.count(*BOARD_POST, 404) == 1
    assert said(lab, "linked") == said(lab, "waiting") == 0


def expire(lab: SimBench) -> None:
    """Let the window end: most of it without power, the end of it online."""
    lab.sim.power_off()
    lab.world.advance(hours=23, minutes=58)
    lab.board.skip_to_now()
    lab.sim.power_on()
    wait_cloud(lab, "waiting")
    assert said(lab, "expired") == 0
    lab.world.advance(minutes=3)
    wait_cloud(lab, "expired")


@pytest.mark.sim(identity=ONLY_THETHINGS, files=QUIET)
def test_after_24_hours_a_fresh_id(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    first = provision(lab)
    wait_cloud(lab, "waiting")
    expire(lab)
    wait_cloud(lab, "waiting")
    fresh = stored(lab.sim, "thethings")["link_id"]
    assert isinstance(fresh, str)
    assert fresh != first
    assert lab.run(owner.link(first)) == "waiting for thing"  # nobody answers to the old one
    assert lab.run(owner.link(fresh)) == "linked"
    lab.world.advance(seconds=30)
    wait_cloud(lab, "linked")
    assert len(lab.cloud.thethings.history) == 1


@pytest.mark.sim(
    identity=ONLY_THETHINGS,
    files={"main.py": f"import homing\nhoming.run(link_id={FIXED!r})\n"},
)
def test_a_fixed_id_gets_a_fresh_window(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    assert provision(lab) == FIXED
    wait_cloud(lab, "waiting")
    expire(lab)
    wait_cloud(lab, "waiting")
    assert stored(lab.sim, "thethings")["link_id"] == FIXED
    assert lab.run(owner.link(FIXED)) == "linked"
    lab.world.advance(seconds=30)
    wait_cloud(lab, "linked")
    assert len(lab.cloud.thethings.history) == 1


@pytest.mark.sim(identity=ONLY_THETHINGS, files=QUIET)
def test_the_app_may_come_up_to_the_last_minute(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    link_id = provision(lab)
    wait_cloud(lab, "waiting")
    lab.sim.power_off()
    lab.world.advance(hours=23, minutes=58)
    lab.sim.power_on()
    lab.board.wait("boot")
    wait_cloud(lab, "waiting")
    assert lab.run(owner.link(link_id)) == "linked"
    lab.world.advance(seconds=20)
    wait_cloud(lab, "linked")
    assert said(lab, "expired") == 0


@pytest.mark.soak
@pytest.mark.sim(identity=ONLY_THETHINGS, files=QUIET)
@pytest.mark.timeout(600)
def test_24_hours_online_expire_once(lab: SimBench) -> None:
    provision(lab)
    wait_cloud(lab, "waiting")
    lab.world.advance(hours=23, minutes=59, timeout_s=500)
    assert said(lab, "expired") == 0
    lab.world.advance(minutes=2)
    assert said(lab, "expired") == 1
    assert lab.cloud.count(*BOARD_POST) < 24 * 3600 / 200  # the back-off has a floor
