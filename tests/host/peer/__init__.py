"""Our board code in a MicroPython process, callable from tests on the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

_HERE = Path(__file__).parent
_LIB = _HERE.parents[2] / "lib"
_UNIT = _HERE.parents[1] / "unit"
_INTERPRETER = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")


class Peer:
    """One process; `ask(op, *args)` as listed in main.py. Raises RuntimeError if it died."""

    def __enter__(self) -> Peer:
        self._process = subprocess.Popen(
            [_INTERPRETER, str(_HERE / "main.py")],
            env={**os.environ, "MICROPYPATH": f"{_LIB}:{_UNIT}:.frozen"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, op: str, *args: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([op, args]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise RuntimeError(line + self._process.stdout.read()) from None
