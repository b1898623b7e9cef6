"""`homing cloud`: the local cloud on its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from .standalone import serve


@click.command(name="cloud")
@click.option("--port", default=0, help="HTTPS port on loopback (default: any free one).")
@click.option("--admin-port", default=0, help="Plain HTTP port of the admin interface.")
@click.option(
    "--directory",
    default="build/cloud",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Gets the authority's certificate and a file with ports and made-up accounts.",
)
@click.option(
    "--http-port",
    type=int,
    help="Offer RainMaker over plain HTTP too (0: any free port): for esp-rainmaker-cli, which "
    "trusts no other certificates than those in its package.",
)
@click.option("--no-standin", is_flag=True, help="Do not play the node's own mapping report.")
def command(
    port: int, admin_port: int, directory: Path, http_port: int | None, no_standin: bool
) -> None:
    """Run both clouds' APIs on loopback until Ctrl-C."""
    try:
        asyncio.run(
            serve(
                directory,
                port=port,
                admin_port=admin_port,
                say=click.echo,
                standin=not no_standin,
                http_port=http_port,
            )
        )
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror}; try another port") from error
