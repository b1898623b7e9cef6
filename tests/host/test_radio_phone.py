"""The phone as others see it: bleak, PyPI's esp-protocomm as it is, other threads and programs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import bleak
import pytest
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from esp_protocomm.ble import BleTransport
from esp_protocomm.security1 import Security1, SecurityError
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiState, provision_wifi
from radio_rig import ROOT, on_loop, radio

from tools.sim.board import SimBoard
from tools.sim.instrument import preempt
from tools.sim.world import World

SERVE = """
def fail(data):
    raise ValueError
router = Router(prov_session=lambda d: d, proto_ver=lambda d: b"v" * 300, bad=fail)
transport = BleTransport("PROV_a")
transport.start(router)
asyncio.run(transport.run())
"""
SESSION = "021aff51-0382-4aea-bff4-6b3f1c5adfb4"
VERSION = "021aff53-0382-4aea-bff4-6b3f1c5adfb4"
BAD = "021aff54-0382-4aea-bff4-6b3f1c5adfb4"


@on_loop
async def test_bleak_sees_the_board() -> None:
    """Through the real bleak: what is advertised, services, descriptors, MTU, errors, hang-ups."""
    async with radio(SERVE) as (rig, phone):
        with phone.as_bleak():
            found = await bleak.BleakScanner.discover(timeout=0.5, return_adv=True)
            ((device, advertised),) = found.values()
            assert (device.name, device.address) == ("PROV_a", rig.address)
            assert advertised.local_name == "PROV_a"
            assert advertised.service_uuids == ["021a9004-0382-4aea-bff4-6b3f1c5adfb4"]
            assert advertised.manufacturer_data == {
                0x02E5: b"Nova\x00\x01\x00\x80\x01\x00",
            }
            by_name = await bleak.BleakScanner.find_device_by_name("PROV_a", timeout=5)
            assert by_name is not None
            gone = asyncio.Event()
            async with bleak.BleakClient(by_name, lambda _: gone.set()) as client:
                assert client.mtu_size == 517
                names = {}
                for service in client.services:
                    for c in service.characteristics:
                        for d in (d for d in c.descriptors if "2901" in d.uuid[:8]):
                            names[bytes(await client.read_gatt_descriptor(d)).decode()] = c.uuid
                assert names == {"prov-session": SESSION, "proto-ver": VERSION, "bad": BAD}
                await client.write_gatt_char(SESSION, b"hello", response=True)
                assert await client.read_gatt_char(SESSION) == b"hello"
                await client.write_gatt_char(BAD, b"x", response=True)
                with pytest.raises(BleakGATTProtocolError) as failed:
                    await client.read_gatt_char(BAD)
                assert failed.value.code == 0x0E
            await asyncio.wait_for(gone.wait(), 60)
            with pytest.raises(BleakError):
                await client.read_gatt_char(SESSION)
            with pytest.raises(BleakDeviceNotFoundError):
                await bleak.BleakClient("02:00:00:00:00:77", timeout=0.3).connect()
            # The board dies while a client is connected.
            gone.clear()
            await client.connect()
            await rig.kill()
            await asyncio.wait_for(gone.wait(), 60)
            assert not client.is_connected


@on_loop
async def test_esp_protocomm_talks_to_the_transport() -> None:
    """PyPI's transport at MTU 23: finds the endpoints by their descriptions, reads in blobs."""
    async with radio(SERVE, mtu=23) as (_rig, phone):
        with phone.as_bleak():
            transport = BleTransport(scan_timeout=0.5)
            await transport.connect("PROV_a")
            assert transport.endpoints == {
                "prov-session": SESSION,
                "proto-ver": VERSION,
                "bad": BAD,
            }
            assert await transport.send("proto-ver", b"ESP") == b"v" * 300
            assert await transport.send("prov-session", b"x" * 100) == b"x" * 100
            with pytest.raises(BleakGATTProtocolError):
                await transport.send("bad", b"x")
            await transport.disconnect()


@pytest.fixture
def world() -> Iterator[World]:
    with World(speed=10) as world:
        world.add_access_point("home", "secret123")
        yield world


def _board(world: World, seed: int | None = None) -> tuple[SimBoard, str, str]:
    transform = None if seed is None else preempt(seed)
    board = world.new_board(transform=transform)
    board.power_on()
    board.wait_log(r'"state": "advertising"', 30)
    payload = json.loads(board.wait_log(r"QR: (\{.*\})", 10).group(1))
    return board, payload["name"], payload["pop"]


async def _provision(name: str, pop: str, scan_timeout: float = 2.0) -> WifiState:
    transport = BleTransport(scan_timeout=scan_timeout)
    async with transport:
        await transport.connect(name)
        security = await establish_session(transport, Security1(pop))
        status = await provision_wifi(transport, security, "home", "secret123")
        return status.state


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_provisioning_with_somebody_elses_client(world: World, seed: int | None) -> None:
    """Handshake, credentials, join, status; also with events striking inside main's code."""
    board, name, pop = _board(world, seed)
    phone = world.phone()
    with phone.as_bleak():
        assert world.run(_provision(name, pop)) == WifiState.CONNECTED
    board.wait_log(r'"state": "online"', 30)
    board.wait_log(r'"state": "ble-off"', 30)
    assert board.violations == []
    assert "Traceback" not in board.log


def test_wrong_proof_is_an_error_not_a_hang(world: World) -> None:
    """The second round fails at once, and the right proof works on the same connection after."""
    _board_, name, pop = _board(world)
    phone = world.phone()

    async def work() -> None:
        async with BleTransport(scan_timeout=2.0) as transport:
            await transport.connect(name)
            with pytest.raises(SecurityError):
                await establish_session(transport, Security1("wrong"))
            await establish_session(transport, Security1(pop))

    with phone.as_bleak():
        world.run(work())


def test_client_on_a_thread_of_its_own(world: World) -> None:
    """A program with its own event loop, in real time, knows nothing of the world's."""
    board, name, pop = _board(world)
    phone = world.phone()
    with phone.as_bleak():
        assert asyncio.run(_provision(name, pop, scan_timeout=0.5)) == WifiState.CONNECTED
    board.wait_log(r'"state": "online"', 30)


ELSEWHERE = """
import asyncio, sys
from test_radio_phone import _provision
from tools.sim.phone import Phone

async def main(address, name, pop):
    phone = await Phone.over_hci(address)
    with phone.as_bleak():
        print((await _provision(name, pop, scan_timeout=0.5)).name)
    await phone.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_client_in_another_process(world: World) -> None:
    """HCI over TCP: a phone of another program joins the same air."""
    board, name, pop = _board(world)

    async def door() -> int:
        return await world.ether.serve_hci()

    address = f"127.0.0.1:{world.run(door())}"
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, address, name, pop],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'host'}"},
        check=False,
    )
    assert done.stdout.strip() == "CONNECTED", done.stderr + board.log
    board.wait_log(r'"state": "online"', 30)


def test_soft_reset_says_goodbye_power_loss_does_not(world: World) -> None:
    """What a phone sees when a board goes: a clean end, or a timeout."""
    board, name, _pop = _board(world)
    phone = world.phone()

    async def connect():  # noqa: ANN202
        return await phone.connect(await phone.find(name))

    async def reason(link) -> int:  # noqa: ANN001
        return await asyncio.wait_for(asyncio.shield(link.lost), 60)

    link = world.run(connect())
    board.power_off()
    assert world.run(reason(link)) == 0x08
    board.power_on()
    link = world.run(connect())
    start = len(board.log)
    board.write(b"\x03")
    board.wait_log(r">>> ", 10, start)
    board.write(b"\x04")
    assert world.run(reason(link)) == 0x13
    world.run(connect())
