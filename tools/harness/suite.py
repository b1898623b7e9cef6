"""pytest plugin of this project's own tests: long sweeps, skips that count, the leak search."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from . import leaks

# Exit statuses beside pytest's own, whatever else failed: no test run again can mend these.
LEAKED = 20
SKIPPED = 21


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("homing suite")
    group.addoption("--soak", action="store_true", help="run the long sweeps too")
    group.addoption("--no-skips", action="store_true", help="count skipped tests as failures")


def pytest_configure(config: pytest.Config) -> None:
    leaks.watch()
    config.addinivalue_line("markers", "soak: a long sweep; runs with --soak only")
    config.addinivalue_line("markers", "last: runs after everything else")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
    if config.getoption("--soak"):
        return
    kept = [item for item in items if item.get_closest_marker("soak") is None]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[i for i in items if i not in kept])
        items[:] = kept


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], range]:
    """`for _ in rounds(few, all):` how often to repeat: all with --soak."""

    def counted(few: int, all_of_them: int) -> range:
        return range(all_of_them if request.config.getoption("--soak") else few)

    return counted


# -- no secret in anything that was said -----------------------------------------------------------


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for title, text in report.sections:
        if title != "board":  # that one is on record already, with its banner
            leaks.run().text(f"test {report.nodeid}, {title}", text)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist has ended: what was said and used there counts here."""
    packed = getattr(node, "workeroutput", {}).get("leaks")
    if packed:
        leaks.run().merge(packed)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["leaks"] = leaks.run().packed()
        return
    found = leaks.run().search() if leaks.run().merged else []
    for finding in found:
        sys.stderr.write(f"\nLEAK {finding}")
    if found:
        session.exitstatus = LEAKED
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-skips"):
        return
    if reporter.stats.get("skipped"):
        session.exitstatus = SKIPPED
