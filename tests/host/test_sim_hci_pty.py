"""The controller behind a tty: a host stack of somebody else's drives it, phones meet it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bumble import gatt, hci
from bumble.core import AdvertisingData
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport.serial import open_serial_transport
from radio_rig import SIM, on_loop

from tools.sim import image
from tools.sim.channel import Channel
from tools.sim.ether import SUPERVISION_TIMEOUT_S, Ether
from tools.sim.hci_pty import HciBridge, HciPty
from tools.sim.phone import Link, LinkLost, Phone

ADDRESS = "02:00:00:00:00:01"
DEADLINE_S = 20.0
LONG = bytes(range(256)) * 2


@contextlib.asynccontextmanager
async def board(line: HciPty, name: str = "PROV_a") -> AsyncIterator[Device]:
    """A peripheral whose host is Bumble's, and whose only way to the controller is the tty."""
    transport = await open_serial_transport(line.tty)
    host = Host(transport.source, transport.sink)
    config = DeviceConfiguration(name=name, address=hci.Address("F0:00:00:00:00:09"))
    device = Device(config=config, host=host)
    value = gatt.Characteristic(
        "1234",
        gatt.Characteristic.Properties.READ | gatt.Characteristic.Properties.WRITE,
        gatt.Characteristic.READABLE | gatt.Characteristic.WRITEABLE,
        LONG,
    )
    device.add_service(gatt.Service("ABCD", [value]))
    device.advertising_data = bytes(
        AdvertisingData([(AdvertisingData.COMPLETE_LOCAL_NAME, name.encode())])
    )
    await device.power_on()
    try:
        yield device
    finally:
        await transport.close()


@contextlib.asynccontextmanager
async def air() -> AsyncIterator[tuple[Ether, HciPty, Phone]]:
    ether = Ether()
    line = HciPty(ether, ADDRESS)
    phone = await Phone.on_ether(ether)
    try:
        yield ether, line, phone
    finally:
        line.close()
        await ether.close()


@on_loop
async def test_found_and_connected_through_the_tty() -> None:
    """Advertising, connecting, long values both ways, hanging up."""
    async with air() as (_ether, line, phone), board(line) as device:
        gone = asyncio.Event()
        device.on("connection", lambda c: c.on("disconnection", lambda _: gone.set()))
        await device.start_advertising(auto_restart=False)
        link = await phone.connect(await phone.find("PROV_a", DEADLINE_S))
        handle = link.characteristic("1234").handle
        assert await link.read(handle) == LONG
        data = os.urandom(512)
        await link.write(handle, data)
        assert await link.read(handle) == data
        assert line.busy
        await link.disconnect()
        await asyncio.wait_for(gone.wait(), DEADLINE_S)


@on_loop
async def test_hung_up_on_before_anybody_could_listen() -> None:
    """A board that sends a phone away at once: an error, not a wait for ever."""
    async with air() as (_ether, line, phone), board(line) as device:
        await device.start_advertising(auto_restart=False)
        link = await phone.connect(await phone.find("PROV_a", DEADLINE_S))
        await link.disconnect()
        late = Link(phone, link.connection)
        with pytest.raises(LinkLost):
            await asyncio.wait_for(late.read(1), DEADLINE_S)
        await asyncio.wait_for(late.disconnect(), DEADLINE_S)


@on_loop
async def test_reset_makes_a_fresh_controller() -> None:
    """What Bumble's own does not do: advertising stops, connections are lost, ids start anew."""
    async with air() as (_ether, line, phone):
        async with board(line) as device:
            await device.start_advertising(auto_restart=False)
            link = await phone.connect(await phone.find("PROV_a", DEADLINE_S))
            before = line.controller
            await device.host.reset()
            assert line.controller is not before
            assert await asyncio.wait_for(link.lost, DEADLINE_S) == 0x08  # supervision timeout
        async with board(line, "PROV_b") as device:
            await device.start_advertising(auto_restart=False)
            link = await phone.connect(await phone.find("PROV_b", DEADLINE_S))
            assert await link.read(link.characteristic("1234").handle) == LONG


@on_loop
async def test_a_host_that_died_in_the_middle_of_a_packet() -> None:
    """Its half of a packet, or what is none at all, does not keep the next host out."""
    async with air() as (_ether, line, phone):
        for rubbish in (b"\x01\x03", b"\xff\xff\xff", b"\x02\x01\x00\xff\x00half"):
            fd = os.open(line.tty, os.O_RDWR | os.O_NOCTTY)
            os.write(fd, rubbish)
            os.close(fd)
            while not line.busy:  # it has been read
                await asyncio.sleep(0)
            name = f"PROV_{rubbish[0]}"
            async with asyncio.timeout(DEADLINE_S), board(line, name) as device:
                await device.start_advertising(auto_restart=False)
                await phone.find(name, DEADLINE_S)
            while line.busy:
                await asyncio.sleep(0)


@on_loop
async def test_a_slow_host_loses_nothing() -> None:
    """More than a tty holds, sent before the host reads for the first time, arrives in order."""
    async with air() as (_ether, line, _phone):
        fd = os.open(line.tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        packets = [bytes((4, 0xFF, 2)) + i.to_bytes(2, "big") for i in range(5000)]
        for packet in packets:
            line.send(packet)
        got = bytearray()
        async with asyncio.timeout(DEADLINE_S):
            while len(got) < 5 * len(packets):
                with contextlib.suppress(BlockingIOError):
                    got += os.read(fd, 777)
                await asyncio.sleep(0)
        os.close(fd)
        assert bytes(got) == b"".join(packets)


@pytest.mark.parametrize("goodbye", [True, False])
@on_loop
async def test_soft_reset_says_goodbye_power_loss_does_not(goodbye: bool) -> None:
    """As for a board whose host stack is the world's."""
    ether = Ether()
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    bridge = HciBridge(ether, channel, ADDRESS)
    phone = await Phone.on_ether(ether)
    async with board(bridge.line) as device:
        assert not bridge.advertising
        await device.start_advertising(auto_restart=False)
        assert bridge.advertising and not bridge.connected
        link = await phone.connect(await phone.find("PROV_a", DEADLINE_S))
        assert bridge.connected and not bridge.advertising
        start = asyncio.get_running_loop().time()
        if goodbye:
            bridge.stop()
        else:
            bridge.power_lost()
        reason = await asyncio.wait_for(link.lost, DEADLINE_S)
        waited_s = asyncio.get_running_loop().time() - start
    assert reason == (0x13 if goodbye else 0x08)
    assert (waited_s >= SUPERVISION_TIMEOUT_S) is not goodbye
    assert not bridge.connected and not bridge.advertising
    channel.close()
    theirs.close()
    await ether.close()


# -- the board's side of it, with a stack that does nothing ------------------------------------

STACK = """
FLAG_READ = 2
class UUID: pass
class BLE:
    on = False
    def active(self, on=None):
        if on is not None:
            BLE.on = bool(on)
        return BLE.on
    def irq(self, handler):
        BLE.handler = handler
"""
PROGRAM = """
import sys, idle_stack
sys.modules["ubluetooth"] = idle_stack
import bluetooth, ubluetooth, uos, _world, time
def handler(event, data):
    assert _world.in_handler == 1
    try:
        time.sleep_ms(1)
    except RuntimeError as e:
        return str(e)
ble = bluetooth.BLE()
assert bluetooth.BLE() is ble and bluetooth.UUID is ubluetooth.UUID and bluetooth.FLAG_READ == 2
assert uos.getenv("MICROPYBTUART") is None and not ble.active()
assert ble.active(True) and _world.slice_ms > 0 and _world.radios == {"ble"}
ble.irq(handler)
_world.notify("said", uos.getenv("MICROPYBTUART"), ubluetooth.BLE.handler(3, (1, 2)))
assert _world.in_handler == 0
def bad(event, data):
    raise ValueError
ble.irq(bad)
try:
    ubluetooth.BLE.handler(3, ())
    raise AssertionError
except ValueError:
    assert _world.in_handler == 0  # what escapes is the stack's business, and it is counted out
ble.irq(None)
assert ubluetooth.BLE.handler is None
assert not ble.active(False) and _world.slice_ms < 0 and not _world.radios
_world.call("over")
"""


@on_loop
async def test_handlers_of_the_own_stack_obey_the_rules(tmp_path: Path) -> None:
    """The module adds three things: the tty, the radio's state, and the rules for handlers."""
    (tmp_path / "idle_stack.py").write_text(STACK)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = Channel(ours)
    over = asyncio.Event()
    heard: list[Any] = []
    channel.register("said", lambda *a: heard.append(a))
    channel.register("violation", lambda what: heard.append(what))
    channel.register("radio", lambda name, on: heard.append((name, on)))
    channel.register("ble.uart", lambda: "/dev/of the world")
    channel.register("ble.off", lambda: heard.append("off"))
    channel.register("over", over.set)
    path = (tmp_path, SIM / "shims" / "hci", SIM / "shims", ".frozen")
    env = {
        "MICROPYPATH": ":".join(map(str, path)),
        "HOMING_SIM_FD": str(theirs.fileno()),
        "HOMING_SIM_CONFIG": json.dumps({}),
    }
    process = await asyncio.create_subprocess_exec(
        *image.interpreter(), "-c", PROGRAM, env=env, pass_fds=(theirs.fileno(),)
    )
    theirs.close()
    try:
        await asyncio.wait_for(over.wait(), DEADLINE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        channel.close()
    forbidden = "time.sleep_ms"
    assert heard == [
        ("ble", True),
        forbidden,
        ("/dev/of the world", f"{forbidden} inside a BLE handler"),
        "off",
        ("ble", False),
    ]


@pytest.mark.parametrize("has", [True, False])
def test_an_interpreter_is_asked_once(has: bool, tmp_path: Path) -> None:
    """Whether it has a host stack decides which bluetooth module its boards get."""
    script = tmp_path / "micropython"
    script.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/asked\nexit {0 if has else 1}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    shims = image.shim_dir([str(script)])
    for _ in range(3):
        assert image.has_bluetooth([str(script)]) is has
    assert (tmp_path / "asked").read_text().splitlines() == ["import bluetooth; bluetooth.BLE"]
    code = (shims / "bluetooth.mpy").read_bytes()
    assert (b"MICROPYBTUART" in code) is has
