"""Node credentials into a board's store: over its REPL, or as the files of an image."""

from __future__ import annotations

import base64
from typing import Any

from tools import identity

from .credentials import Credentials

_WRITE = """
from binascii import a2b_base64
from homing import credentials, identity
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
    return identity.written(port, code, restart)


def store_files(
    credentials: Credentials, fields: dict[str, str] | None = None, classic: bool = False
) -> dict[str, bytes]:
    """nvs/….dat of such a board, for an image, written by the board's own code on this host.

    fields: more of its identity. Raises IdentityError.
    """
    plain, coded = _split(credentials, classic)
    told = {"identity": fields or {}, "plain": plain, "coded": coded}
    return identity.store_files(_WRITE, told)


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
