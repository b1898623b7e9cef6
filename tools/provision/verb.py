"""`homing provision`: a phone app on the command line."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import bleak
import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools.cloud.app import AppError, session_for
from tools.sim import running

from .binding import BindingError
from .client import AUTH_NAMES, Network, NoBluetooth, ProvisionError
from .flow import Outcome, log_in, run


class _Terminal:
    """Asks on the terminal for whatever no option gave."""

    def __init__(self, options: dict[str, str | None]) -> None:
        self._given = options
        self._console = Console(highlight=False)

    def _once(self, name: str) -> str | None:
        value, self._given[name] = self._given.get(name), None
        return value

    def stage(self, text: str) -> None:
        self._console.print(f"[bold]•[/] {escape(text)}", soft_wrap=True)

    def outcome(self, good: bool, text: str) -> None:
        mark = "[green]✓[/]" if good else "[red]✗[/]"
        self._console.print(f"  {mark} {escape(text)}", soft_wrap=True)

    def choose_board(self, names: list[str]) -> str:
        wanted = self._once("name")
        if wanted is not None:
            if wanted not in names:
                raise ProvisionError(f"{wanted} is not in reach; there are: {', '.join(names)}")
            return wanted
        if len(names) == 1:
            return names[0]
        return click.prompt("Board", type=click.Choice(names))

    def ask_pop(self) -> str:
        return self._once("pop") or click.prompt("Proof of possession (serial port, or label)")

    def choose_network(self, networks: list[Network]) -> bytes:
        given = self._once("ssid")
        if given is not None:
            return given.encode()
        table = Table("#", "network", "signal", "security", box=None)
        for number, net in enumerate(networks, 1):
            table.add_row(str(number), net.label, f"{net.rssi_dbm} dBm", AUTH_NAMES[net.auth])
        self._console.print(table)
        answer = click.prompt("Network (number, or the name of a hidden one)")
        if answer.isdigit() and 0 < int(answer) <= len(networks):
            return networks[int(answer) - 1].ssid
        return answer.encode()

    def ask_password(self, ssid: bytes, again: bool) -> bytes:
        given = self._once("password")
        if given is not None:
            return given.encode()
        text = f"Password of {ssid.decode(errors='replace')}" + (", once more" if again else "")
        return click.prompt(text, hide_input=True, default="", show_default=False).encode()


async def _main(
    screen: _Terminal,
    sim: running.RunningSim | None,
    account: tuple[str, str] | None,
    prefix: str,
    messages: list[tuple[str, bytes]],
    zone: str,
) -> Outcome:
    async with AsyncExitStack() as stack:
        if sim is not None:
            from tools.sim.phone import Phone

            try:
                phone = await Phone.over_hci(sim.radio)
            except OSError as error:
                raise ProvisionError(f"the simulator does not answer ({error})") from error
            stack.push_async_callback(phone.close)
            stack.enter_context(phone.as_bleak())
        apps = None
        if account is not None:
            local = (sim.cloud_port, sim.ca_pem.encode()) if sim else ()
            session = await stack.enter_async_context(session_for(*local))
            apps = await log_in(session, *account)
        return await run(screen, apps, prefix, 3.0 if sim else 8.0, messages, zone)


class _Message(click.ParamType):
    name = "NAME=TEXT"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bytes]:
        name, equals, text = value.partition("=")
        if not (name and equals):
            self.fail(f"{value!r} is not NAME=TEXT", param, ctx)
        return name, text.encode()


@click.command(name="provision")
@click.option("--name", help="The board (default: ask, if there are several).")
@click.option("--prefix", default="PROV_", show_default=True, help="What names begin with.")
@click.option("--pop", help="Proof of possession (default: ask).")
@click.option("--ssid", help="Network (default: show what the board hears, and ask).")
@click.option("--password", help="Its password (default: ask; safer than on a command line).")
@click.option(
    "--send",
    "messages",
    type=_Message(),
    multiple=True,
    help="Write TEXT, encrypted, to that endpoint of the board, before Wi-Fi; may be repeated.",
)
@click.option(
    "--user",
    help="Account at the clouds; without one the board joins Wi-Fi only. With a simulator: "
    "the simulator's own account, which is used anyway.",
)
@click.option(
    "--timezone",
    "zone",
    default="",
    metavar="NAME",
    help="Time zone for the board's clock, as Europe/Berlin (default: this computer's).",
)
@click.option("--radio", type=click.Choice(["auto", "real", "sim"]), default="auto")
@click.option(
    "--sim",
    "sim_file",
    default=running.default,
    show_default="in the user's cache",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of a running `homing sim`; used if there is one.",
)
def command(
    name: str | None,
    prefix: str,
    pop: str | None,
    ssid: str | None,
    password: str | None,
    messages: tuple[tuple[str, bytes], ...],
    user: str | None,
    zone: str,
    radio: str,
    sim_file: Path,
) -> None:
    """Provision a board: over this computer's Bluetooth, or a running `homing sim`.

    Goes through the five stages of the RainMaker Home app, as far as the board offers them. Exit
    status 1: the board did not get onto the network, or not to its thing; 3: it is not your node
    at RainMaker; 4: it is, but is not set up to the end.
    """
    sim = None if radio == "real" else running.find(sim_file)
    if radio == "sim" and sim is None:
        raise click.ClickException(f"no simulator is running ({sim_file}): start `homing sim`")
    account = None
    if sim is not None:
        account = (sim.user, sim.password)
    elif user is not None:
        account = (user, click.prompt(f"Password of {user} at the clouds", hide_input=True))
    screen = _Terminal({"name": name, "pop": pop, "ssid": ssid, "password": password})
    try:
        outcome = asyncio.run(_main(screen, sim, account, prefix, list(messages), zone))
    except NoBluetooth as error:
        if radio == "real":
            raise click.ClickException(str(error)) from error
        raise click.ClickException(
            f"no simulator is running (looked at {sim_file}), and {error}; "
            "start `homing sim`, or give its file with --sim"
        ) from error
    except (ProvisionError, BindingError, AppError) as error:
        failure = click.ClickException(str(error))
        failure.exit_code = getattr(error, "exit_code", 1)
        raise failure from error
    except bleak.BleakError as error:
        raise click.ClickException(
            f"the board refused, or the connection to it broke: {error}; reset it and start again"
        ) from error
    except aiohttp.ClientConnectionError as error:
        raise click.ClickException("a cloud cannot be reached; is there internet?") from error
    click.echo(f"{outcome.board} is on the network")
    if outcome.thing:
        click.echo(f"linked at thethings.io: thing {outcome.thing}")
    if outcome.node:
        click.echo(f"mapped at RainMaker: node {outcome.node}")
