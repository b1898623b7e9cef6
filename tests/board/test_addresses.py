"""The harness on addresses that are not its own: the same tests over a pty, TCP and RFC 2217."""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.harness import suite
from tools.harness.bench import POP
from tools.sim.board import SimBoard
from tools.sim.scene import Scene

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
SPEED = 10.0
MAIN_JOB, SERIAL = HERE / "test_main_job.py", HERE / "test_serial.py"


@pytest.fixture
def scene(simulator: None) -> Iterator[Scene]:
    with Scene(SPEED, password="-" + secrets.token_urlsafe(9)) as made:
        yield made


@pytest.fixture
def sim(scene: Scene) -> SimBoard:
    board = scene.new_board("far-away", cloud=True, identity={"pop": POP})
    board.power_on()
    return board


def run_inside(scene: Scene, address: str, where: Path, *args: str) -> dict[str, str]:
    """A pytest of its own on a board at `address`: test → "passed", or what was the matter."""

    async def radio() -> int:
        return await scene.world.ether.serve_hci()

    report = where / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        + ["--board", address, "--radio", f"127.0.0.1:{scene.world.run(radio())}"]
        # In one word each: argparse takes a value that begins with "-" for an option.
        + [f"--ssid={scene.ssid}", f"--password={scene.password}", *args],
        capture_output=True,
        text=True,
        timeout=3000,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        trouble = next(iter(case), None)
        name = case.attrib["name"]
        outcomes[name] = "passed" if trouble is None else trouble.attrib["message"]
    return outcomes


def passed(outcomes: dict[str, str]) -> set[str]:
    return {name for name, outcome in outcomes.items() if outcome == "passed"}


ON_A_PTY = {
    "test_provision_and_come_online",
    "test_qr_payload_on_serial_is_what_apps_read",
    "test_identity_is_written_and_outlives_a_new_network",
}
NEED_THE_SIMULATOR = {
    "test_order_of_events",
    "test_boot_held_during_reset_is_download_mode",
    "test_boot_pressed_after_reset_is_safe_mode",
}
ON_TCP = {"test_ctrl_c_then_soft_reset_runs_main_again", "test_mpremote_files"}
ON_RFC2217 = {"test_still_provisioned_after_reset"}


def some(*names: str) -> list[str]:
    return [str(MAIN_JOB), str(SERIAL), "-k", " or ".join(sorted(names))]


def test_over_a_pty(scene: Scene, sim: SimBoard, tmp_path: Path) -> None:
    outcomes = run_inside(scene, sim.port, tmp_path, *some(*ON_A_PTY, *NEED_THE_SIMULATOR))
    assert passed(outcomes) == ON_A_PTY
    assert set(outcomes) == ON_A_PTY | NEED_THE_SIMULATOR
    for name in NEED_THE_SIMULATOR:  # skipped, with the reason
        assert "needs the simulator" in outcomes[name]
    assert not sim.violations


def test_over_tcp(scene: Scene, sim: SimBoard, tmp_path: Path) -> None:
    address = f"socket://127.0.0.1:{sim.serve_tcp()}"
    outcomes = run_inside(scene, address, tmp_path, *some(*ON_TCP))
    assert passed(outcomes) == set(outcomes) == ON_TCP
    assert not sim.violations


def address_of(sim: SimBoard, way: str) -> str:
    if way == "pty":
        return sim.port
    port = sim.serve_tcp() if way == "socket" else sim.serve_rfc2217()
    return f"{way}://127.0.0.1:{port}"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", ["pty", "socket", "rfc2217"])
def test_everything_over(scene: Scene, sim: SimBoard, tmp_path: Path, way: str) -> None:
    """What docs/hil.md lists, and whatever else a real board can run."""
    if way == "rfc2217":
        # mpremote lets go of the lines one by one when it closes, 50 ms each: BOOT is held in
        # between, which for a board in a hurry is when it resets.
        scene.world.set_speed(1)
    others = (path for path in HERE.glob("test_*.py") if path.name != Path(__file__).name)
    outcomes = run_inside(scene, address_of(sim, way), tmp_path, *map(str, others))
    assert passed(outcomes) >= ON_A_PTY | ON_TCP | ON_RFC2217
    for name in set(outcomes) - passed(outcomes):
        assert "needs the simulator" in outcomes[name]
    assert not sim.violations


def test_over_rfc2217(scene: Scene, sim: SimBoard, tmp_path: Path) -> None:
    """RTS and DTR reach EN and BOOT: nothing else could have reset it by power-on."""
    address = f"rfc2217://127.0.0.1:{sim.serve_rfc2217()}"
    outcomes = run_inside(scene, address, tmp_path, "--reset=rts", *some(*ON_RFC2217))
    assert passed(outcomes) == set(outcomes) == ON_RFC2217
    # Switched on once; then before each test and in one of them.
    assert sim.log.count("(POWERON)") == 1 + len(ON_RFC2217) + 1
    assert "waiting for download" not in sim.log


@contextlib.contextmanager
def relay(sim: SimBoard) -> Iterator[str]:
    """A rig's relay on the board's reset button: the shell command that pulls it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()
                    sim.reset()

        threading.Thread(target=serve, daemon=True).start()
        pull = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        try:
            yield shlex.join([sys.executable, "-c", pull])
        finally:
            server.shutdown(socket.SHUT_RDWR)


def test_reset_by_a_command(scene: Scene, sim: SimBoard, tmp_path: Path) -> None:
    address = f"socket://127.0.0.1:{sim.serve_tcp()}"
    name = "test_still_provisioned_after_reset"
    with relay(sim) as command:
        outcomes = run_inside(scene, address, tmp_path, f"--reset-command={command}", *some(name))
    assert passed(outcomes) == set(outcomes) == {name}
    assert sim.log.count("(POWERON)") == 3


def test_a_skip_counts_as_a_failure_when_asked(simulator: None, tmp_path: Path) -> None:
    test = tmp_path / "test_skips.py"
    test.write_text("import pytest\ndef test_it():\n    pytest.skip('no reason')\n")
    for option, code in ((None, 0), ("--no-skips", suite.SKIPPED)):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tools.harness.suite", str(test)]
        command += ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"]
        done = subprocess.run(
            command + ([option] if option else []), capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == code, done.stdout + done.stderr


def test_an_address_where_nobody_is_fails_at_once(simulator: None, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(MAIN_JOB)]
        + ["--board", "socket://127.0.0.1:1", "-x"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 1
    assert re.search(r"could not open port socket://127\.0\.0\.1:1", done.stdout, re.I)
