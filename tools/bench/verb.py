"""`homing bench`: cost of cryptography and memory of the whole job, as tables."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from tools.sim import memory32
from tools.sim.debian import Unavailable

from . import comparison, docs, figures, memory, native

_SEARCH_KB = 48  # how far above and below the budget the smallest heap is looked for


def _interpreter() -> list[str]:
    found = memory32.command()
    if found is None:
        raise click.ClickException(f"there is no 32-bit MicroPython: {memory32.HINT}")
    return found


def _cryptography(console: Console, recorded: bool, record: bool) -> None:
    found, source = None, "recorded figures"
    if not recorded:
        try:
            with console.status("") as status:
                found, source = figures.counted(status.update), "counted in this run"
        except Unavailable as e:
            if record:
                raise click.ClickException(str(e)) from None
            source = f"recorded figures, for nothing could be counted here: {e}"
    if found is None:
        found = figures.recorded()
    if record:
        figures.record(found)
        docs.write(found)
    wide = Console(highlight=False, width=max(console.width, native.WIDTH))
    wide.print(native.table(found))
    console.print(native.garbage(found))
    wide.print(comparison.cryptography(found))
    console.print(comparison.handshake(found))
    console.print(f"mbedTLS and MicroPython: {source}")


@click.command("bench")
@click.option("--aioble", help="A directory with aioble (default: AIOBLE, else the stand-in).")
@click.option("--smallest/--no-smallest", default=True, help="Look for the smallest heap, too.")
@click.option("--crypto-only", is_flag=True, help="The instructions of cryptography, no memory.")
@click.option("--recorded", is_flag=True, help="Of C and MicroPython, the recorded figures only.")
@click.option(
    "--record", is_flag=True, help="Write down what was counted: figures.json, docs/bench.md."
)
def command(
    aioble: str | None, smallest: bool, crypto_only: bool, recorded: bool, record: bool
) -> None:
    """Instructions of cryptography; GC heap per phase of the whole job, smallest heap that works,
    depth of the BLE handlers."""
    console = Console(highlight=False)
    try:
        _cryptography(console, recorded, record)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: the bench needs the extra `test`") from error
    if crypto_only:
        return
    interpreter = _interpreter()
    with console.status("the whole job on a 32-bit MicroPython"):
        found = memory.measure(interpreter, aioble)
    table = Table(title="GC heap in use, bytes, 32 bits, after a collection")
    for title in ("phase", "product", "with the simulator", "IDF heap, KB (estimate)"):
        table.add_column(title, justify="left" if title == "phase" else "right")
    for phase, (_line, idf_kb) in memory.PHASES.items():
        product, live = found.product(phase), found.live[phase]
        table.add_row(phase, f"{product:,}", f"{live:,}", str(idf_kb))
    console.print(table)
    peak = max(found.live, key=found.product)
    console.print(f"peak: {peak}; the simulator's shims take {found.shims:,} bytes of the heap")
    for ways in memory.WAYS[1:]:
        with console.status(f"the same by {' and '.join(ways)}"):
            other = memory.measure(interpreter, aioble, ways)
        peak = max(other.live, key=other.product)
        console.print(f"by {' and '.join(ways)}: {other.product(peak):,} bytes in {peak}")
    if smallest:
        budget_kb = (memory.BUDGET_LEN + found.shims) // 1024
        low, high = budget_kb - _SEARCH_KB, budget_kb + _SEARCH_KB
        for mapping, clouds in ((False, "thethings.io"), (True, "both clouds")):
            with console.status(f"looking for the smallest heap that works with {clouds}"):
                kb = memory.smallest_kb(interpreter, low, high, mapping, aioble)
            console.print(
                f"smallest heap that works with {clouds}: {kb} KB, without the shims "
                f"{kb - found.shims / 1024:.1f} KB"
            )
        for ways in memory.WAYS[1:]:
            with console.status(
                f"looking for the smallest heap that works by {' and '.join(ways)}"
            ):
                kb = memory.smallest_kb(interpreter, low, high, False, aioble, ways)
            console.print(
                f"smallest heap that works by {' and '.join(ways)} with thethings.io: {kb} KB, "
                f"without the shims {kb - found.shims / 1024:.1f} KB"
            )
    with console.status("depth of the handlers"):
        deepest = memory.depth(interpreter, aioble)
    expected = round(deepest * memory.RV32_STACK_FACTOR)
    limit = memory.HANDLER_STACK_LEN - memory.STACK_MARGIN_LEN
    console.print(
        f"deepest BLE handler: {deepest:,} bytes of C stack on i386; × {memory.RV32_STACK_FACTOR} "
        f"for RV32 (assumed) {expected:,}; the chip's task gives Python {limit:,} of "
        f"{memory.HANDLER_STACK_LEN:,}"
    )
