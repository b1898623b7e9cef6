"""What a phone finds: the advertisement, the GATT table, proto-ver, and the list of networks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from bleak import BleakClient, BleakScanner
from esp_protocomm.security1 import Security1
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiState

from tools.harness.bench import NODE_ID, POP, THING_TOKEN, SimBench
from tools.harness.dialogue import CONFIG, Dialogue
from tools.provision import binding
from tools.provision.client import Client, Network

SERVICE = "021a9004-0382-4aea-bff4-6b3f1c5adfb4"
ENDPOINTS = ["prov-ctrl", "prov-scan", "prov-session", "prov-config", "proto-ver"]
CLOUDS = ["cloud_link", "cloud_bind"]
NOVA = bytes.fromhex("4e6f766100010080" + "0100")  # after company id 0x02e5: the Home app's switch
MAX_LISTED = 16


def characteristic(short: int) -> str:
    return SERVICE.replace("021a9004", f"021a{short:04x}")


def main_py(**options: Any) -> dict[str, str]:
    """A main.py with options of homing.run."""
    return {"main.py": f"import homing\nhoming.run(**{options!r})\n"}


def test_advertisement(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    name = lab.name()

    async def look() -> Any:
        found = await BleakScanner.discover(timeout=1, return_adv=True)
        return list(found.values())

    ((device, heard),) = lab.run(look())
    assert heard.local_name == device.name == name
    assert name == f"PROV_{lab.sim.mac[3:].hex()}"
    assert heard.service_uuids == [SERVICE]
    assert heard.manufacturer_data == {0x02E5: NOVA}
    (sighting,) = heard.platform_data
    # Flags and the UUID in the advertisement itself: iOS filters by it before it asks for more.
    uuid = bytes.fromhex(SERVICE.replace("-", ""))[::-1]
    assert sighting.adv == b"\x02\x01\x06\x11\x07" + uuid
    assert len(sighting.resp) <= 31


def test_gatt_table(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    name = lab.name()

    async def look() -> list[tuple[str, set[str], list[str], str]]:
        device = await BleakScanner.find_device_by_name(name, timeout=2)
        assert device is not None
        async with BleakClient(device) as client:
            # After those that every device has, ours is the first and only.
            own = [s for s in client.services if not s.uuid.startswith("000018")]
            assert [s.uuid for s in own] == [SERVICE]
            rows = []
            for c in own[0].characteristics:
                described = [d.uuid[4:8] for d in c.descriptors]
                text = await client.read_gatt_descriptor(c.descriptors[0].handle)
                rows.append((c.uuid, set(c.properties), described, text.decode()))
            return rows

    rows = lab.run(look())
    names = ENDPOINTS + CLOUDS
    assert [row[3] for row in rows[: len(ENDPOINTS)]] == ENDPOINTS
    assert {row[3] for row in rows} == set(names)
    ids = [*range(0xFF4F, 0xFF54), *range(0xFF54, 0xFF54 + len(CLOUDS))]
    assert [row[0] for row in rows] == [characteristic(short) for short in ids]
    assert all(row[1] == {"read", "write"} for row in rows)
    assert all(row[2] == ["2901"] for row in rows)


def version(lab: SimBench) -> dict[str, Any]:
    async def work() -> Any:
        async with lab.dialogue() as d:
            return json.loads(await d.transport.send("proto-ver", b"ESP"))

    return lab.run(work())


def test_version(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    text = version(lab)
    assert text["prov"] == {
        "ver": "netprov-v1.2",
        "sec_ver": 1,
        "sec_patch_ver": 0,
        "cap": ["wifi_prov", "wifi_scan"],
    }
    assert text["homing"]["ver"] == "1.0"
    assert sorted(text["homing"]["cap"]) == sorted(CLOUDS)


def test_version_in_mid_session(lab: SimBench) -> None:
    """In clear, between encrypted messages, and between the two of a handshake."""
    lab.board.wait_state("advertising")
    before = version(lab)
    pop = lab.pop()

    class Curious:
        """Asks for the version before every message."""

        def __init__(self, d: Dialogue) -> None:
            self._transport = d.transport

        async def send(self, endpoint: str, data: bytes) -> bytes:
            assert json.loads(await self._transport.send("proto-ver", b"?")) == before
            return await self._transport.send(endpoint, data)

    async def work() -> None:
        async with lab.dialogue() as d:
            d.transport, curious = d.transport, Curious(d)
            d.security = await establish_session(curious, Security1(pop))
            for _ in range(3):
                cipher = d.security.encrypt(b"\x52\x00")
                assert d.security.decrypt(await curious.send(CONFIG, cipher))
            assert (await d.provision(lab.ssid, lab.password)).state is WifiState.CONNECTED

    lab.run(work())


@pytest.mark.sim(identity={}, files=main_py(no_pop=True))
def test_no_pop(lab: SimBench) -> None:
    """A board without proof of possession says so, and offers no cloud."""
    lab.board.wait_state("advertising")
    lab.board.wait_text("proof of possession: none")
    text = version(lab)
    assert text["prov"]["cap"] == ["no_pop", "wifi_prov", "wifi_scan"]
    status = lab.talk(lambda d: d.provision(lab.ssid, lab.password), pop="")
    assert status.state is WifiState.CONNECTED


@pytest.mark.sim(
    identity={"pop": POP, "thing_token": THING_TOKEN, "node_id": NODE_ID},
    files=main_py(no_pop=True),
)
def test_no_pop_takes_no_tokens(lab: SimBench) -> None:
    """Tokens and link ids never travel where anyone in reach could open the session."""
    lab.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        with pytest.raises(binding.BindingError):
            binding.read_link_id(await d.ask("cloud_link", binding.LINK_REQUEST))
        for fragment in binding.fragments("secret", "token" * 100, "add"):
            with pytest.raises(binding.BindingError):
                binding.check(await d.ask("cloud_bind", fragment))

    lab.talk(work, pop="")


LONGEST = "n" * 14


@pytest.mark.sim(files=main_py(name=LONGEST))
def test_longest_name(lab: SimBench) -> None:
    lab.board.wait_state("advertising", name=LONGEST)
    assert lab.provision().state is WifiState.CONNECTED


@pytest.mark.sim(files=main_py(name="m" * 28, manufacturer=None))
def test_longest_name_without_record(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert lab.provision().state is WifiState.CONNECTED


@pytest.mark.sim(files=main_py(name=LONGEST + "n"))
def test_name_too_long_says_so(lab: SimBench) -> None:
    lab.board.wait_text(r"ValueError: the BLE name .* has 15 bytes; beside .* 1 to 14 fit")
    assert "ble" not in lab.sim.radios


@pytest.mark.sim(files=main_py(transports=("softap",)))
def test_qr_payload_names_the_way_in(lab: SimBench) -> None:
    """Printed before anything is on the air."""
    payload = json.loads(lab.board.wait_text(r"QR: (\{.*\})")[1])
    assert (payload["transport"], payload["security"]) == ("softap", 1)
    assert lab.board.wait_text(r"link: \S+data=(\{.*\})")[1] in lab.board.log


def named(name: str, why: str) -> Any:
    main = f"import homing\nhoming.run(endpoints={{{name!r}: print}})\n"
    return pytest.param(name, why, marks=pytest.mark.sim(files={"main.py": main}))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        named("prov-config", "used twice"),
        named("proto-ver", "used twice"),
        named("cloud_bind", "used twice"),
        named("my-scan", "contains 'scan'"),
        named("Versions", "contains 'ver'"),
    ],
)
def test_endpoint_name_that_cannot_be(lab: SimBench, name: str, why: str) -> None:
    """Refused at once, with the reason, and the board is at its REPL."""
    lab.board.wait_text(f"ValueError: endpoint name '{name}' .*{why}")
    lab.board.to_repl(1)
    assert lab.board.log.count("ValueError") == 1
    assert "ble" not in lab.sim.radios


# -- the list of networks ------------------------------------------------------------------------


def listed(lab: SimBench) -> list[Network]:
    async def work() -> list[Network]:
        async with lab.dialogue() as d:
            client = Client(d.transport)
            await client.secure(POP)
            networks = await client.networks()
            assert await client.networks() == networks  # a fresh scan of the same air
            return networks

    lab.board.wait_state("advertising")
    return lab.run(work())


@pytest.mark.sim(power=False)
@pytest.mark.parametrize("count", [0, 1, 16, 60])
def test_network_list(lab: SimBench, count: int) -> None:
    """At most 16, strongest first, in pages; 32-byte names included."""
    lab.access_point.up = False
    points = [
        lab.world.add_access_point(
            n.to_bytes(1, "big") * 32,
            b"nobody joins these",
            rssi=-90 + n,
            channel=1 + n % 13,
            auth=n % 8,
        )
        for n in range(count)
    ]
    lab.world.add_access_point("unseen", "nobody joins this", hidden=True, rssi=-20)
    lab.sim.power_on()
    expected = sorted(points, key=lambda p: -p.rssi)[:MAX_LISTED]
    assert listed(lab) == [Network(p.ssid, p.bssid, p.channel, p.rssi, p.auth) for p in expected]


@pytest.mark.sim(power=False)
def test_network_list_merges_one_name(lab: SimBench) -> None:
    for rssi in (-60, -35, -80):
        lab.world.add_access_point(lab.ssid, lab.password, rssi=rssi)
    # What the chip knows beyond the modes that clients index lists with.
    lab.world.add_access_point("modern", "nobody joins this", rssi=-70, auth=11)
    lab.sim.power_on()
    networks = listed(lab)
    assert [(n.label, n.rssi_dbm) for n in networks] == [(lab.ssid, -35), ("modern", -70)]
    assert networks[1].auth <= 7


def test_fresh_list_for_the_next_client(lab: SimBench) -> None:
    """scan-start asks for a fresh list: whoever asks again a moment later gets it."""
    lab.board.wait_state("advertising")
    lab.world.add_access_point("late", "nobody joins this", rssi=-30)

    async def work() -> list[list[str]]:
        async with lab.dialogue() as d:
            client = Client(d.transport)
            await client.secure(POP)
            lists = [[n.label for n in await client.networks()]]
            await asyncio.sleep(4)
            lists.append([n.label for n in await client.networks()])
            return lists

    assert lab.run(work()) == [[lab.ssid], ["late", lab.ssid]]
