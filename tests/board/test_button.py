"""BOOT after boot: 3 to 10 seconds forget Wi-Fi, longer all but who the board is, else nothing."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable

import pytest
from esp_protocomm.wifi import WifiState

from tools.harness.bench import NODE_ID, THING_TOKEN, Bench, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, link_id_of
from tools.harness.stored import stored

BOOT, LED = 9, 8
PLAIN = {"main.py": "import homing\nhoming.run()\n"}
# Without a proof of possession: the board draws its own, and it must stay the same for ever.
IDENTITY = {"thing_token": THING_TOKEN, "node_id": NODE_ID}
NOTHING, FORGET, FACTORY = None, "forget_wifi", "factory_reset"
_DONE = re.compile(r'@ok \{"done": "(forget_wifi|factory_reset)"')


def done_by(lab: SimBench, hold_s: float, after_s: float = 3) -> str | None:
    """Hold BOOT that long; what the board says it did."""
    start = len(lab.board.log)
    lab.sim.press_boot(hold_s)
    lab.world.advance(seconds=hold_s + after_s)
    lab.board.skip_to_now()
    done = _DONE.findall(lab.board.log[start:])
    assert len(done) <= 1
    return done[0] if done else None


def boots(lab: SimBench) -> int:
    return lab.board.log.count("@boot ")


def led_changes(lab: SimBench) -> list[tuple[float, int | None]]:
    """Filled from now on: (the world's seconds, level) at each change of the lamp's pin."""
    changes: list[tuple[float, int | None]] = []

    def changed(number: int, level: int | None) -> None:
        if number == LED:
            changes.append((lab.world.clock.now_us() / 1e6, level))

    lab.sim.on_pin = changed
    return changes


def test_forgotten_at_the_prompt(bench: Bench) -> None:
    """Without a button: the next start waits for a phone again."""
    bench.board.wait_state("advertising")
    bench.provision()
    bench.board.wait_state("online")
    bench.board.to_repl()
    bench.board.type("import homing; homing.forget_wifi()")
    bench.board.wait("ok", done="forget_wifi")
    bench.board.reset()
    bench.board.wait_state("advertising")
    assert bench.provision().state is WifiState.CONNECTED
    bench.board.wait_state("online")


# Above the limits by what a slow machine leaves unwatched: that does not count as held.
@pytest.mark.sim(files=PLAIN)
@pytest.mark.parametrize(
    ("hold_s", "does"),
    [
        pytest.param(0.1, NOTHING, marks=pytest.mark.soak),
        (2.9, NOTHING),
        (3.5, FORGET),
        (9.9, FORGET),
        (11, FACTORY),
    ],
)
def test_how_long(lab: SimBench, hold_s: float, does: str | None) -> None:
    lab.board.wait_state("advertising")
    changes = led_changes(lab)
    assert done_by(lab, hold_s) == does
    if does is NOTHING:
        assert boots(lab) == 1 and "button" not in lab.board.log
        assert not changes  # and the lamp was left alone
    else:
        lab.board.wait_text("(?s)@boot .*@boot ")  # restarted, and not into download mode
        assert changes


@pytest.mark.sim(files=PLAIN)
def test_bouncing_for_a_minute(lab: SimBench, rounds: Callable[[int, int], range]) -> None:
    """Of which a slice will do in the ordinary run."""
    lab.board.wait_state("advertising")
    steps = rounds(3, 12)
    loop = lab.world.loop

    def bounce() -> None:
        for n in range(125 * len(steps)):
            loop.call_later(n * 0.04, lab.sim._set_pin, BOOT, 0)
            loop.call_later(n * 0.04 + 0.02, lab.sim._set_pin, BOOT, None)

    lab.world.do(bounce)
    for _ in steps:
        lab.world.advance(seconds=5.1)
    assert boots(lab) == 1 and "button" not in lab.board.log
    assert done_by(lab, 3.1) == FORGET  # and it works afterwards


@pytest.mark.sim(files=PLAIN)
def test_what_lamp_and_serial_line_say(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    changes = led_changes(lab)
    began = lab.world.clock.now_us() / 1e6
    assert done_by(lab, 12) == FACTORY
    said = [m[0] for m in re.finditer(r"button: .*", lab.board.log)]
    assert len(said) == 3
    assert "let go now, and the board forgets its Wi-Fi" in said[0]
    assert "let go now, and the board forgets everything but its identity" in said[1]
    assert "restarts" in said[2]
    at = [t - began for t, level in changes if level is not None]
    assert 2.9 < at[0] < 5
    slow = [b - a for a, b in zip(at, at[1:], strict=False) if b < 9.9]
    fast = [b - a for a, b in zip(at, at[1:], strict=False) if a > 10.2 and b < 11.9]
    # Most of them: a busy machine is late with some.
    assert len(slow) > 12 and 0.2 < statistics.median(slow) < 0.35
    assert len(fast) > 8 and 0.04 < statistics.median(fast) < 0.12
    assert sum(t > 12 for t in at) >= 3  # it was done


@pytest.mark.sim(files={"main.py": "import homing\nhoming.run(led=None)\n"})
def test_without_a_lamp(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    changes = led_changes(lab)
    assert done_by(lab, 4) == FORGET
    assert not changes


@pytest.mark.sim(files={"main.py": "import homing\nhoming.run(button=None)\n"})
def test_without_a_button(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert done_by(lab, 12) is NOTHING and boots(lab) == 1


@pytest.mark.sim(identity=IDENTITY)  # main.py blinks the same lamp
def test_what_is_kept(lab: SimBench) -> None:
    """Forgetting Wi-Fi keeps identity and links; a factory reset keeps the identity alone."""
    owner = Owner(lab.scene)
    lab.board.wait_state("advertising")
    pop, identity = lab.pop(), stored(lab.sim, "identity")

    def linked() -> None:
        link_id = lab.talk(link_id_of)
        lab.provision()
        lab.run(owner.link(link_id))
        lab.board.wait_text('"is": "linked"')

    linked()
    links = stored(lab.sim, "thethings")
    for hold_s, does in ((4, FORGET), (11, FACTORY)):
        start = len(lab.board.log)
        assert done_by(lab, hold_s) == does
        lab.board.wait_text('"advertising"', start=start)
        assert lab.board.wait_text(r"possession: (\S+)", start=start)[1] == pop
        assert not stored(lab.sim, "wifi")
        assert stored(lab.sim, "identity") == identity
        if does == FORGET:
            assert stored(lab.sim, "thethings") == links
            assert lab.provision().state is WifiState.CONNECTED
            lab.board.wait_state("online")
        else:
            assert "thing_id" not in stored(lab.sim, "thethings")


def test_while_offline(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    lab.provision()
    lab.board.wait_state("online")
    lab.access_point.up = False
    lab.board.wait_state("offline")
    assert done_by(lab, 2) is NOTHING
    assert done_by(lab, 5, after_s=6) == FORGET
    assert not stored(lab.sim, "wifi")


def test_while_joining(lab: SimBench) -> None:
    lab.board.wait_state("advertising")

    async def apply(d: Dialogue) -> None:
        assert await d.set(lab.ssid.encode(), b"wrong horse") == 0
        assert await d.apply() == 0

    lab.talk(apply)
    lab.board.wait_state("joining")
    assert done_by(lab, 4) == FORGET


def test_held_from_one_act_to_the_next(lab: SimBench) -> None:
    """From the end of provisioning until the board is online: one hold, and it counts."""
    lab.board.wait_state("advertising")
    lab.provision()
    held = len(lab.board.log)
    assert "ble-off" not in lab.board.log
    assert done_by(lab, 8) == FORGET
    log = lab.board.log[held:]
    assert log.index('"ble-off"') < log.index('"online"') < log.index("forget_wifi")
    assert log.count("@boot") == 1
    assert not stored(lab.sim, "wifi")


BUSY = """
import asyncio
import time
import homing

async def app(me):
    while True:
        await asyncio.sleep_ms(1000)
        time.sleep_ms(4000)

homing.run(app)
"""


@pytest.mark.sim(files={"main.py": BUSY})
def test_time_that_nobody_watched(lab: SimBench) -> None:
    """While main is away a button may be let go and pressed again: that time hardly counts."""
    lab.board.wait_state("advertising")
    lab.provision()
    lab.board.wait_state("running")
    assert done_by(lab, 4.9, after_s=6) is NOTHING
    assert done_by(lab, 20, after_s=6) == FORGET


def provisioned(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    lab.provision()
    lab.board.wait_text('"is": "waiting"')


def test_power_fails_meanwhile(rounds: Callable[[int, int], range]) -> None:
    """In the first operation on the flash, or in the second: held again, the board gets where it
    was meant to; who it is stays."""
    for op in rounds(1, 2):
        with SimBench(identity={"thing_token": THING_TOKEN}, files=PLAIN) as lab:
            provisioned(lab)
            pop, identity = lab.pop(), stored(lab.sim, "identity")
            lab.sim.cut_power_after(op, 0.5)
            done_by(lab, 11)
            assert lab.sim.state == "off"
            start = len(lab.board.log)
            lab.sim.power_on()
            if stored(lab.sim, "wifi"):
                lab.board.wait_text('"online"', start=start)
                assert done_by(lab, 11) == FACTORY
            lab.board.wait_text('"advertising"', start=start)
            assert stored(lab.sim, "identity") == identity
            assert lab.board.wait_text(r"possession: (\S+)", start=start)[1] == pop
