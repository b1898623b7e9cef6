"""`homing label`: the QR code of a board, with its name and proof of possession, for printing."""

from __future__ import annotations

import importlib.util
import json
import textwrap
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import click
import segno

from tools import identity
from tools.sim import image

_QUIET = 4  # modules of white around the code (ISO/IEC 18004)
_MODULE_MM = 0.25  # smaller ones phones do not read
_DPI = 600
_LINE_LEN = 17  # characters of a line of text below the code
_LINE_HEIGHT = 1.3  # of the font's size
_MONOSPACE = 0.62  # width of a character, of the font's size
_MARGIN_MM = 1.0
_MAX_NAME_LEN = 28
_MAX_POP_LEN = 64
_ASK = """
import json
from homing import board
from homing.identity import default_name
from homing.store import Store
ns = Store().open("identity")
print("@label", json.dumps({
    "name": default_name(board.mac()),
    "pop": ns.get("pop"),
    "security": ns.get("security", "1"),
    "username": ns.get("username", "wifiprov"),
}))
"""


class LabelError(click.ClickException):
    """There is no such label; the text names the fault and the cure."""


def payload(name: str, pop: str | None, **options: Any) -> str:
    """What the code says, by the board's own code; options: see lib/homing/provisioning/qr.py."""
    path = image.PROJECT / "lib" / "homing" / "provisioning" / "qr.py"
    spec = importlib.util.spec_from_file_location("homing_qr", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text: str = module.payload(name, pop, **options)
    return text


def read(port: str) -> dict[str, Any]:
    """Name, pop, security and username of the board at `port`; then its program starts again."""
    output = identity.ask(port, _ASK)
    _, _, answer = output.partition("@label ")
    if not answer:
        raise LabelError(f"the board at {port} does not run Homing: run make deploy first")
    found: dict[str, Any] = json.loads(answer.splitlines()[0])
    # What clients of a board with both schemes take unasked.
    found["security"] = int(found["security"]) if str(found["security"]) in "01" else 2
    return found


def svg(code: segno.QRCode, lines: list[str], size_mm: float) -> str:
    """The code and the lines below it, in millimetres."""
    font_mm = (size_mm - 2 * _MARGIN_MM) / (_LINE_LEN * _MONOSPACE)
    height_mm = size_mm + _MARGIN_MM + len(lines) * font_mm * _LINE_HEIGHT
    inner = code.svg_inline(border=_QUIET, omitsize=True)
    inner = inner.replace("<svg ", f'<svg width="{size_mm:g}" height="{size_mm:g}" ', 1)
    texts = [
        f'<text x="{size_mm / 2:.3f}" y="{size_mm + (n + 0.75) * font_mm * _LINE_HEIGHT:.3f}">'
        f"{escape(line)}</text>"
        for n, line in enumerate(lines)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size_mm:g}mm" height="{height_mm:.2f}mm" '
        f'viewBox="0 0 {size_mm:g} {height_mm:.2f}">'
        f'<rect width="100%" height="100%" fill="#fff"/>{inner}'
        f'<g font-family="monospace" font-size="{font_mm:.3f}" text-anchor="middle">'
        f"{''.join(texts)}</g></svg>\n"
    )


def write(path: Path, text: str, lines: list[str], size_mm: float) -> None:
    """Write path, an .svg or .png. Raises LabelError."""
    code = segno.make(text, error="m", micro=False)
    modules = code.symbol_size(border=_QUIET)[0]
    if size_mm < modules * _MODULE_MM:
        raise LabelError(
            f"{size_mm:g} mm is too small for phones to read; this code needs "
            f"{modules * _MODULE_MM:.0f} mm or more (--size)"
        )
    try:
        if path.suffix == ".svg":
            path.write_text(svg(code, lines, size_mm), encoding="utf-8")
        elif path.suffix == ".png":
            scale = max(1, round(size_mm / 25.4 * _DPI / modules))
            dpi = round(scale * modules / (size_mm / 25.4))
            code.save(str(path), scale=scale, border=_QUIET, dpi=dpi)
        else:
            raise LabelError(f"{path.name} is neither an .svg nor a .png")
    except OSError as error:
        raise LabelError(f"cannot write {path}: {error.strerror}") from error


def _check(what: str, text: str, most: int) -> None:
    if not 0 < len(text.encode()) <= most or not text.isprintable() or " " in text:
        raise LabelError(f"{what} has 1 to {most} printable characters without spaces")


@click.command(name="label")
@click.option("--port", help="Serial port of the board that it is for.")
@click.option("--name", help="Its name, if no --port says it or main.py gives it another.")
@click.option("--pop", help="Its proof of possession, if no --port says it.")
@click.option("--no-pop", is_flag=True, help="It has no proof of possession.")
@click.option("--security", type=click.IntRange(0, 2), help="Its security scheme; 1 by default.")
@click.option("--username", help="That of Security 2; wifiprov by default.")
@click.option("--password", help="Of its access point, if it has one.")
@click.option("--transport", type=click.Choice(["ble", "softap"]), default="ble", show_default=True)
@click.option(
    "--size", "size_mm", type=float, default=24, show_default=True, help="Side of the code, mm."
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def command(
    port: str | None,
    name: str | None,
    pop: str | None,
    no_pop: bool,
    security: int | None,
    username: str | None,
    password: str | None,
    transport: str,
    size_mm: float,
    path: Path,
) -> None:
    """The label of a board: an .svg with code, name and proof of possession, or a .png with the
    code alone."""
    found = read(port) if port else {}
    name = name or found.get("name")
    pop = None if no_pop else pop or found.get("pop")
    if port and pop is None and not no_pop:
        raise LabelError(
            f"the board at {port} keeps no proof of possession: say it with --pop, or start the "
            "board once, so that it draws one"
        )
    if name is None or (pop is None and not no_pop):
        raise click.UsageError("give --port, or --name with --pop or --no-pop")
    _check("a name", name, _MAX_NAME_LEN)
    lines = [name]
    if pop is not None:
        _check("a proof of possession", pop, _MAX_POP_LEN)
        lines += ["PoP:", pop] if len(pop) > _LINE_LEN - 5 else [f"PoP: {pop}"]
    lines = [part for line in lines for part in textwrap.wrap(line, _LINE_LEN)]
    text = payload(
        name,
        pop,
        transport=transport,
        security=found.get("security", 1) if security is None else security,
        username=username or found.get("username", "wifiprov"),
        password=password if transport == "softap" else None,
    )
    write(path, text, lines, size_mm)
    click.echo(f"written: {path}, for {name}")  # not what is on it: output may be kept
