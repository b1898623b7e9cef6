"""`homing identity`: write who a board is into its store, over mpremote."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click
import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from tools.provision.schemes import GENERATOR, PRIME, USERNAME
from tools.raw_repl import enter
from tools.sim import image

_ANSWER = re.compile(r"@(ok|err) (\{.*\})")
_SYMBOLS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # as lib/homing/identity.py draws them
_POP_LEN = 12
_SALT_LEN = 16
_PRELUDE = """
import sys, json
sys.path[:] = [sys.argv[1], '.frozen']
from homing.store import Store
store, told = Store(sys.argv[2]), json.load(sys.stdin)
"""
_READ_S = 1.0
_ANSWER_S = 10.0


class IdentityError(click.ClickException):
    """The board did not take the identity; the text names the fault and the cure."""


def ask(port: str, code: str, restart: bool = True) -> str:
    """Run code on the board at `port`, in place of its program; what it prints.

    The program starts again afterwards unless told not to. Raises IdentityError.
    """
    try:
        # Without a timeout a read of its would wait for ever where the port is a pty.
        link = SerialTransport(port, timeout=_READ_S)
    except (TransportError, serial.SerialException) as error:
        raise IdentityError(
            f"cannot open {port}; is it the right port, and no other program using it?"
        ) from error
    try:
        enter(link, _ANSWER_S)
        output, _ = link.exec_raw(code, timeout=10)
        link.exit_raw_repl()
        if restart:
            link.serial.write(b"\x04")  # soft reset from the friendly REPL: boot.py, then main.py
    except TransportError as error:
        raise IdentityError(
            f"the board at {port} does not enter its REPL; reset it and try again"
        ) from error
    finally:
        link.close()
    text: str = output.decode(errors="replace")
    return text


def write(port: str, fields: dict[str, str | None], restart: bool = True) -> bool:
    """Set identity fields of the board at `port` (None erases one); True when flash was written.

    Stops the board's program, and starts it again unless told not to. Raises IdentityError, never
    with a value in its text.
    """
    return written(port, f"import homing\nhoming.set_identity(**{fields!r})", restart)


def written(port: str, code: str, restart: bool = True) -> bool:
    """Run code that writes to the store of the board at `port`, and says so; True when flash was
    written. Raises IdentityError, never with a value in its text."""
    # Standard error may quote the line with the values in it: only the answer is looked at.
    answer = _ANSWER.search(ask(port, code, restart))
    if answer is None:
        raise IdentityError(
            f"the board at {port} does not run Homing, or an older one: run make deploy first"
        )
    result = json.loads(answer[2])
    if answer[1] == "err":
        raise IdentityError(result.get("why", "the board refused it"))
    return bool(result.get("written"))


def file(fields: dict[str, str | None]) -> bytes:
    """The store file of an identity, for an image. Raises IdentityError."""
    made = store_files("from homing import identity\nidentity.update(store, told)\n", fields)
    if "nvs/identity.dat" not in made:
        raise IdentityError("the identity was not written")
    return made["nvs/identity.dat"]


def store_files(code: str, told: Any) -> dict[str, bytes]:
    """nvs/….dat for an image, as the board's own code writes them on this host.

    code: is given `store` and `told`. Raises IdentityError.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "write.py"
        script.write_text(_PRELUDE + code)
        nvs = Path(folder) / "nvs"
        done = subprocess.run(
            [*image.interpreter(), str(script), str(image.PROJECT / "lib"), str(nvs)],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=30,
        )
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise IdentityError(last[0] if last else "nothing was written")
        return {f"nvs/{path.name}": path.read_bytes() for path in sorted(nvs.glob("*"))}


def fits(pop: str, username: str = USERNAME) -> bool:
    """Whether all of Espressif's clients of Security 2 can use this proof of possession: some lose
    a zero byte at the beginning of this hash, one time in 256, and then always fail."""
    return _inner(pop, username)[0] != 0


def _inner(pop: str, username: str) -> bytes:
    return hashlib.sha512(f"{username}:{pop}".encode()).digest()


def draw_pop(username: str = USERNAME) -> str:
    """A new proof of possession of 60 bits that fits."""
    while True:
        pop = "".join(secrets.choice(_SYMBOLS) for _ in range(_POP_LEN))
        if fits(pop, username):
            return pop


def verifier_fields(pop: str, username: str = USERNAME) -> dict[str, str]:
    """The identity's salt and verifier for Security 2 (RFC 5054, 2.4), hexadecimal.

    Raises IdentityError for a proof that does not fit.
    """
    if not fits(pop, username):
        raise IdentityError(
            "with this proof of possession some clients of Security 2 always fail (one in 256 is "
            "so): change a character of it"
        )
    salt = bytes(_SALT_LEN)
    while not salt[0]:  # some clients lose a zero byte there, too
        salt = secrets.token_bytes(_SALT_LEN)
    x = int.from_bytes(hashlib.sha512(salt + _inner(pop, username)).digest(), "big")
    return {"salt": salt.hex(), "verifier": f"{pow(GENERATOR, x, PRIME):0768x}"}


class _Group(click.Group):
    # What writes credentials does so by way of this module: loaded when asked for.
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "credentials"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "credentials":
            return super().get_command(ctx, cmd_name)
        from tools.claim.verb import command

        return command


@click.group(name="identity", cls=_Group)
def command() -> None:
    """Who a board is: node id and credentials, proof of possession, thing token, security."""


@command.command(name="set")
@click.option("--port", required=True, help="Serial port of the board (or the simulator's pty).")
@click.option("--node-id", help="RainMaker node id.")
@click.option("--pop", help="Proof of possession; printable ASCII without spaces.")
@click.option("--thing-token", help="thethings.io token of this thing.")
@click.option(
    "--security",
    type=click.Choice(["0", "1", "2", "1,2"]),
    help="Security scheme, unless the board's program chooses: docs/security.md.",
)
@click.option("--username", help=f"User name of Security 2, if not {USERNAME}.")
@click.option(
    "--verifier-only",
    is_flag=True,
    help="For Security 2: keep the proof of possession off the board, which gets a verifier. "
    "Without --pop one is drawn, for the label.",
)
@click.option("--erase", multiple=True, help="Field to erase; may be given several times.")
def set_(
    port: str,
    node_id: str | None,
    pop: str | None,
    thing_token: str | None,
    security: str | None,
    username: str | None,
    verifier_only: bool,
    erase: tuple[str, ...],
) -> None:
    """Write identity fields; those not given stay as they are."""
    given = {"node_id": node_id, "pop": pop, "thing_token": thing_token}
    given |= {"security": security, "username": username}
    fields: dict[str, str | None] = {k: v for k, v in given.items() if v is not None}
    fields.update(dict.fromkeys(erase))
    if "verifier" in erase:
        fields["salt"] = None
    if not fields and not verifier_only:
        raise click.UsageError(
            "nothing to set: give --node-id, --pop, --thing-token, --security, --verifier-only or "
            "--erase"
        )
    drawn = None
    if verifier_only:
        if security not in (None, "2"):
            raise click.UsageError("--verifier-only serves --security 2 alone")
        if pop is None:
            pop = drawn = draw_pop(username or USERNAME)
        fields |= {"security": "2", "pop": None, "username": username}
        fields |= verifier_fields(pop, username or USERNAME)
    elif security in ("2", "1,2") and pop is not None:
        fields |= {"username": username} | verifier_fields(pop, username or USERNAME)
    written = write(port, fields)
    if drawn:
        click.echo(f"proof of possession: {drawn} (for the label; the board does not know it)")
    click.echo("written" if written else "already so; nothing was written")
