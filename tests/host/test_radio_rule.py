"""The rule of the BLE transport: an answer belongs to the last write of this very connection."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import pytest
from bumble import att
from radio_rig import ROOT, link_to, on_loop, radio, refused

from tools.sim.phone import LinkLost, Phone

UNLIKELY = 0x0E

ECHO = """
def fail(data):
    raise ValueError("no")
def slow(data):
    # The handler holds the chip; the simulator forbids sleeping here, so count.
    n = 0
    for i in range(60_000):
        n += i
    return b"slow " + data
router = Router(
    prov_session=lambda d: b"s" + d, prov_config=lambda d: b"c" + d, proto_ver=lambda d: b"v" + d,
    bad=fail, long=lambda d: bytes(600), empty=lambda d: b"", slow=slow,
    most=lambda d: d[:1] * 512, size=lambda d: b"%d" % len(d))
transport = BleTransport("PROV_a")
def start():
    transport.start(router, lambda item: note(*item))
    note("up")
async def main():
    start()
    await transport.run()
"""
RUN = ECHO + "asyncio.run(main())\n"


@on_loop
async def test_answers_of_every_size() -> None:
    """1 to 512 bytes get through whole; 513 and an answer of 600 are errors, not pieces."""
    async with radio(RUN) as (_rig, phone):
        link = await link_to(phone)
        ends = await link.endpoints()
        for size in (1, 19, 20, 21, 182, 244, 509, 510, 511):
            data = bytes(random.Random(size).randbytes(size))
            assert await link.ask(ends["prov-config"], data) == b"c" + data
        assert await link.ask(ends["size"], bytes(512)) == b"512"
        assert await link.ask(ends["most"], b"x") == b"x" * 512
        assert await link.ask(ends["empty"], b"x") == b""
        # One write request of 513 bytes: cut by the stack, and the router never sees it.
        assert await refused(link.ask(ends["size"], bytes(513))) == UNLIKELY
        assert await refused(link.ask(ends["long"], b"x")) == UNLIKELY
        assert await link.ask(ends["size"], b"after") == b"5"


@pytest.mark.parametrize("mtu", [23, 64, 185, 517])
@on_loop
async def test_long_values_at_every_mtu(mtu: int) -> None:
    """Long writes in parts and long reads in blobs; at MTU 23 NimBLE has room for 216 bytes."""
    async with radio(RUN, mtu=mtu) as (rig, phone):
        link = await link_to(phone)
        await rig.note("up")
        assert link.mtu == mtu
        ends = await link.endpoints()
        assert await link.ask(ends["most"], b"y") == b"y" * 512
        limit = 216 if mtu == 23 else 512
        for size in (mtu - 4, mtu - 3, mtu - 2, limit):
            if size <= limit:
                data = random.Random(size).randbytes(size)
                assert await link.ask(ends["size"], data) == b"%d" % size
        if mtu == 23:
            assert await refused(link.write(ends["size"], bytes(217))) == 0x11
            assert await link.ask(ends["size"], b"after") == b"5"
        else:
            assert await refused(link.ask(ends["size"], bytes(513))) in (0x0D, UNLIKELY)


@on_loop
async def test_failed_request_never_reads_as_an_old_answer() -> None:
    """After a refused request the read is an error, though an answer was there before."""
    program = ECHO.replace("bad=fail", "bad=lambda d: fail(d) if d == b'no' else b'yes'")
    async with radio(program + "asyncio.run(main())\n") as (_rig, phone):
        link = await link_to(phone)
        ends = await link.endpoints()
        assert await refused(link.read(ends["bad"])) == UNLIKELY  # nothing was asked yet
        assert await link.ask(ends["bad"], b"go") == b"yes"
        assert await link.read(ends["bad"]) == b"yes"  # reads are repeatable
        assert await refused(link.ask(ends["bad"], b"no")) == UNLIKELY
        assert await refused(link.read(ends["bad"])) == UNLIKELY
        assert await refused(link.ask(ends["bad"], b"")) == UNLIKELY
        assert await link.ask(ends["bad"], b"go") == b"yes"
        # Another endpoint's answer is its own.
        assert await link.ask(ends["prov-config"], b"1") == b"c1"
        assert await link.read(ends["bad"]) == b"yes"


@on_loop
async def test_nothing_is_left_for_the_next_client() -> None:
    """A new connection reads errors until it has asked itself; the session was reset."""
    async with radio(RUN) as (rig, phone):
        await rig.note("up")
        link = await link_to(phone)
        await rig.note("client", 1)
        ends = await link.endpoints()
        await link.ask(ends["prov-session"], b"secret")
        await link.write(ends["prov-config"], b"asked, never read")
        await link.disconnect()
        await rig.note("gone", 1)
        other = await Phone.on_ether(rig.ether)
        link = await link_to(other)
        await rig.note("client", 1)  # the same handle again
        for name in ("prov-session", "prov-config", "proto-ver"):
            assert await refused(link.read(ends[name])) == UNLIKELY
        assert await link.ask(ends["prov-config"], b"mine") == b"cmine"
        await other.close()


@on_loop
async def test_second_client_is_sent_away_and_disturbs_nothing() -> None:
    """Someone else's advertising lets a second central in: it is hung up on at once."""
    program = (
        ECHO
        + """
async def both():
    import aioble.core
    start()
    task = asyncio.create_task(transport.run())
    while transport._conn is None:
        await asyncio.sleep_ms(10)
    await asyncio.sleep_ms(50)
    aioble.core.ble.gap_advertise(100_000, adv_data=transport._adv, resp_data=transport._resp)
    await task
asyncio.run(both())
"""
    )
    async with radio(program) as (_rig, phone):
        link = await link_to(phone)
        ends = await link.endpoints()
        assert await link.ask(ends["prov-session"], b"1") == b"s1"
        other = await Phone.on_ether(_rig.ether)
        with pytest.raises(LinkLost):
            second = await link_to(other)
            await second.ask(ends["prov-session"], b"2")
            await second.ask(ends["prov-session"], b"3")
        # The first one's answer is still its own, and it goes on undisturbed.
        assert await link.read(ends["prov-session"]) == b"s1"
        for i in range(20):
            assert await link.ask(ends["prov-config"], b"%d" % i) == b"c%d" % i
        await other.close()


@on_loop
async def test_disconnect_in_the_middle_of_a_request() -> None:
    """The answer of a dead connection is for nobody; the next client is served."""
    async with radio(RUN) as (rig, phone):
        await rig.note("up")
        for _ in range(10):
            link = await link_to(phone)
            await rig.note("client")
            ends = await link.endpoints()
            asking = asyncio.ensure_future(link.ask(ends["slow"], b"lost"))
            await asyncio.sleep(0.002)
            await link.disconnect()
            with contextlib.suppress(LinkLost, att.ATT_Error):
                await asking
            await rig.note("gone")
        link = await link_to(phone)
        for name in ("slow", "prov-config"):
            assert await refused(link.read(ends[name])) == UNLIKELY
        assert await link.ask(ends["slow"], b"alive") == b"slow alive"


@on_loop
async def test_no_exception_escapes() -> None:
    """Whatever router, notifications or delivery hook raise, the interrupt stays on."""
    program = (
        ECHO
        + """
def boom(*args):
    raise MemoryError
router.open = router.close = boom
router.delivered = lambda name: boom() if name == "proto-ver" else note("delivered", name)
router.session = 1
async def main():
    transport.start(router, boom)
    note("up")
    await transport.run()
asyncio.run(main())
"""
    )
    async with radio(program) as (rig, phone):
        await rig.note("up")
        for _ in range(3):
            link = await link_to(phone)
            ends = await link.endpoints()
            assert await refused(link.ask(ends["bad"], b"x")) == UNLIKELY
            assert await refused(link.ask(ends["proto-ver"], b"x")) == UNLIKELY
            assert await link.ask(ends["prov-config"], b"x") == b"cx"
            await rig.note("delivered", "prov-config")
            await link.disconnect()
        assert "Traceback" not in rig.out


@on_loop
async def test_slow_handlers_are_waited_for() -> None:
    """A handler that computes for 0 to 2,000 ms: the read right after has its answer."""
    program = ECHO.replace(
        "bad=fail", "bad=lambda d: (_world.charge(int(d)), b'computed for ' + d)[1]"
    )
    async with radio(program + "asyncio.run(main())\n") as (_rig, phone):
        link = await link_to(phone)
        ends = await link.endpoints()
        for delay_ms in (0, 50, 500, 2000, 1, 0):
            data = b"%d" % delay_ms
            assert await link.ask(ends["bad"], data) == b"computed for " + data


@pytest.mark.parametrize("preempt", [False, True])
@on_loop
async def test_interleaved_requests_are_never_stale(
    preempt: bool, tmp_path_factory: pytest.TempPathFactory, rounds: Callable[[int, int], range]
) -> None:
    """Requests on four endpoints while main collects garbage: each reads its own answer."""
    busy = """
async def churn():
    junk = []
    while True:
        junk.append(bytes(200))
        if len(junk) > 50:
            junk = []
            gc.collect()
        await asyncio.sleep_ms(0)
async def both():
    task = asyncio.create_task(churn())
    await main()
import gc
asyncio.run(both())
"""
    lib = _instrumented(tmp_path_factory.mktemp("lib")) if preempt else ROOT / "lib"
    async with radio(ECHO + busy, lib=lib) as (_rig, phone):
        link = await link_to(phone)
        ends = await link.endpoints()
        dice = random.Random(1)
        marks = {"prov-session": b"s", "prov-config": b"c", "proto-ver": b"v", "bad": None}
        stale = 0
        for i in rounds(400, 3000):
            name = dice.choice(sorted(marks))
            data = b"%d " % i + dice.randbytes(dice.randrange(60))
            if dice.random() < 0.3:
                await link.write(ends["prov-session"], b"interleaved %d" % i)
            try:
                answer = await link.ask(ends[name], data)
            except att.ATT_Error:
                assert name == "bad"
                continue
            mark = marks[name]
            stale += mark is None or answer != mark + data
        assert stale == 0


def _instrumented(where):  # noqa: ANN001, ANN202
    from tools.sim.instrument import preempt

    transform = preempt(7)

    for source in (ROOT / "lib" / "homing").rglob("*.py"):
        name = str(source.relative_to(ROOT))
        target = where / source.relative_to(ROOT / "lib")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text()
        target.write_text(transform(name, text) or text)
    return where
