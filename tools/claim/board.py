"""Node credentials into a board's store: over its REPL, or as the files of an image."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tools import identity
from tools.sim import image

from .credentials import Credentials

_ANSWER = re.compile(r"@(ok|err) (\{.*\})")
_WRITE = """
import sys, json
from binascii import a2b_base64
sys.path[:] = [sys.argv[1], '.frozen']
from homing import credentials, identity
from homing.store import Store
store = Store(sys.argv[2])
told = json.load(sys.stdin)
identity.update(store, told['identity'])
fields = told['plain']
fields.update({name: a2b_base64(value) for name, value in told['coded'].items()})
credentials.update(store, fields)
"""


def write(
    port: str, credentials: Credentials | None, classic: bool = False, restart: bool = True
) -> bool:
    """Make the board at `port` that node, or none; True when flash was written. Stops its program,
    and starts it again unless told not to. Raises IdentityError, never with a secret in its text.
    """
    plain, coded = _split(credentials, classic)
    arguments = [f"{name}={value!r}" for name, value in plain.items()]
    arguments += [f"{name}=d({value!r})" for name, value in coded.items()]
    code = (
        "from binascii import a2b_base64 as d\nimport homing.credentials\n"
        f"homing.credentials.write({', '.join(arguments)})"
    )
    # Standard error may quote what is in there: only the answer is looked at.
    answer = _ANSWER.search(identity.ask(port, code, restart))
    if answer is None:
        raise identity.IdentityError(
            f"the board at {port} does not run Homing, or an older one: run make deploy first"
        )
    result = json.loads(answer[2])
    if answer[1] == "err":
        raise identity.IdentityError(result.get("why", "the board refused it"))
    return bool(result.get("written"))


def store_files(
    credentials: Credentials, fields: dict[str, str] | None = None, classic: bool = False
) -> dict[str, bytes]:
    """nvs/….dat of such a board, for an image, written by the board's own code on this host.

    fields: more of its identity. Raises IdentityError.
    """
    plain, coded = _split(credentials, classic)
    told = {"identity": fields or {}, "plain": plain, "coded": coded}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "write.py"
        script.write_text(_WRITE)
        done = subprocess.run(
            [*image.interpreter(), str(script), str(image.PROJECT / "lib"), folder + "/nvs"],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=30,
        )
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise identity.IdentityError(last[0] if last else "nothing was written")
        made = sorted((Path(folder) / "nvs").iterdir())
        return {f"nvs/{path.name}": path.read_bytes() for path in made}


def _split(
    credentials: Credentials | None, classic: bool
) -> tuple[dict[str, str | int], dict[str, str]]:
    # What can be said as it is, and what must be coded.
    fields: dict[str, Any] = credentials.fields(classic) if credentials else {}
    plain = {name: value for name, value in fields.items() if not isinstance(value, bytes)}
    coded = {
        name: base64.b64encode(value).decode()
        for name, value in fields.items()
        if isinstance(value, bytes)
    }
    return plain, coded
