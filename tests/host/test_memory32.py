"""The GC heap and the stack of the whole job, on a MicroPython whose objects are as on the chip.

`make bench` prints the figures; the limits here are some ten per cent above them.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tools.bench import memory, probe
from tools.cloud.broker import MISSING, find
from tools.harness.bench import SimBench
from tools.native import build, counts
from tools.sim import memory32

UNIT = Path(__file__).parents[1] / "unit"
LIMITS = {  # bytes of the product in use after a collection
    "idle": 57_000,
    "advertising": 86_000,
    "session": 90_000,
    "scan": 90_000,
    "join": 90_000,
    "TLS": 79_000,
    "online": 75_000,
}
LIMITS_2 = {"advertising": 130_000, "scan": 128_000, "join": 128_000, "online": 82_000}
NODE_LIMIT = 84_000  # the same of a node over MQTT, which began online
SIGNING_LIMIT = 95_000  # and of one that signs, while it is provisioned
NATIVE = """
import deep
from micropython import stack_use

%s

def multiply(out, scalar, u, base):
    if deep._base is not None:
        deep.deepest = max(deep.deepest, stack_use() - deep._base + %d)
    out[:] = x25519(scalar, u)
"""


@pytest.fixture(scope="module")
def command() -> list[str]:
    found = memory32.command()
    if found is None:
        pytest.skip(f"needs the 32-bit MicroPython: {memory32.HINT}")
    return found


@pytest.fixture(scope="module")
def measured(command: list[str]) -> memory.Memory:
    return memory.measure(command)


def test_the_interpreter_is_one_of_32_bits(command: list[str]) -> None:
    done = subprocess.run(
        [*command, "-c", "import sys; print(sys.maxsize)"], capture_output=True, timeout=30
    )
    assert int(done.stdout) == 2**31 - 1


def test_main_job_on_100_kb(command: list[str], measured: memory.Memory) -> None:
    """From the first advertisement to linked and mapped over TLS, with a token of 1.2 KB; the
    shims' share of the heap is not the product's."""
    heap_kb = (memory.BUDGET_LEN + measured.shims) // 1024
    with SimBench(**memory.options(command, f"{heap_kb}K")) as lab:
        memory.main_job(lab)
        assert "MemoryError" not in lab.board.log
        assert not lab.sim.violations


@pytest.mark.parametrize(
    ("ways", "limit_len", "heap_kb"),
    [
        (("softap",), 88_000, 96),
        (("ble", "softap"), 112_000, 114),
        (("console", "ble"), 96_000, 100),
    ],
    ids=["softap", "ble+softap", "console+ble"],
)
def test_other_ways_in(
    command: list[str], measured: memory.Memory, ways: memory.Ways, limit_len: int, heap_kb: int
) -> None:
    """Provisioned over HTTP and online on a heap of that size; and what is in use at most."""
    found = memory.measure(command, ways=ways)
    peak_len = max(found.product(phase) for phase in found.live)
    assert 0.5 * limit_len < peak_len < limit_len
    heap = f"{heap_kb + measured.shims // 1024}K"
    with SimBench(**memory.options(command, heap, False, ways)) as lab:
        memory.main_job(lab, False, ways=ways, linked=False)
        assert "MemoryError" not in lab.board.log


def test_both_radios_where_they_do_not_fit_are_refused(command: list[str]) -> None:
    with SimBench(**memory.options(command, "110K", False, ("ble", "softap"))) as lab:
        lab.board.wait_text(
            r"ValueError: BLE and the access point at once need \d+ bytes of heap, \d+ are free"
        )
        assert not lab.sim.soft_ap.on and "ble" not in lab.sim.radios


@pytest.mark.skipif(find() is None, reason=MISSING)
@pytest.mark.parametrize("fresh", [True, False], ids=["provisioned", "rebooted"])
def test_node_over_mqtt_on_100_kb(command: list[str], measured: memory.Memory, fresh: bool) -> None:
    """With node credentials, a lamp and a thing: online, configuration, mapping, a write, linked at
    thethings.io meanwhile. A board that has just been provisioned restarts for it."""
    heap_kb = (memory.BUDGET_LEN + measured.shims) // 1024
    with memory.node(command, f"{heap_kb}K", provisioned=not fresh) as node:
        memory.node_job(node, fresh)
        assert "MemoryError" not in node.board.log and '"memory' not in node.board.log
        assert ("restarting, online comes next" in node.board.log) == fresh


@pytest.mark.skipif(find() is None, reason=MISSING)
def test_heap_of_a_node_over_mqtt(command: list[str], measured: memory.Memory) -> None:
    with memory.node(command, memory.ROOMY, provisioned=True, transform=probe.memory) as node:
        memory.node_job(node, False)
        found = re.findall(r"@mem (?:cloud|tls) (\d+)", node.board.log)
    lengths = [int(length) - measured.shims for length in found]
    print("node over MQTT, bytes in use:", lengths)
    assert 0.5 * NODE_LIMIT < max(lengths) < NODE_LIMIT


def test_too_small_a_heap_is_noticed(command: list[str]) -> None:
    """The tests above would fail: a heap that cannot do is not larger than it says."""
    with (
        SimBench(**memory.options(command, "80K", mapping=False)) as lab,
        pytest.raises(AssertionError),
    ):
        memory.main_job(lab, mapping=False, timeout_s=5)


@pytest.mark.parametrize("phase", list(LIMITS))
def test_heap_in_use(measured: memory.Memory, phase: str) -> None:
    assert 0.5 * LIMITS[phase] < measured.product(phase) < LIMITS[phase]


def test_provisioning_gives_its_memory_back(measured: memory.Memory) -> None:
    """TLS and the clouds' code come on top, and still less is in use than before."""
    assert measured.product("online") < measured.product("join") - 10_000


def test_handlers_fit_the_stack(command: list[str]) -> None:
    deepest = memory.depth(command)
    limit = memory.HANDLER_STACK_LEN - memory.STACK_MARGIN_LEN
    assert 1000 < deepest * memory.RV32_STACK_FACTOR < limit


def test_native_code_fits_the_stack(command: list[str]) -> None:
    """A double of the scalar multiplication, where the handler calls it, and what that takes."""
    plain = memory.depth(command)
    text = UNIT.joinpath("rfc7748.py").read_text()
    for stack, more in ((0, False), (2000, True)):
        files = {"lib/homing/crypto/x25519_rv32.py": NATIVE % (text, stack)}
        deepest = memory.depth(command, files=files)
        assert (deepest > plain) == more
    machine = counts.machine("x25519")
    build.kernel("x25519").OPERATIONS[0].measure(machine)
    at_call = deepest - 2000
    limit = memory.HANDLER_STACK_LEN - memory.STACK_MARGIN_LEN
    assert 1000 < at_call * memory.RV32_STACK_FACTOR + machine.deepest < limit


def test_security_2(command: list[str]) -> None:
    """Heap and depth with doubles of the native code; docs/security.md has the figures. Its tables
    are no longer in use once the network is there."""
    measured = memory.measure(command, security=2)
    for phase, limit in LIMITS_2.items():
        assert 0.5 * limit < measured.product(phase) < limit, phase
    deepest = memory.depth(command, security=2)
    machine = counts.machine("mod3072")
    build.kernel("mod3072").OPERATIONS[0].measure(machine)
    limit = memory.HANDLER_STACK_LEN - memory.STACK_MARGIN_LEN
    assert 1000 < deepest * memory.RV32_STACK_FACTOR + machine.deepest < limit


def test_signature_of_a_node(command: list[str], measured: memory.Memory) -> None:
    """ch_resp in the handler, without native code: its depth, and the heap of a node that signs."""
    log = memory.signing(command, probe.depth)
    deepest = max(int(length) for length in re.findall(r"@deep (\d+)", log))
    limit = memory.HANDLER_STACK_LEN - memory.STACK_MARGIN_LEN
    assert 1000 < deepest * memory.RV32_STACK_FACTOR < limit
    found = re.findall(r"@mem (\S+) (\d+)", memory.signing(command, probe.memory))
    peak = {phase: int(length) - measured.shims for phase, length in found}
    print("a node that signs:", peak, "stack", deepest)
    assert 0.5 * SIGNING_LIMIT < max(peak.values()) < SIGNING_LIMIT
    heap = f"{memory.BUDGET_LEN // 1024 + measured.shims // 1024}K"
    log = memory.signing(command, lambda _path, text: text, heap)
    assert "MemoryError" not in log.partition('"state": "online"')[0]


def test_a_lamp_that_signs(command: list[str], measured: memory.Memory) -> None:
    """Without native code, on the budget: provisioned, signing, online."""
    heap = f"{(memory.BUDGET_LEN + measured.shims) // 1024}K"
    log = memory.signing(command, lambda _path, text: text, heap, lamp=True)
    assert "MemoryError" not in log.partition('"state": "online"')[0]


def test_cost_of_a_request(command: list[str]) -> None:
    """tests/unit/test_cost.py with the limits of 32 bits."""
    done = subprocess.run(
        [*command, "-X", "heapsize=16M", "runner.py", "test_cost", "test_requests"],
        env={"MICROPYPATH": f"{UNIT.parents[1] / 'lib'}:{UNIT}:.frozen"},
        cwd=UNIT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
