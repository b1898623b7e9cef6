"""The library form inside a program with a loop, tasks and a way to join of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from bleak import BleakScanner
from esp_protocomm.wifi import WifiState

from tools.harness.bench import POP, SimBench
from tools.harness.dialogue import CTRL, WRONG_PASSWORD, Dialogue, Status

NAME = "EMF_badge"
REPROV = bytes.fromhex("08036a00")

# A badge: its scheduler runs other things, it joins networks itself, and it draws what happens.
BADGE = f"""
import asyncio
import sys
import time
import bluetooth
import network
import homing

NAME, POP = {NAME!r}, {POP!r}
beats = 0
seen = set()

async def heart():
    global beats
    while True:
        beats += 1
        await asyncio.sleep_ms(100)

async def join(ssid, password):
    wlan = network.WLAN(network.WLAN.IF_STA)
    wlan.active(True)
    wlan.config(reconnects=0)
    wlan.connect(ssid, password)
    for _ in range(80):
        await asyncio.sleep_ms(100)
        if wlan.isconnected():
            return wlan.ifconfig()[0]
    return None

async def serve(endpoints=(), **options):
    p = homing.Provisioner(NAME, pop=POP, **options)
    for name, how in endpoints:
        p.endpoint(name, **how)
    async with p:
        async for event in p:
            print("event", event.kind, beats)
            seen.add(event.kind)
            if event.kind == "data":
                print("got", event.endpoint, event.data)
            if event.kind == "credentials":
                ip = await join(event.ssid, event.password)
                await p.report(ip, channel=6)

def run(main):
    async def all():
        heart_task = asyncio.create_task(heart())
        await main()
        count = beats
        await asyncio.sleep_ms(500)
        print("heart", "beats" if beats > count else "stopped")
        print("ble", bluetooth.BLE().active())
        print("finished")
    asyncio.run(all())
"""


def badge(main: str) -> pytest.MarkDecorator:
    return pytest.mark.sim(identity={}, files={"main.py": BADGE + main})


def wait_event(lab: SimBench, kind: str, start: int = 0) -> int:
    """The beats of the badge's own task when the event came."""
    return int(lab.board.wait_text(rf"event {kind} (\d+)", start=start)[1])


def talk(lab: SimBench, work: Callable[[Dialogue], Coroutine[Any, Any, Status]]) -> Status:
    wait_event(lab, "advertising", max(0, lab.board.log.rfind("event done")))
    return lab.talk(work, POP, NAME)


def provision(lab: SimBench) -> Status:
    return talk(lab, lambda d: d.provision(lab.ssid, lab.password))


def assert_left_nothing(lab: SimBench) -> None:
    lab.board.wait_text("finished")
    assert "heart beats" in lab.board.log
    assert "ble False" in lab.board.log
    assert "ble" not in lab.sim.radios
    assert "Traceback" not in lab.board.log
    # An image is only written to by the board: no file, no directory, not even a time stamp.
    assert lab.sim.flash_ops.total == 0


@badge("run(serve)")
def test_inside_a_foreign_program(lab: SimBench) -> None:
    async def work(d: Dialogue) -> Status:
        assert await d.provision(lab.ssid, "wrong horse") == WRONG_PASSWORD
        return await d.provision(lab.ssid, lab.password)

    status = talk(lab, work)
    assert (status.state, status.ip) == (WifiState.CONNECTED, lab.sim.station.ip)
    assert_left_nothing(lab)
    assert lab.sim.station.connected  # what the badge joined stays joined
    seen = re.findall(r"event (\w+) (\d+)", lab.board.log)
    kinds = [kind for kind, _beats in seen if kind != "gone"]
    assert kinds == ["advertising", "client", "secured", "credentials", "credentials", "done"]
    # The badge's own task ran all the while: before the client came, while it joined, and after.
    beats = [int(count) for kind, count in seen if kind != "gone"]
    assert beats[3] > beats[1] and beats[4] > beats[3] + 10 and beats[5] > beats[4] + 10


@badge("""
async def two():
    await serve(keep_ms=100)
    await serve(keep_ms=100)
run(two)
""")
def test_twice_in_one_boot(lab: SimBench) -> None:
    assert provision(lab).state is WifiState.CONNECTED
    lab.board.wait_text("event done")
    assert provision(lab).state is WifiState.CONNECTED
    assert_left_nothing(lab)
    assert lab.board.log.count("event done") == 2


@badge("""
async def impatient():
    for kind in ("secured", "credentials"):
        seen.clear()
        task = asyncio.create_task(serve())
        while kind not in seen:
            await asyncio.sleep_ms(50)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled, ble", bluetooth.BLE().active())
    await serve()
run(impatient)
""")
def test_cancelled_in_the_middle(lab: SimBench) -> None:
    """With a client on the line, and once with a join under way; then the service works again."""
    for ended in (1, 2):
        lab.board.wait_text("(?s:.*event advertising)" * ended)
        dialogue = lab.dialogue(NAME)

        async def work(d: Dialogue = dialogue, ended: int = ended) -> None:
            await d.open()
            await d.secure(POP)
            if ended == 2:
                assert await d.set(lab.ssid.encode(), b"wrong horse") == 0
                assert await d.apply() == 0

        lab.run(work())
        lab.board.wait_text("(?s:.*cancelled, ble False)" * ended)
    lab.board.wait_text("(?s:.*event advertising)" * 3)
    assert lab.talk(lambda d: d.provision(lab.ssid, lab.password), POP, NAME).ip
    assert_left_nothing(lab)


@badge("""
async def with_endpoints():
    def keep(data):
        print("kept", data)  # in main: it may print
        if data == b"bad":
            raise ValueError(data)
    def echo(data):
        return bytes(reversed(data))
    await serve([("custom-data", {"on_data": keep}), ("echo", {"reply": echo})])
run(with_endpoints)
""")
def test_own_endpoints(lab: SimBench) -> None:
    """on_data may do anything, later; reply answers at once. Both only inside a session."""

    async def work(d: Dialogue) -> Status:
        assert await d.ask("custom-data", b"hello") == b"ok"
        assert await d.ask("echo", b"drawer") == b"reward"
        assert await d.ask("custom-data", b"bad") == b"ok"
        assert await d.ask("echo", b"x" * 512) == b"x" * 512
        status = await d.provision(lab.ssid, lab.password)
        # Joined, and the client knows: both kinds go on until the service stops.
        assert await d.ask("echo", b"drawer") == b"reward"
        assert await d.ask("custom-data", b"and more") == b"ok"
        return status

    async def unsecured() -> bytes | None:
        async with lab.dialogue(NAME) as d:
            assert d.transport.endpoints["custom-data"].startswith("021aff54")
            assert d.transport.endpoints["echo"].startswith("021aff55")
            assert await d.send("custom-data", b"hello") is None
            return await d.send("echo", b"hello")

    wait_event(lab, "advertising")
    assert lab.run(unsecured()) is None
    assert lab.talk(work, POP, NAME).state is WifiState.CONNECTED
    lab.board.wait_text("finished")
    log = lab.board.log
    assert log.count("kept") == 3 and "kept b'hello'" in log and "got custom-data b'hello'" in log
    assert "kept b'and more'" in log[log.index("event credentials") :]
    assert "ValueError" in log  # told on the console, and the service went on
    assert lab.sim.flash_ops.total == 0


@badge("""
async def until_told():
    told = asyncio.Event()
    task = asyncio.create_task(
        serve([("stop", {"on_data": lambda data: told.set()})], auto_stop=False))
    await told.wait()
    await asyncio.sleep(5)  # the client reads the answer
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
run(until_told)
""")
def test_provisioned_again_in_one_session(lab: SimBench) -> None:
    """auto_stop=False: the service stays, and a client may hand over another network."""
    other = lab.world.add_access_point("other", "another horse")

    async def first(d: Dialogue) -> Status:
        assert await d.ask(CTRL, REPROV) == bytes.fromhex("08047200")  # to be sure: nothing yet
        return await d.provision(lab.ssid, lab.password)

    async def then(d: Dialogue) -> Status:
        assert (await d.status()).state is WifiState.CONNECTED  # by a client that came back
        assert await d.ask(CTRL, REPROV) == bytes.fromhex("08047200")
        assert (await d.status()).state is WifiState.CONNECTING
        assert await d.provision("other", "wrong horse") == WRONG_PASSWORD
        assert await d.reset() == 0
        status = await d.provision("other", "another horse")
        assert await d.ask("stop", b"now") == b"ok"
        return status

    assert talk(lab, first).state is WifiState.CONNECTED
    lab.world.advance(seconds=3600)  # no limit counts once it has joined
    assert talk(lab, then).ssid == b"other"
    assert_left_nothing(lab)
    assert other.attempts
    kinds = re.findall(r"event (\w+)", lab.board.log)
    assert "done" not in kinds and "stopped" not in kinds and kinds.count("reset") == 3


@badge("""
def sleeps(data):
    time.sleep_ms(10)
    return data
def prints(data):
    print(data)
    return data
def opens(data):
    open("/boot.py").close()
    return data
def scans(data):
    network.WLAN(network.WLAN.IF_STA).scan()
    return data
async def with_endpoints():
    await serve([(f.__name__, {"reply": f}) for f in (sleeps, prints, opens)]
                + [("looks", {"reply": scans})])
run(with_endpoints)
""")
def test_forbidden_in_a_reply(lab: SimBench) -> None:
    """What would bring the chip down is refused and reported; the service goes on."""

    async def work(d: Dialogue) -> Status:
        for endpoint in ("sleeps", "prints", "opens", "looks"):
            assert await d.refused(endpoint, b"hello"), endpoint
        return await d.provision(lab.ssid, lab.password)

    assert talk(lab, work).state is WifiState.CONNECTED
    assert lab.sim.violations == ["time.sleep_ms", "print", "open", "WLAN.scan"]
    lab.sim.violations.clear()  # they were asked for
    assert_left_nothing(lab)


@badge("""
async def silent():
    p = homing.Provisioner(NAME, pop=POP, scan=None, manufacturer=None, unread_ms=2000)
    async with p:
        print("event up", beats)
        await asyncio.sleep_ms(3000)
    print("wlan", network.WLAN(network.WLAN.IF_STA).active())
run(silent)
""")
def test_without_networks_and_without_iterating(lab: SimBench) -> None:
    """Given scan=None it leaves Wi-Fi alone; leaving the block ends it without any client."""
    wait_event(lab, "up")

    async def look() -> list[dict[int, bytes]]:
        found = await BleakScanner.discover(timeout=1, return_adv=True)
        return [heard.manufacturer_data for _device, heard in found.values()]

    assert lab.run(look()) == [{}]
    assert_left_nothing(lab)
    assert "wlan False" in lab.board.log
    assert lab.sim.station.calls == []
