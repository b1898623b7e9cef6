"""Clouds, names and clocks that fail: each fault is named, and the board gets there by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tools.harness.bench import NODE_ID, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, bind, link_id_of

SECRET = "mapping-secret-under-faults"
CLOUDS = {"thethings": "linked", "rainmaker": "confirmed"}
GARBAGE = b"<html>\xff\x00 Bad Gateway"

# What goes wrong, and how the board's state line names it.
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"status": 500}, "http 500"),
    "429": ({"status": 429, "retry_after": "40"}, "http 429"),
    "timeout": ({"delay_s": 60.0, "cut": "before", "times": 1}, "timeout"),
    "cut before": ({"cut": "before"}, "cut"),
    "cut after": ({"cut": "after"}, "cut"),
    "garbage": ({"body": GARBAGE}, "protocol"),
    "other JSON": ({"body": b'{"message": "hello", "status": "success"}'}, "protocol"),
    "other host": ({"certificate": "host"}, "certificate: other host name"),
    "other authority": ({"certificate": "authority"}, "certificate: unknown authority"),
    "expired": ({"certificate": "expired"}, "certificate: expired"),
}


def provision(lab: SimBench) -> None:
    """With the app's half of both clouds done: what is left is the board's."""
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> None:
        assert await owner.link(await link_id_of(d)) == "waiting for thing"
        await bind(d, SECRET, await owner.access_token())
        await d.provision(lab.ssid, lab.password)

    lab.board.wait_state("advertising")
    lab.talk(work)


def cloud_states(lab: SimBench, cloud: str) -> list[dict[str, Any]]:
    return [s for s in lab.board.states() if s["state"] == "cloud" and s["cloud"] == cloud]


def wait_fault(lab: SimBench, cloud: str, named: str) -> None:
    lab.board.wait_text(rf'@state {{"state": "cloud", "cloud": "{cloud}", "fault": "{named}')


def wait_done(lab: SimBench) -> None:
    """Both clouds agree in the end, each exactly once."""
    for cloud, wanted in CLOUDS.items():
        lab.board.wait_text(rf'"cloud": "{cloud}", "is": "{wanted}"')
    assert len(lab.cloud.thethings.history) == 1
    assert [c.operation for c in lab.cloud.rainmaker.mapping.history] == ["add"]
    assert lab.run(Owner(lab.scene).nodes()) == [NODE_ID]


# Each is to the board what another one is: it has the same name, or comes from the same place.
ALIKE = {"cut before", "other JSON", "429", "other host"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.soak] if n in ALIKE else []) for n in FAULTS]
)
def test_fault_is_named_and_outlived(lab: SimBench, name: str) -> None:
    fields, named = FAULTS[name]
    app_hosts_too = "certificate" in fields or fields.get("delay_s")
    board_paths = {
        "api.thethings.io": "/v2/things/*",
        "api.rainmaker.espressif.com": "/v1/user/nodes/mapping",
    }
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> None:
        await owner.link(await link_id_of(d))
        await bind(d, SECRET, await owner.access_token())
        await d.provision(lab.ssid, lab.password)
        # From here on the board alone calls: a fault hits whoever comes first.
        for host, path in board_paths.items():
            where = {"host": host} if app_hosts_too else {"host": host, "path": path}
            lab.cloud.faults.add(**{"times": 2, **where, **fields})

    lab.board.wait_state("advertising")
    lab.talk(work)
    for cloud in CLOUDS:
        wait_fault(lab, cloud, named)
    lab.world.advance(seconds=60)
    wait_done(lab)
    for cloud in CLOUDS:  # said once, not per retry
        assert sum("fault" in s for s in cloud_states(lab, cloud)) == 1


def test_retry_after_is_kept(lab: SimBench) -> None:
    lab.cloud.faults.add(path="/v2/things/*", status=429, retry_after="120", times=1)
    provision(lab)
    wait_fault(lab, "thethings", "http 429")
    lab.world.advance(seconds=130)
    wait_done(lab)
    posts = [e for e in lab.cloud.log if e.route == "/v2/things/{token}/link-id"]
    assert [e.status for e in posts] == [429, 200]
    assert posts[1].at - posts[0].at >= 119  # in the world's seconds


def test_names_cannot_be_found(lab: SimBench) -> None:
    for host in lab.cloud.hosts:
        lab.world.unroute(host, 443)
    provision(lab)
    for cloud in CLOUDS:
        wait_fault(lab, cloud, "dns")
    assert lab.cloud.thethings.history == []
    for host in lab.cloud.hosts:
        lab.world.route(host, 443, "127.0.0.1", lab.cloud.port)
    lab.world.advance(seconds=30)
    wait_done(lab)


def test_nobody_listens(lab: SimBench) -> None:
    for host in lab.cloud.hosts:
        lab.world.route(host, 443, "127.0.0.1", 1)  # nothing is on port 1
    provision(lab)
    for cloud in CLOUDS:
        wait_fault(lab, cloud, "(cut|connect|tls)")
    for host in lab.cloud.hosts:
        lab.world.route(host, 443, "127.0.0.1", lab.cloud.port)
    lab.world.advance(seconds=30)
    wait_done(lab)


@pytest.mark.parametrize("how", ["silent", "in the past"])
def test_no_tls_before_the_clock_is_set(lab: SimBench, how: str) -> None:
    if how == "silent":
        lab.world.ntp.up = False
    else:
        lab.world.ntp.offset_s = -20 * 365 * 86400.0  # answers, but with a date that cannot be
    provision(lab)
    requests = len(lab.cloud.log)  # the app's
    lab.board.wait_state("online")
    lab.board.wait_text("clock not set: no time server answers")
    lab.world.advance(seconds=60)
    lookups = {host for host, _port in lab.sim.network.lookups}
    assert lookups == {"pool.ntp.org", "time.google.com"}
    assert len(lab.cloud.log) == requests
    assert not cloud_states(lab, "thethings")
    lab.world.ntp.up = True
    lab.world.ntp.offset_s = 0.0
    lab.world.advance(seconds=30)
    lab.board.wait_state("clock")
    wait_done(lab)


def test_clock_goes_on_over_a_reset_but_not_without_power(lab: SimBench) -> None:
    provision(lab)
    wait_done(lab)
    asked = lab.world.ntp.asked
    lab.sim.power_off()
    lab.board.skip_to_now()
    lab.world.ntp.up = False
    start = len(lab.board.log)
    lab.sim.power_on()
    lab.board.wait_text("clock not set", start=start)
    assert lab.world.ntp.asked > asked
    lab.world.ntp.up = True
    lab.board.wait_state("clock")
