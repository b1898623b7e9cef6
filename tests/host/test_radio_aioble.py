"""What Homing relies on in aioble, asserted on the stand-in and, with AIOBLE=<dir>, a real one."""

from __future__ import annotations

import asyncio
import os

import pytest
from radio_rig import OWN_HOST, SIM, Rig, link_to, on_loop, radio, refused

from tools.sim.phone import LinkLost, Phone

STANDIN = str(SIM / "standin" / "aioble")
REAL = os.environ.get("AIOBLE")
DIRECTORIES = {"standin": STANDIN} | ({"real": REAL} if REAL else {})
BOTH = pytest.mark.parametrize("aioble", DIRECTORIES.values(), ids=DIRECTORIES.keys())

PRELUDE = """
import asyncio, aioble, aioble.core, bluetooth, _world
ADV = b"\\x02\\x01\\x06"
RESP = b"\\x07\\x09PROV_a"

def note(*args):
    _world.notify("note", *args)

service = aioble.Service(bluetooth.UUID(0x1234))

def advertise(**kwargs):
    return aioble.advertise(100_000, adv_data=ADV, resp_data=RESP, **kwargs)

def go(coro):
    asyncio.run(coro)
"""


@BOTH
@on_loop
async def test_room(aioble: str) -> None:
    """20 bytes unless buffered; longer is cut and looks successful; initial is lost in a buffer."""
    program = """
plain = aioble.Characteristic(service, bluetooth.UUID(1), read=True, write=True, initial=b"kept")
big = aioble.BufferedCharacteristic(
    service, bluetooth.UUID(2), read=True, write=True, initial=b"lost", max_len=512)
long = b"a name of more than 20 bytes"
text = aioble.Descriptor(big, bluetooth.UUID(0x2901), read=True, initial=long)
async def main():
    aioble.config(mtu=517)
    aioble.register_services(service)
    note("initial", plain.read().decode(), big.read().decode())
    big.write(b"later")
    async with await advertise() as c:
        note("client", c.device.addr_type, c.device.addr_hex())
        await c.disconnected()
    note("gone")
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        await rig.note("initial", "kept", "")
        link = await link_to(phone)
        address = str(phone.device.random_address).split("/")[0].lower()
        await rig.note("client", 1, address)
        plain, big = (link.characteristic(u) for u in ("0001", "0002"))
        assert await link.read(plain.handle) == b"kept"
        assert await link.read(big.handle) == b"later"
        assert await link.read(big.descriptors[0].handle) == b"a name of more than 20 bytes"
        assert await link.ask(plain.handle, b"0123456789" * 3) == b"0123456789" * 2
        assert await link.ask(big.handle, bytes(512)) == bytes(512)
        # 513 bytes fit into one request at MTU 517, and are cut.
        assert await link.ask(big.handle, b"x" * 513) == b"x" * 512
        await link.disconnect()
        await rig.note("gone")


@BOTH
@on_loop
async def test_read_request_for_every_blob(aioble: str) -> None:
    """on_read runs once per blob, so a value that changes in between is torn; 1 to 255 refuse."""
    program = """
class Counting(aioble.BufferedCharacteristic):
    calls = 0
    def on_read(self, connection):
        self.calls += 1
        note("read", connection is not None and connection._conn_handle)
        self.write(b"%d" % (self.calls % 10) * 100)
        return 0
class Refusing(aioble.Characteristic):
    def on_read(self, connection):
        return status
class Silent(aioble.Characteristic):
    def on_read(self, connection):
        return None
status = 0x0E
counting = Counting(service, bluetooth.UUID(1), read=True, max_len=512)
refusing = Refusing(service, bluetooth.UUID(2), read=True, write=True)
silent = Silent(service, bluetooth.UUID(3), read=True, initial=b"fine")
async def main():
    global status
    aioble.register_services(service)
    c = await advertise()
    await refusing.written()
    status = 0x85
    await c.disconnected()
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble, mtu=50) as (rig, phone):
        link = await link_to(phone)
        counting, refusing, silent = (link.characteristic(u) for u in ("0001", "0002", "0003"))
        value = await link.read(counting.handle)
        assert value == b"1" * 49 + b"2" * 49 + b"3" * 2
        for _ in range(3):
            await rig.note("read", 1)
        assert await refused(link.read(refusing.handle)) == 0x0E
        await link.write(refusing.handle, b"go")
        await asyncio.sleep(0.1)
        assert await refused(link.read(refusing.handle)) == 0x85
        assert await link.read(silent.handle) == b"fine"


@BOTH
@on_loop
async def test_order_of_handlers(aioble: str) -> None:
    """All see a write, before its response; the first that answers a read ends the search.

    on_read comes first and has an answer, unless it returns None.
    """
    program = """
def first(event, data):
    if event == 3:
        note("first", event)
def last(event, data):
    if event in (3, 4):
        note("last", event, aioble.core.ble.gatts_read(data[1]).decode())
aioble.core.register_irq_handler(first, None)
aioble.core.register_irq_handler(last, None)
c1 = aioble.Characteristic(service, bluetooth.UUID(1), read=True, write=True)
class Undecided(aioble.Characteristic):
    def on_read(self, connection):
        return None
c2 = Undecided(service, bluetooth.UUID(2), read=True, initial=b"c2")
def decide(event, data):
    if event == 4:
        return 0x81
aioble.core.register_irq_handler(decide, None)
async def main():
    aioble.register_services(service)
    await (await advertise()).disconnected()
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        link = await link_to(phone)
        assert await refused(link.read(link.characteristic("0002").handle)) == 0x81
        await rig.note("last", 4, "c2")
        handle = link.characteristic("0001").handle
        assert await link.ask(handle, b"hello") == b"hello"
        await rig.note("first", 3)
        await rig.note("last", 3, "hello")
        await link.ask(handle, b"again")
        await rig.note("first", 3)
        await rig.note("last", 3, "again")
        assert rig.notes.empty()


@BOTH
@on_loop
async def test_written_is_late_and_loses(aioble: str) -> None:
    """A task that answers after written() comes too late for the read that follows."""
    program = """
c1 = aioble.BufferedCharacteristic(service, bluetooth.UUID(1), read=True, write=True, max_len=99)
async def serve():
    seen = 0
    while True:
        c = await c1.written()
        seen += 1
        c1.write(b"answer")
        note("written", seen, c is not None)
async def main():
    aioble.register_services(service)
    task = asyncio.create_task(serve())
    await (await advertise()).disconnected()
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        link = await link_to(phone)
        handle = link.characteristic("0001").handle
        # A race, which the simulated radio always decides against the task.
        late = (b"request", b"answer") if OWN_HOST else (b"request",)
        assert await link.ask(handle, b"request") in late
        await rig.note("written", 1, True)
        assert await link.read(handle) == b"answer"


@BOTH
@on_loop
async def test_escaping_exception_is_final(aioble: str) -> None:
    """After one, writes still succeed and reads echo them, but no handler runs ever again."""
    program = """
class Bad(aioble.Characteristic):
    def on_read(self, connection):
        note("on_read")
        raise ValueError("escaped")
bad = Bad(service, bluetooth.UUID(1), read=True, write=True)
async def main():
    aioble.register_services(service)
    await advertise()
    await asyncio.sleep(60)
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        link = await link_to(phone)
        handle = link.characteristic("0001").handle
        await link.write(handle, b"request")
        assert await link.read(handle) == b"request"
        await rig.note("on_read")
        assert await link.ask(handle, b"more") == b"more"
        assert rig.notes.empty()
        assert "ValueError: escaped" in rig.out and "Traceback" in rig.out


@BOTH
@on_loop
async def test_advertise_ends(aioble: str) -> None:
    """Cancelled: None, the cancellation is swallowed. Timed out: TimeoutError. Then silence."""
    program = """
async def main():
    aioble.register_services(service)
    task = asyncio.create_task(advertise())
    await asyncio.sleep_ms(100)
    note("on")
    await asyncio.sleep_ms(500)
    task.cancel()
    try:
        note("cancelled", await task)
    except asyncio.CancelledError:
        note("cancelled", "raised")
    try:
        await advertise(timeout_ms=100)
    except asyncio.TimeoutError:
        note("timeout")
    await asyncio.sleep(60)
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        await rig.note("on")
        assert [s.resp[2:] for s in await phone.scan(0.3)] == [b"PROV_a"]
        await rig.note("cancelled", None)
        await rig.note("timeout")
        assert await phone.scan(0.3) == []


@BOTH
@on_loop
async def test_stop_and_again(aioble: str) -> None:
    """stop() drops the client and the objects, keeps the registrations, and can be repeated."""
    program = """
aioble.core.register_irq_handler(
    lambda event, data: note("irq", event, data[0]) if event in (1, 2) else None,
    lambda: note("shutdown"))
async def main():
    for i in range(3):
        service = aioble.Service(bluetooth.UUID(0x1234))
        c = aioble.Characteristic(service, bluetooth.UUID(1), read=True, write=True)
        aioble.register_services(service)
        c.write(b"%d" % i)
        connection = await advertise()
        await c.written()
        aioble.stop()
        note("off", aioble.core.ble.active())
        try:
            c.write(b"x")
        except OSError as e:
            note("errno", e.errno)
        try:
            aioble.core.ble.gap_advertise(1000)
        except OSError as e:
            note("errno", e.errno)
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        for i in range(3):
            link = await link_to(phone)
            await rig.note("irq", 1, 1)
            assert await link.read(link.characteristic("0001").handle) == b"%d" % i
            await link.write(link.characteristic("0001").handle, b"end")
            await asyncio.wait_for(asyncio.shield(link.lost), 60)
            with pytest.raises(LinkLost):
                await link.read(1)
            # No event 2: the radio was off before the link ended.
            await rig.note("shutdown")
            await rig.note("off", False)
            await rig.note("errno", 19)
            await rig.note("errno", 19)


@BOTH
@on_loop
async def test_disconnect_from_the_board(aioble: str) -> None:
    """disconnect() ends the link, and the connection forgets its handle."""
    program = """
async def main():
    aioble.register_services(service)
    c = await advertise()
    await asyncio.sleep_ms(50)
    await c.disconnect()
    note("after", c.is_connected(), len(aioble.DeviceConnection._connected)
         if hasattr(aioble, "DeviceConnection") else 0)
    await advertise()
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        link = await phone.connect(await phone.find("PROV_a"), discover=False)
        assert await asyncio.wait_for(asyncio.shield(link.lost), 60) == 0x13  # the board hung up
        await rig.note("after", False, 0)
        await phone.find("PROV_a")


@BOTH
@on_loop
async def test_second_central_only_when_advertised_again(aioble: str) -> None:
    """Advertising ends with a connection; values are global, so the second reads the first's."""
    program = """
c1 = aioble.Characteristic(service, bluetooth.UUID(1), read=True, write=True)
async def main():
    aioble.register_services(service)
    one = await advertise()
    note("one")
    await c1.written()
    two = await advertise()
    note("two", one._conn_handle != two._conn_handle)
    await asyncio.sleep(60)
go(main())
"""
    async with radio(program, prelude=PRELUDE, aioble=aioble) as (rig, phone):
        other = await Phone.on_ether(rig.ether)
        link = await link_to(phone)
        await rig.note("one")
        assert await other.scan(0.5) == []
        await link.write(link.characteristic("0001").handle, b"secret of one")
        second = await link_to(other)
        await rig.note("two", True)
        assert await second.read(second.characteristic("0001").handle) == b"secret of one"
        await other.close()


@on_loop
async def test_pin_refuses_another_aioble(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A package of that name without what the transport needs is refused by name."""
    package = tmp_path_factory.mktemp("other") / "aioble"
    package.mkdir()
    (package / "__init__.py").write_text(
        "class BufferedCharacteristic: pass\nDescriptor = Service = advertise = config = 1\n"
        "register_services = stop = 1\n"
    )
    (package / "core.py").write_text("ble = None\n")
    program = """
import _world
from homing.provisioning.ble import check_aioble
try:
    check_aioble()
except ImportError as e:
    _world.notify("note", "refused", str(e))
_world.wait(60_000)
"""
    from tools.sim.ether import Ether

    rig = await Rig(Ether(), aioble=str(package)).start(program, prelude="")
    (why,) = await rig.note("refused")
    assert "aioble.core has no ble_irq" in why
    await rig.kill()
