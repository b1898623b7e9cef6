"""The test that a board runs before it uses native code, here with the code itself in emulation."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tools.native import build, counts, p256

# Where the last byte of the answer is, if that is not the end of the first argument.
_LAST = {"p256": p256.LEN * (p256.S + 1) - 1}
_SOURCES = Path(__file__).parents[2] / "lib/homing/crypto"


def _load(name: str, package: str = "board") -> Any:
    spec = importlib.util.spec_from_file_location(f"{package}.{name}", _SOURCES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def _package() -> Iterator[None]:
    """What the checks import from their own package, which CPython cannot import as a whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "board", ModuleType("board"))
        patch.setitem(sys.modules, "board.p256_domain", _load("p256_domain"))
        yield


def _checks() -> dict[str, Callable[[object], bool]]:
    return {**_load("known_answers").CHECKS, **_load("known_answers_optional").CHECKS}


class _Kernel(SimpleNamespace):
    """The functions of a kernel, as the module on a board has them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.called: set[str] = set()
        self.instructions = 0
        machine = counts.machine(name)
        for function in build.kernel(name).functions():
            setattr(self, function.name, self._callable(machine, function.name))

    def _callable(self, machine, name: str):
        def call(*arguments):
            self.called.add(name)
            run = machine.call(name, *arguments)
            self.instructions += run.instructions
            return run.a0

        return call


def test_every_kernel_has_one() -> None:
    assert set(_checks()) == set(build.KERNELS)


@pytest.mark.parametrize("name", build.KERNELS)
def test_the_kernel_answers_right(name: str) -> None:
    kernel = _Kernel(name)
    assert _checks()[name](kernel) is True
    assert kernel.called == {function.name for function in build.kernel(name).functions()}
    assert counts.milliseconds(kernel.instructions) < 50  # at every boot of a new board


@pytest.mark.parametrize("name", build.KERNELS)
def test_each_function_that_answers_wrong_is_noticed(name: str) -> None:
    for function in build.kernel(name).functions():
        kernel = _Kernel(name)
        right = getattr(kernel, function.name)

        def wrong(out: bytearray, *arguments, right=right):
            right(out, *arguments)
            out[_LAST.get(name, -1)] ^= 1

        setattr(kernel, function.name, wrong)
        assert not _checks()[name](kernel)
