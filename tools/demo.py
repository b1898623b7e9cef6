"""`homing demo`: the whole story on a simulated board, and the proof that each stage happened.

The phone is PyPI's `esp-protocomm`, unmodified, on `bleak`; the clouds are the local ones; the
board runs the project's own files on the real MicroPython.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import threading
import time
from typing import Any

import click
import segno
from esp_protocomm.ble import BleTransport
from esp_protocomm.ble import TransportError as ProtocommError
from esp_protocomm.security1 import Security1, SecurityError
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiError, WifiState, provision_wifi
from rich.console import Console
from rich.markup import escape

from tools.cloud.app import session_for
from tools.harness import reset
from tools.harness.board import Board, BoardError
from tools.provision import binding
from tools.provision.flow import Apps, log_in
from tools.sim.scene import USER, Scene

_SPEED = 4.0  # Wi-Fi and crypto take the time they take on the chip, this much faster
_HEAP = "400K"
_WAIT_S = 30.0
_SCAN_S = 3.0
_QUIET = re.compile(r"\s*(QR|link): |ESP-ROM|rst:")


class StageFailed(Exception):
    """Something that the demo shows did not happen."""


def _need(condition: object, text: str) -> None:
    if not condition:
        raise StageFailed(text)


class Story:
    """Prints what happens as it happens."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._start = self._last = time.monotonic()
        self._lock = threading.Lock()

    def stage(self, text: str) -> None:
        now = time.monotonic()
        took, self._last = now - self._last, now
        with self._lock:
            self.console.print(
                f"[green]✓[/] {escape(text)}  [dim]+{took:.2f} s[/]  "
                f"[dim]({now - self._start:.1f} s)[/]"
            )

    def show_qr(self, payload: str) -> None:
        with self._lock:
            self.console.print("\nWhat ESP BLE Prov or RainMaker Home would scan on a real board:")
            segno.make(payload, error="l").terminal(compact=True, border=2)

    def serial(self, line: str) -> None:
        if line.strip() and not _QUIET.match(line):
            with self._lock:
                self.console.print(f"    [cyan]board ▏[/][dim]{escape(line)}[/]")

    def fail(self, text: str) -> None:
        with self._lock:
            self.console.print(f"[bold red]✗ {escape(text)}[/]")

    def follow(self, board: Board, stop: threading.Event) -> None:
        shown = 0
        while True:
            ending = stop.is_set()
            end = board.log.rfind("\n") + 1
            for line in board.log[shown:end].splitlines():
                self.serial(line)
            shown = end
            if ending:
                return
            time.sleep(0.05)


async def _phone(story: Story, scene: Scene, name: str, pop: str, apps: Apps) -> str:
    """What the app does; returns the shared link id."""
    async with BleTransport(scan_timeout=_SCAN_S) as transport:
        await transport.connect(name)
        story.stage(f"phone: found {name}, endpoints {', '.join(sorted(transport.endpoints))}")
        security = await establish_session(transport, Security1(pop))
        story.stage("phone: session secured with the proof of possession (Security 1)")

        async def ask(endpoint: str, data: bytes) -> bytes:
            return security.decrypt(await transport.send(endpoint, security.encrypt(data)))

        link_id = binding.read_link_id(await ask("cloud_link", binding.LINK_REQUEST))
        secret = secrets.token_urlsafe(16)
        for fragment in binding.fragments(secret, apps.rainmaker.token, "add"):
            binding.check(await ask("cloud_bind", fragment))
        story.stage("phone: link id read, token and secret handed over (held by the board)")
        status = await provision_wifi(transport, security, scene.ssid, scene.password)
        _need(status.state is WifiState.CONNECTED, f"Wi-Fi: {status.describe()}")
        story.stage(f"phone: the board has joined “{scene.ssid}”")
        return link_id


async def _link(apps: Apps, link_id: str) -> list[str]:
    for _ in range(20):
        if (await apps.thethings.link_id(link_id))["message"] == "linked":
            return await apps.thethings.things()
        await asyncio.sleep(1)
    return []


async def _mapped(apps: Apps) -> list[str]:
    for _ in range(30):
        if nodes := await apps.rainmaker.nodes():
            return nodes
        await asyncio.sleep(1)
    return []


def _memory(fields: dict[str, Any]) -> str:
    return (
        f"{fields['gc_free'] // 1024} KB of a {_HEAP} MicroPython heap (64-bit: objects take twice "
        f"the chip's room), {fields['idf_largest'] // 1024} KB in one piece of the IDF heap (model)"
    )


def tell(story: Story) -> None:
    """Run the demo; exits with status 1 at the first thing that did not happen."""
    with Scene(_SPEED) as scene:
        sim = scene.new_board("demo", cloud=True, heap=_HEAP)
        board = Board(sim.port, [reset.Own(sim.reset)])
        board.open()
        stop = threading.Event()
        follower = threading.Thread(target=story.follow, args=(board, stop), daemon=True)
        try:
            sim.power_on()
            follower.start()
            _stages(story, scene, board)
            _need(not sim.violations, f"a BLE handler broke the rules: {sim.violations}")
        except (StageFailed, BoardError, ProtocommError, WifiError, SecurityError) as error:
            story.fail(str(error).splitlines()[0])
            sys.exit(1)
        finally:
            stop.set()
            if follower.ident:
                follower.join(timeout=2)
            board.close()


def _stages(story: Story, scene: Scene, board: Board) -> None:
    board.wait("boot", _WAIT_S)
    name = board.wait_state("unprovisioned", _WAIT_S)["name"]
    payload = board.wait_text(r"QR: (\{.*\})", _WAIT_S)[1]
    pop = board.wait_text(r"proof of possession: (\S+)", _WAIT_S)[1]
    story.show_qr(payload)
    board.wait_state("advertising", _WAIT_S)
    story.stage(f"board: booted, drew its proof of possession, advertises as {name}")

    async def app() -> None:
        async with session_for(scene.cloud.port, scene.cloud.ca_pem) as session:
            apps = await log_in(session, USER, scene.user_password)
            link_id = await _phone(story, scene, name, pop, apps)
            things = await _link(apps, link_id)
            _need(len(things) == 1, "thethings.io does not list the thing")
            story.stage(f"cloud: thethings.io lists thing {things[0]} as this user's")
            nodes = await _mapped(apps)
            _need(nodes == ["node-demo"], f"RainMaker lists {nodes}, not the board's node")
            story.stage(f"cloud: RainMaker lists node {nodes[0]} (its MQTT report is a stand-in's)")

    phone = scene.new_phone()
    with phone.as_bleak():
        scene.world.run(app())
    board.wait_state("ble-off", _WAIT_S)
    online = board.wait_state("online", _WAIT_S)
    board.wait_state("clock", _WAIT_S)
    for cloud, wanted in (("thethings", "linked"), ("rainmaker", "confirmed")):
        seen = [s for s in board.states() if s["state"] == "cloud" and s["cloud"] == cloud]
        if not any(s["is"] == wanted for s in seen):
            board.wait_state("cloud", _WAIT_S, cloud=cloud, **{"is": wanted})
    story.stage("board: says itself that it is linked and mapped")
    _need(len(scene.cloud.thethings.history) == 1, "linked more than once")
    _need(len(scene.cloud.rainmaker.history) == 1, "mapped more than once")
    board.reset()
    board.wait("boot", _WAIT_S)
    board.wait_state("online", _WAIT_S)
    story.stage("board: after a reset it is online again by itself")
    story.console.print(f"\nMemory left while online: {_memory(online)}")


@click.command(name="demo")
def command() -> None:
    """Provision a simulated board over BLE, join, link and map it; fails if any stage did not
    really happen."""
    story = Story()
    began = time.monotonic()
    tell(story)
    story.console.print(f"\n[bold green]All of it happened[/] in {time.monotonic() - began:.0f} s.")
