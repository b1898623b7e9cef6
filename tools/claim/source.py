"""Where node credentials come from: a claim's folder, an NVS partition, or factory data of ours."""

from __future__ import annotations

import json
from pathlib import Path

from . import nvs, nvs_csv
from .credentials import MQTT_PORT, ClaimError, Credentials, checked

_NAMESPACE = "rmaker_creds"  # esp_rainmaker's, in the partition fctry
_FACTORY = "node.json"
# esp-rainmaker-cli claim: rmaker_tools/rmaker_claim/claim.py
_NODE, _HOST, _CERTIFICATE, _KEY = "node.info", "endpoint.info", "node.crt", "node.key"
_KEYS = ("node_id", "mqtt_host", "client_cert", "client_key")
_DEPTH = 2  # claim_data/<user>/<MAC>
_SIZE_MAX = 1 << 24  # of a file: what a flash chip has


def read(source: Path) -> Credentials:
    """The credentials at `source`, checked. Raises ClaimError.

    A folder: of `esp-rainmaker-cli claim` (or one above it, if a single node is in there), or with
    node.json. A file: an NVS partition as .csv, else as binary.
    """
    try:
        if source.is_dir():
            return _folder(source)
        if not source.exists():
            raise ClaimError(f"there is no {source}: name a claim's folder or an NVS partition")
        if source.stat().st_size > _SIZE_MAX:
            raise ClaimError(f"{source} is too large to be an NVS partition")
        return _partition(source)
    except OSError as error:
        raise ClaimError(f"cannot read {error.filename or source}: {error.strerror}") from None


def _folder(folder: Path) -> Credentials:
    if (folder / _FACTORY).exists():
        return _factory(folder)
    if not (folder / _NODE).exists():
        found = sorted(
            path.parent
            for depth in range(1, _DEPTH + 1)
            for path in folder.glob("*/" * depth + _NODE)
        )
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path in found)
            raise ClaimError(f"there are several nodes in {folder}; name one of {names}")
        if not found:
            raise ClaimError(
                f"there is neither {_NODE} nor {_FACTORY} in {folder}: name the folder that "
                "esp-rainmaker-cli claim has written (~/.espressif/rainmaker/claim_data/…/<MAC>)"
            )
        folder = found[0]
    return checked(
        _text(folder / _NODE),
        _text(folder / _HOST),
        _file(folder, _CERTIFICATE),
        _file(folder, _KEY),
    )


def _factory(folder: Path) -> Credentials:
    try:
        told = json.loads(_text(folder / _FACTORY))
        node_id, host = told["node_id"], told["mqtt_host"]
        port = told.get("mqtt_port", MQTT_PORT)
    except (ValueError, KeyError, TypeError, AttributeError):
        node_id = host = port = None
    if not (isinstance(node_id, str) and isinstance(host, str) and isinstance(port, int)):
        raise ClaimError(
            f'{_FACTORY} must be {{"node_id": "…", "mqtt_host": "…"}}, perhaps with "mqtt_port": …'
        )
    return checked(node_id, host, _file(folder, _CERTIFICATE), _file(folder, _KEY), port)


def _partition(path: Path) -> Credentials:
    try:
        table = path.suffix.lower() == ".csv"
        found = nvs_csv.read(path) if table else nvs.read(path.read_bytes())
    except nvs.NvsError as error:
        raise ClaimError(
            f"{path} is no NVS partition that can be read: {error}; name a claim's folder, or a "
            "partition fctry as .csv or .bin"
        ) from None
    values = found.get(_NAMESPACE, {})
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise ClaimError(
            f"{path} has no {', '.join(missing)} in the namespace {_NAMESPACE}: is it the "
            "partition fctry, of a node that was claimed?"
        )
    node_id, host, certificate, key = (_bytes(values[key]) for key in _KEYS)
    return checked(_word(node_id, path), _word(host, path), certificate, key)


def _file(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.exists():
        raise ClaimError(f"there is no {name} in {folder}: claim the node again")
    return path.read_bytes()


def _text(path: Path) -> str:
    return _word(_file(path.parent, path.name), path)


def _word(data: bytes, path: Path) -> str:
    try:
        return data.rstrip(b"\0").decode().strip()
    except UnicodeDecodeError:
        raise ClaimError(f"{path} is not what it should be: no text") from None


def _bytes(value: nvs.Value) -> bytes:
    # A PEM text in NVS may have the zero of a C string.
    data = value if isinstance(value, bytes) else str(value).encode()
    return data.rstrip(b"\0") if b"-----BEGIN" in data else data
