"""Two boards in reach of each other and of one phone, provisioned at once: nothing is mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from bleak import BleakScanner
from esp_protocomm.security1 import SecurityError
from esp_protocomm.wifi import WifiState

from tools.harness.bench import POP, SimBench, opened
from tools.harness.board import Board
from tools.harness.dialogue import WRONG_PASSWORD, Dialogue, Status
from tools.provision.binding import LINK_REQUEST, read_link_id
from tools.sim.board import SimBoard

OTHER_POP = "ZW3N8PTJ5HCV"
OTHER_SSID, OTHER_PASSWORD = "workshop", "another horse"


@pytest.fixture
def other(lab: SimBench) -> Iterator[tuple[SimBoard, Board]]:
    """The second board, with a thing of its own, and its serial line."""
    sim = lab.scene.new_board("b", {"pop": OTHER_POP}, cloud=True)
    with opened(sim.port) as serial:
        sim.power_on()
        yield sim, serial
    assert sim.violations == []


def test_both_at_once(lab: SimBench, other: tuple[SimBoard, Board]) -> None:
    """One phone, two links, every message of one between two of the other."""
    sim, serial = other
    workshop = lab.world.add_access_point(OTHER_SSID, OTHER_PASSWORD, channel=11)
    lab.board.wait_state("advertising")
    serial.wait_state("advertising")
    names = lab.name(), serial.wait_text(r"\bname: (\S+)\s")[1]
    assert len(set(names)) == 2
    dialogues = [Dialogue(name, lab.scan_s) for name in names]
    link_ids: list[str] = []

    async def each(d: Dialogue, pop: str, ssid: str, password: str) -> Status:
        async with d:
            await d.secure(pop)
            link_ids.append(read_link_id(await d.ask("cloud_link", LINK_REQUEST)))
            assert await d.join(ssid.encode(), b"wrong horse", poll_s=0.3) == WRONG_PASSWORD
            return await d.provision(ssid, password)

    async def work() -> list[Status]:
        a, b = dialogues
        return await asyncio.gather(
            each(a, POP, lab.ssid, lab.password),
            each(b, OTHER_POP, OTHER_SSID, OTHER_PASSWORD),
        )

    mine, theirs = lab.run(work())
    assert (mine.state, theirs.state) == (WifiState.CONNECTED, WifiState.CONNECTED)
    assert (mine.ssid, theirs.ssid) == (lab.ssid.encode(), OTHER_SSID.encode())
    assert (mine.channel, theirs.channel) == (6, 11)
    assert (mine.ip, theirs.ip) == (lab.sim.station.ip, sim.station.ip)
    assert mine.ip != theirs.ip
    assert len(set(link_ids)) == 2
    lab.board.wait_state("online")
    serial.wait_state("online")
    assert (lab.access_point.joins, workshop.joins) == (1, 1)
    # What is stored is one's own, and only that.
    for board, own, foreign in (
        (lab.sim, lab.password, OTHER_PASSWORD),
        (sim, OTHER_PASSWORD, lab.password),
    ):
        image = board.flash.image_path.read_bytes()
        assert own.encode() in image and foreign.encode() not in image
    assert not [link_id for link_id in link_ids if link_id in lab.board.log + serial.log]


def test_proof_and_session_of_the_other_count_for_nothing(
    lab: SimBench, other: tuple[SimBoard, Board]
) -> None:
    _sim, serial = other
    lab.board.wait_state("advertising")
    serial.wait_state("advertising")
    a = lab.dialogue()
    b = Dialogue(serial.wait_text(r"\bname: (\S+)\s")[1], lab.scan_s)

    async def work() -> None:
        async with a, b:
            with pytest.raises(SecurityError):
                await b.secure(POP)
            await a.secure(POP)
            # a's session says nothing to b, and b's refusals nothing to a.
            assert a.security is not None
            assert await b.send("prov-config", a.security.encrypt(b"\x52\x00")) is None
            await a.secure(POP)
            await b.secure(OTHER_POP)
            for _ in range(3):
                states = [s.state for s in await asyncio.gather(a.status(), b.status())]
                assert states == [WifiState.CONNECTING] * 2

    lab.run(work())
    assert "wrong-pop" not in lab.board.log
    assert '"wrong-pop"' in serial.log


def test_one_gone_the_other_undisturbed(lab: SimBench, other: tuple[SimBoard, Board]) -> None:
    """Power lost in one while the other has a client; each is found again by its own name."""
    sim, serial = other
    lab.board.wait_state("advertising")
    serial.wait_state("advertising")
    name = serial.wait_text(r"\bname: (\S+)\s")[1]

    async def work(d: Dialogue) -> None:
        sim.power_off()
        assert (await d.status()).state is WifiState.CONNECTING
        heard = await BleakScanner.discover(timeout=1)
        assert name not in [device.name for device in heard]
        sim.power_on()
        assert (await d.provision(lab.ssid, lab.password)).state is WifiState.CONNECTED

    lab.talk(work)
    lab.board.wait_state("online")
    serial.wait("boot")
    serial.wait_state("advertising")
    assert lab.talk(lambda d: d.provision(lab.ssid, lab.password), OTHER_POP, name).ip
    serial.wait_state("online")
