"""A router that goes away and comes back; and flash that nothing is written to meanwhile."""

from __future__ import annotations

import pytest

from tools.harness.bench import POP, SimBench

BACK_S = 70  # online so soon after the return, however long the outage was
bare = pytest.mark.sim(identity={"pop": POP})  # no cloud: its states are stored, too


def provisioned(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    lab.provision()
    lab.board.wait_state("running")


def assert_back_in_time(lab: SimBench) -> None:
    """The board comes online again within the time, by the world's clock."""
    start_ms = lab.world.clock.now_ms()
    lab.board.wait_state("online")
    assert lab.world.clock.now_ms() - start_ms < BACK_S * 1000


@pytest.mark.parametrize("hours", [pytest.param(1 / 60, marks=pytest.mark.soak), 1])
def test_access_point_away_and_back(lab: SimBench, hours: float) -> None:
    provisioned(lab)
    provisioned_until = len(lab.board.log)
    lab.access_point.up = False
    lab.world.advance(hours=hours)
    lab.board.wait_state("offline")
    lab.access_point.up = True
    assert_back_in_time(lab)
    assert "advertising" not in lab.board.log[provisioned_until:]
    assert not lab.sim.radios & {"ble"}


def test_power_comes_back_before_the_router(lab: SimBench) -> None:
    """After a power failure in the house the board is up long before there is a network."""
    provisioned(lab)
    lab.sim.power_off()
    lab.access_point.up = False
    lab.board.skip_to_now()
    lab.sim.power_on()
    lab.world.advance(minutes=5)
    lab.access_point.up = True
    assert_back_in_time(lab)
    lab.board.wait_state("running")
    assert "advertising" not in lab.board.log.rpartition("@boot")[2]


def test_password_of_the_router_changed(lab: SimBench) -> None:
    """Keeps trying, for a person may change it back; only a person decides to start over."""
    provisioned(lab)
    before = len(lab.board.log)
    lab.access_point.password = b"another horse"
    lab.access_point.up = False
    lab.world.advance(seconds=20)
    lab.access_point.up = True
    attempts = lab.access_point.attempts
    lab.world.advance(minutes=15)
    assert lab.access_point.attempts - attempts >= 15 * 60 // BACK_S
    assert "advertising" not in lab.board.log[before:]
    lab.access_point.password = lab.password.encode()
    assert_back_in_time(lab)


@bare
def test_a_day_online_writes_nothing(lab: SimBench) -> None:
    provisioned(lab)
    written = lab.sim.flash_ops
    assert written.total  # the counter counts
    lab.world.advance(hours=24)
    assert lab.sim.station.connected
    assert lab.sim.flash_ops == written


@bare
def test_boot_and_join_write_nothing(lab: SimBench) -> None:
    provisioned(lab)
    written = lab.sim.flash_ops
    for _ in range(3):
        lab.board.reset()
        lab.board.wait_state("running")
    assert lab.sim.flash_ops == written
