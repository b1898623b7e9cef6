"""What is said twice is said the same: versions, the file list for mip, README's main.py."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _board_version() -> str:
    tree = ast.parse((ROOT / "lib/homing/__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return ast.literal_eval(node.value)
    raise AssertionError("no __version__")


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    package = json.loads((ROOT / "package.json").read_text())
    assert project["version"] == package["version"] == _board_version()


def test_mip_installs_every_file_of_the_package() -> None:
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "lib/homing").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    urls = json.loads((ROOT / "package.json").read_text())["urls"]
    assert {source for _target, source in urls} == files
    assert all(source == f"lib/{target}" for target, source in urls)


def _published(name: str) -> str:
    """A file as it is in git, whatever a maker has made of it since; without git, as it is."""
    if not (ROOT / ".git").exists():
        return (ROOT / name).read_text()
    return subprocess.run(
        ["git", "show", f"HEAD:{name}"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def test_readme_shows_main_py_as_it_is() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert _published("main.py") in blocks


def test_pinned_micropython_is_the_same_everywhere() -> None:
    boot = (ROOT / "boot.py").read_text()
    pinned = re.search(r"_MIN = \((\d+), (\d+)\)", boot)
    assert pinned
    assert f"v{pinned[1]}.{pinned[2]}" in (ROOT / "firmware/README.md").read_text()
    stubs = re.search(r"STUBS := \S+==(\d+)\.(\d+)\.", (ROOT / "Makefile").read_text())
    assert stubs
    assert stubs.groups() == pinned.groups()
