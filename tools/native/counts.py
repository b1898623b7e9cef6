"""What the kernels cost, counted in emulation, and what was recorded.

python -m tools.native.counts            # the table of what is counted now and what was recorded
python -m tools.native.counts --write    # record it anew, after a change that is worth its cost
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import build

if TYPE_CHECKING:
    from .emulator import Machine, Run

RECORD = Path(__file__).with_name("counts.json")
TOLERANCE = 0.02  # a count may grow by that much without anybody saying so
# From instructions to time: an assumption about the chip, which nothing here has measured.
CYCLES_PER_INSTRUCTION = 1.3
CLOCK_HZ = 160_000_000


@dataclass(frozen=True)
class Operation:
    """Something that is measured: one call, or several, of a kernel's functions."""

    name: str
    text: str
    measure: Callable[[Machine], int]


@functools.cache
def machine(name: str) -> Machine:
    """A core with that kernel's code, as a board gets it."""
    from .emulator import Machine

    return Machine(build.compiled(name), build.kernel(name).functions())


def instructions(runs: list[Run]) -> int:
    """The instructions of several calls together."""
    return sum(run.instructions for run in runs)


def measure() -> dict[str, int]:
    """Operation → instructions, counted now."""
    return {
        operation.name: operation.measure(machine(name))
        for name in build.KERNELS
        for operation in build.kernel(name).OPERATIONS
    }


def recorded() -> dict[str, int]:
    """Operation → instructions, as recorded."""
    return json.loads(RECORD.read_text())


def milliseconds(count: int) -> float:
    """An estimate for the chip, see CYCLES_PER_INSTRUCTION."""
    return count * CYCLES_PER_INSTRUCTION / CLOCK_HZ * 1000


def main() -> None:
    now = measure()
    if "--write" in sys.argv[1:]:
        RECORD.write_text(json.dumps(now, indent=2) + "\n")
    then = recorded()
    for name, count in now.items():
        print(f"{name:30} {count:12,} {then.get(name, 0):12,}")


if __name__ == "__main__":
    main()
