"""Espressif's esp-rainmaker-cli, unmodified, provisions a board over SoftAP and maps it.

It knows no other address than 192.168.4.1:80, so all of this runs in a network namespace of its
own. Its cloud is the local one, over plain HTTP; it maps in the classic way, through
cloud_user_assoc, and the node's report is made here with what the board holds in its flash, not
with what the cloud was told.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tools.harness.bench import NODE_ID, POP, SimBench
from tools.harness.stored import stored
from tools.sim.scene import USER

CLI = Path(sys.executable).with_name("esp-rainmaker-cli")
_CLI_S = 100
AP_PASSWORD = "an access point"

pytestmark = [
    pytest.mark.private_network,
    pytest.mark.skipif(not CLI.exists(), reason="`make env` installs esp-rainmaker-cli"),
]


def main_py(**options: Any) -> dict[str, str]:
    options.setdefault("transports", ("softap",))
    return {"main.py": f"import homing\nhoming.run(**{options!r})\n"}


class Cli:
    """The program, with a profile of its own at the bench's cloud, logged in.

    log_in: by its own commands, which take some seconds; otherwise what they leave is put there.
    """

    def __init__(self, lab: SimBench, home: Path, log_in: bool = False) -> None:
        base = lab.world.run(lab.cloud.start_plain())
        self._environment = os.environ | {"RM_USER_CONFIG_DIR": str(home), "HOME": str(home)}
        self._home = home
        if not log_in:
            from rmaker_lib.profile_manager import ProfileManager

            profiles = ProfileManager(str(home))
            profiles.create_custom_profile("local", base)
            profiles.set_current_profile("local")
            token = lab.cloud.rainmaker.log_in(USER)
            profiles.set_profile_tokens("local", token, "none", token)
            return
        self("profile", "add", "local", "--base-url", base)
        self("profile", "switch", "local")
        said = self("login", "--user_name", USER, "--password", lab.scene.user_password)
        assert "Login successful" in said, said

    def __call__(self, *arguments: str) -> str:
        """What it says, on both outputs; Enter is pressed once."""
        done = subprocess.run(
            [CLI, *arguments],
            input="\n",
            env=self._environment,
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=_CLI_S,
        )
        return done.stdout + done.stderr


WIFI = ("provision", "--transport", "softap", "--no-retry")


class Reporter(threading.Thread):
    """The node's MQTT report, which the board does not make yet: of what it holds in its flash."""

    def __init__(self, lab: SimBench) -> None:
        super().__init__(daemon=True)
        self._lab = lab
        self.reported: dict[str, Any] = {}

    def run(self) -> None:
        # Everything that came before the credentials is in flash before the board joins.
        self._lab.sim.wait_log('"joining"', _CLI_S)
        self.reported = stored(self._lab.sim, "rainmaker")
        if self.reported.get("st") == "unreported":
            self._lab.cloud.rainmaker.report(NODE_ID, str(self.reported["secret"]))

    def __enter__(self) -> Reporter:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.join()


def scheme(security: int) -> Any:
    files = main_py(softap_password=AP_PASSWORD, security=security)
    marks = [pytest.mark.sim(files=files)]
    if security == 0:
        marks.append(pytest.mark.soak)  # each takes the half minute that this client takes
    return pytest.param(security, marks=marks, id=f"security{security}")


@pytest.mark.parametrize("security", [scheme(0), scheme(1), scheme(2)])
def test_provisions_and_maps(lab: SimBench, tmp_path: Path, security: int) -> None:
    lab.real_time()
    lab.scene.reports.disable()
    lab.board.wait_state("advertising")
    name = lab.name()
    cli = Cli(lab, tmp_path, log_in=security == 1)
    lab.sim.soft_ap.join(name, AP_PASSWORD, real=[80])
    with Reporter(lab) as reporter:
        said = cli(*(*WIFI, "--pop", POP, "--ssid", lab.ssid, "--passphrase", lab.password))
    assert f"Auto-detected Security Scheme: {security}" in said, said
    assert "Wi-Fi Provisioning Successful" in said, said
    assert "Node added to your account successfully" in said, said
    ((user, node),) = lab.cloud.rainmaker.mappings
    assert dict(lab.cloud.rainmaker.users)[USER] == user and node == NODE_ID
    assert reporter.reported["user"] == user
    assert lab.cloud.rainmaker.requests[0].secret == reporter.reported["secret"]
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("online")


@pytest.mark.sim(identity={"pop": POP}, files=main_py())
def test_what_it_says_when_it_fails(lab: SimBench, tmp_path: Path) -> None:
    """After a wrong proof it sees its socket closed, as by ESP-IDF. A board without a node id has
    no cloud_user_assoc, without which this client gives up over HTTP; over BLE it goes on."""
    lab.real_time()
    lab.board.wait_state("advertising")
    cli = Cli(lab, tmp_path)
    lab.sim.soft_ap.join(lab.name(), real=[80])
    said = cli(*WIFI, "--pop", "WRONGWRONG12", "--ssid", lab.ssid, "--passphrase", lab.password)
    assert "Error: Connection Failure : Remote end closed connection" in said, said
    lab.board.wait_state("wrong-pop", n=1)
    said = cli(*WIFI, "--pop", POP, "--ssid", lab.ssid, "--passphrase", lab.password)
    assert "Establishing session - Successful" in said, said
    assert "User-node association failed: Server responded with error code 404" in said, said
    assert not lab.cloud.rainmaker.requests
