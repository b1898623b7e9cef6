"""The pytest plugin in a maker's own directory: the documented example, its logs, its manners."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.harness import leaks
from tools.harness.bench import NODE_ID, PASSWORD, POP, THING_TOKEN
from tools.sim import image

ROOT = Path(__file__).parents[2]
LAMP = ROOT / "docs" / "examples" / "lamp"
GUIDE = (ROOT / "docs" / "testing.md").read_text()
LIT = "test_lamp.py::test_lit_once_it_has_wifi"
TELLTALE = """
import homing
from binascii import hexlify
from homing.store import Store
async def app(me):
    print("debug:", hexlify(Store().open("wifi").get("password")))
    print("the lamp is lit")
homing.run(app)
"""


def run_pytest(where: Path, *args: str, path: Path | None = None) -> subprocess.CompletedProcess:
    """A maker types `pytest` in a directory of theirs; path: what Python finds first."""
    environment = dict(os.environ, PYTHONPATH=str(path or ""))
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LAMP, tmp_path / "lamp"))


# -- the example -----------------------------------------------------------------------------


def test_the_guide_shows_the_example_as_it_is() -> None:
    shown = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    for name in ("main.py", "test_lamp.py"):
        assert LAMP.joinpath(name).read_text() in shown


def test_the_guide_knows_every_fixture_and_option() -> None:
    done = run_pytest(ROOT / "docs" / "examples", "--fixtures", "-v")
    fixtures = re.findall(r"^(\w+)(?: \[.*?\])? -- .*harness/plugin\.py", done.stdout, re.M)
    plugin = (ROOT / "tools" / "harness" / "plugin.py").read_text()
    options = re.findall(r'addoption\(\s*"(--[\w-]+)"', plugin)
    assert {"board", "phone", "scene"} <= set(fixtures)
    assert {"--board", "--reset-command", "--board-logs"} <= set(options)
    for name in [*fixtures, *options]:
        assert re.search(rf"`{name}\b", GUIDE), name


def test_the_example_passes(lamp: Path) -> None:
    done = run_pytest(lamp, "--board", "sim", "--board-logs", "logs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert len(list((lamp / "logs").iterdir())) == 2


def test_the_example_notices_a_lamp_that_stays_dark(lamp: Path) -> None:
    """And the report names the log, which is complete and holds no secret."""
    for name, was, becomes in (
        ("main.py", '"lit" if me.online else "dark"', '"dark"'),
        ("test_lamp.py", 'is lit")', 'is lit", timeout_s=3)'),
    ):
        text = (lamp / name).read_text()
        assert was in text
        (lamp / name).write_text(text.replace(was, becomes))
    done = run_pytest(lamp, LIT, "--board-logs", "logs")
    assert done.returncode == 1
    (log,) = (lamp / "logs").iterdir()
    assert re.search(rf"board log -+\n{re.escape(str(Path('logs') / log.name))}\n", done.stdout)
    text = log.read_text()
    for part in (
        "board @boot",
        "phone looks for PROV_",
        "phone prov-config: 25 bytes, answer: 4 bytes",
        'board @state {"state": "online"',
        "cloud POST api.thethings.io/v2/things/{token}/link-id 200",
        "test  call: failed",
    ):
        assert part in text, part
    times = [float(line.split()[0]) for line in text.splitlines()[1:]]
    assert times == sorted(times)
    record = leaks.Record()
    for secret in (POP, PASSWORD, THING_TOKEN, NODE_ID):
        record.secret(secret, "anything")
    record.text("log", text.replace(f"I am {NODE_ID}", ""))
    assert record.search() == []


def test_a_secret_that_a_board_tells_is_not_in_the_log(lamp: Path) -> None:
    (lamp / "main.py").write_text(TELLTALE)
    done = run_pytest(lamp, LIT, "--board-logs", "logs")
    assert done.returncode == 0, done.stdout
    (log,) = (lamp / "logs").iterdir()
    assert "debug: b'<Wi-Fi password>'" in log.read_text()


def test_the_example_from_a_wheel(lamp: Path, tmp_path: Path) -> None:
    """Installed and not from a clone: the board's own files came along."""
    source, wheels, site = (tmp_path / name for name in ("source", "wheels", "site"))
    kept = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("lib", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=kept)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    alone = ["--no-deps", "--no-index"]
    for command in (
        ["wheel", *alone, "--no-build-isolation", "-w", str(wheels), str(source)],
        ["install", *alone, "--target", str(site), "--find-links", str(wheels), "homing-tools"],
    ):
        subprocess.run([*pip, *command], check=True, cwd=tmp_path, timeout=100)
    files = site / "tools" / "board_files"
    for path, content in image.project_sources().items():
        if not path.startswith("lib/aioble/"):
            assert (files / path).read_bytes() == content, path
    lamp.joinpath("conftest.py").write_text(
        f"import tools.sim.image as i\nassert str(i.PROJECT) == {str(files)!r}\n"
    )
    done = run_pytest(lamp, LIT, path=site)
    assert done.returncode == 0, done.stdout + done.stderr


# -- manners ---------------------------------------------------------------------------------

STRANGER = """
import sys
def test_nothing_of_it_is_loaded():
    heavy = {"bumble", "bleak", "aiohttp", "cryptography", "esp_protocomm", "serial", "tools.sim"}
    assert not heavy & set(sys.modules)
    assert "tools.harness.plugin" in sys.modules
"""


def test_whoever_does_not_use_it_does_not_notice_it(tmp_path: Path) -> None:
    (tmp_path / "test_stranger.py").write_text(STRANGER)
    done = run_pytest(tmp_path, "-W", "error", "--strict-markers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob("**/*.log")) == []


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """For a project that has options of the same names."""
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--password', default='theirs')\n"
    )
    (tmp_path / "test_theirs.py").write_text(
        "def test_it(request):\n    assert request.config.option.password == 'theirs'\n"
    )
    assert run_pytest(tmp_path).returncode != 0
    assert run_pytest(tmp_path, "-p", "no:homing").returncode == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reset", "rts", "--reset-command", "true", "--board", "x"), "choose one"),
        pytest.param(("--reset", "rts"), "is reset by the simulator", marks=pytest.mark.soak),
        pytest.param(
            *(("--reset", "wishing", "--board", "x"), "invalid choice: 'wishing'"),
            marks=pytest.mark.soak,
        ),
    ],
)
def test_options_that_make_no_sense(lamp: Path, options: tuple[str, ...], said: str) -> None:
    done = run_pytest(lamp, *options)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/dev/no-such-board", "there is no /dev/no-such-board"),
        ("id:no-such-number", "no port has the serial number 'no-such-number'"),
    ],
)
def test_a_board_that_is_not_there(lamp: Path, address: str, said: str) -> None:
    done = run_pytest(lamp, LIT, "--board", address)
    assert done.returncode == 1
    assert said in done.stdout
