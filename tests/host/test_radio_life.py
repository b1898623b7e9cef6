"""Being found, again and again: payloads, re-advertising, starting and stopping, losing power."""

from __future__ import annotations

import asyncio
import time

import pytest
from radio_rig import Rig, link_to, on_loop, radio

from tools.sim.ether import SUPERVISION_TIMEOUT_S, Ether
from tools.sim.instrument import instrument
from tools.sim.phone import Phone

UUID_LE = "b4df5a1c3f6bf4bfea4a820304901a02"
ADV = "0201061107" + UUID_LE
SWITCH = "0dffe5024e6f766100010080" + "0100"

SERVE = """
router = Router(prov_ctrl=lambda d: d, prov_scan=lambda d: d, prov_session=lambda d: d,
                prov_config=lambda d: d, proto_ver=lambda d: d, cloud_user_assoc=lambda d: d,
                x=lambda d: d)
def serve(transport):
    transport.start(router, lambda item: note(*item))
    note("up")
    asyncio.run(transport.run())
"""


@pytest.mark.parametrize(
    ("arguments", "resp"),
    [
        ('"PROV_a1b2c3"', "0c0950524f565f613162326333" + SWITCH),
        ('"PROV_123456789"', "0f0950524f565f313233343536373839" + SWITCH),  # 14: the longest
        ('"PROV_a1b2c3", manufacturer=None', "0c0950524f565f613162326333"),
        ('"' + "n" * 28 + '", manufacturer=False', "1d09" + "6e" * 28),
        (
            '"PROV_l", manufacturer=manufacturer_record(1, 0x0005)',
            "070950524f565f6c" + "0dffe5024e6f7661000100050100",
        ),
    ],
)
@on_loop
async def test_golden_payloads(arguments: str, resp: str) -> None:
    """What is on the air, byte for byte; the scan response is not the advertising data."""
    program = SERVE + "from homing.provisioning.advert import manufacturer_record\n"
    async with radio(program + f"serve(BleTransport({arguments}))\n") as (rig, phone):
        await rig.note("up")
        (seen,) = await phone.scan(0.5)
        assert (seen.adv.hex(), seen.resp.hex()) == (ADV, resp)
        assert len(seen.adv) == 21 and len(seen.resp) <= 31


@on_loop
async def test_table() -> None:
    """One service; READ and WRITE, one description each; Espressif's ids, then ff54 on."""
    async with radio(SERVE + 'serve(BleTransport("PROV_a"))\n') as (_rig, phone):
        link = await link_to(phone)
        (service,) = (s for s in link.services if len(s.uuid.uuid_bytes) == 16)
        assert str(service.uuid).lower() == "021a9004-0382-4aea-bff4-6b3f1c5adfb4"
        table = []
        for c in service.characteristics:
            (description,) = c.descriptors
            name = (await link.read(description.handle)).decode()
            table.append((str(c.uuid)[4:8].lower(), int(c.properties), name))
            assert str(c.uuid).lower()[8:] == "-0382-4aea-bff4-6b3f1c5adfb4"
        assert table == [
            ("ff4f", 0x0A, "prov-ctrl"),
            ("ff50", 0x0A, "prov-scan"),
            ("ff51", 0x0A, "prov-session"),
            ("ff52", 0x0A, "prov-config"),
            ("ff53", 0x0A, "proto-ver"),
            ("ff54", 0x0A, "cloud-user-assoc"),
            ("ff55", 0x0A, "x"),
        ]
        assert await link.read(link.characteristic("2A00").handle) == b"PROV_a"


@on_loop
async def test_names_that_cannot_be() -> None:
    """Names that are too long, and endpoints that would hijack another, are refused with why."""
    program = """
from homing.provisioning.advert import check_name, endpoint_ids
def why(f, *args):
    try:
        f(*args)
    except ValueError as e:
        note("refused", str(e))
    else:
        note("fine")
why(check_name, "PROV_123456789")
why(check_name, "PROV_1234567890")
why(check_name, "n" * 29, None)
why(check_name, "ÄÖÜÄÖÜÄÖ")
why(check_name, "")
why(endpoint_ids, ["custom-data", "my-endpoint"])
for name in ("get_config", "rescan", "SESSIONS", "server", ""):
    why(endpoint_ids, [name])
why(endpoint_ids, ["a", "a"])
_world.wait(60_000)
"""
    async with radio(program) as (rig, _phone):
        await rig.note("fine")
        assert "15 bytes; beside the manufacturer record 1 to 14" in (await rig.note("refused"))[0]
        assert "29 bytes; 1 to 28" in (await rig.note("refused"))[0]
        assert "16 bytes" in (await rig.note("refused"))[0]
        assert "0 bytes" in (await rig.note("refused"))[0]
        await rig.note("fine")
        for part in ("config", "scan", "session", "ver"):
            assert f"contains '{part}'" in (await rig.note("refused"))[0]
        assert "empty or used twice" in (await rig.note("refused"))[0]
        assert "empty or used twice" in (await rig.note("refused"))[0]


@on_loop
async def test_fifty_connections_always_advertise_again() -> None:
    """After each disconnect the board is visible again, from either end's hang-up."""
    async with radio(SERVE + 'serve(BleTransport("PROV_a"))\n') as (rig, phone):
        await rig.note("up")
        sighting = await phone.find("PROV_a")
        for i in range(50):
            link = await phone.connect(sighting, discover=i % 10 == 0)
            await rig.note("client", 1)
            assert not rig.bridge.advertising
            await link.disconnect()
            await rig.note("gone", 1)
            await phone.find("PROV_a")


@on_loop
async def test_advertises_again_while_main_is_busy() -> None:
    """A disconnect during two seconds of scanning: visible at once, not after the scan."""
    program = (
        SERVE
        + """
async def main():
    transport = BleTransport("PROV_a")
    transport.start(router, lambda item: note(*item))
    task = asyncio.create_task(transport.run())
    while transport._conn is None:
        await asyncio.sleep_ms(5)
    note("busy")
    # As a blocking scan does: main stands still, events are handled.
    _world.wait(3000)
    note("idle")
    await task
asyncio.run(main())
"""
    )
    async with radio(program) as (rig, phone):
        for turn in range(2):
            link = await phone.connect(await phone.find("PROV_a"), discover=False)
            await rig.note("client")
            if turn == 0:
                await rig.note("busy")
            await link.disconnect()
            await rig.note("gone")
        # Two clients came and went before main had a turn; the third is served all the same.
        link = await link_to(phone)
        await rig.note("client")
        await rig.note("idle")
        ends = await link.endpoints()
        assert await link.ask(ends["x"], b"hello") == b"hello"
        await link.disconnect()
        await rig.note("gone")
        await phone.find("PROV_a")


@on_loop
async def test_start_and_stop_twenty_times() -> None:
    """With a client, without one, with main waiting in either place: it always comes back."""
    program = """
import gc
async def main():
    for i in range(20):
        router = Router(prov_session=lambda d: b"%d " % i + d, proto_ver=lambda d: d)
        transport = BleTransport("PROV_a")
        transport.start(router, lambda item: note(*item))
        task = asyncio.create_task(transport.run())
        if i % 4 != 3:
            while ("handle", "prov-session", 1) not in router.log:
                await asyncio.sleep_ms(5)
        else:
            await asyncio.sleep_ms(20 * (i % 3))
        if i % 2:
            task.cancel()
        await transport.stop()
        await transport.stop()
        try:
            await task
        except asyncio.CancelledError:
            pass
        del transport, router, task
        gc.collect()
        note("stopped", i, gc.mem_alloc())
asyncio.run(main())
"""
    async with radio(program) as (rig, phone):
        used = []
        for i in range(20):
            if i % 4 != 3:
                link = await link_to(phone)
                await rig.note("client")
                ends = await link.endpoints()
                assert await link.ask(ends["prov-session"], b"x") == b"%d x" % i
                await asyncio.wait_for(asyncio.shield(link.lost), 60)
                await rig.note("gone")
            used.append((await rig.note("stopped", i))[0])
            assert not rig.bridge.advertising and not rig.bridge.connected
        assert await phone.scan(0.3) == []
        # Nothing piles up: the last rounds hold no more than the first ones (64-bit bytes).
        assert max(used[-4:]) - max(used[:4]) < 2000, used
        assert "Traceback" not in rig.out


@on_loop
async def test_a_failed_start_can_be_undone() -> None:
    """A bad endpoint name leaves BLE off; stop() is harmless; the next start works."""
    program = """
async def main():
    bad = BleTransport("PROV_a")
    try:
        bad.start(Router(my_config=lambda d: d))
    except ValueError as e:
        note("refused", str(e))
    await bad.stop()
    good = BleTransport("PROV_a")
    good.start(Router(proto_ver=lambda d: d))
    try:
        bad.start(Router(proto_ver=lambda d: d))
    except RuntimeError as e:
        note("busy", str(e))
    await good.run()
asyncio.run(main())
"""
    async with radio(program) as (rig, phone):
        await rig.note("refused")
        await rig.note("busy")
        link = await link_to(phone)
        assert list(await link.endpoints()) == ["proto-ver"]


@on_loop
async def test_power_loss_is_noticed_by_timeout() -> None:
    """A board that loses power says no goodbye; one that comes back is found again."""
    ether = Ether()
    phone = await Phone.on_ether(ether)
    program = SERVE + 'serve(BleTransport("PROV_a"))\n'
    rig = await Rig(ether).start(program)
    link = await link_to(phone)
    started = time.monotonic()
    await rig.kill()
    assert not link.lost.done()
    again = await Rig(ether).start(program)
    assert await asyncio.wait_for(asyncio.shield(link.lost), 60) == 0x08  # connection timeout
    assert time.monotonic() - started > SUPERVISION_TIMEOUT_S / 2
    link = await link_to(phone)
    assert "proto-ver" in await link.endpoints()
    await phone.close()
    await again.kill()


@on_loop
async def test_two_phones_at_once_and_two_boards() -> None:
    """Of two that connect at once one wins, the other waits; boards do not mix."""
    ether = Ether()
    boards = [
        await Rig(ether, n).start(SERVE + f'serve(BleTransport("PROV_{n}"))\n') for n in (1, 2)
    ]
    one, two = await Phone.on_ether(ether), await Phone.on_ether(ether)
    seen = await one.find("PROV_1")
    attempts = [asyncio.ensure_future(p.connect(seen, 30)) for p in (one, two)]
    done, waiting = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
    (winner,) = done
    link = winner.result()
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in waiting)
    other = await link.phone.connect(await link.phone.find("PROV_2"))
    ends = await link.endpoints()
    assert await link.ask(ends["x"], b"board 1") == b"board 1"
    assert await other.ask(ends["x"], b"board 2") == b"board 2"
    await link.disconnect()
    late = await asyncio.wait_for(next(iter(waiting)), 60)
    assert await late.ask(ends["x"], b"late") == b"late"
    for phone in (one, two):
        await phone.close()
    for board in boards:
        await board.kill()


HALF = """
import _world
class Pair:
    def __init__(self):
        self.a = self.b = 0
        self.torn = 0
    def step(self):
        self.a += 1
        x = 1
        y = x
        self.b += 1
    def look(self, *args):
        self.torn += self.a != self.b
pair = Pair()
_world.on("look", pair.look)
"""


@pytest.mark.parametrize("seed", [None, 1, 2])
@on_loop
async def test_preemption_finds_what_waiting_hides(seed: int | None) -> None:
    """An event between two assignments is seen with a seed, and never without one."""
    loop = """
while pair.a < 60_000:
    pair.step()
    if pair.a % 64 == 0:
        _world.pump()
_world.notify("note", "torn", pair.torn)
_world.wait(60_000)
"""
    code = (instrument(HALF, seed) if seed is not None else HALF) + loop
    rig = await Rig(Ether()).start(code, prelude="")
    asking = asyncio.ensure_future(_ask_forever(rig))
    (torn,) = await rig.note("torn")
    asking.cancel()
    assert (torn > 0) == (seed is not None)
    await rig.kill()


async def _ask_forever(rig: Rig) -> None:
    while True:
        await rig.channel.request("look")
