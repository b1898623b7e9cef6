"""The host program as a person runs it: sim, provision and demo, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bleak
import pytest
import requests
from click.testing import CliRunner

from tools import demo
from tools.cli import main
from tools.cloud.broker import MQTT_HOST, MQTT_PORT
from tools.harness.board import BoardError
from tools.provision import stages
from tools.sim import running
from tools.sim.scene import Scene

PASSWORD = "a pass word"


@contextlib.contextmanager
def _simulator(file: Path, *options: str) -> Iterator[tuple[running.RunningSim, Path]]:
    log = file.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.cli", "sim", "--speed", "8", "--file", str(file)]
            + ["--password", PASSWORD, *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        deadline = time.monotonic() + 30
        while not re.search("advertising as|access point .* is up", log.read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"homing sim did not start:\n{log.read_text()}")
            time.sleep(0.1)
        made = running.find(file)
        assert made is not None
        yield made, log
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 0
        assert not file.exists()


def _homing(*args: str, input_text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", *args],
        input=input_text,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_provision_by_options(tmp_path: Path) -> None:
    with _simulator(tmp_path / "sim.json") as (sim, log):
        pop = re.search(r"possession: (\S+)", log.read_text())
        assert pop
        done = _homing("provision", "--sim", str(tmp_path / "sim.json"), "--prefix", "OTHER_")
        assert done.returncode == 1
        assert "no board with a name that starts with OTHER_" in done.stderr
        done = _homing("sim", "--file", str(tmp_path / "sim.json"))
        assert done.returncode == 1
        assert "running already" in done.stderr
        done = _homing(
            *("provision", "--sim", str(tmp_path / "sim.json"), "--pop", pop[1]),
            *("--ssid", "home", "--password", PASSWORD),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "linked at thethings.io: thing" in done.stdout
        assert "mapped at RainMaker: node node-board1" in done.stdout
        for stage in (*stages.NAMES, "its time zone is"):
            assert stage in done.stdout
        for secret in (pop[1], PASSWORD, sim.password):
            assert secret not in done.stdout + done.stderr


def test_provision_asks_and_lets_one_correct(tmp_path: Path) -> None:
    # Board chosen among two, a wrong proof of possession, a wrong password: then all goes well.
    with _simulator(tmp_path / "sim.json", "--boards", "2", "--bare") as (_sim, log):
        deadline = time.monotonic() + 20
        while len(found := re.findall(r"name: (\S+)", log.read_text())) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        pops = re.findall(r"possession: (\S+)", log.read_text())
        answers = f"{found[1]}\nWRONGPOP\n{pops[1]}\n1\nwrong password\n{PASSWORD}\n"
        done = _homing("provision", "--sim", str(tmp_path / "sim.json"), input_text=answers)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{found[1]} is on the network" in done.stdout
        assert "refused the proof of possession" in done.stdout
        assert "the network refused the password" in done.stdout


def test_several_boards_as_in_readme(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    block = re.search(r"### Several boards.*?```sh\n(.*?)```", readme, re.DOTALL)
    assert block
    sim, provision = (shlex.split(line, comments=True) for line in block[1].splitlines())
    assert sim[:2] == ["homing", "sim"] and provision[:2] == ["homing", "provision"]
    with _simulator(tmp_path / "sim.json", *sim[2:]) as (running_sim, log):
        deadline = time.monotonic() + 20
        while len(found := re.findall(r"name: (\S+)\n.*possession: (\S+)", log.read_text())) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert len(running_sim.ports) == 2
        name, pop = found[1]
        given = iter([name, pop, PASSWORD])
        words = [next(given) if word.endswith("…") else word for word in provision[1:]]
        done = _homing(*words, "--sim", str(tmp_path / "sim.json"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{name} is on the network" in done.stdout


def test_data_of_ones_own_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMING_CACHE", str(tmp_path / "cache"))
    lamp = tmp_path / "lamp.py"
    lamp.write_text(
        "import homing\n"
        "from machine import Pin\n"
        "Pin(8, Pin.OUT).on()\n"
        "def lamp(data):\n    print('lamp:', data.decode())\n"
        "homing.run(endpoints={'lamp': lamp})\n"
    )
    monkeypatch.chdir(tmp_path)
    with _simulator(running.default(), "--main", str(lamp), "--bare") as (_sim, log):
        said = log.read_text()
        assert re.search(r"^  \S+homing provision  ", said, re.MULTILINE)
        assert "board1: pin 8 = 1\n" in said
        pop = re.search(r"possession: (\S+)", said)
        assert pop
        monkeypatch.chdir("/")
        words = ("provision", "--pop", pop[1], "--ssid", "home", "--password", PASSWORD)
        done = _homing(*words, "--send", "lampe=an")
        assert done.returncode == 1
        assert "no endpoint 'lampe'; there are: lamp, prov-config" in done.stderr
        done = _homing(*words, "--send", "lamp=[b]grün", "--send", "Lamp=a=b")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "• lamp answered: ok" in done.stdout
        assert "lamp: [b]grün\n" in log.read_text()
        assert "lamp: a=b\n" in log.read_text()


def test_the_access_point_of_a_board(tmp_path: Path) -> None:
    main_py = tmp_path / "main.py"
    main_py.write_text("import homing\nhoming.run(transports=('softap',), portal=True)\n")
    with _simulator(tmp_path / "sim.json", "--main", str(main_py), "--bare") as (_sim, log):
        deadline = time.monotonic() + 30
        while not (found := re.search(r"'MAP (\S+):80 (\S+)' http://\S+/\n", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        reply = requests.get(f"http://{found[2]}/", headers={"Host": found[1]}, timeout=30)
        assert reply.status_code == 200 and "proof of possession" in reply.text


def test_neither_simulator_nor_bluetooth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_bus(**_options: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(bleak.BleakScanner, "discover", no_bus)
    nobody = tmp_path / "none.json"
    result = CliRunner().invoke(main, ["provision", "--sim", str(nobody)])
    assert result.exit_code == 1
    assert f"no simulator is running (looked at {nobody})" in result.output
    assert "Bluetooth does not work: [Errno 2]" in result.output
    assert "start `homing sim`" in result.output


def test_radio_sim_without_a_simulator(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["provision", "--radio", "sim", "--sim", str(tmp_path / "none.json")]
    )
    assert result.exit_code == 1
    assert "start `homing sim`" in result.output


def test_demos_program_is_the_example() -> None:
    example = Path(__file__).parents[2] / "docs" / "examples" / "switch" / "main.py"
    assert example.read_text() == demo._MAIN


def test_demo() -> None:
    done = _homing("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("advertises as PROV_", "Security 1", "has joined", "thethings.io lists thing"):
        assert part in done.stdout
    for part in (*stages.NAMES, "said so itself over MQTT", "switched the lamp off"):
        assert part in done.stdout
    assert "RainMaker lists node node-demo" in done.stdout
    assert "online again by itself" in done.stdout
    assert "Memory left while online" in done.stdout


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("access_point", "Wi-Fi"),
        ("mapping", "RainMaker has not heard from node node-demo"),
        ("link", "does not list the thing"),
    ],
)
def test_demo_fails_when_a_stage_did_not_happen(
    broken: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter = Scene.__enter__

    def sabotaged(scene: Scene) -> Scene:
        made = enter(scene)
        if broken == "access_point":
            made.access_point.up = False
        elif broken == "mapping":
            made.start_mqtt()
            made.world.unroute(MQTT_HOST, MQTT_PORT)
        else:
            made.cloud.faults.add(path="/v2/things/*", status=500)
        return made

    monkeypatch.setattr(Scene, "__enter__", sabotaged)
    monkeypatch.setattr(demo, "_SPEED", 20.0)
    with pytest.raises((SystemExit, BoardError)) as ended:
        demo.tell(demo.Story())
    assert isinstance(ended.value, SystemExit)
    assert ended.value.code == 1
    assert said in capsys.readouterr().out
