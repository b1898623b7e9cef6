"""MicroPython on the emulated RV32, with the files that a board gets: what Python costs there.

It is release 1.25 (tools/bench/build.py), which takes what mpy-cross 1.29 compiles, native code
included: the format is 6.3 in both. The files lie in a ROM and are run in place, so they take
nothing of the heap. What the port lacks and the project imports is made up here: `os.urandom` gives
numbers drawn in advance, the same in each run, the clock of `time` stands still, and `bluetooth` is
a table of attributes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from mpremote.romfs import VfsRomWriter

from tools.sim.image import compile_mpy

from . import build
from .figures import Cost
from .rv32 import MARK, ROM, Machine

_GRANULE = 16  # bytes of the smallest piece of the GC heap on 32 bits
_SHIMS = {
    "os": f"""
_DRAWN = {random.Random(1).randbytes(1024)!r}
_at = 0


def urandom(count):
    global _at
    _at = (_at + count) % 512
    return _DRAWN[_at : _at + count]
""",
    "time": """
def ticks_ms():
    return 0


def ticks_diff(a, b):
    return a - b
""",
    # A table of attributes and no radio; of asyncio, what is named outside coroutines.
    "bluetooth": """
def UUID(value):
    return bytes(2 if isinstance(value, int) else 16)


class BLE:
    def __init__(self):
        self.attributes = {}
        self._active = False

    def irq(self, handler):
        pass

    def active(self, active=None):
        if active is not None:
            self._active = active
        return self._active

    def config(self, *names, **values):
        pass

    def gatts_read(self, handle):
        return self.attributes[handle]

    def gatts_write(self, handle, data, send_update=False):
        self.attributes[handle] = bytes(data)

    def gatts_set_buffer(self, handle, length, append=False):
        pass

    def gatts_register_services(self, services):
        return [range(100, 100 + 9 * len(characteristics)) for _, characteristics in services]
""",
    "asyncio": """
class ThreadSafeFlag:
    pass
""",
}
_START = """
import gc, sys, uctypes, vfs
from binascii import hexlify as _hexlify
from machine import mem32
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({rom}, {length})), "/rom")
sys.path[:] = ["/rom/lib"]
def _mark(number):
    mem32[{mark}] = number
"""
# A function, so that names are as cheap as in a program. Twice, the first time for its value only:
# what is imported or cached on first use is there.
_MEASURED = """
def _measured():
    gc.collect()
    _mark(0)
    result = {expression}
    _mark(1)
    return result
_result = _measured()
print(_hexlify(_result).decode() if isinstance(_result, bytes) else _result)
"""


class Failed(Exception):
    """The program's traceback."""


class Rv32Python:
    """files: by path on the board; what is under lib can be imported. Raises build.Unavailable."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        shims = {
            f"lib/{name}.mpy": compile_mpy(text.encode(), name) for name, text in _SHIMS.items()
        }
        rom = _romfs({**files, **shims})
        program = build.micropython()
        self._machine = Machine(program, rom, watch="gc_alloc")
        self._machine.start(program.entry)
        self._machine.type(b"\x01")  # raw REPL
        self.run(_START.format(rom=ROM, length=len(rom), mark=MARK))
        self._overhead = self._measure("None")[1]

    def run(self, code: str) -> str:
        """What it prints. Names stay for the next time. Raises Failed."""
        self._machine.marks.clear()
        answer = self._machine.type(code.encode() + b"\x04")
        out, error = answer.removeprefix(b"OK").split(b"\x04")[:2]
        if error:
            raise Failed(error.decode())
        return out.decode().replace("\r\n", "\n")

    def prepare(self, code: str) -> None:
        """Run something long that is not to be counted. Raises Failed."""
        with self._machine.uncounted():
            self.run(code)

    def measure(self, expression: str) -> tuple[str, Cost]:
        """An expression's value as printed, bytes as hexadecimal, and its cost. Raises Failed."""
        value, cost = self._measure(expression)
        instructions = cost.instructions - self._overhead.instructions
        return value, Cost(instructions, cost.heap - self._overhead.heap)

    def _measure(self, expression: str) -> tuple[str, Cost]:
        value = self.run(_MEASURED.format(expression=expression))
        start, end = self._machine.marks
        return value.strip(), Cost(
            end.instructions - start.instructions, end.entries - start.entries
        )


def _romfs(files: Mapping[str, bytes]) -> bytes:
    tree: dict[str, Any] = {}
    for path, content in files.items():
        *parents, name = path.split("/")
        directory = tree
        for parent in parents:
            directory = directory.setdefault(parent, {})
        directory[name] = content
    writer = VfsRomWriter()

    def write(directory: dict[str, Any]) -> None:
        for name, content in directory.items():
            if isinstance(content, dict):
                writer.opendir(name)
                write(content)
                writer.closedir()
            else:
                writer.mkfile(name, content)

    write(tree)
    return bytes(writer.finalise())
