"""The main job, by a client that is not ours: found over BLE, secured, joined, online."""

from __future__ import annotations

import json

from esp_protocomm.wifi import WifiState

from tools.harness.bench import Bench, SimBench


def test_provision_and_come_online(bench: Bench) -> None:
    bench.board.wait_state("advertising")
    status = bench.provision()
    assert status.state is WifiState.CONNECTED
    bench.board.wait_state("saved")
    bench.board.wait_state("provisioned", told=True)
    bench.board.wait_state("ble-off")
    bench.board.wait_state("online")
    bench.board.wait_state("running")


def test_order_of_events(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    lab.provision()
    lab.board.wait_state("cloud", cloud="thethings", **{"is": "waiting"})
    order = [s["state"] for s in lab.board.states()]
    wanted = ["unprovisioned", "advertising", "secured", "joining", "saved", "provisioned"]
    wanted += ["ble-off", "online", "clock", "cloud"]
    assert [s for s in order if s in wanted] == sorted(
        (s for s in order if s in wanted), key=wanted.index
    )


def test_still_provisioned_after_reset(bench: Bench) -> None:
    bench.board.wait_state("advertising")
    bench.provision()
    bench.board.wait_state("online")
    bench.board.reset()
    bench.board.wait("boot")
    bench.board.wait_state("online")
    after = bench.board.log.rpartition("@boot")[2]
    assert "advertising" not in after
    assert "proof of possession" not in after  # a provisioned board says it no more


def test_qr_payload_on_serial_is_what_apps_read(bench: Bench) -> None:
    bench.board.wait_state("advertising")
    payload = json.loads(bench.board.wait_text(r"QR: (\{.*\})")[1])
    assert payload == {
        "ver": "v1",
        "name": bench.name(),
        "pop": bench.pop(),
        "transport": "ble",
        "security": 1,
    }
