"""Native code that crashes, answers wrong, or works: doubles of it on a simulated board.

The simulated board cannot load RV32 code, so what stands in its place is Python that does what such
code might do to a chip.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from esp_protocomm.wifi import WifiState

from tools.harness.bench import SimBench

RFC7748 = (Path(__file__).parents[1] / "unit/rfc7748.py").read_text()
KERNEL = "lib/homing/crypto/{}_rv32.py"
CRASH = "def multiply(*args):\n    import machine\n\n    machine.reset()\n"
X25519 = (
    RFC7748
    + """
def multiply(out, scalar, u, base):
    import homing  # stays, while modules of provisioning do not

    homing.calls = getattr(homing, "calls", 0) + 1
    out[:] = x25519(scalar, u)
"""
)
WRONG = X25519 + "    out[7] ^= 1\n"
CTR = """
def blocks(out, counter, count):
    value = int.from_bytes(counter, "big")
    for pos in range(0, 16 * count, 16):
        out[pos : pos + 16] = value.to_bytes(16, "big")
        value += 1
    counter[:] = value.to_bytes(16, "big")

def xor(data, stream, length):
    for i in range(length):
        data[i] ^= stream[i]
"""
# A maker's program that keeps something of its own in the RTC memory, and says what is loaded.
MAIN = """
import machine
import homing

rtc = machine.RTC()
print("maker finds", rtc.memory())
if not rtc.memory():
    rtc.memory(b"mine: \\x00\\xff")

async def app(me):
    print("native calls", getattr(homing, "calls", None))
    print("maker keeps", rtc.memory())

homing.run(app)
"""
KEEPS = 'b"mine: \\x00\\xff"'
SAID = "native code does not work on this board"


def board_with(x25519: str | None = None, ctr: str | None = None, main: str = MAIN):
    files = {"main.py": main}
    files |= {KERNEL.format("x25519"): x25519} if x25519 else {}
    files |= {KERNEL.format("ctr"): ctr} if ctr else {}
    return pytest.mark.sim(files=files)


def boots(lab: SimBench) -> int:
    return len(re.findall(r"^@boot ", lab.board.log, re.M))


def restart(lab: SimBench) -> None:
    """By the board's own program; the button and a power cut would clear the RTC memory."""
    lab.board.to_repl()
    lab.board.type("import machine; machine.reset()")


def provision(lab: SimBench) -> None:
    if "advertising" not in {state["state"] for state in lab.board.states()}:
        lab.board.wait_state("advertising")
    assert lab.provision().state == WifiState.CONNECTED
    lab.board.wait_state("running")


def native(lab: SimBench) -> list[str]:
    """What the board says that it uses, at its latest boot."""
    return lab.board.wait_state("unprovisioned")["native"]


@board_with(CRASH)
def test_a_crash_is_no_boot_loop(lab: SimBench) -> None:
    """It crashes once, says so once, and provisions all the same; until the power is cut."""
    lab.board.wait_state("advertising")
    assert boots(lab) == 2
    assert lab.board.log.count(SAID) == 1
    assert '@err {"error": "native", "why": "it did not come back"}' in lab.board.log
    assert '"native": []' in lab.board.log
    restart(lab)
    lab.board.wait_text(r"(@boot [\s\S]*){3}\"advertising\"")
    assert boots(lab) == 3
    assert lab.board.log.count(SAID) == 1
    provision(lab)
    assert boots(lab) == 3


@board_with(CRASH)
def test_after_a_power_cut_it_is_tried_again(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    lab.sim.power_off()
    lab.sim.power_on()
    lab.board.wait_text(rf"{SAID}[\s\S]*{SAID}[\s\S]*\"advertising\"")
    assert boots(lab) == 4


@board_with(CRASH)
def test_a_makers_bytes_stay_in_front(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    found = re.findall(r"maker finds (b'.*')", lab.board.log)
    assert len(found) == 2
    assert found[0] == "b''"
    assert found[1].startswith("b'mine: \\x00\\xff")
    provision(lab)
    assert re.search(r"maker keeps b'mine: \\x00\\xff[ \\nt]+'", lab.board.log)


@board_with(WRONG)
def test_a_wrong_answer_is_found_out_before_it_is_used(lab: SimBench) -> None:
    assert native(lab) == []
    assert boots(lab) == 1
    assert '@err {"error": "native", "why": "wrong answer from x25519"}' in lab.board.log
    provision(lab)


@board_with(X25519, CTR)
def test_good_code_is_used_and_leaves_no_mark(lab: SimBench) -> None:
    assert native(lab) == ["ctr", "x25519"]
    provision(lab)
    # Two in the trial, the key pair, the shared secret; and perhaps the pair after that.
    assert int(lab.board.wait_text(r"native calls (\S+)")[1]) >= 4
    assert "maker keeps b'mine: \\x00\\xff'" in lab.board.log
    assert SAID not in lab.board.log
    assert boots(lab) == 1


def test_what_is_shipped_is_refused_here_and_nothing_is_said(lab: SimBench) -> None:
    """RV32 code on another processor: the plain version, without a word."""
    assert native(lab) == []
    assert SAID not in lab.board.log
    assert "@err" not in lab.board.log


@board_with(X25519, CTR, MAIN.replace(KEEPS, "bytes(2048)"))
def test_without_room_for_the_mark_nothing_is_tried(lab: SimBench) -> None:
    assert KEEPS in MAIN
    assert native(lab) == []
    provision(lab)
    assert "native calls None" in lab.board.log


LIBRARY = """
import asyncio
import sys
import homing

async def main():
    async with homing.Provisioner("badge", pop="K7QM2X9ADRT4") as p:
        from homing.crypto import native

        print("native", native.allowed, "homing.native_trial" in sys.modules)
        async for event in p:
            print("event", event.kind)

asyncio.run(main())
"""


@board_with(X25519, CTR, LIBRARY)
def test_the_library_form_uses_it(lab: SimBench) -> None:
    lab.board.wait_text(r"native \('ctr', 'x25519'\) False")
    lab.board.wait_text("event advertising")


@board_with(CRASH, None, LIBRARY)
def test_the_library_form_survives_a_crash(lab: SimBench) -> None:
    lab.board.wait_text(r"native \(\) False")
    lab.board.wait_text("event advertising")
    assert boots(lab) == 2
    assert lab.board.log.count(SAID) == 1
