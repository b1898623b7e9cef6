"""What a board keeps in flash, from outside: read without its own code, written by that."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

from tools import identity

if TYPE_CHECKING:
    from tools.sim.board import SimBoard

Value = bytes | str | int
_HEADER_LEN = 10
_ENTRY = struct.Struct("<BBH")  # as lib/homing/store.py describes it
_WRITE = """
from binascii import a2b_base64
for name, values in told.items():
    namespace = store.open(name)
    for key, value in values.items():
        namespace.set(key, a2b_base64(value[0]) if isinstance(value, list) else value)
    namespace.commit()
"""


def namespaces(files: dict[str, bytes]) -> dict[str, dict[str, Value]]:
    """Namespace → key → value of every valid store file among `files`; the newer generation."""
    found: dict[str, tuple[int, dict[str, Value]]] = {}
    for path, blob in sorted(files.items()):
        folder, _, name = path.strip("/").rpartition("/")
        name, _, end = name.partition(".")
        if folder != "nvs" or end not in ("dat", "new") or len(blob) < _HEADER_LEN + 4:
            continue
        if zlib.crc32(blob[:-4]) != int.from_bytes(blob[-4:], "little"):
            continue
        generation = int.from_bytes(blob[6:10], "little")
        if name not in found or generation > found[name][0]:
            found[name] = (generation, _entries(blob[_HEADER_LEN:-4]))
    return {name: values for name, (_generation, values) in found.items()}


def stored(board: SimBoard, namespace: str) -> dict[str, Value]:
    """Key → value of one namespace of a simulated board, {} if there is none."""
    return namespaces(board.files()).get(namespace, {})


def store_files(kept: dict[str, dict[str, Value]]) -> dict[str, bytes]:
    """nvs/….dat for an image, by the board's own code: namespace → key → value."""
    coded = {
        name: {
            key: [base64.b64encode(value).decode()] if isinstance(value, bytes) else value
            for key, value in values.items()
        }
        for name, values in kept.items()
    }
    return identity.store_files(_WRITE, coded)


def _entries(data: bytes) -> dict[str, Value]:
    values: dict[str, Value] = {}
    while data:
        kind, key_len, size = _ENTRY.unpack_from(data)
        key = data[_ENTRY.size : _ENTRY.size + key_len].decode()
        raw = data[_ENTRY.size + key_len : _ENTRY.size + key_len + size]
        data = data[_ENTRY.size + key_len + size :]
        values[key] = {1: bytes, 2: bytes.decode, 3: int}[kind](raw)
    return values
