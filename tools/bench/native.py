"""Cryptography in instructions: plain MicroPython, and the native kernels as they are shipped."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from tools.native import build, counts

from .figures import Figures

WIDTH = 132  # of the tables, in characters


@dataclass(frozen=True)
class Row:
    """One operation. Instructions: `native` counted now in emulation; `pure` of the same figures as
    the other tables, None where nobody has counted. Bytes: `pure_heap` of garbage, `stack` and
    `code` of the native function.
    """

    name: str
    text: str
    native: int
    pure: int | None
    pure_heap: int | None
    stack: int
    code: int


def rows(figures: Figures) -> list[Row]:
    """One row per operation of every kernel, in their order. Needs `unicorn`."""
    plain = figures.python["plain"]
    made = []
    for name in build.KERNELS:
        machine = counts.machine(name)
        code = sum(machine.code_len.values())
        for operation in build.kernel(name).OPERATIONS:
            machine.deepest = 0
            native = operation.measure(machine)
            pure = plain.get(operation.name)
            made.append(
                Row(
                    operation.name,
                    operation.text,
                    native,
                    pure.instructions if pure else None,
                    pure.heap if pure else None,
                    machine.deepest,
                    code,
                )
            )
    return made


def table(figures: Figures) -> Table:
    """The rows for people, with estimated milliseconds and the ratio."""
    made = Table(title="Cryptography: RV32 instructions, counted in emulation (no chip has run it)")
    titles = ("operation", "pure", "est. ms", "native", "est. ms", "ratio", "stack", "code")
    for title in titles:
        made.add_column(title, justify="left" if title == "operation" else "right", no_wrap=True)
    for row in rows(figures):
        pure = ("–", "–", "–")
        if row.pure is not None:
            ratio = f"{row.pure / row.native:,.0f}"
            pure = (f"{row.pure:,}", f"{counts.milliseconds(row.pure):,.1f}", ratio)
        native = (f"{row.native:,}", f"{counts.milliseconds(row.native):,.2f}")
        made.add_row(row.text, *pure[:2], *native, pure[2], f"{row.stack:,}", f"{row.code:,}")
    made.caption = (
        f"est. ms: × {counts.CYCLES_PER_INSTRUCTION} cycles (assumed) at "
        f"{counts.CLOCK_HZ // 1_000_000} MHz; stack and code (of the whole module): bytes"
    )
    return made


def garbage(figures: Figures) -> str:
    """What the plain versions leave on the heap per operation; the native ones leave nothing."""
    heaps = {row.text: row.pure_heap for row in rows(figures) if row.pure_heap}
    made = ", ".join(f"{text} {heap:,}" for text, heap in heaps.items())
    return f"garbage of the plain versions, bytes: {made}; of the native functions: none"
