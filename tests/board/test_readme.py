"""README's snippets run on a simulated board."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from esp_protocomm.security1 import Security1
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiState, provision_wifi

from tools.cloud.broker import MISSING, find
from tools.cloud.certs import Authority
from tools.harness.bench import POP, SimBench
from tools.harness.http_phone import HttpTransport
from tools.harness.node_bench import PARAMS, NodeBench
from tools.harness.owner import Owner, link_id_of
from tools.provision.schemes import Security2
from tools.sim.image import image_files

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

# What the library snippet leaves to the product that uses it.
_PRODUCT = """
import asyncio
import network

class Screen:
    def show(self, what):
        print("screen:", what)

class Wifi:
    async def join(self, ssid, password):
        wlan = network.WLAN(network.WLAN.IF_STA)
        wlan.connect(ssid, password)
        while not wlan.isconnected():
            await asyncio.sleep_ms(100)
        return wlan.ifconfig()[0]

print("  name: PROV_badge")
asyncio.run(set_up(Screen(), Wifi()))
print("set up")
"""


def block(part: str) -> str:
    """README's Python block that has `part` in it."""
    (found,) = [text for text in BLOCKS if part in text]
    return found


def test_every_block_is_run_here() -> None:
    known = (
        "led = Pin",
        "lamp(data)",
        "homing.devices",
        "Provisioner",
        "Greenhouse",
        "button=2",
        '"console"',
        "set_identity",
        "softap_password",
        "security=2",
    )
    assert len(BLOCKS) == len({block(part) for part in known})


def test_main() -> None:
    with SimBench(files={"main.py": block("led = Pin")}) as bench:
        bench.board.wait_state("advertising")
        bench.provision()
        bench.board.wait_text(r"I am bench-node-1 at 192\.168\.")
        assert bench.sim.pins_out[8] in (0, 1)


def test_endpoint_of_ones_own() -> None:
    with SimBench(files={"main.py": block("lamp(data)")}) as bench:
        bench.board.wait_state("advertising")
        assert bench.talk(lambda d: d.ask("lamp", b"warm white")) == b"ok"
        bench.board.wait_text("lamp: warm white")


@pytest.mark.skipif(find() is None, reason=MISSING)
def test_a_lamp_in_the_app() -> None:
    with NodeBench(block("homing.devices")) as node:
        for power in (True, False):
            node.cloud.write({"Lamp": {"Power": power}})
            node.until(lambda p=power: node.cloud.of(PARAMS)[-1:] == [{"Lamp": {"Power": p}}])
            assert node.sim.pins_out[8] == power


def test_endpoint_with_a_name_that_breaks_apps() -> None:
    main = block("lamp(data)").replace('"lamp":', '"lamp-config":')
    with SimBench(files={"main.py": main}) as bench:
        bench.board.wait_text("ValueError: .*lamp-config.*config")


def test_library_form() -> None:
    main = block("async with homing.Provisioner")
    with SimBench(identity={}, files={"main.py": main + _PRODUCT}) as bench:
        bench.board.wait_text("screen: advertising")
        assert bench.provision(pop=POP).state is WifiState.CONNECTED
        bench.board.wait_text(r"screen: done[\s\S]*set up")


class _Greenhouse(BaseHTTPRequestHandler):
    """Not now, the first time; then it takes what it gets."""

    got: list[dict[str, str]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append(body)
        self.send_response(503 if len(self.got) == 1 else 201)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def test_another_cloud() -> None:
    host, authority = "greenhouse.example", Authority()
    handler = type("Handler", (_Greenhouse,), {"got": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = authority.server_context((host,)).wrap_socket(server.socket, True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        files = {"main.py": block("Greenhouse"), f"certs/{host}.der": authority.der}
        with SimBench(identity={"pop": POP}, files=files) as bench:
            bench.world.route(host, 443, "127.0.0.1", server.server_port)
            bench.board.wait_state("advertising")
            bench.provision()
            bench.board.wait_state("cloud", cloud="greenhouse", **{"is": "pending"})
            bench.board.wait_state("cloud", cloud="greenhouse", **{"is": "greeted"})
            start = len(bench.board.log)
            bench.board.reset()
            bench.board.wait_text(r'"greenhouse", "is": "greeted"', start=start)
        server.shutdown()
    assert handler.got == [{"hello": "from a board"}] * 2  # not again after the reset


def test_factory_reset_by_a_button() -> None:
    with SimBench(files={"main.py": block("button=2")}) as bench:
        owner = Owner(bench.scene)
        bench.board.wait_state("advertising")
        pop, link_id = bench.pop(), bench.talk(link_id_of)
        bench.provision()
        bench.run(owner.link(link_id))
        bench.board.wait_text('"is": "linked"')
        for hold_s, forgets in ((2.5, False), (11, True)):
            start = len(bench.board.log)
            bench.sim.set_pin(2, 0)
            bench.world.advance(seconds=hold_s)
            assert (3 in bench.sim.pins_out) == forgets
            bench.sim.set_pin(2, None)
            bench.world.advance(seconds=3)
            assert ("factory_reset" in bench.board.log[start:]) == forgets
        bench.board.wait_text('"unprovisioned"', start=start)
        assert bench.board.wait_text(r"possession: (\S+)", start=start)[1] == pop
        files = image_files(bench.sim.flash.image_path)
        assert "nvs/wifi.dat" not in files
        assert b"thing_id" not in files.get("nvs/thethings.dat", b"")
        bench.board.wait_text('"advertising"', start=start)
        assert bench.talk(link_id_of) != link_id


def test_over_a_cable() -> None:
    with SimBench(files={"main.py": block('"console"')}) as bench:
        bench.board.wait_state("advertising")
        bench.board.write(b"proto-ver 0 455350\r")
        text = bench.board.wait_text(r"(?m)^((?:[0-9a-f]{2})+)\r$")[1]
        assert json.loads(bytes.fromhex(text))["prov"]["sec_ver"] == 1
        assert bench.provision().state is WifiState.CONNECTED


def test_proof_of_possession_of_ones_own() -> None:
    main = block("set_identity") + "homing.run()\n"
    with SimBench(identity={}, files={"main.py": main}) as bench:
        bench.board.wait_state("advertising")
        assert bench.provision(pop=POP).state is WifiState.CONNECTED


def test_an_access_point() -> None:
    with SimBench(files={"main.py": block("softap_password")}) as bench:
        bench.board.wait_state("advertising")
        address = bench.sim.soft_ap.join(bench.name(), "at least 8").address()

        async def work() -> WifiState:
            async with HttpTransport(address) as transport:
                security = await establish_session(transport, Security1(POP))
                status = await provision_wifi(transport, security, bench.ssid, bench.password)
                return status.state

        assert bench.run(work()) is WifiState.CONNECTED
        bench.board.wait_state("online")


def test_security_2() -> None:
    with SimBench(files={"main.py": block("security=2")}, native=True) as bench:
        bench.board.wait_state("advertising")
        status = bench.talk(lambda d: d.provision(bench.ssid, bench.password), scheme=Security2)
        assert status.state is WifiState.CONNECTED
