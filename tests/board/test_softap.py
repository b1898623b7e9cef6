"""The way in over an access point of the board's own: whole provisionings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bleak import BleakClient, BleakScanner
from esp_protocomm.security1 import Security1
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import (
    WifiState,
    WifiStatus,
    apply_config,
    get_status,
    provision_wifi,
    set_config,
)

from tools.harness.bench import PASSWORD, POP, SSID, SimBench
from tools.harness.http_phone import HttpTransport, NoAnswer
from tools.sim.soft_ap import SoftApPhone, WrongPassword

AP_PASSWORD = "softap-pw-1"


def main_py(**options: Any) -> dict[str, str]:
    """A main.py whose way in is the access point."""
    options.setdefault("transports", ("softap",))
    return {"main.py": f"import homing\nhoming.run(**{options!r})\n"}


softap = pytest.mark.sim(files=main_py())


def joined(lab: SimBench, password: str = "") -> SoftApPhone:
    lab.board.wait_state("advertising")
    return lab.sim.soft_ap.join(lab.name(), password)


def provision(lab: SimBench, phone: SoftApPhone) -> WifiStatus:
    address = phone.address()

    async def work() -> WifiStatus:
        async with HttpTransport(address) as transport:
            security = await establish_session(transport, Security1(POP))
            return await provision_wifi(transport, security, lab.ssid, lab.password)

    return lab.run(work())


@softap
def test_provisions_over_softap(lab: SimBench) -> None:
    phone = joined(lab)
    assert provision(lab, phone).state is WifiState.CONNECTED
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("ble-off")
    assert not lab.sim.soft_ap.on and not phone.joined
    lab.board.wait_state("online")
    assert "ble" not in lab.sim.radios


# -- the access point ------------------------------------------------------------------------------


@pytest.mark.sim(files=main_py(softap_password=AP_PASSWORD))
def test_the_access_point(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    ap, name = lab.sim.soft_ap, lab.name()
    assert (ap.ssid.decode(), ap.password.decode()) == (name, AP_PASSWORD)
    assert ap.channel == lab.access_point.channel  # so that it need not move when the board joins
    lab.board.wait_text(r'"transport":"softap".*"password":"softap-pw-1"')
    with pytest.raises(WrongPassword):
        ap.join(name, "not the password")
    with pytest.raises(WrongPassword):
        ap.join(name)
    assert provision(lab, ap.join(name, AP_PASSWORD)).state is WifiState.CONNECTED


@pytest.mark.sim(files=main_py(softap_password="short77"))
def test_a_password_too_short_says_so(lab: SimBench) -> None:
    lab.board.wait_text(r"ValueError: the access point's password has 7 bytes; WPA2 takes 8 to 63")
    assert not lab.sim.soft_ap.on
    assert "short77" not in lab.board.log


@pytest.mark.sim(files=main_py(softap_password="p" * 64))
def test_a_password_too_long_says_so(lab: SimBench) -> None:
    lab.board.wait_text(r"ValueError: the access point's password has 64 bytes")


@pytest.mark.sim(files=main_py(transports=("softap", "avian")))
def test_an_unknown_transport_says_so(lab: SimBench) -> None:
    lab.board.wait_text(r"ValueError: no transport 'avian'; there are ble, softap")


@softap
def test_ctrl_c_ends_it_and_it_can_begin_again(lab: SimBench) -> None:
    phone = joined(lab)
    lab.board.to_repl()
    assert not lab.sim.soft_ap.on and not phone.joined
    lab.board.type("import main")
    lab.board.wait_state("advertising")
    assert provision(lab, lab.sim.soft_ap.join(lab.name())).state is WifiState.CONNECTED


# -- a phone that is lost on the way ---------------------------------------------------------------


async def hand_over(transport: HttpTransport) -> Security1:
    security = await establish_session(transport, Security1(POP))
    await set_config(transport, security, SSID, PASSWORD)
    await apply_config(transport, security)
    return security


async def outcome(transport: HttpTransport, security: Security1) -> WifiState:
    for _ in range(20):
        status = await get_status(transport, security)
        if status.settled:
            return status.state
        await asyncio.sleep(1)
    raise TimeoutError


@pytest.mark.sim(power=False, files=main_py())
def test_the_channel_moves_and_the_phone_comes_back(lab: SimBench) -> None:
    """The stronger network was not the one: the access point moves, and the phone loses it."""
    lab.access_point.channel, lab.access_point.rssi = 11, -70
    lab.world.add_access_point("neighbour", "secret123", channel=1, rssi=-40)
    lab.sim.power_on()
    phone = joined(lab)
    lab.sim.soft_ap.drops = True
    assert lab.sim.soft_ap.channel == 1
    address = phone.address()

    async def before() -> tuple[HttpTransport, Security1]:
        transport = HttpTransport(address)
        return transport, await hand_over(transport)

    transport, security = lab.run(before())
    lab.board.wait_state("saved")
    assert phone.lost == 1 and not phone.joined and lab.sim.soft_ap.channel == 11
    lab.world.advance(seconds=20)  # as long as a phone may take to find it again
    phone.rejoin()

    # The same session on a new socket: the cookie is enough.
    transport.hang_up()
    assert lab.run(outcome(transport, security)) is WifiState.CONNECTED
    lab.board.wait_state("provisioned", told=True)


@softap
def test_a_phone_that_does_not_come_back(lab: SimBench) -> None:
    """It handed over credentials and was never seen again: the board goes online all the same."""
    phone = joined(lab)
    address = phone.address()

    async def work() -> None:
        await hand_over(HttpTransport(address))

    lab.run(work())
    phone.vanish()
    lab.board.wait_state("saved")
    saved_at = lab.world.clock.now_us()
    lab.board.wait_state("provisioned", told=False, timeout_s=60)
    assert 29 < (lab.world.clock.now_us() - saved_at) / 1e6 < 40
    assert not lab.sim.soft_ap.on
    lab.board.wait_state("online")


# -- beside BLE ------------------------------------------------------------------------------------

both = pytest.mark.sim(files=main_py(transports=("ble", "softap")))


async def ble_gets_in(name: str) -> bool:
    """Whether the board keeps a BLE client that asks for the version."""
    device = await BleakScanner.find_device_by_name(name, timeout=2)
    assert device is not None
    try:
        async with BleakClient(device) as client:
            await asyncio.sleep(0.5)
            (version,) = [
                c for s in client.services for c in s.characteristics if c.uuid[4:8] == "ff53"
            ]
            await client.write_gatt_char(version, b"ESP", response=True)
            return b"prov" in await client.read_gatt_char(version)
    except Exception as error:  # noqa: BLE001 - bleak says it in several ways; the caller asserts
        print(f"BLE: {type(error).__name__}")
        return False


@both
def test_either_way_while_nobody_has_come(lab: SimBench) -> None:
    phone = joined(lab)
    assert '"transport":"ble"' in lab.board.log
    assert lab.run(ble_gets_in(lab.name()))
    assert provision(lab, phone).state is WifiState.CONNECTED
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("ble-off")
    assert not lab.sim.soft_ap.on and "ble" not in lab.sim.radios


@both
@pytest.mark.parametrize(
    ("secured", "limit_s"), [(False, 20), pytest.param(True, 120, marks=pytest.mark.soak)]
)
def test_an_idle_http_session_lets_ble_in(lab: SimBench, secured: bool, limit_s: int) -> None:
    address = joined(lab).address()
    name = lab.name()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        transport = HttpTransport(address)
        if secured:
            security = await establish_session(transport, Security1(POP))
        else:
            await transport.send("proto-ver", b"ESP")
        asked_at = loop.time()
        assert not await ble_gets_in(name)
        await asyncio.sleep(limit_s - 8 - (loop.time() - asked_at))
        assert not await ble_gets_in(name)
        await asyncio.sleep(limit_s + 2 - (loop.time() - asked_at))
        assert await ble_gets_in(name)
        if secured:  # that session is over, and a new one opens at the first request
            with pytest.raises(NoAnswer):
                await get_status(transport, security)
            security = await establish_session(transport, Security1(POP))
            assert (await get_status(transport, security)).state is WifiState.CONNECTING

    lab.run(work())


@both
def test_http_while_a_ble_client_has_the_session(lab: SimBench) -> None:
    """proto-ver answers and opens nothing; everything else is closed."""
    address = joined(lab).address()

    async def work() -> None:
        async with lab.dialogue() as d:
            await d.secure(POP)
            async with HttpTransport(address) as transport:
                assert b"prov" in await transport.send("proto-ver", b"ESP")
                assert transport.cookie is None
                with pytest.raises(NoAnswer):
                    await establish_session(transport, Security1(POP))
            assert (await d.provision(SSID, PASSWORD)).state is WifiState.CONNECTED

    lab.run(work())


# -- as a library ----------------------------------------------------------------------------------

LIBRARY = """
import asyncio
import homing
from homing.provisioning.softap import SoftApTransport
from homing.wifi import access_point

async def main():
    way = SoftApTransport(access_point(), "PROV_badge", "softap-pw-1")
    async with homing.Provisioner("PROV_badge", pop="K7QM2X9ADRT4", transports=[way]) as p:
        async for event in p:
            print("event:", event.kind)
            if event.kind == "credentials":
                await p.report("192.168.1.9")
    print("over, active:", access_point().active())

asyncio.run(main())
"""


@pytest.mark.sim(files={"main.py": LIBRARY})
def test_the_library_form(lab: SimBench) -> None:
    lab.board.wait_text("event: advertising")
    phone = lab.sim.soft_ap.join("PROV_badge", AP_PASSWORD)
    assert provision(lab, phone).state is WifiState.CONNECTED
    lab.board.wait_text("over, active: False")
    assert [line for line in lab.board.log.splitlines() if line.startswith("event: ")] == [
        f"event: {kind}" for kind in ("advertising", "client", "secured", "credentials", "done")
    ]
