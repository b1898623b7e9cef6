"""The GC heap of the whole job, measured on a 32-bit MicroPython, where objects are as on the chip.

The simulator's shims lie on the same heap; on a chip what they stand for is in flash. Their share
is measured on its own and taken off. The IDF heap, where Wi-Fi, Bluetooth and TLS take theirs,
cannot be measured without a chip: it is the simulator's model, an estimate.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from esp_protocomm.security1 import Security1

from tools.claim.board import store_files
from tools.harness import claim_data
from tools.harness.bench import NODE_ID, POP, THING_TOKEN, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.http_phone import HttpDialogue
from tools.harness.owner import Owner, bind, link_id_of
from tools.identity import verifier_fields
from tools.provision.schemes import Security2
from tools.sim import memory32
from tools.sim.world import World

from . import probe

Ways = tuple[str, ...]
Transform = Callable[[str, str], str]

# RV32 against i386, for the same depth of calls: a frame keeps up to 13 registers instead of 4, but
# arguments travel in registers. An assumption, on the safe side; nothing here ran on a chip.
RV32_STACK_FACTOR = 1.25
# What MicroPython leaves to Python of the NimBLE task's 6,144 bytes (ports/esp32/mpconfigport.h),
# and what it holds back of that for C functions that do not check (MICROPY_STACK_CHECK_MARGIN).
HANDLER_STACK_LEN = 5120
STACK_MARGIN_LEN = 1024
BUDGET_LEN = 100 * 1024  # GC heap of the product
ROOMY = "400K"
_STEP_KB = 2
_SCAN_START = bytes.fromhex("5206080118052078")
_CHALLENGE = b"\x52\x52\x0a\x50" + b"challenge-" * 8
_MAPPING = "mapping-secret-of-the-bench"
_MAIN = "import homing\nhoming.run(transports=%r, security=%d)\n"
# Ways in that are measured; the last of each is the one that the phone takes.
BLE: Ways = ("ble",)
WAYS: tuple[Ways, ...] = (BLE, ("softap",), ("ble", "softap"))
_SCHEMES = {1: Security1, 2: Security2}  # the client's
_SHIMS = """
import gc
for name in "time os machine select socket esp32 network bluetooth".split():
    __import__(name)
gc.collect()
print("shims", gc.mem_alloc())
"""

# Phase → (line of the probe, estimated IDF heap in use in KB by the simulator's model: Wi-Fi 46,
# Bluetooth 58, a TLS session 45).
PHASES = {
    "idle": ("unprovisioned", 46),
    "advertising": ("advertising", 104),
    "session": ("secured", 104),
    "scan": ("scan", 104),
    "join": ("saved", 104),
    "TLS": ("tls", 91),
    "online": ("cloud", 46),
}


@dataclass
class Memory:
    """Bytes: `live` per phase with the shims in it, and what the shims take of it."""

    live: dict[str, int]
    shims: int

    def product(self, phase: str) -> int:
        return self.live[phase] - self.shims


def options(
    command: list[str],
    heap: str,
    mapping: bool = True,
    ways: Ways = BLE,
    security: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """What makes a SimBench one of 32 bits, bound for both clouds, or without `mapping` for
    thethings.io alone. charge=False: no time is measured here. security: 1, or 2 with doubles of
    the native code, which lie on the heap as the native code does not."""
    identity = {"pop": POP, "thing_token": THING_TOKEN} | ({"node_id": NODE_ID} if mapping else {})
    if security == 2:
        identity |= verifier_fields(POP)
    main = _MAIN % (ways, security)
    made: dict[str, Any] = {"identity": identity, "files": {"main.py": main}}
    made |= {"native": security == 2}
    made |= {"transform": memory32.older, "interpreter": command, "heap": heap, "charge": False}
    return made | more


def main_job(
    lab: SimBench,
    mapping: bool = True,
    timeout_s: float = 30,
    ways: Ways = BLE,
    security: int = 1,
    linked: bool = True,
) -> None:
    """Found, scanned, joined, online, linked, and with `mapping` mapped too, over TLS.
    linked=False: online is the end.

    Raises BoardError, or what the client raises, when it does not get there.
    """
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> str:
        await d.ask("prov-scan", _SCAN_START)
        link_id = await link_id_of(d)
        if mapping:  # a token of 1.2 KB, in fragments
            await bind(d, _MAPPING, await owner.access_token())
        await d.provision(lab.ssid, lab.password)
        return link_id

    lab.board.wait_state("advertising", timeout_s)
    if ways[-1] == "softap":
        link_id = lab.run(_over_http(lab.sim.soft_ap.join(lab.name()).address(), work))
    else:
        link_id = lab.talk(work, POP, scheme=_SCHEMES[security])
    lab.board.wait_state("online", timeout_s)
    if not linked:
        return
    lab.run(owner.link(link_id))
    lab.board.wait_text(r'"is": "linked"', timeout_s)
    if mapping:
        lab.board.wait_text(r'"is": "confirmed"', timeout_s)


async def _over_http(
    address: tuple[str, int], work: Callable[[Dialogue], Coroutine[Any, Any, str]]
) -> str:
    async with HttpDialogue(address) as dialogue:
        await dialogue.secure(POP)
        return await work(dialogue)


def node(
    command: list[str],
    heap: str,
    provisioned: bool,
    transform: Callable[[str, str], str] | None = None,
) -> Any:
    """A NodeBench of 32 bits with a mapping that is due, and a thing at thethings.io; off."""
    from tools.harness.node_bench import PENDING, NodeBench

    def both(path: str, text: str) -> str:
        text = memory32.older(path, text) or text
        return transform(path, text) if transform else text

    identity = {"pop": POP, "thing_token": THING_TOKEN, "node_id": NODE_ID, "node_key": "ec"}
    return NodeBench(
        on=False,
        mapping=PENDING,
        store={"identity": identity} | ({} if provisioned else {"wifi": {}}),
        transform=both,
        interpreter=command,
        heap=heap,
        charge=False,
    )


def node_job(node: Any, provision: bool) -> None:
    """Online, told what it is, mapped, written to, and linked over a second TLS session beside that
    of MQTT; provisioned over BLE before if asked."""
    from tools.harness.node_bench import MAPPING, PARAMS

    async def work(d: Dialogue) -> None:
        await d.ask("prov-scan", _SCAN_START)
        await d.provision(node.lab.ssid, node.lab.password)

    if provision:
        node.sim.power_on()
        node.board.wait_state("advertising")
        node.lab.talk(work, POP)
        node.connected()
    else:
        node.on()
    node.cloud.write({"Lamp": {"Power": True}})
    node.board.wait_text("lamp: Power True")
    node.until(lambda: node.cloud.of(PARAMS) and node.cloud.of(MAPPING))
    node.lab.run(Owner(node.lab.scene).link(node.kept("thethings")["link_id"]))
    node.board.wait_text(r'"is": "linked"')
    node.lab.world.advance(seconds=150)  # pings


def measure(
    command: list[str], aioble: str | None = None, ways: Ways = BLE, security: int = 1
) -> Memory:
    """Bytes in use per phase, after a collection, on a heap with room to spare."""

    def transform(path: str, text: str) -> str:
        return probe.memory(path, memory32.older(path, text) or text)

    more = {"transform": transform, "aioble": aioble}
    with SimBench(**options(command, ROOMY, True, ways, security, **more)) as lab:
        main_job(lab, ways=ways, security=security)
        found: dict[str, int] = {}
        for phase, length in re.findall(r"@mem (\S+) (\d+)", lab.board.log):
            # The largest of a phase: TLS sessions follow each other, scans happen twice.
            found[phase] = max(found.get(phase, 0), int(length))
    return Memory({name: found[line] for name, (line, _idf) in PHASES.items()}, shims(command))


def shims(command: list[str]) -> int:
    """Bytes that the simulator itself takes of a board's heap."""
    bare = subprocess.run(
        [*command, "-c", "import gc; gc.collect(); print(gc.mem_alloc())"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    with World() as world:
        board = world.new_board(
            files={"boot.py": _SHIMS},
            project=False,
            interpreter=command,
            heap=ROOMY,
            charge=False,
        )
        board.power_on()
        return int(board.wait_log(r"shims (\d+)")[1]) - int(bare.stdout)


def depth(
    command: list[str],
    aioble: str | None = None,
    files: Mapping[str, str] | None = None,
    security: int = 1,
) -> int:
    """Bytes of C stack from the entry of the interrupt handler to its deepest call.

    files: more for the board, such as doubles of native code.
    """

    def transform(path: str, text: str) -> str:
        return probe.depth(path, memory32.older(path, text) or text)

    files = {"main.py": _MAIN % (BLE, security), "lib/deep.py": probe.DEEP, **(files or {})}
    more = {"transform": transform, "files": files, "aioble": aioble, "security": security}
    with SimBench(**options(command, ROOMY, **more)) as lab:
        main_job(lab, security=security)
        return max(int(length) for length in re.findall(r"@deep (\d+)", lab.board.log))


def signing(command: list[str], transform: Transform, heap: str = ROOMY, lamp: bool = False) -> str:
    """What a node with an EC key says, transformed, while it signs and gets online over BLE."""
    from tools.harness.node_bench import MAIN

    def older(path: str, text: str) -> str:
        return transform(path, memory32.older(path, text) or text)

    main = MAIN if lamp else _MAIN % (BLE, 1)
    files: dict[str, str | bytes | None] = {"main.py": main, "lib/deep.py": probe.DEEP}
    files |= store_files(claim_data.credentials(), {"pop": POP})

    async def work(d: Dialogue) -> None:
        await d.ask("prov-scan", _SCAN_START)
        await d.ask("ch_resp", _CHALLENGE)
        await d.provision(lab.ssid, lab.password)

    made: dict[str, Any] = {"interpreter": command, "heap": heap, "charge": False}
    with SimBench(identity={}, files=files, transform=older, **made) as lab:
        lab.board.wait_state("advertising")
        lab.talk(work, POP)
        lab.board.wait_state("online")
        return lab.board.log


def works(
    command: list[str],
    heap_kb: int,
    mapping: bool,
    aioble: str | None = None,
    ways: Ways = BLE,
    security: int = 1,
) -> bool:
    """Whether the whole job can be done on that heap."""
    made = options(command, f"{heap_kb}K", mapping, ways, security, aioble=aioble)
    try:
        with SimBench(**made) as lab:
            main_job(lab, mapping, timeout_s=10, ways=ways, security=security)
    except Exception:  # noqa: BLE001 - a board short of memory fails in many ways
        return False
    return True


def smallest_kb(
    command: list[str],
    low: int,
    high: int,
    mapping: bool,
    aioble: str | None = None,
    ways: Ways = BLE,
    security: int = 1,
) -> int:
    """The smallest heap that works, in KB, between two bounds, found by halving the interval."""
    low, high = low // _STEP_KB, high // _STEP_KB
    while low < high:
        middle = (low + high) // 2
        if works(command, middle * _STEP_KB, mapping, aioble, ways, security):
            high = middle
        else:
            low = middle + 1
    return high * _STEP_KB
