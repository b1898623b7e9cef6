"""`homing demo`: the whole story on a simulated board, and the proof that each stage happened.

The phone is PyPI's `esp-protocomm`, unmodified, on `bleak`; the clouds are the local ones, with a
real MQTT broker (mosquitto); the board runs the project's own files on the real MicroPython.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from typing import Any

import click
import segno
from esp_protocomm.ble import BleTransport
from esp_protocomm.ble import TransportError as ProtocommError
from esp_protocomm.security1 import SecurityError
from esp_protocomm.wifi import WifiError, WifiState
from rich.console import Console
from rich.markup import escape

from tools.cloud.app import AppError, session_for
from tools.cloud.broker import BrokerError
from tools.harness import reset
from tools.harness.board import Board, BoardError
from tools.provision import mapping, setup
from tools.provision.client import Client, ProvisionError, failure_text
from tools.provision.flow import Apps, log_in
from tools.provision.stages import CONFIRMING, SENDING, Stages
from tools.sim.scene import USER, Scene

_SPEED = 4.0  # Wi-Fi and crypto take the time they take on the chip, this much faster
_HEAP = "400K"
_WAIT_S = 30.0
_SCAN_S = 3.0
_ZONE = "Europe/Berlin"
_MAIN = """\
import homing
from homing.devices import Switch


def switched(param, value):
    print("the lamp is", "on" if value else "off")


homing.run(devices=[Switch("Lamp", on_write=switched)])
"""
_QUIET = re.compile(r"\s*(QR|link): |ESP-ROM|rst:")


class StageFailed(Exception):
    """Something that the demo shows did not happen."""


_FAILURES = (
    StageFailed,
    BoardError,
    AppError,
    ProvisionError,
    ProtocommError,
    WifiError,
    SecurityError,
)


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


class _Shown:
    """What the app's stages say, as lines of the story."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._stage = ""

    def stage(self, text: str) -> None:
        self._stage = text

    def outcome(self, good: bool, text: str) -> None:
        if good:
            self._story.stage(f"app: {self._stage}: {text}")


async def _phone(
    story: Story, scene: Scene, name: str, pop: str, apps: Apps, stages: Stages
) -> tuple[str, mapping.Way]:
    """What the app does while it is connected; returns the shared link id, and how it maps."""
    async with BleTransport(scan_timeout=_SCAN_S) as transport:
        await transport.connect(name)
        story.stage(f"phone: found {name}, endpoints {', '.join(sorted(transport.endpoints))}")
        client = Client(transport)
        version = await client.version()
        await client.secure(pop)
        story.stage("phone: session secured with the proof of possession (Security 1)")
        link_id = await client.link_id()
        way = mapping.choose(version, transport.endpoints, apps.rainmaker)
        assert way is not None
        await way.hand_over(client, stages)
        story.stage("phone: link id read, the board knows who its user is")
        with stages.stage(SENDING):
            await client.set_network(scene.ssid.encode(), scene.password.encode())
            stages.done("the board has them")
        with stages.stage(CONFIRMING):
            status = await client.wait_joined()
            _need(status.state is WifiState.CONNECTED, f"Wi-Fi: {failure_text(status)}")
            stages.done(f"the board has joined “{scene.ssid}”")
        return link_id, way


async def _link(apps: Apps, link_id: str) -> list[str]:
    for _ in range(20):
        if (await apps.thethings.link_id(link_id))["message"] == "linked":
            return await apps.thethings.things()
        await asyncio.sleep(1)
    return []


async def _switch(story: Story, apps: Apps, node_id: str, board: Board) -> None:
    """The lamp, from the account: on, and off again."""
    for value, word in ((True, "on"), (False, "off")):
        await apps.rainmaker.set_params(node_id, {"Lamp": {"Power": value}})
        for _ in range(100):
            if (await apps.rainmaker.params(node_id))["Lamp"]["Power"] is value:
                break
            await asyncio.sleep(0.2)
        else:
            raise StageFailed(f"the node has not reported that the lamp is {word}")
        _need(f"the lamp is {word}" in board.log, f"the lamp on the board is not {word}")
        story.stage(f"cloud: switched the lamp {word}; the board did it, and reports it")


def _memory(fields: dict[str, Any]) -> str:
    return (
        f"{fields['gc_free'] // 1024} KB of a {_HEAP} MicroPython heap (64-bit: objects take twice "
        f"the chip's room), {fields['idf_largest'] // 1024} KB in one piece of the IDF heap (model)"
    )


def tell(story: Story) -> None:
    """Run the demo; exits with status 1 at the first thing that did not happen."""
    with Scene(_SPEED) as scene:
        try:
            files = {"main.py": _MAIN}
            sim = scene.new_board("demo", cloud=True, node="rsa", files=files, heap=_HEAP)
        except BrokerError as error:
            story.fail(str(error))
            sys.exit(1)
        board = Board(sim.port, [reset.Own(sim.reset)])
        board.open()
        stop = threading.Event()
        follower = threading.Thread(target=story.follow, args=(board, stop), daemon=True)
        try:
            sim.power_on()
            follower.start()
            _stages(story, scene, board)
            _need(not sim.violations, f"a BLE handler broke the rules: {sim.violations}")
        except _FAILURES as error:
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
            stages = Stages(_Shown(story))
            link_id, way = await _phone(story, scene, name, pop, apps, stages)
            things = await _link(apps, link_id)
            _need(len(things) == 1, "thethings.io does not list the thing")
            story.stage(f"cloud: thethings.io lists thing {things[0]} as this user's")
            node_id = await way.finish(stages)
            nodes = await apps.rainmaker.nodes()
            _need(nodes == ["node-demo"], f"RainMaker lists {nodes}, not the board's node")
            story.stage(f"cloud: RainMaker lists node {node_id}, which said so itself over MQTT")
            await setup.set_up(apps.rainmaker, node_id, _ZONE, stages)
            await _switch(story, apps, node_id, board)

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
    _need(len(scene.cloud.rainmaker.mapping.history) == 1, "mapped more than once")
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
