"""Espressif's esp-rainmaker-cli, unmodified, at the local cloud; paho-mqtt plays its node."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.cloud import LocalCloud, broker
from tools.harness.paho_node import PahoNode, lamp_config
from tools.harness.rainmaker_cli import CLI, MISSING, RainMakerCli

USER, PASSWORD = "me@x.org", "correct horse"
SECRET = "secret-of-this-mapping"

pytestmark = [
    pytest.mark.skipif(broker.find() is None, reason=broker.MISSING),
    pytest.mark.skipif(not CLI.exists(), reason=MISSING),
]


class Rig:
    """A cloud in a thread of its own, a node, and the program."""

    def __init__(self, home: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.cloud = LocalCloud()
        self.user_id = self.cloud.rainmaker.accounts.add(USER, PASSWORD)
        self.run(self.cloud.start_mqtt())
        made = self.cloud.new_node("node-1")
        self.node = PahoNode(made, self.cloud.ca_pem, self.cloud.mqtt.port)
        self.node.introduce()
        self.cli = RainMakerCli(self.run(self.cloud.start_plain()), home)

    def run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    def close(self) -> None:
        self.node.close()
        self.run(self.cloud.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def test_logs_in_and_lists(rig: Rig) -> None:
    assert "Login successful" in rig.cli.log_in(USER, PASSWORD)
    assert "not associated with any nodes" in rig.cli("getnodes")
    rig.cloud.rainmaker.mapping.add(rig.user_id, "node-1")
    assert "1. node-1" in rig.cli("getnodes")
    said = rig.cli("getnodedetails", "--raw")
    (details,) = json.loads(said[said.index("{") :])["node_details"]
    assert details["config"] == lamp_config("node-1")
    assert details["params"]["Lamp"]["Power"] is False
    assert details["status"]["connectivity"]["connected"] is True


def test_uses_a_node(rig: Rig) -> None:
    rig.cli.use_token(rig.cloud.rainmaker.accounts.log_in(USER))
    rig.cloud.rainmaker.mapping.add(rig.user_id, "node-1")
    said = rig.cli("setparams", "node-1", "--data", '{"Lamp": {"Power": true}}')
    assert "success" in said.lower(), said
    assert rig.node.written.get(timeout=10) == {"Lamp": {"Power": True}}
    said = rig.cli("getparams", "node-1")
    assert json.loads(said[said.index("{") :])["Lamp"] == {"Name": "Lamp", "Power": True}
    assert "esp.device.switch" in rig.cli("getnodeconfig", "node-1")
    assert "Removed node node-1 successfully" in rig.cli("removenode", "node-1")
    assert not rig.cloud.rainmaker.mapping.all


def test_groups(rig: Rig) -> None:
    rig.cli.use_token(rig.cloud.rainmaker.accounts.log_in(USER))
    rig.cloud.rainmaker.mapping.add(rig.user_id, "node-1")
    said = rig.cli("group", "add", "--name", "Home")
    group_id = json.loads(said[said.index("{") :])["group_id"]
    assert "added to group successfully" in rig.cli(
        "group", "add-nodes", "--group-id", group_id, "--nodes", "node-1"
    )
    assert f"1. Home (ID: {group_id})" in rig.cli("group", "list")
    assert "1. node-1" in rig.cli("group", "list-nodes", "--group-id", group_id)


def test_other_peoples_node(rig: Rig) -> None:
    rig.cli.use_token(rig.cloud.rainmaker.accounts.log_in(USER))
    rig.cloud.rainmaker.mapping.add("somebody", "node-1")
    assert "not authorized" in rig.cli("getparams", "node-1")
    said = rig.cli("setparams", "node-1", "--data", '{"Lamp": {"Power": true}}')
    assert "not authorized" in said, said
    assert rig.node.written.empty()
    said = rig.cli("removenode", "node-1")
    assert "Failure (105003):  User is not authorized" in said, said
    assert "successfully" not in said
    assert rig.cloud.rainmaker.mapping.all == {("somebody", "node-1")}
