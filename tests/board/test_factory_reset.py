"""Factory reset of a RainMaker node: the cloud hears of it, whenever that is, wherever the power
fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.cloud.broker import MISSING, find
from tools.harness.bench import NODE_ID
from tools.harness.node_bench import MAPPING, SECRET, USER, WIFI, NodeBench

pytestmark = pytest.mark.skipif(find() is None, reason=MISSING)

DONE = '@ok {"done": "factory_reset"'
RESET = "import homing; homing.factory_reset()"
DUE = {"st": "pending", "user": "esp-rmaker", "secret": "failed", "reset": 1}
CONFIRMED = {"st": "confirmed", "user": USER}
KEPT = {"params": {"a lamp": "on"}, "tokens": {"of the app": "token"}, "wifi": WIFI}


@pytest.mark.parametrize("st", ["confirmed", "pending", "signed"])
def test_factory_reset_while_offline_is_reported_later(st: str) -> None:
    mapping = {"st": st, "user": USER} | ({"secret": SECRET} if st == "pending" else {})
    with NodeBench(on=False, mapping=mapping, main="pass") as node:
        node.sim.power_on()
        node.board.mpremote("exec", "import homing; homing.factory_reset()")
        kept = {"st": "pending", "user": "esp-rmaker", "secret": "failed", "reset": 1}
        assert node.kept() == kept and node.kept("wifi") == {}
        node.board.mpremote("exec", "import homing; homing.factory_reset()")
        assert node.kept() == kept


def test_factory_reset_report() -> None:
    mapping = {"st": "pending", "user": "esp-rmaker", "secret": "failed", "reset": 1}
    with NodeBench(mapping=mapping) as node:
        told = {"node_id": NODE_ID, "user_id": "esp-rmaker", "secret_key": "failed"}
        assert node.cloud.of(MAPPING) == [told | {"reset": True}]
        assert node.kept() == {"st": "removed", "user": "esp-rmaker"}
        node.sim.power_off()
        node.board.skip_to_now()
        node.on()
        assert len(node.cloud.of(MAPPING)) == 1


def test_factory_reset_of_a_board_that_is_nobodys() -> None:
    with NodeBench(on=False, mapping={"st": "none"}, main="pass") as node:
        node.sim.power_on()
        node.board.mpremote("exec", "import homing; homing.factory_reset()")
        assert node.kept() == {}


def test_power_cut_in_every_operation(rounds: Callable[[int, int], range]) -> None:
    """The report is due or the mapping is still there, whole; without the report the network is not
    forgotten, so that the board is not taken for a fresh one. The next reset does the rest."""

    def reset(node: NodeBench) -> bool:
        """Whether it came to its end before the power failed."""
        node.board.skip_to_now()
        start = len(node.board.log)
        node.sim.power_on()
        node.board.type(RESET)
        node.until(lambda: node.sim.state == "off" or DONE in node.board.log[start:])
        return node.sim.state != "off"

    with NodeBench(on=False, main="pass", mapping=CONFIRMED, store=KEPT) as node:
        label = {name: node.kept(name) for name in ("identity", "credentials")}
        image = node.sim.flash.image_path.read_bytes()
        seen = []
        for op in rounds(4, 99):
            node.sim.flash.write(image)
            node.sim.cut_power_after(op, torn=0.5)
            finished = reset(node)
            node.sim.cancel_power_cut()
            node.sim.power_off()
            mapping = node.kept()
            seen.append(mapping == DUE)
            assert mapping in (DUE, CONFIRMED)
            assert node.kept("wifi") in (WIFI, {}) and (node.kept("wifi") or mapping == DUE)
            assert reset(node)
            node.sim.power_off()
            assert node.kept() == DUE
            assert not any(node.kept(name) for name in KEPT)
            assert {name: node.kept(name) for name in label} == label
            if finished:
                break
        assert seen == sorted(seen) and not seen[0] and seen[-1]
        assert finished == (len(seen) > 4)
