"""aioble for a board: fetched by mpremote's mip, or from a directory; only the one we know.

Homing answers inside aioble's interrupts and touches what aioble keeps to itself, so another
version may break it silently: every file is compared with the pinned release. Only the parts that
package.json asks for go to a board.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mpremote import mip
from mpremote.commands import CommandError

from tools.sim import image

from .link import DeployError

VERSION = "0.6.2"
# SHA-256 of each file of that release in micropython-lib that a board gets.
_FILES = {
    "__init__.py": "735eb2f71c857b5f13db3b7f7179e49bfe8438bed42b8e6c89ac796121fe193c",
    "core.py": "966d147542de50b8d4cbe06671a2a6d0633c0e426083b0ad2d6a888a03569414",
    "device.py": "056708daee94d94d1fbba22566b9cd3591ed002e1325a2baa8d8c922282108a7",
    "peripheral.py": "4aea6302bc0cc703a9f0b1fa44db0c0089daac736460ccd64dc33b9725e73b6c",
    "server.py": "6253b57dd3d4fcdad4cc0226c3501fbcc63f7780e48b610f83b0de80f1d5bec4",
}
assert tuple(_FILES) == image.AIOBLE_PARTS
# The package index adds this line to the files that it serves.
_TAG = re.compile(rb"\n+__version__ = ['\"][\w.]+['\"]\n*\Z")

_CURE = (
    "give a directory that holds micropython-lib's micropython/bluetooth/aioble/aioble "
    f"(release {VERSION}) with --aioble, or in AIOBLE"
)


class Unfetched(DeployError):
    """mip cannot fetch aioble, and none was given or kept; `reason` is without the cure."""

    def __init__(self, error: Exception) -> None:
        self.reason = f"mip cannot fetch aioble {VERSION}: {error}"
        super().__init__(f"{self.reason}; {_CURE}")


def directory(given: str | None = None, check: bool = True) -> Path:
    """The aioble to put on a board: `given`, else from AIOBLE, else fetched by mip and kept.

    check=False takes any aioble that has what Homing needs. Raises DeployError, Unfetched.
    """
    asked = given or os.environ.get("AIOBLE")
    kept = image.cache_dir() / f"aioble-{VERSION}" / "aioble"
    if asked:
        try:
            path = image.aioble_dir(asked)
        except FileNotFoundError as error:
            raise DeployError(f"{error}; {_CURE}") from error
        assert path is not None
        if not check:
            check_names(path)
            return path
        _keep(checked(path), kept)
    elif not kept.is_dir():
        _keep(_fetch(), kept)
    checked(kept)
    return kept


def checked(path: Path) -> dict[str, bytes]:
    """The files a board gets from there, as they are in the pinned release. Raises DeployError."""
    files = {}
    wrong = []
    for name, wanted in _FILES.items():
        try:
            content = (path / name).read_bytes().replace(b"\r\n", b"\n")
        except FileNotFoundError:
            wrong.append(f"no {name}")
            continue
        for text in (content, _TAG.sub(b"\n", content)):
            if hashlib.sha256(text).hexdigest() == wanted:
                files[name] = text
        if name not in files:
            wrong.append(f"another {name}")
    if wrong:
        raise DeployError(f"{path} is not aioble {VERSION} ({', '.join(wrong)}); {_CURE}")
    return files


def _keep(files: Mapping[str, bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "aioble"
        made.mkdir()
        for name, text in files.items():
            (made / name).write_bytes(text)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)


def check_names(path: Path) -> None:
    """Whether an aioble has the names that provisioning/ble.py uses. Raises DeployError."""
    source = (image.PROJECT / "lib/homing/provisioning/ble.py").read_text()
    package = {name for file in path.glob("*.py") for name in _defined(file)}
    core = set(_defined(path / "core.py"))
    missing = []
    for label, names in _needed(source):
        has = core if label == "aioble.core" else package
        missing += [f"{label}.{name}" for name in names if name not in has]
    if "on_read" not in package:
        missing.append("on_read")
    if missing:
        raise DeployError(f"the aioble in {path} has no {', '.join(missing)}; {_CURE}")


def _needed(source: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_NEEDED":
            assert isinstance(node.value, ast.Tuple)
            for row in node.value.elts:
                assert isinstance(row, ast.Tuple)
                yield ast.literal_eval(row.elts[0]), ast.literal_eval(row.elts[2])


def _defined(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_text())
    except (OSError, SyntaxError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))


class _Folder:
    """As much of mpremote's transport as mip needs, on a directory of this computer."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def fs_exists(self, path: str) -> bool:
        return (self._root / path).exists()

    def fs_mkdir(self, path: str) -> None:
        (self._root / path).mkdir()

    def fs_hashfile(self, path: str, algorithm: str) -> bytes:
        return hashlib.new(algorithm, (self._root / path).read_bytes()).digest()

    def fs_writefile(self, path: str, data: bytes, progress_callback: object = None) -> None:
        (self._root / path).write_bytes(data)


def _fetch() -> dict[str, bytes]:
    parts = json.loads((image.PROJECT / "package.json").read_text())["deps"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                for part, version in parts:
                    # Sources: they can be compared, and are compiled like everything else.
                    mip._install_package(
                        _Folder(Path(folder)), part, mip._PACKAGE_INDEX, "lib", version, False
                    )
        except (CommandError, OSError, ValueError) as error:
            raise Unfetched(error) from error
        return checked(Path(folder) / "lib" / "aioble")
