"""The tables in docs/bench.md, written from the recorded figures, so that neither drifts away."""

from __future__ import annotations

import io
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tools.native import build, counts

from . import comparison
from .figures import Figures

PAGE = Path(__file__).parents[2] / "docs" / "bench.md"
_BEGIN, _END = "<!-- by homing bench --record: {} -->\n", "<!-- end -->\n"


def kernels(figures: Figures) -> Table:
    """The recorded counts of the kernels, beside the same work in plain MicroPython."""
    made = Table()
    for title in ("operation", "plain", "native", "plain ÷ native"):
        made.add_column(title)
    recorded, plain = counts.recorded(), figures.python["plain"]
    for name in build.KERNELS:
        for operation in build.kernel(name).OPERATIONS:
            own, other = recorded[operation.name], plain[operation.name].instructions
            made.add_row(operation.text, f"{other:,}", f"{own:,}", f"{other / own:,.0f}")
    return made


def written(page: str, figures: Figures) -> str:
    """The page with the tables as they must be. Raises ValueError if it has no place for one."""
    tables = {
        "kernels": kernels(figures),
        "cryptography": comparison.cryptography(figures),
        "handshake": comparison.handshake(figures),
    }
    for name, table in tables.items():
        before, begin, rest = page.partition(_BEGIN.format(name))
        _old, end, after = rest.partition(_END)
        if not begin or not end:
            raise ValueError(f"{PAGE} has no place for the table {name}")
        page = f"{before}{begin}\n{_markdown(table)}\n{end}{after}"
    return page


def write(figures: Figures) -> None:
    """Put the tables of these figures into the page."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")


def _markdown(table: Table) -> str:
    table.title = None
    caption, table.caption = table.caption, None
    table.box = box.MARKDOWN
    out = io.StringIO()
    Console(file=out, width=400).print(table)
    text = "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines() if line.strip())
    return text + (f"\n{caption}\n" if caption else "")
