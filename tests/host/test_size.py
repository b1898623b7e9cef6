"""The product stays small: bytes of .mpy as they go to a board. `make size` prints them."""

from __future__ import annotations

import ast

import pytest
from test_imports import imports

from tools.bench import size
from tools.sim import memory32
from tools.sim.image import project_sources


@pytest.mark.parametrize("cloud", ["thethings", "rainmaker"])
def test_ble_security_1_and_one_cloud(cloud: str) -> None:
    assert 0.5 * size.BUDGET_LEN < size.with_one_cloud(cloud) <= size.BUDGET_LEN


def test_every_module_is_counted() -> None:
    found = {module.name: module for module in size.modules()}
    assert {"homing", "homing.node", "homing.provisioning.ble", "homing.cloud.https"} <= set(found)
    assert all(module.mpy for module in found.values())
    alone = sum(module.mpy for module in found.values())
    assert size.with_one_cloud("thethings") < alone < 2.5 * size.with_one_cloud("thethings")


class _WithoutFunctions(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node)


def test_what_is_optional_is_not_loaded_unasked() -> None:
    # Nothing else imports it while it is itself imported; a function may, when it is wanted.
    optional = tuple(f"homing.{name.replace('/', '.')}" for name in size.OPTIONAL)
    seen = set()
    for path, text in project_sources().items():
        module = path.removeprefix("lib/").removesuffix(".py").replace("/", ".")
        if not path.startswith("lib/homing/") or not path.endswith(".py"):
            continue
        if module.startswith(optional):
            seen.add(module)
            continue
        source = _WithoutFunctions().visit(ast.parse(text))
        package = module.endswith(".__init__")
        names = imports(ast.unparse(source), module.removesuffix(".__init__"), package=package)
        assert not any(name.startswith(optional) for name in names), path
    assert set(optional) <= seen


def test_heap_of_every_module() -> None:
    command = memory32.command()
    if command is None:
        pytest.skip(f"needs the 32-bit MicroPython: {memory32.HINT}")
    found = size.modules(command)
    optional = tuple(f"homing.{name.replace('/', '.')}" for name in size.OPTIONAL)
    heap = sum(module.heap for module in found if not module.name.startswith(optional))
    assert 40_000 < heap < 90_000
