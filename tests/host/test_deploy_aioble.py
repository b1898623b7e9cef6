"""The aioble that goes to a board: fetched by mip from an index, or given; only the known one."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mpremote import mip

from tools.deploy import aioble
from tools.deploy.link import DeployError
from tools.sim import image

STANDIN = image.PROJECT / "tools" / "sim" / "standin" / "aioble"
# A release of our own making: its pins are put in place of the true ones.
FILES = {
    "__init__.py": b"from .core import ble\n",
    "core.py": b"ble = 1\n",
    "server.py": b"X = 1\n",
}


@pytest.fixture(autouse=True)
def _pinned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pins = {name: hashlib.sha256(text).hexdigest() for name, text in FILES.items()}
    monkeypatch.setattr(aioble, "_FILES", pins)
    monkeypatch.setenv("HOMING_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AIOBLE", raising=False)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index on loopback, as mip expects it; returns its root."""
    root = tmp_path / "index"
    publish(root, FILES)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(mip, "_PACKAGE_INDEX", f"http://127.0.0.1:{server.server_port}")
    yield root
    server.shutdown()
    server.server_close()


def publish(root: Path, files: dict[str, bytes]) -> None:
    hashes = {}
    for name, text in files.items():
        # The index adds the version of the part to each file.
        served = text + b"\n\n__version__ = '0.4.1'\n"
        short = hashlib.sha256(served).hexdigest()[:8]
        (root / "file" / short[:2]).mkdir(parents=True, exist_ok=True)
        (root / "file" / short[:2] / short).write_bytes(served)
        hashes[name] = [f"aioble/{name}", short]
    parts = json.loads((image.PROJECT / "package.json").read_text())["deps"]
    assert [name for name, _version in parts] == ["aioble-peripheral", "aioble-server"]
    for part, version in parts:
        lacks = "server.py" if part == "aioble-peripheral" else None
        package = {"v": 1, "hashes": [h for n, h in hashes.items() if n != lacks]}
        path = root / "package" / "py" / part / f"{version}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(package))


def put(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_bytes(text)
    return path


def test_fetched_by_mip_once(index: Path) -> None:
    path = aioble.directory()
    assert sorted(p.name for p in path.iterdir()) == sorted(FILES)
    assert (path / "core.py").read_bytes() == FILES["core.py"]  # without the index's line
    # Then it is kept.
    for file in index.rglob("*.json"):
        file.unlink()
    assert aioble.directory() == path


def test_an_index_with_other_files_is_refused(index: Path, tmp_path: Path) -> None:
    publish(index, {**FILES, "core.py": b"ble = 2\n"})
    with pytest.raises(DeployError, match="not aioble 0.6.2 .another core.py"):
        aioble.directory()
    assert not (tmp_path / "cache" / "aioble-0.6.2").exists()


def test_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mip, "_PACKAGE_INDEX", "http://127.0.0.1:9")
    with pytest.raises(aioble.Unfetched, match="mip cannot fetch aioble 0.6.2: .*--aioble"):
        aioble.directory()


def test_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "aioble", {**FILES, "central.py": b"", "core.py": b"ble = 1\r\n"})
    made = aioble.directory(str(path))
    # Only what a board needs, as it is in the release.
    assert {p.name: p.read_bytes() for p in made.iterdir()} == FILES
    assert aioble.directory(str(tmp_path)) == made  # the directory around it will do
    monkeypatch.setenv("AIOBLE", str(path))
    assert aioble.directory() == made


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"core.py": b"ble = 2\n"}, "another core.py"),
        ({"server.py": None}, "no server.py"),
    ],
)
def test_given_but_another(tmp_path: Path, change: dict[str, bytes | None], said: str) -> None:
    files = {name: text for name, text in {**FILES, **change}.items() if text is not None}
    path = put(tmp_path / "aioble", files)
    with pytest.raises(DeployError, match=f"is not aioble 0.6.2 .*{said}.*--aioble"):
        aioble.directory(str(path))


def test_given_but_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="no aioble package in"):
        aioble.directory(str(tmp_path))


def test_any_aioble_must_have_the_names(tmp_path: Path) -> None:
    assert aioble.directory(str(STANDIN), check=False) == STANDIN
    path = put(tmp_path / "aioble", FILES)
    with pytest.raises(DeployError, match="has no aioble.BufferedCharacteristic.*on_read"):
        aioble.directory(str(path), check=False)
