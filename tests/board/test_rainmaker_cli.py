"""Espressif's esp-rainmaker-cli, unmodified, provisions a board over SoftAP, maps it and uses it.

It knows no other address than 192.168.4.1:80, so all of this runs in a network namespace of its
own. Its cloud is the local one, over plain HTTP; the board speaks to that over MQTT.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tools.cloud import broker
from tools.harness.bench import NODE_ID, POP, SimBench
from tools.harness.rainmaker_cli import CLI, MISSING, RainMakerCli
from tools.harness.stored import stored
from tools.sim.scene import USER

AP_PASSWORD = "an access point"
SWITCH = """
import homing
from homing.devices import Switch


def switched(param, value):
    print("the lamp is", "on" if value else "off")


lamp = Switch("Lamp", on_write=switched)
homing.run(devices=[lamp], transports=("softap",))
"""

pytestmark = [
    pytest.mark.private_network,
    pytest.mark.skipif(not CLI.exists(), reason=MISSING),
    pytest.mark.skipif(broker.find() is None, reason=broker.MISSING),
]


def main_py(**options: Any) -> dict[str, str]:
    options.setdefault("transports", ("softap",))
    return {"main.py": f"import homing\nhoming.run(**{options!r})\n"}


def the_cli(lab: SimBench, home: Path, log_in: bool = False) -> RainMakerCli:
    """log_in: by its own commands, which take some seconds."""
    cli = RainMakerCli(lab.world.run(lab.cloud.start_plain()), home)
    if log_in:
        said = cli.log_in(USER, lab.scene.user_password)
        assert "Login successful" in said, said
    else:
        cli.use_token(lab.cloud.rainmaker.accounts.log_in(USER))
    return cli


WIFI = ("provision", "--transport", "softap", "--no-retry")


def scheme(security: int) -> Any:
    files = main_py(softap_password=AP_PASSWORD, security=security)
    # With an RSA key it is mapped in the classic way.
    marks = [pytest.mark.sim(files=files, node="rsa", native=security == 2)]
    if security != 2:
        # Each takes the half minute that this client takes; the challenge below goes by Security 1.
        marks.append(pytest.mark.soak)
    return pytest.param(security, marks=marks, id=f"security{security}")


def provision(lab: SimBench, cli: RainMakerCli, ap_password: str | None = AP_PASSWORD) -> str:
    """What the program says when it has provisioned the board."""
    lab.real_time()
    lab.board.wait_state("advertising")
    lab.sim.soft_ap.join(lab.name(), *([ap_password] if ap_password else []), real=[80])
    said = cli(*WIFI, "--pop", POP, "--ssid", lab.ssid, "--passphrase", lab.password)
    assert "Wi-Fi Provisioning Successful" in said, said
    return said


@pytest.mark.parametrize("security", [scheme(0), scheme(1), scheme(2)])
def test_provisions_and_maps(lab: SimBench, tmp_path: Path, security: int) -> None:
    cli = the_cli(lab, tmp_path, log_in=security == 1)
    said = provision(lab, cli)
    assert f"Auto-detected Security Scheme: {security}" in said, said
    assert "Node added to your account successfully" in said, said
    ((user, node),) = lab.cloud.rainmaker.mapping.all
    assert dict(lab.cloud.rainmaker.accounts.users)[USER] == user and node == NODE_ID
    assert [r.status for r in lab.cloud.rainmaker.mapping.requests] == ["confirmed"]
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("cloud", cloud="rainmaker", **{"is": "confirmed"})
    secret = lab.cloud.rainmaker.mapping.requests[0].secret
    assert not any(secret.encode() in content for content in lab.sim.files().values())
    assert stored(lab.sim, "rainmaker")["user"] == user


@pytest.mark.sim(files={"main.py": SWITCH}, node="ec")
def test_answers_a_challenge_and_is_used(lab: SimBench, tmp_path: Path) -> None:
    cli = the_cli(lab, tmp_path)
    said = provision(lab, cli, None)
    assert "Auto-detected Security Scheme: 1" in said, said
    assert "Device supports challenge-response" in said, said
    assert [r.status for r in lab.cloud.rainmaker.challenges.requests] == ["confirmed"]
    assert lab.cloud.rainmaker.mapping.requests == []  # nothing in the classic way
    use(lab, cli)


def use(lab: SimBench, cli: RainMakerCli) -> None:
    """What a user does with a node: list it, switch its lamp, read it, remove it."""
    assert f"1. {NODE_ID}" in cli("getnodes")
    lab.board.wait_state("cloud", cloud="rainmaker", mqtt="connected")
    known = lab.cloud.rainmaker.nodes.get(NODE_ID)
    for value, word in ((True, "on"), (False, "off")):
        said = cli("setparams", NODE_ID, "--data", json.dumps({"Lamp": {"Power": value}}))
        assert "success" in said.lower(), said
        lab.board.wait_text(f"the lamp is {word}")
        until(lambda value=value: known.params["Lamp"]["Power"] is value)
        said = cli("getparams", NODE_ID)
        assert json.loads(said[said.index("{") :])["Lamp"]["Power"] is value
    assert f"Removed node {NODE_ID} successfully" in cli("removenode", NODE_ID)
    assert not lab.cloud.rainmaker.mapping.all


def until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.sim(identity={"pop": POP}, files=main_py())
def test_what_it_says_when_it_fails(lab: SimBench, tmp_path: Path) -> None:
    """After a wrong proof it sees its socket closed, as by ESP-IDF. A board without a node id has
    no cloud_user_assoc, without which this client gives up over HTTP; over BLE it goes on."""
    lab.real_time()
    lab.board.wait_state("advertising")
    cli = the_cli(lab, tmp_path)
    lab.sim.soft_ap.join(lab.name(), real=[80])
    said = cli(*WIFI, "--pop", "WRONGWRONG12", "--ssid", lab.ssid, "--passphrase", lab.password)
    assert "Error: Connection Failure : Remote end closed connection" in said, said
    lab.board.wait_state("wrong-pop", n=1)
    said = cli(*WIFI, "--pop", POP, "--ssid", lab.ssid, "--passphrase", lab.password)
    assert "Establishing session - Successful" in said, said
    assert "User-node association failed: Server responded with error code 404" in said, said
    assert not lab.cloud.rainmaker.mapping.requests
