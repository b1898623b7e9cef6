"""`homing sim`: simulated boards that stay, for mpremote, `homing provision` and curious people."""

from __future__ import annotations

import os
import shlex
import sys
from itertools import zip_longest
from pathlib import Path

import click

from tools.cloud.broker import BrokerError
from tools.cloud.node_credentials import KeyKind

from . import running
from .access_points import AccessPoints
from .board import SimBoard
from .buttons import HELP, Buttons
from .pin_log import PinLog
from .scene import USER, Scene


@click.command(name="sim")
@click.option("--boards", default=1, show_default=True, help="How many boards to run.")
@click.option("--speed", default=1.0, show_default=True, help="How fast the world's time goes.")
@click.option("--ssid", default="home", show_default=True, help="Name of the home network.")
@click.option("--password", help="Its password (default: made up, and shown).")
@click.option(
    "--main",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Run this main.py in place of the project's.",
)
@click.option("--native", is_flag=True, help="Boards on which the native code runs.")
@click.option("--bare", is_flag=True, help="Boards without cloud credentials.")
@click.option("--quiet", is_flag=True, help="Do not show what the boards print.")
@click.option("--pins", is_flag=True, help="Show every change of a pin, of blinking ones too.")
@click.option(
    "--file",
    "path",
    default=running.default,
    show_default="in the user's cache",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where other verbs find this simulator.",
)
def command(
    boards: int,
    speed: float,
    ssid: str,
    password: str | None,
    main: Path | None,
    native: bool,
    bare: bool,
    quiet: bool,
    pins: bool,
    path: Path,
) -> None:
    """Run simulated boards in a world with a home network and both clouds, until Ctrl-C."""
    if running.find(path):
        raise click.ClickException(
            f"a simulator is running already ({path}); stop it, or give this one a file of its own "
            "by --file, and name that to `homing provision --sim`"
        )
    with Scene(speed, ssid, password) as scene:
        world = scene.world
        world.run(scene.cloud.start_admin())

        async def radio() -> int:
            return await world.ether.serve_hci()

        names = [f"board{n + 1}" for n in range(boards)]
        files = {"main.py": main.read_bytes()} if main else None
        node: KeyKind | None = None
        if not bare:
            try:
                scene.start_mqtt()
                node = "ec"
            except BrokerError as error:
                click.echo(f"boards have no credentials for RainMaker: {error}")
        options = {"cloud": not bare, "node": node, "files": files, "native": native}
        made = [scene.new_board(name, **options) for name in names]
        running.RunningSim(
            pid=os.getpid(),
            ports={board.name: board.port for board in made},
            radio=f"127.0.0.1:{world.run(radio())}",
            cloud_port=scene.cloud.port,
            cloud_admin_port=scene.cloud.admin_port,
            ca_pem=scene.cloud.ca_pem.decode(),
            user=USER,
            password=scene.user_password,
        ).save(path)
        click.echo(f"network: {scene.ssid}  password: {scene.password}")
        click.echo(f"clouds, to watch and to break: http://127.0.0.1:{scene.cloud.admin_port}/")
        pin_logs = []
        for board in made:
            if pins or not quiet:
                pin_logs.append(PinLog(lambda: world.clock.now_us() / 1e6, pins))
                board.on_pin = pin_logs[-1].changed
            click.echo(f"{board.name}: mpremote connect {board.port}")
            board.power_on()
        where = "" if path == running.default() else f" --sim {shlex.quote(str(path.absolute()))}"
        click.echo("provision it from another terminal, with what the board prints below:")
        click.echo(f"  {_program()} provision{where}      (Ctrl-C here ends all)")
        click.echo(f"{HELP}\n")
        try:
            _follow(made, pin_logs, quiet)
        except KeyboardInterrupt:
            click.echo("\nstopped")
        finally:
            path.unlink(missing_ok=True)


def _program() -> str:
    """How a shell anywhere starts this program: its environment may not be active there."""
    beside = Path(sys.executable).with_name("homing")
    if beside.exists():
        return shlex.quote(str(beside))
    return shlex.join([sys.executable, "-m", "tools.cli"])


def _follow(boards: list[SimBoard], pin_logs: list[PinLog], quiet: bool) -> None:
    buttons = Buttons({board.name: board for board in boards})
    access_points = AccessPoints(boards)
    shown = dict.fromkeys(boards, 0)
    while True:
        for board, pin_log in zip_longest(boards, pin_logs):
            log = board.log
            end = log.rfind("\n") + 1
            if not quiet and end > shown[board]:
                prefix = f"{board.name}: " if len(boards) > 1 else ""
                for line in log[shown[board] : end].splitlines():
                    click.echo(prefix + line)
                shown[board] = end
            for line in pin_log.lines() if pin_log else ():
                click.echo(f"{board.name}: {line}")
        for line in (*access_points.news(), *buttons.wait(0.1)):
            click.echo(line)
