"""Imports on the board go one way, and each hardware module is named in one place only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_LIB = Path(__file__).parents[2] / "lib"
_ROOT = _LIB / "homing"

# A module may import from its own layer and from the layers named here.
_LAYERS = {
    "crypto": set(),
    "protocomm": {"crypto"},
    "provisioning": {"crypto", "protocomm"},
    "cloud": {"crypto", "protocomm"},
}

# Hardware modules, and the only files that may import them.
_OWNERS = {
    "bluetooth": {"provisioning/ble.py"},
    "aioble": {"provisioning/ble.py"},
    "network": {"wifi.py"},
    "machine": {"board.py"},
    "esp": set(),
    "esp32": {"board.py"},
}


def _module(path: Path) -> str:
    parts = path.relative_to(_LIB).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, package: bool) -> Iterator[str]:
    """Every module that the source imports, wherever the statement stands, with absolute names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + (1 if package else 0)]
                base = ".".join([*parents, base] if base else parents)
            yield base
            # `from . import x` may name a module.
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "__import__"
            and node.args
        ):
            argument = node.args[0]
            yield argument.value if isinstance(argument, ast.Constant) else "<computed>"


def _faults(source: str, module: str, where: str, *, package: bool = False) -> list[str]:
    layer = where.split("/")[0] if "/" in where else None
    faults = []
    for name in imports(source, module, package=package):
        first = name.split(".")[0]
        if first in _OWNERS and where not in _OWNERS[first]:
            faults.append(f"{where} imports {name}")
        if name == "<computed>":
            faults.append(f"{where} computes what it imports")
        if layer in _LAYERS and first == "homing":
            target = name.split(".")[1] if "." in name else ""
            if target != layer and target not in _LAYERS[layer]:
                faults.append(f"{where} imports {name}")
    return faults


def _files() -> list[Path]:
    return sorted(_ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.relative_to(_ROOT).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    faults = _faults(
        path.read_text(encoding="utf-8"),
        _module(path),
        path.relative_to(_ROOT).as_posix(),
        package=path.name == "__init__.py",
    )
    # `from .config import X` also yields homing.….config.X, which names no module: harmless here.
    assert not faults, "\n".join(faults)


def test_there_is_something_to_check() -> None:
    names = {path.relative_to(_ROOT).as_posix() for path in _files()}
    assert {"crypto/x25519.py", "protocomm/router.py", "provisioning/config.py"} <= names


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("crypto/x.py", "from ..protocomm import errors"),
        ("crypto/x.py", "from ..protocomm.errors import Refused"),
        ("protocomm/x.py", "from ..provisioning import config"),
        ("protocomm/x.py", "from .. import wifi"),
        ("protocomm/x.py", "import homing"),
        ("provisioning/x.py", "import homing.cloud.https"),
        ("provisioning/x.py", "def f():\n    from ..cloud import https"),
        ("provisioning/x.py", "def f():\n    if 0:\n        from ..store import Store"),
        ("provisioning/x.py", "try:\n    import bluetooth\nexcept ImportError:\n    pass"),
        ("provisioning/x.py", "def f():\n    import aioble.core"),
        ("provisioning/config.py", "from bluetooth import UUID"),
        ("crypto/x.py", "__import__('network')"),
        ("crypto/x.py", "__import__('net' + 'work')"),
        ("node.py", "from machine import Pin"),
        ("cloud/x.py", "from ..provisioning.intents import Intents"),
        ("wifi.py", "import esp32"),
    ],
)
def test_violations_are_found(where: str, source: str) -> None:
    module = "homing." + where.removesuffix(".py").replace("/", ".")
    assert _faults(source, module, where)


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("crypto/x.py", "import os\nfrom . import ct\nfrom .aes_ctr import AesCtr"),
        ("protocomm/x.py", "from ..crypto import ct\nfrom ..crypto.aes_ctr import AesCtr"),
        ("provisioning/x.py", "from ..protocomm.errors import Refused\nfrom .scan import x"),
        ("provisioning/ble.py", "import bluetooth, aioble"),
        ("node.py", "from .provisioning.provisioner import Provisioner\nfrom . import wifi"),
        ("wifi.py", "import network"),
    ],
)
def test_what_is_allowed_passes(where: str, source: str) -> None:
    module = "homing." + where.removesuffix(".py").replace("/", ".")
    assert not _faults(source, module, where)
