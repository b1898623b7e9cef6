"""From the kernels in this package to the .mpy files that a board gets.

A kernel is a module of this package with

- `functions()`, which returns its asm functions (`asm.Function`) in the order of their definition;
- `OPERATIONS`, what is measured of it (`counts.Operation`).

`python -m tools.native.build NAME` prints the assembler source of one.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from . import mpy
from .asm import Function

KERNELS = ("ctr", "x25519", "sha512", "ghash", "mod3072", "p256")
SUFFIX = "_rv32"
ARCH = "rv32imc"


def kernel(name: str) -> Any:
    """The module of that kernel."""
    return importlib.import_module(f"{__package__}.{name}")


def source(functions: Sequence[Function]) -> str:
    """One module of MicroPython source with these asm functions."""
    return "\n\n".join(function.source() for function in functions)


def assemble(functions: Sequence[Function], path: str) -> bytes:
    """Their .mpy. Raises ValueError for what no board may get, and with mpy-cross's complaints."""
    from tools.sim.image import compile_mpy

    data = compile_mpy(source(functions).encode(), path, f"-march={ARCH}")
    for function, code in zip(functions, mpy.parse(data).functions, strict=True):
        faults = mpy.lint(code.code)
        if faults:
            raise ValueError(f"{function.name}: {'; '.join(faults)}")
    return data


@functools.cache
def compiled(name: str) -> bytes:
    """The .mpy of one kernel, as a board gets it. Raises ValueError as assemble() does."""
    return assemble(kernel(name).functions(), "/" + module_path(name))


def module_path(name: str) -> str:
    """Where that kernel goes on a board."""
    return f"lib/homing/crypto/{name}{SUFFIX}.mpy"


def board_modules() -> dict[str, bytes]:
    """Path on the board → .mpy of all kernels."""
    return {module_path(name): compiled(name) for name in KERNELS}


if __name__ == "__main__":
    sys.stdout.write(source(kernel(sys.argv[1]).functions()))
