"""Requests of every size arrive whole, and each gets its own answer: never an older one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from bleak.exc import BleakError
from esp_protocomm.wifi import WifiState

from tools.harness.bench import Bench
from tools.harness.dialogue import CONFIG, Dialogue

VERSION = "proto-ver"
GET_STATUS, NOT_YET = b"\x52\x00", bytes.fromhex("08015a021001")
INVALID_ARGUMENT = 4
# A characteristic has 20 bytes unless told otherwise; 182 and 509 are what phones' packets carry.
SIZES = (20, 21, 182, 509, 512)
TOO_LONG = 513


def padded(size: int) -> bytes:
    """A get-status request of that size: an unknown field (31) fills it, and must be complete."""
    length = size - len(GET_STATUS) - 3
    if length > 127:
        length -= 1
    varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    made = GET_STATUS + b"\xfa\x01" + varint + bytes(length)
    assert len(made) == size
    return made


def test_sizes(bench: Bench) -> None:
    bench.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        version = await d.transport.send(VERSION, b"?")
        for size in SIZES:
            assert await d.ask(CONFIG, padded(size)) == NOT_YET, size
            assert await d.transport.send(VERSION, b"?" * size) == version
            # A request that lost its end would have been told from a whole one.
            assert await d.refused(CONFIG, padded(size)[:-1]), size
        with pytest.raises(BleakError):
            await d.transport.send(CONFIG, bytes(TOO_LONG))
        assert await d.ask(CONFIG, GET_STATUS) == NOT_YET
        assert (await d.provision(bench.ssid, bench.password)).state is WifiState.CONNECTED

    bench.talk(work)
    bench.board.wait_state("online")


@pytest.mark.timeout(3600)
def test_no_answer_is_older_than_its_request(
    bench: Bench, rounds: Callable[[int, int], range]
) -> None:
    """Phones read at once after the write. In a session an old answer would not even decrypt."""
    bench.board.wait_state("advertising")
    name, pop, rng = bench.name(), bench.pop(), random.Random(1)

    async def work() -> None:
        async with bench.dialogue(name) as d:
            await d.secure(pop)
            for turn in rounds(100, 10_000):
                kind = rng.randrange(4)
                if kind == 0:
                    assert await d.ask(CONFIG, GET_STATUS) == NOT_YET, turn
                elif kind == 1:
                    assert await d.set(b"some network", b"some password") == 0, turn
                elif kind == 2:
                    assert await d.set(b"s" * 33) == INVALID_ARGUMENT, turn
                else:
                    assert await d.refused(CONFIG, b"\xff"), turn

    bench.run(work(), timeout_s=3000)
