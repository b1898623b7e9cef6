"""docs/hil.md names tests that exist, and for each need one that any board can run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOARD_TESTS = ROOT / "tests" / "board"
PAGE = (ROOT / "docs" / "hil.md").read_text()
_NAMED = re.compile(r"`([\w./]+\.py)::(\w+)`")
_SIMULATOR = {"lab", "scene", "simulator"}  # fixtures that only it has


def rows() -> list[list[str]]:
    table = PAGE.partition("| need |")[2].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table if line]


def needs_the_simulator(file: str, test: str) -> bool:
    """Raises KeyError for a test that is not there."""
    tree = ast.parse((BOARD_TESTS / file).read_text())
    functions = {
        f.name: f for f in tree.body if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    function = functions[test]
    if file.startswith("../host/"):
        return True
    fixtures = {argument.arg for argument in function.args.args}
    marked = any("mark.sim" in ast.unparse(mark) for mark in function.decorator_list)
    assert fixtures & (_SIMULATOR | {"bench"}), f"{test} has no board"
    return marked or bool(fixtures & _SIMULATOR)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_need(row: list[str]) -> None:
    need, on_any, on_simulator, _bound = row
    assert need
    for cell, simulator_only in ((on_any, False), (on_simulator, True)):
        named = _NAMED.findall(cell)
        assert named, f"no test for: {need}"
        assert not _NAMED.sub("", cell).strip(), "something else than tests"
        for file, test in named:
            assert needs_the_simulator(file, test) == simulator_only, (file, test)


def test_there_are_needs() -> None:
    assert len({row[0] for row in rows()}) == len(rows()) >= 12


def test_repetitions_are_those_of_the_tests() -> None:
    """Each "n of m" of the page is a rounds(n, m) of a test that the row names, and the reverse."""
    for row in rows():
        said = {
            (int(few), int(every.replace(",", "")))
            for few, every in re.findall(r"(\d+) of ([\d,]+)", row[3])
        }
        done = set()
        for file, test in _NAMED.findall(row[1] + row[2]):
            source = (BOARD_TESTS / file).read_text()
            body = re.search(rf"def {test}\(.*?(?=\n\n\n|\Z)", source, re.DOTALL)
            assert body
            for few, every in re.findall(r"rounds\(([\w()]+), ([\d_]+)\)", body[0]):
                count = 3 if few == "len(_AWAY_S)" else int(few)
                done.add((count, int(every)))
        assert said == done, row[0]
