"""What no honest client sends: refused as defined, and the board goes on, in the same session."""

from __future__ import annotations

import random

import pytest
from bleak.exc import BleakGATTProtocolError
from esp_protocomm.proto import sec1_pb2, session_pb2, wifi_scan_pb2
from esp_protocomm.security1 import Security1, SecurityError
from esp_protocomm.wifi import WifiState

from tools.harness.bench import Bench
from tools.harness.dialogue import CONFIG, CTRL, SESSION, Dialogue

SCAN, VERSION = "prov-scan", "proto-ver"
ROUNDS = 40
LOW_ORDER = (
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    b"\xec" + b"\xff" * 30 + b"\x7f",  # -1
    b"\xed" + b"\xff" * 30 + b"\x7f",  # the prime itself: zero again
)
# One good request of each kind, to be bent. Not apply: it would be obeyed.
GOOD = {
    CONFIG: ("5200", "080262140a066d7973736964120a6d7970617373776f7264"),
    SCAN: ("5206080118052078", "0802", "0802620008", "080472021002"),
    CTRL: ("0801", "08015a00", "0803"),
}
APPLY = b"\x08\x04"


def bent(rng: random.Random, good: bytes) -> bytes:
    """Garbage, or a good message with a few bytes flipped, cut, doubled or appended."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.choice((1, 2, 17, 100, 512)))
    data = bytearray(good)
    at = rng.randrange(len(data))
    if kind == 1:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at:at] = data
    else:
        data += rng.randbytes(rng.randrange(1, 12))
    return bytes(data) or b"\xff"


def cmd0(public_key: bytes) -> bytes:
    request = session_pb2.SessionData(sec_ver=session_pb2.SecScheme1)
    request.sec1.sc0.client_pubkey = public_key
    return request.SerializeToString()


def cmd1(proof: bytes) -> bytes:
    request = session_pb2.SessionData(sec_ver=session_pb2.SecScheme1)
    request.sec1.msg = sec1_pb2.Session_Command1
    request.sec1.sc1.client_verify_data = proof
    return request.SerializeToString()


async def finish(d: Dialogue, bench: Bench) -> None:
    """The proof that nothing has been broken: the same session does the main job."""
    assert (await d.provision(bench.ssid, bench.password)).state is WifiState.CONNECTED


@pytest.mark.parametrize("seed", range(2))
def test_garbage_before_the_session(bench: Bench, seed: int) -> None:
    """Clear garbage to every endpoint; then a good handshake on the same connection."""
    bench.board.wait_state("advertising")
    rng = random.Random(seed)
    dialogue, pop = bench.dialogue(), bench.pop()

    async def work() -> None:
        async with dialogue as d:
            for _ in range(ROUNDS):
                for endpoint in (CONFIG, SCAN, CTRL):
                    assert await d.send(endpoint, bent(rng, b"\x52\x00")) is None
                answer = await d.send(SESSION, bent(rng, cmd0(rng.randbytes(32))))
                # A bent key is a key: then this is the first half of a handshake.
                assert answer is None or answer.startswith(b"\x10\x01\x5a\x39\x08\x01\xaa\x01")
                assert await d.send(VERSION, bent(rng, b"ESP")) is not None
            await d.secure(pop)
            await finish(d, bench)

    bench.run(work())
    bench.board.wait_state("online")


@pytest.mark.parametrize("seed", range(2))
def test_garbage_inside_the_session(bench: Bench, seed: int) -> None:
    """Properly encrypted nonsense: refused or answered, and the keystreams stay in step."""
    bench.board.wait_state("advertising")
    rng = random.Random(seed)

    async def work(d: Dialogue) -> None:
        refused = 0
        for _ in range(ROUNDS):
            for endpoint, requests in GOOD.items():
                request = bent(rng, bytes.fromhex(rng.choice(requests)))
                if not request.startswith(APPLY):
                    refused += await d.refused(endpoint, request)
            assert (await d.status()).state is WifiState.CONNECTING
        assert refused > ROUNDS  # else this was no garbage
        await finish(d, bench)

    bench.talk(work)
    bench.board.wait_state("online")


def test_scan_index_out_of_range_and_unknown_messages(bench: Bench) -> None:
    bench.board.wait_state("advertising")

    async def page(d: Dialogue, start: int, count: int) -> bool:
        request = wifi_scan_pb2.WiFiScanPayload(msg=wifi_scan_pb2.TypeCmdScanResult)
        request.cmd_scan_result.start_index = start
        request.cmd_scan_result.count = count
        return not await d.refused(SCAN, request.SerializeToString())

    async def work(d: Dialogue) -> None:
        assert not await page(d, 0, 1)  # nothing scanned yet
        assert await d.ask(SCAN, bytes.fromhex("5206080118002078"))
        status = wifi_scan_pb2.WiFiScanPayload()
        status.ParseFromString(await d.ask(SCAN, b"\x08\x02"))
        count = status.resp_scan_status.result_count
        assert count >= 1
        assert await page(d, 0, count)
        assert await page(d, 0, 0)
        for start, wanted in ((0, count + 1), (count, 1), (0, 17), (16, 0), (15, 2)):
            assert not await page(d, start, wanted), (start, wanted)
        assert not await page(d, 2**32 - 1, 2**32 - 1)
        # Unknown numbers, replies in place of requests, and what upstream has for Thread.
        for endpoint in (CONFIG, SCAN, CTRL):
            for msg in (1, 3, 5, 6, 8, 10, 99, 2**31 - 1):
                if endpoint == CTRL and msg in (1, 3):
                    continue
                request = wifi_scan_pb2.WiFiScanPayload(msg=msg)
                assert await d.refused(endpoint, request.SerializeToString()), (endpoint, msg)
        assert await d.refused(CONFIG, b"\x08\x02")  # set without its member
        assert await d.refused(SCAN, b"\x08\x04")
        await finish(d, bench)

    bench.talk(work)
    bench.board.wait_state("online")


def test_handshake_out_of_order(bench: Bench) -> None:
    """Wrong order, wrong lengths, low-order points, each refused; the next handshake works."""
    bench.board.wait_state("advertising")
    dialogue, pop = bench.dialogue(), bench.pop()

    async def work() -> None:
        async with dialogue as d:
            assert await d.send(CONFIG, b"\x52\x00") is None  # encrypted before there is a session
            assert await d.send(SESSION, cmd1(bytes(32))) is None
            assert await d.send(CONFIG, b"\x52\x00") is None
            for point in LOW_ORDER:
                assert await d.send(SESSION, cmd0(point)) is None, point.hex()
                assert await d.send(SESSION, cmd1(bytes(32))) is None
            for size in (0, 1, 31, 33, 64):
                assert await d.send(SESSION, cmd0(b"\x09" * size)) is None, size
            # Security 0 and 2 to a board that has 1.
            assert await d.send(SESSION, bytes.fromhex("5203a20100")) is None
            assert await d.send(SESSION, bytes.fromhex("100262020800")) is None
            # A proof of the wrong length costs nothing, and the right one still counts.
            security = Security1(pop)
            answer = await d.send(SESSION, security.setup0_request())
            assert answer is not None
            security.handle_setup0_response(answer)
            for size in (0, 31, 33):
                assert await d.send(SESSION, cmd1(b"\x09" * size)) is None
            assert await d.send(CONFIG, b"\x52\x00") is None  # half a handshake secures nothing
            answer = await d.send(SESSION, security.setup1_request())
            assert answer is not None
            security.handle_setup1_response(answer)
            d.security = security
            assert (await d.status()).state is WifiState.CONNECTING
            assert await d.send(SESSION, cmd1(bytes(32))) is None  # done is done
            assert (await d.status()).state is WifiState.CONNECTING
            await d.secure(pop)  # a new handshake in the same connection
            await finish(d, bench)

    bench.run(work())
    assert not [s for s in bench.board.states() if s["state"] == "wrong-pop"]
    bench.board.wait_state("online")


def test_no_key_pair_serves_twice(bench: Bench) -> None:
    bench.board.wait_state("advertising")
    dialogue = bench.dialogue()

    async def work() -> list[bytes]:
        keys = []
        async with dialogue as d:
            for _ in range(5):
                answer = await d.send(SESSION, cmd0(b"\x09" + bytes(31)))
                assert answer is not None
                reply = session_pb2.SessionData()
                reply.ParseFromString(answer)
                keys.append(reply.sec1.sr0.device_pubkey + reply.sec1.sr0.device_random)
        return keys

    keys = bench.run(work())
    assert len({key[:32] for key in keys}) == len({key[32:] for key in keys}) == 5


def test_wrong_pop_then_right_on_one_connection(bench: Bench) -> None:
    bench.board.wait_state("advertising")
    dialogue, pop = bench.dialogue(), bench.pop()

    async def work() -> None:
        async with dialogue as d:
            for wrong in ("WRONGWRONG22", pop.lower(), ""):
                with pytest.raises(SecurityError):
                    await d.secure(wrong)
            await d.secure(pop)
            await finish(d, bench)

    bench.run(work())
    counts = [s["n"] for s in bench.board.states() if s["state"] == "wrong-pop"]
    assert counts == [1, 2, 3]
    assert "wrong proof of possession (1 of 5)" in bench.board.log
    bench.board.wait_state("online")


def test_empty_and_too_long_writes(bench: Bench) -> None:
    """An empty write is ignored, 512 bytes are served, 513 are refused; all without a trace."""
    bench.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        for endpoint in d.transport.endpoints:
            assert await d.send(endpoint, b"") is None, endpoint
            with pytest.raises(BleakGATTProtocolError):
                await d.transport.send(endpoint, b"\x55" * 513)
        assert (await d.status()).state is WifiState.CONNECTING
        assert await d.send(VERSION, b"\x55" * 512) is not None
        # An unknown field fills a good request up to the limit.
        request = b"\x52\x00\xfa\x01\xfa\x03" + bytes(506)
        assert len(request) == 512
        assert await d.ask(CONFIG, request) == bytes.fromhex("08015a021001")
        await finish(d, bench)

    bench.talk(work)
    bench.board.wait_state("online")
