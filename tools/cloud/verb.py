"""`homing cloud`: the local cloud on its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from .node_credentials import KeyKind
from .standalone import NODE_ID, serve


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
@click.option("--mqtt-port", default=0, help="RainMaker's MQTT host (needs mosquitto).")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    default=(NODE_ID,),
    show_default=True,
    help="Node whose credentials are made, in the form that `esp-rainmaker-cli claim` leaves; may "
    "be repeated.",
)
@click.option("--rsa", is_flag=True, help="RSA-2048 keys for the nodes instead of EC P-256.")
def command(
    port: int,
    admin_port: int,
    directory: Path,
    http_port: int | None,
    mqtt_port: int,
    nodes: tuple[str, ...],
    rsa: bool,
) -> None:
    """Run both clouds' APIs and RainMaker's MQTT host on loopback until Ctrl-C."""
    kind: KeyKind = "rsa" if rsa else "ec"
    try:
        asyncio.run(
            serve(
                directory,
                port=port,
                admin_port=admin_port,
                say=click.echo,
                http_port=http_port,
                mqtt_port=mqtt_port,
                nodes=[(node_id, kind) for node_id in nodes],
            )
        )
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror}; try another port") from error
    except ValueError as error:
        raise click.ClickException(str(error)) from error
