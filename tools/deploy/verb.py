"""`homing deploy`: the project's files onto a board with MicroPython, over mpremote."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from tools.board_port import find
from tools.sim import image

from . import aioble as package
from . import job
from .plan import OWNED, Plan


@click.command(name="deploy")
@click.option("--port", help="Path or URL of the port, or id:<USB serial number>.")
@click.option("--aioble", help="A directory with aioble (default: AIOBLE, else fetched by mip).")
@click.option("--any-aioble", is_flag=True, help="Take one that is not the pinned release.")
@click.option(
    "--main",
    is_flag=False,
    flag_value=str(image.PROJECT / "main.py"),
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Replace the board's main.py with FILE (without FILE: with the project's main.py).",
    metavar="[FILE]",
)
@click.option("--boot", is_flag=True, help="Replace the board's boot.py, if it is a foreign one.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
def command(
    port: str | None,
    aioble: str | None,
    any_aioble: bool,
    main: Path | None,
    boot: bool,
    dry_run: bool,
) -> None:
    """Bring the board up to date: compiled, only what changed, and restart it.

    Whatever interrupts it, the board has the whole old program or the whole new one. Exit code: 0
    done, 1 failed, 2 wrong options.
    """
    unfetched = None
    try:
        folder = package.directory(aioble, check=not any_aioble)
    except package.Unfetched as error:
        folder, unfetched = image.STANDIN, error  # whose files are taken out again below
    try:
        wanted = image.board_files({"main.py": main.read_bytes()} if main else None, aioble=folder)
        for name in image.SCRIPTS:
            if name in wanted:
                image.check_script(wanted[name], str(main) if main and name == "main.py" else name)
    except ValueError as error:
        raise click.ClickException(f"does not compile: {error}") from error
    if unfetched:
        wanted = {p: data for p, data in wanted.items() if not p.startswith(f"{OWNED[1]}/")}
    board = find(port)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )

    def planned(plan: Plan) -> None:
        for note in plan.kept:
            click.echo(f"  = {note}")
        for path in plan.write:
            click.echo(f"  + {path}")
        for path in plan.remove:
            click.echo(f"  - {path}")
        if plan.write and not dry_run:
            bar.update(task, total=plan.bytes, visible=True)

    with bar:
        task = bar.add_task("writing", total=None, visible=False)
        result = job.deploy(
            board.address,
            wanted,
            main=main is not None,
            boot=boot,
            dry_run=dry_run,
            standin=not unfetched and image.STANDIN in folder.resolve().parents,
            no_aioble=unfetched,
            progress=job.Progress(planned, lambda count: bar.advance(task, count)),
        )
    if dry_run:
        click.echo("nothing was written (--dry-run)")
    elif result.plan.empty:
        click.echo(f"up to date; nothing was written\nstarted: {result.boot}")
    else:
        plan = result.plan
        click.echo(
            f"wrote {len(plan.write)} files ({plan.bytes} bytes), removed {len(plan.remove)}"
        )
        click.echo(f"started: {result.boot}")
