"""Boards that are not heard at full power, told from wrong passwords; the access point decides."""

from __future__ import annotations

import pytest
from esp_protocomm.wifi import WifiState

from tools.harness.bench import Bench, SimBench
from tools.harness.dialogue import WRONG_PASSWORD

HEARD_UP_TO_DBM = 10.0
LOW_DBM, FULL_DBM = 8.5, 20.0
AUTH_EXPIRE = 2
WRONG = "wrong horse"


def make_weak(lab: SimBench) -> None:
    lab.sim.weak_above_dbm = HEARD_UP_TO_DBM


def test_joins_with_whatever_transmitter_it_has(bench: Bench) -> None:
    """A board on the table may be a weak one: then it says so, and comes back by itself."""
    bench.board.wait_state("advertising")
    assert bench.provision().state is WifiState.CONNECTED
    bench.board.wait_state("online")
    assert ("once more at 8.5 dBm" in bench.board.log) == ("joined at 8.5" in bench.board.log)
    bench.board.reset()
    bench.board.wait_state("online")
    assert bench.board.log.count("8.5 dBm: this board transmits badly") <= 1


def test_joins_at_low_power_and_keeps_it(lab: SimBench) -> None:
    make_weak(lab)
    lab.board.wait_state("advertising")
    status = lab.talk(lambda d: d.provision(lab.ssid, lab.password))
    assert status.state is WifiState.CONNECTED
    assert lab.access_point.attempts == 4  # three at full power, then the one that got through
    lab.board.wait_text(r"joined at 8\.5 dBm")
    lab.board.wait_state("online")
    assert lab.sim.station.power_dbm == LOW_DBM

    lab.board.reset()
    lab.board.wait_state("online")
    assert lab.sim.station.power_dbm == LOW_DBM
    assert lab.access_point.attempts == 5  # at once, without finding out again

    # So long an outage that the radio is switched off and on, which forgets its power.
    lab.sim.station.calls.clear()
    lab.access_point.up = False
    lab.world.advance(minutes=10)
    assert "active False" in lab.sim.station.calls
    lab.access_point.up = True
    lab.board.wait_state("online")
    assert lab.sim.station.power_dbm == LOW_DBM


def test_a_board_that_is_heard_stays_at_full_power(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert lab.talk(lambda d: d.provision(lab.ssid, lab.password)).state is WifiState.CONNECTED
    lab.board.wait_state("online")
    assert lab.access_point.attempts == 1
    assert lab.sim.station.power_dbm == FULL_DBM
    assert "8.5" not in lab.board.log


@pytest.mark.parametrize(
    ("weak", "reason", "rssi", "attempts"),
    [
        (False, 15, -40, 3),  # a sure sign of a wrong password: nothing more to find out
        (False, AUTH_EXPIRE, -40, 4),  # might be the power, and is not
        (True, 15, -40, 4),  # both faults: heard at low power, and refused there
        (True, AUTH_EXPIRE, -40, 4),
        (False, AUTH_EXPIRE, -71, 3),  # a weak signal needs no explanation, least of all less power
        (True, AUTH_EXPIRE, -71, 3),
    ],
)
def test_wrong_password(lab: SimBench, weak: bool, reason: int, rssi: int, attempts: int) -> None:
    point = lab.access_point
    point.wrong_password_reason = reason
    point.rssi = rssi
    if weak:
        make_weak(lab)
    lab.board.wait_state("advertising")
    assert lab.talk(lambda d: d.provision(lab.ssid, WRONG)) == WRONG_PASSWORD
    assert point.attempts == attempts
    assert ("8.5 dBm" in lab.board.log) == (attempts == 4)
    assert "joined at" not in lab.board.log
    assert lab.sim.station.power_dbm == FULL_DBM  # the next password is tried like the first
