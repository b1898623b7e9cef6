"""What a board keeps in flash, from outside: the format that lib/homing/store.py describes."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.sim.board import SimBoard

Value = bytes | str | int
_HEADER_LEN = 10
_ENTRY = struct.Struct("<BBH")


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


def store_file(values: dict[str, Value]) -> bytes:
    """A store file with these values, for an image: as lib/homing/store.py would write it."""
    blob = b"HmSt" + struct.pack("<HI", 1, 1)
    for key, value in sorted(values.items()):
        if isinstance(value, int):
            kind, raw = 3, b"%d" % value
        else:
            kind, raw = (1, value) if isinstance(value, bytes) else (2, value.encode())
        blob += _ENTRY.pack(kind, len(key), len(raw)) + key.encode() + raw
    return blob + struct.pack("<I", zlib.crc32(blob))


def _entries(data: bytes) -> dict[str, Value]:
    values: dict[str, Value] = {}
    while data:
        kind, key_len, size = _ENTRY.unpack_from(data)
        key = data[_ENTRY.size : _ENTRY.size + key_len].decode()
        raw = data[_ENTRY.size + key_len : _ENTRY.size + key_len + size]
        data = data[_ENTRY.size + key_len + size :]
        values[key] = {1: bytes, 2: bytes.decode, 3: int}[kind](raw)
    return values
