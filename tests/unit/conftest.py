"""Runs the tests of this directory on MicroPython, the language they are written in.

Every `def test_…()` and `async def test_…()` of a test_*.py becomes one pytest item, run in an
interpreter of its own. MICROPYTHON names another one than the installed, as a command.
"""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.sim import image

_HERE = Path(__file__).parent
_LIB = _HERE.parent.parent / "lib"
_TIMEOUT_S = 100
_INTERPRETER = image.interpreter()  # not the installed script, which takes longer to start


class TestFailed(Exception):
    """What the interpreter printed."""


class MicroPythonFunction(pytest.Item):
    """One function, run in its own interpreter."""

    def __init__(self, *, line: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.line = line

    def runtest(self) -> None:
        run = subprocess.run(
            [*_INTERPRETER, str(_HERE / "runner.py"), self.path.stem, self.name],
            env={**os.environ, "MICROPYPATH": f"{_LIB}:{_HERE}:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            cwd=_HERE,
        )
        output = run.stdout.decode(errors="backslashreplace")
        if run.returncode:
            raise TestFailed(output or f"the interpreter ended with {run.returncode}")
        if output:
            self.add_report_section("call", "stdout", output)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, TestFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, self.line, f"{self.path.stem}.{self.name}"


class MicroPythonFile(pytest.File):
    """A file of test functions; never imported here."""

    def collect(self) -> Iterator[MicroPythonFunction]:
        for node in ast.parse(self.path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test_"
            ):
                yield MicroPythonFunction.from_parent(self, name=node.name, line=node.lineno - 1)


def pytest_pycollect_makemodule(module_path: Path, parent) -> MicroPythonFile:
    return MicroPythonFile.from_parent(parent, path=module_path)
