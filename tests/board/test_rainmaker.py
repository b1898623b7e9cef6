"""RainMaker: the board maps itself to the user who handed it a token and a secret.

The node's own report over MQTT is made by the simulated world (tools/sim/node_reports.py).
"""

from __future__ import annotations

import json

import pytest
from esp_protocomm.wifi import WifiState

from tools.cloud.broker import MISSING, find
from tools.harness.bench import NODE_ID, POP, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, bind, link_id_of
from tools.harness.stored import stored
from tools.provision import binding
from tools.provision.binding import BindingError

SECRET = "mapping-secret-of-the-test"
PUT = ("PUT", "/v1/user/nodes/mapping")
IDENTITY = {"pop": POP, "node_id": NODE_ID}
FORGET = "import homing; homing.forget_wifi()"
# No app: nothing that blinks twice a second has to be lived through when time is skipped.
rainmaker_only = pytest.mark.sim(
    identity=IDENTITY, files={"main.py": "import homing\nhoming.run()\n"}
)
persisting = pytest.mark.sim(
    identity=IDENTITY, files={"main.py": "import homing\nhoming.run(persist_token=True)\n"}
)


def wait_cloud(lab: SimBench, state: str, **fields: object) -> dict[str, object]:
    return lab.board.wait_state("cloud", cloud="rainmaker", **{"is": state}, **fields)


def provision(
    lab: SimBench, operation: str = "add", secret: str = SECRET, token: str | None = None
) -> str:
    """Hand over secret and token in the session that provisions; returns the token."""
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> str:
        given = token or await owner.access_token()
        await bind(d, secret, given, operation)
        await d.provision(lab.ssid, lab.password)
        return given

    lab.board.wait_state("advertising")
    return lab.talk(work)


def provision_again(lab: SimBench, **options: str) -> str:
    """A person resets the network and provisions once more; the identity stays."""
    lab.board.mpremote("exec", FORGET)
    lab.board.reset()
    lab.board.wait("boot")
    return provision(lab, **options)


def mapped(lab: SimBench) -> list[str]:
    return lab.run(Owner(lab.scene).nodes())


def adds(lab: SimBench) -> int:
    return sum(change.operation == "add" for change in lab.cloud.rainmaker.mapping.history)


def said(lab: SimBench, state: str) -> int:
    return sum(s["state"] == "cloud" and s.get("is") == state for s in lab.board.states())


def in_flash(lab: SimBench, text: str) -> list[str]:
    """Files that hold a text, whatever their format."""
    return [path for path, content in lab.sim.files().items() if text.encode() in content]


@rainmaker_only
def test_add_until_confirmed(lab: SimBench) -> None:
    token = provision(lab)
    for state in ("pending", "sent", "confirmed"):
        wait_cloud(lab, state)
    assert mapped(lab) == [NODE_ID]
    assert adds(lab) == 1
    assert lab.cloud.count(*PUT) == 1
    # A real token is over 1 KB, more than one message carries.
    assert len(token) > 1100
    assert len(list(binding.fragments(SECRET, token, "add"))) >= 7


@rainmaker_only
def test_secret_is_kept_while_needed_and_erased_after(lab: SimBench) -> None:
    lab.scene.reports.enable(NODE_ID, how="never")
    token = provision(lab)
    wait_cloud(lab, "sent")
    assert in_flash(lab, SECRET) == ["nvs/rainmaker.dat"]
    assert in_flash(lab, token[:40]) == []
    lab.cloud.rainmaker.mapping.report(NODE_ID, SECRET)
    wait_cloud(lab, "confirmed")
    assert stored(lab.sim, "rainmaker") == {"st": "confirmed"}
    assert in_flash(lab, SECRET) == []


@rainmaker_only
def test_node_side_late(lab: SimBench) -> None:
    lab.scene.reports.enable(NODE_ID, after_s=25)
    provision(lab)
    wait_cloud(lab, "sent")
    assert mapped(lab) == []
    lab.world.advance(seconds=40)
    wait_cloud(lab, "confirmed")
    assert lab.cloud.count(*PUT) == 1
    assert said(lab, "timedout") == 0
    assert adds(lab) == 1


@rainmaker_only
def test_node_side_first(lab: SimBench) -> None:
    lab.scene.reports.enable(NODE_ID, how="never")
    lab.cloud.rainmaker.mapping.report(NODE_ID, SECRET)
    provision(lab)
    wait_cloud(lab, "confirmed")
    assert lab.cloud.count(*PUT) == 1
    assert adds(lab) == 1


@rainmaker_only
def test_node_side_wrong_and_then_silent_ends_in_timedout(lab: SimBench) -> None:
    lab.scene.reports.enable(NODE_ID, how="never")
    lab.cloud.rainmaker.mapping.timeout_s = 10
    lab.cloud.rainmaker.mapping.report(NODE_ID, "not-" + SECRET)
    provision(lab)
    wait_cloud(lab, "timedout")
    lab.world.advance(seconds=180)
    wait_cloud(lab, "failed(timedout)")
    asked = lab.cloud.count(*PUT)
    assert asked == 5
    lab.world.advance(seconds=310)  # longer than any pause of the back-off
    assert lab.cloud.count(*PUT) == asked  # it has given up, and says so
    assert adds(lab) == 0
    assert in_flash(lab, SECRET) == []


@rainmaker_only
def test_node_side_comes_back_after_a_time_out(lab: SimBench) -> None:
    lab.scene.reports.enable(NODE_ID, how="wrong")
    lab.cloud.rainmaker.mapping.timeout_s = 10
    provision(lab)
    wait_cloud(lab, "timedout")
    lab.scene.reports.enable(NODE_ID)
    lab.world.advance(seconds=20)
    wait_cloud(lab, "confirmed")
    assert adds(lab) == 1


@rainmaker_only
def test_remove(lab: SimBench) -> None:
    provision(lab)
    wait_cloud(lab, "confirmed")
    assert mapped(lab) == [NODE_ID]
    provision_again(lab, operation="remove")
    wait_cloud(lab, "removed")
    assert mapped(lab) == []
    assert [c.operation for c in lab.cloud.rainmaker.mapping.history] == ["add", "remove"]
    assert in_flash(lab, SECRET) == []


@rainmaker_only
def test_expired_token_is_not_tried_again(lab: SimBench) -> None:
    owner = Owner(lab.scene)
    stale = lab.run(owner.access_token())
    lab.cloud.rainmaker.accounts.expire_tokens()
    provision(lab, token=stale)
    wait_cloud(lab, "failed(token expired)")
    lab.world.advance(seconds=310)  # longer than any pause of the back-off
    assert lab.cloud.count(*PUT, 401) == 1
    assert len([e for e in lab.cloud.log if e.route == PUT[1]]) == 1
    # A fresh token for the same secret goes on.
    provision_again(lab)
    wait_cloud(lab, "confirmed")
    assert adds(lab) == 1


@rainmaker_only
def test_token_that_expires_while_waiting(lab: SimBench) -> None:
    lab.scene.reports.enable(NODE_ID, how="never")
    provision(lab)
    wait_cloud(lab, "sent")
    lab.cloud.rainmaker.accounts.expire_tokens()
    lab.world.advance(seconds=10)
    wait_cloud(lab, "failed(token expired)")
    lab.world.advance(minutes=5)
    assert lab.cloud.count("GET", PUT[1], 401) == 1


@rainmaker_only
def test_needs_token_after_a_reboot(lab: SimBench) -> None:
    lab.cloud.rainmaker.mapping.timeout_s = 3600
    lab.scene.reports.enable(NODE_ID, how="never")
    provision(lab)
    wait_cloud(lab, "sent")
    lab.board.reset()
    lab.board.wait("boot")
    wait_cloud(lab, "needs token")
    asked = len(lab.cloud.log)
    lab.world.advance(minutes=5)
    assert len(lab.cloud.log) == asked
    # The next token goes on with the request that was made before the reboot.
    provision_again(lab)
    wait_cloud(lab, "sent")
    lab.cloud.rainmaker.mapping.report(NODE_ID, SECRET)
    lab.world.advance(seconds=10)
    wait_cloud(lab, "confirmed")
    assert lab.cloud.count(*PUT) == 1
    assert adds(lab) == 1


@persisting
def test_persisted_token_goes_on_after_a_reboot(lab: SimBench) -> None:
    lab.scene.reports.enable(NODE_ID, how="never")
    token = provision(lab)
    wait_cloud(lab, "sent")
    assert in_flash(lab, token) == ["nvs/rainmaker.dat"]
    lab.board.reset()
    lab.board.wait("boot")
    wait_cloud(lab, "sent")
    lab.cloud.rainmaker.mapping.report(NODE_ID, SECRET)
    wait_cloud(lab, "confirmed")
    assert adds(lab) == 1
    assert in_flash(lab, token) == in_flash(lab, SECRET) == []


@pytest.mark.sim(files={"main.py": "import homing\nhoming.run(no_pop=True)\n"})
def test_no_pop_board_takes_no_secrets(lab: SimBench) -> None:
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> tuple[list[str], WifiState]:
        version = json.loads(await d.transport.send("proto-ver", b"ESP"))
        token = await owner.access_token()
        with pytest.raises(binding.BindingError, match="proof of possession"):
            await bind(d, SECRET, token)
        with pytest.raises(binding.BindingError):
            await link_id_of(d)
        status = await d.provision(lab.ssid, lab.password)
        return version["prov"]["cap"], status.state

    lab.board.wait_state("advertising")
    assert lab.pop() == "none"

    async def whole() -> tuple[list[str], WifiState]:
        async with lab.dialogue() as d:
            await d.secure("")
            return await work(d)

    capabilities, state = lab.run(whole())
    assert "no_pop" in capabilities
    assert state is WifiState.CONNECTED  # Wi-Fi works all the same
    wait_cloud(lab, "none")
    assert lab.cloud.rainmaker.mapping.requests == []
    assert in_flash(lab, SECRET) == []


@pytest.mark.skipif(find() is None, reason=MISSING)
@pytest.mark.sim(identity=IDENTITY, node="rsa", files={"main.py": "import homing\nhoming.run()\n"})
def test_a_node_does_both_halves(lab: SimBench) -> None:
    """With credentials of its own it makes the request, and then the report that confirms it."""
    lab.scene.reports.enable(NODE_ID, how="never")
    lab.cloud.faults.add(path=PUT[1], status=500, times=2)  # the broker is there before
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> None:
        token = await owner.access_token()
        with pytest.raises(BindingError, match="did not understand"):
            await bind(d, SECRET, token)  # the report names its user
        await bind(d, SECRET, token, user_id=await owner.user_id())
        await d.provision(lab.ssid, lab.password)

    lab.board.wait_state("advertising")
    lab.talk(work)
    wait_cloud(lab, "confirmed")
    assert mapped(lab) == [NODE_ID]
    assert adds(lab) == 1 and lab.cloud.count(*PUT) == 1 and said(lab, "timedout") == 0
    lab.world.advance(seconds=60)
    assert stored(lab.sim, "rainmaker") == {"st": "confirmed", "user": lab.run(owner.user_id())}
    assert in_flash(lab, SECRET) == []
