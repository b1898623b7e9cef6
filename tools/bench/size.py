"""Bytes per module: as source, as shipped, and on the heap of a 32-bit MicroPython."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tools.native import build
from tools.sim import memory32
from tools.sim.board import SimBoard
from tools.sim.image import board_files, project_sources
from tools.sim.world import World

BUDGET_LEN = 60 * 1024  # .mpy of lib/homing for BLE, Security 1 and one cloud
# What only one of the clouds needs.
_ONLY = {
    "thethings": ("cloud/thethings",),
    "rainmaker": ("cloud/rainmaker", "cloud/fragments"),
}
# What only products load that ask for Security 2 (SRP-6a, AES-GCM) or have a P-256 key.
_SECURITY2 = ("gcm", "ghash", "group3072", "mod3072", "powers", "sha512", "srp6a")
_P256 = ("hmac", "p256")
_CRYPTO = (*_SECURITY2, "verifier", *_P256, "known_answers_optional")
# And what only other ways in than BLE need.
_WAYS = ("console", "dns", "http", "portal", "softap")
OPTIONAL = (
    *(f"crypto/{name}" for name in _CRYPTO),
    *(f"protocomm/{name}" for name in ("schemes", "security0", "security2")),
    *(f"provisioning/{name}" for name in _WAYS),
    # Only a board with node credentials, or with devices.
    *(f"cloud/{name}" for name in ("mqtt", "node_config", "rainmaker_mqtt", "rainmaker_report")),
    # Only a board that is associated over the session; with node credentials.
    *(f"cloud/{name}" for name in ("association", "chal_resp", "user_assoc")),
    "credentials",
    "device_kinds",
    "devices",
    "held",
    "model",
    "reset",
    "security_choice",
    "services",
    "timezone",
    "ways",
)
_START_S = 20
_IMPORTS = """
import gc
import asyncio
asyncio.gather, asyncio.Lock, asyncio.Event, asyncio.ThreadSafeFlag, asyncio.StreamWriter
for name in "time os machine select socket esp32 network bluetooth json aioble".split():
    try:
        __import__(name)
    except ImportError:
        pass
gc.collect()
before = gc.mem_alloc()
for name in %r:
    __import__(name)
    gc.collect()
    now = gc.mem_alloc()
    print("@heap", name, now - before)
    before = now
print("imported")
"""


@dataclass
class Module:
    """One module of lib/homing; bytes. `heap` is 0 if it was not measured. The source of native
    modules is generated."""

    name: str
    source: int
    mpy: int
    heap: int = 0


def modules(command: list[str] | None = None) -> list[Module]:
    """All of lib/homing by name; with an interpreter of 32 bits also what each takes of the heap.

    What a module takes is counted when it is imported after those it needs; names that several
    modules use are counted with the first.
    """
    shipped = board_files()
    found = []
    for path, text in project_sources().items():
        if path.startswith("lib/homing/") and path.endswith(".py"):
            name = path.removeprefix("lib/").removesuffix(".py").removesuffix("/__init__")
            code = shipped[path.removesuffix(".py") + ".mpy"]
            found.append(Module(name.replace("/", "."), len(text), len(code)))
    if command:
        heap = _heap(command, [module.name for module in found])
        for module in found:
            module.heap = heap[module.name]
    # Native code lies outside that heap.
    for kernel in build.KERNELS:
        path = build.module_path(kernel)
        text = build.source(build.kernel(kernel).functions())
        name = path.removeprefix("lib/").removesuffix(".mpy").replace("/", ".")
        found.append(Module(name, len(text), len(shipped[path])))
    return sorted(found, key=lambda module: module.name)


def with_one_cloud(cloud: str) -> int:
    """Bytes of .mpy for BLE, Security 1 and that cloud alone, without what is optional."""
    others = [start for name, starts in _ONLY.items() if name != cloud for start in starts]
    without = tuple(f"lib/homing/{start}" for start in (*others, *OPTIONAL))
    return sum(
        len(content)
        for path, content in board_files().items()
        if path.startswith("lib/homing/") and path.endswith(".mpy") and not path.startswith(without)
    )


def _depths(names: list[str]) -> list[str]:
    # Those that need nothing first, roughly: the layers of docs/architecture.md, the lowest first.
    layers = ("crypto", "protocomm", "cloud", "provisioning")

    def layer(name: str) -> tuple[int, bool, str]:
        part = (name.split(".") + [""])[1]
        return (layers.index(part) if part in layers else len(layers), "." in name, name)

    return sorted(names, key=layer)


def _heap(command: list[str], names: list[str]) -> dict[str, int]:
    with World() as world:
        board = world.new_board(
            files={"main.py": _IMPORTS % (_depths(names),)},
            transform=memory32.older,
            interpreter=command,
            heap="600K",
            charge=False,
        )
        board.power_on()
        board.wait_log(r"imported|Error", _START_S)
        heap = {name: int(length) for name, length in re.findall(r"@heap (\S+) (\d+)", board.log)}
    missing = set(names) - set(heap)
    if missing:
        raise RuntimeError(f"not imported: {sorted(missing)}; the board said:\n{board.log}")
    return heap


def start_up() -> tuple[float, float]:
    """Processor time in ms: of a board up to "advertising", of one with an empty program."""
    with World() as world:
        world.add_access_point(b"home", b"secret123")
        ready = world.new_board("ready", charge=False)
        empty = world.new_board("empty", {"main.py": "print('main')\n"}, project=False)
        ready.power_on()
        ready.wait_log('"advertising"', _START_S)
        full_ms = _cpu_ms(ready)
        empty.power_on()
        empty.wait_log("main", _START_S)
        return full_ms, _cpu_ms(empty)


def _cpu_ms(board: SimBoard) -> float:
    status = Path(f"/proc/{board._supervisor.process_id}/schedstat")  # Linux
    return int(status.read_text().split()[0]) / 1e6
