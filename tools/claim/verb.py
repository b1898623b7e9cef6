"""`homing identity credentials`: make a board a node of RainMaker's."""

from __future__ import annotations

from pathlib import Path

import click

from . import board, source
from .credentials import Credentials


@click.command(name="credentials")
@click.option("--port", help="Serial port of the board; without one SOURCE is only checked.")
@click.option("--classic", is_flag=True, help="Associate by cloud_user_assoc, with an EC key too.")
@click.option("--erase", is_flag=True, help="Make the board no node; its other identity stays.")
@click.argument("where", metavar="[SOURCE]", required=False, type=click.Path(path_type=Path))
def command(port: str | None, classic: bool, erase: bool, where: Path | None) -> None:
    """Write the credentials of a RainMaker node: id, MQTT host, certificate and private key.

    SOURCE is the folder of a node that `esp-rainmaker-cli claim` has written, an NVS partition
    "fctry" (.csv, or the binary), or a folder with node.json, node.crt and node.key.
    """
    if erase == (where is not None) or (erase and port is None):
        raise click.UsageError("give SOURCE, or --erase and --port")
    if where is None:
        assert port is not None
        _said(board.write(port, None))
        return
    found = source.read(where)
    click.echo(_description(found))
    if port is not None:
        _said(board.write(port, found, classic))


def _description(found: Credentials) -> str:
    kind = "EC on P-256" if found.kind == "ec" else "RSA of 2048 bits"
    until = found.certificate.not_valid_after_utc
    return f"node {found.node_id} at {found.host}, key {kind}, certificate until {until:%Y-%m-%d}"


def _said(written: bool) -> None:
    click.echo("written" if written else "already so; nothing was written")
