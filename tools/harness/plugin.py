"""pytest plugin `homing`: the same tests on the simulator, on a pty, over a socket, on hardware.

    pytest                                               # --board sim
    pytest --board /dev/ttyACM0 --ssid home              # HOMING_PASSWORD has the password
    pytest --board socket://host:port --radio 127.0.0.1:1234

Tests see a board by its serial lines and from outside. What only the simulator can do (cutting
power, a faulty cloud, moving the clock) asks for the fixtures `lab` or `scene`, which skip
elsewhere. For makers: docs/testing.md. Nothing heavy is loaded before a test asks for a fixture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tools.sim.scene import Scene

    from .bench import Bench, PhoneSide, SimBench
    from .board import Board
    from .journal import Journal

_JOURNAL: pytest.StashKey[Journal] = pytest.StashKey()
_LOGS: pytest.StashKey[Path] = pytest.StashKey()
_MAIN = "main.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("homing boards")
    group.addoption(
        "--board",
        default="sim",
        help="sim, a port, id:<USB serial number>, a pty, socket:// or rfc2217://",
    )
    group.addoption(
        "--reset", choices=["rts", "repl"], help="how to reset that board (default: what works)"
    )
    group.addoption("--reset-command", help="a shell command that resets that board")
    group.addoption(
        "--radio", help="HCI address of a simulated ether (from `homing sim`); default: real BLE"
    )
    group.addoption(
        "--ssid",
        default=os.environ.get("HOMING_SSID"),
        help="network that the board under test may join (or HOMING_SSID)",
    )
    group.addoption(
        "--password",
        default=os.environ.get("HOMING_PASSWORD", ""),
        help="its password (or HOMING_PASSWORD, which no list of processes shows)",
    )
    group.addoption("--board-logs", help="directory for a log per test (default: pytest's own)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sim(**options): options of SimBench; simulator only")
    options = config.option
    if options.reset and options.reset_command:
        raise pytest.UsageError("--reset and --reset-command: choose one")
    if options.board == "sim" and (options.reset or options.reset_command):
        raise pytest.UsageError("--board sim is reset by the simulator; leave --reset… away")


# -- the board -------------------------------------------------------------------------------------


@pytest.fixture
def board_files(request: pytest.FixtureRequest) -> dict[str, str | bytes | None]:
    """Path on a simulated board → content (None: not there), beside Homing itself.

    By default the main.py nearest to the test: in its directory, or one above, up to pytest's
    rootdir. Override it for more files. A real board is tested with what is on it.
    """
    root = request.config.rootpath
    for directory in (request.path.parent, *request.path.parent.parents):
        if (directory / _MAIN).is_file():
            return {_MAIN: (directory / _MAIN).read_bytes()}
        if directory == root:
            break
    return {}


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    board_files: dict[str, str | bytes | None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """One board at the address asked for, with a phone and a network it may join."""
    options = request.config.option
    special = request.node.get_closest_marker("sim")
    if special and options.board != "sim":
        pytest.skip("needs the simulator: a board of its own making")
    from . import leaks, reset
    from .bench import ExternalBench, SimBench
    from .journal import Journal, file_name

    leaks.watch()  # what they note is kept out of the log
    journal = request.node.stash[_JOURNAL] = Journal(request.node.nodeid)
    logs = Path(options.board_logs or tmp_path_factory.getbasetemp() / "board-logs")
    request.node.stash[_LOGS] = logs / file_name(request.node.nodeid)
    made: Bench
    if options.board == "sim":
        given: dict[str, Any] = dict(special.kwargs) if special else {}
        given["files"] = {**board_files, **(given.get("files") or {})}
        made = SimBench(journal=journal, **given)
    else:
        made = ExternalBench(
            options.board,
            options.radio,
            options.ssid,
            options.password,
            reset.ways(options.board, options.reset, options.reset_command),
            journal,
        )
    try:
        with made:
            yield made
            made.check(quiet=getattr(request.node, "failed_call", False))
    finally:
        path = journal.write(logs)
        leaks.run().text("file", path.read_text(encoding="utf-8"))


@pytest.fixture
def board(bench: Bench) -> Board:
    """The board by its serial line: wait, wait_state, wait_text, type, reset, log."""
    return bench.board


@pytest.fixture
def phone(bench: Bench) -> PhoneSide:
    """The person with the phone: provision, talk, dialogue, run."""
    return bench


# -- the simulator only ----------------------------------------------------------------------------


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> SimBench:
    """A bench whose world can be tampered with; skips on anything but the simulator."""
    if request.config.option.board != "sim":
        pytest.skip("needs the simulator: power cuts, faults or a clock that can be moved")
    return request.getfixturevalue("bench")


@pytest.fixture
def scene(lab: SimBench) -> Scene:
    """The simulated world of that bench: access point, clouds, clock."""
    return lab.scene


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> None:
    """For tests that make benches of their own; skips on anything but the simulator."""
    if request.config.option.board != "sim":
        pytest.skip("needs the simulator: boards of its own making")


# -- reports ---------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    journal = item.stash.get(_JOURNAL, None)
    if journal is None:
        return report
    if report.when != "teardown":
        journal.note("test", f"{report.when}: {report.outcome}")
    if report.failed:
        item.failed_call = True  # type: ignore[attr-defined]
        made = getattr(item, "funcargs", {}).get("bench")
        if made is not None and report.when == "call":
            report.sections.append(("board", made.board.log))
        report.sections.append(("board log", str(item.stash[_LOGS])))
    return report
