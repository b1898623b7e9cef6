"""`homing size`: bytes per module, and processor time from reset to advertising."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from tools.sim import memory32

from . import size


@click.command("size")
def command() -> None:
    """Bytes per module, and processor time from reset to advertising."""
    interpreter = memory32.command()
    console = Console(highlight=False)
    found = size.modules(interpreter)
    table = Table(title="lib/homing, bytes")
    for title in ("module", "source", ".mpy", "heap, 32 bits"):
        table.add_column(title, justify="left" if title == "module" else "right")
    for module in found:
        heap = f"{module.heap:,}" if interpreter else ""
        table.add_row(module.name, f"{module.source:,}", f"{module.mpy:,}", heap)
    total = [sum(getattr(m, name) for m in found) for name in ("source", "mpy", "heap")]
    table.add_section()
    table.add_row("all", f"{total[0]:,}", f"{total[1]:,}", f"{total[2]:,}" if interpreter else "")
    console.print(table)
    if not interpreter:
        console.print(f"heap not measured: there is no 32-bit MicroPython; {memory32.HINT}")
    for cloud in ("thethings", "rainmaker"):
        length = size.with_one_cloud(cloud)
        console.print(f"BLE + Security 1 + {cloud}: {length:,} of {size.BUDGET_LEN:,} bytes .mpy")
    ready_ms, empty_ms = size.start_up()
    console.print(
        f"start-up to advertising: {ready_ms / empty_ms:.1f} × the processor time of an empty "
        f"program ({ready_ms:.0f} ms and {empty_ms:.0f} ms here; the key pair's cost included)"
    )
