"""What cryptography costs the chip, in ms, plain and where native code runs: instructions
recorded by `make bench`, times 1.3 cycles, at 160 MHz, an estimate."""

from __future__ import annotations

import functools
import json
from pathlib import Path

_FIGURES = Path(__file__).parents[1] / "bench" / "figures.json"
_MS_PER_INSTRUCTION = 1.3 / 160e3
# kernel → {operation: ms}, as shims/_charge.py takes them.
_OPERATIONS = ("x25519.base", "x25519.arbitrary", "mod3072.multiply", "mod3072.square")
_OPERATIONS += ("sha512.block", "ghash.block", "ecdsa")


@functools.cache
def milliseconds() -> dict[str, dict[str, float]]:
    """ "plain" and "native" → operation → ms."""
    recorded = json.loads(_FIGURES.read_text())["python"]
    return {
        version: {
            name: recorded[version][name]["instructions"] * _MS_PER_INSTRUCTION
            for name in _OPERATIONS
        }
        for version in ("plain", "native")
    }
