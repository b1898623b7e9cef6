"""The figures of the table of cryptography that no machine can count without a C compiler for RV32.

They are kept in figures.json, as counted by `homing bench --record`, with the versions of what they
were counted with. What the kernels take is not among them: tools/native/counts.py counts that
anywhere.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_MODES = ("plain", "native")
RECORD = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class Cost:
    """Instructions; bytes of heap: in C what is in use at most, in Python all that was asked for;
    bytes of code with constants, of C only.
    """

    instructions: int
    heap: int = 0
    code: int = 0


@dataclass(frozen=True)
class Figures:
    """Costs by operation: of mbedTLS by variant of its build, and of the same work on MicroPython
    with the plain modules and with the native ones ("plain", "native").

    handshakes: by the same two, the parts of a Security 1 handshake. versions: of the compiler and
    the two sources.
    """

    versions: dict[str, str]
    mbedtls: dict[str, dict[str, Cost]]
    python: dict[str, dict[str, Cost]]
    handshakes: dict[str, dict[str, Cost]]


def recorded(path: Path = RECORD) -> Figures:
    """Raises ValueError for a file that does not have that form."""
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        made = {
            name: {
                key: {operation: Cost(**cost) for operation, cost in costs.items()}
                for key, costs in content.pop(name).items()
            }
            for name in ("mbedtls", "python", "handshakes")
        }
        return Figures(**content, **made)
    except (AttributeError, KeyError, TypeError) as e:
        raise ValueError(f"{path} has not the form of recorded figures: {e}") from None


def record(figures: Figures, path: Path = RECORD) -> None:
    """Write them for recorded()."""
    path.write_text(json.dumps(dataclasses.asdict(figures), indent=1) + "\n", encoding="utf-8")


def counted(say: Callable[[str], None] = lambda _text: None) -> Figures:
    """All of them, counted now, in some minutes. say: told what is being done.

    Raises tools.sim.debian.Unavailable where they cannot be.
    """
    from . import build, mbedtls

    say("fetching and compiling MicroPython and mbedTLS")
    versions = build.versions()
    build.micropython()
    for variant in build.VARIANTS:
        build.mbedtls(variant)
    say("counting what mbedTLS and MicroPython take")
    # One process each: an emulator takes one core.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        in_python = pool.map(_in_python, _MODES)
        in_c = pool.map(mbedtls.measure, build.VARIANTS)
        handshakes = pool.map(_handshake, _MODES)
        return Figures(
            versions,
            dict(zip(build.VARIANTS, in_c, strict=True)),
            dict(zip(_MODES, in_python, strict=True)),
            dict(zip(_MODES, handshakes, strict=True)),
        )


# Each on a board of its own: what is on the heap already makes allocations and collections dearer.


def _in_python(mode: str) -> dict[str, Cost]:
    from . import python

    return python.measure(python.fresh_board(mode))


def _handshake(mode: str) -> dict[str, Cost]:
    from . import handshake, python

    return handshake.measure(python.fresh_board(mode))
