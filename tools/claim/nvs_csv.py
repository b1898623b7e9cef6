"""The table of which ESP-IDF's nvs_partition_gen makes an NVS partition: key, type, encoding,
value."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from pathlib import Path

from .nvs import NvsError, Value

_COLUMNS = 4
_INTS = {f"{sign}{bits}" for sign in "ui" for bits in (8, 16, 32, 64)}


def read(path: Path) -> dict[str, dict[str, Value]]:
    """Namespace → key → value: int, str, or bytes for a blob. Raises NvsError, OSError.

    Files are looked for where the table says, then beside the table: a claim's folder, whose table
    has absolute paths, may have been moved.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise NvsError("it is no text") from None
    found: dict[str, dict[str, Value]] = {}
    values: dict[str, Value] | None = None
    rows = csv.reader(io.StringIO(text))
    for row in rows:
        if not row or row[0].lstrip().startswith("#") or row[:2] == ["key", "type"]:
            continue
        line = rows.line_num
        key, kind, encoding, value = (*(cell.strip() for cell in row), "", "", "")[:_COLUMNS]
        if kind == "namespace":
            values = found.setdefault(key, {})
        elif values is None:
            raise NvsError(f"line {line}: a key before any namespace")
        elif kind in ("data", "file"):
            raw = value.encode() if kind == "data" else _file(path.parent, value, line)
            values[key] = _decoded(raw, encoding.lower(), line)
        else:
            raise NvsError(f"line {line}: the type must be namespace, data or file")
    return found


def _file(folder: Path, name: str, line: int) -> bytes:
    for path in (folder / name, Path(name), folder / Path(name).name):
        if path.is_file():
            return path.read_bytes()
    raise NvsError(f"line {line}: there is no file {name}, nor {Path(name).name} beside the table")


def _decoded(raw: bytes, encoding: str, line: int) -> Value:
    try:
        if encoding == "binary":
            return raw
        if encoding == "string":
            return raw.decode()
        if encoding == "hex2bin":
            return bytes.fromhex(raw.decode())
        if encoding == "base64":
            return base64.b64decode(raw)
        if encoding in _INTS:
            return int(raw)
    except (ValueError, binascii.Error):
        # Without its text, which has the value in it.
        raise NvsError(f"line {line}: the value is not {encoding}") from None
    raise NvsError(f"line {line}: unknown encoding {encoding!r}")
