"""The native SHA-512, in emulation, against hashlib; always the same number of instructions."""

from __future__ import annotations

import hashlib
import math
import random
import struct

import pytest

from tools.native import build, counts, sha512
from tools.native.emulator import Machine

TABLE = sha512.constants() + bytes(sha512.TABLE_LEN // 2)
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)
INITIAL = b"".join(struct.pack("<Q", math.isqrt(p << 128) % 2**64) for p in PRIMES)


def padded(message: bytes) -> bytes:
    zeros = -(len(message) + 17) % 128
    return message + b"\x80" + bytes(zeros) + (8 * len(message)).to_bytes(16, "big")


def digest(machine: Machine, message: bytes, **options: bool | int) -> tuple[bytes, set[int]]:
    """The digest, and the counts of the blocks."""
    state, table, data = bytearray(INITIAL), bytearray(TABLE), padded(message)
    runs = {
        machine.call("compress", state, data[i : i + 128], table, **options).instructions
        for i in range(0, len(data), 128)
    }
    assert table[:640] == TABLE[:640]
    return struct.pack(">8Q", *struct.unpack("<8Q", state)), runs


def test_cost() -> None:
    assert counts.recorded()["sha512.block"] <= 12_000


def test_constants() -> None:
    assert TABLE[:8] == struct.pack("<Q", 0x428A2F98D728AE22)
    assert TABLE[632:640] == struct.pack("<Q", 0x6C44198C4A475817)


def _sweep(machine: Machine, seed: int, count: int, runs: set[int]) -> None:
    random_ = random.Random(seed)
    for _ in range(count):
        message = random_.randbytes(random_.randrange(400))
        found, taken = digest(machine, message)
        assert found == hashlib.sha512(message).digest()
        runs |= taken


def test_random_messages_take_the_recorded_number_of_instructions() -> None:
    runs: set[int] = set()
    _sweep(counts.machine("sha512"), 1, 1000, runs)
    for message in (b"", b"\xff" * 111, b"\xff" * 112, b"\0" * 128, b"\x80" * 239):
        found, taken = digest(counts.machine("sha512"), message)
        assert found == hashlib.sha512(message).digest()
        runs |= taken
    assert runs == {counts.recorded()["sha512.block"]}


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1000, 1010))
def test_100_000_random_messages(seed: int) -> None:
    machine = Machine(build.compiled("sha512"), sha512.functions(), counting=False)
    _sweep(machine, seed, 10_000, set())


def test_every_state_is_taken() -> None:
    """Random states, which no message has: against the sum of the rounds by the standard's text."""
    random_ = random.Random(2)
    machine = counts.machine("sha512")
    for words in (
        [0] * 8,
        [2**64 - 1] * 8,
        *([random_.getrandbits(64) for _ in range(8)] for _ in range(20)),
    ):
        for block in (bytes(128), b"\xff" * 128, random_.randbytes(128)):
            state = bytearray(struct.pack("<8Q", *words))
            machine.call("compress", state, block, bytearray(TABLE))
            assert list(struct.unpack("<8Q", state)) == _by_the_text(words, block)


def _by_the_text(state: list[int], block: bytes) -> list[int]:
    mask = 2**64 - 1

    def rotate(x: int, n: int) -> int:
        return (x >> n | x << 64 - n) & mask

    w = list(struct.unpack(">16Q", block))
    for t in range(16, 80):
        s0 = rotate(w[t - 15], 1) ^ rotate(w[t - 15], 8) ^ w[t - 15] >> 7
        s1 = rotate(w[t - 2], 19) ^ rotate(w[t - 2], 61) ^ w[t - 2] >> 6
        w.append(w[t - 16] + s0 + w[t - 7] + s1 & mask)
    a, b, c, d, e, f, g, h = state
    for t, k in enumerate(struct.unpack("<80Q", TABLE[:640])):
        big1 = rotate(e, 14) ^ rotate(e, 18) ^ rotate(e, 41)
        t1 = h + big1 + (e & f ^ ~e & g) + k + w[t]
        big0 = rotate(a, 28) ^ rotate(a, 34) ^ rotate(a, 39)
        t2 = big0 + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t1 + t2 & mask, a, b, c, d + t1 & mask, e, f, g
    return [x + y & mask for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


def test_every_access() -> None:
    """Aligned, inside the buffers, and at addresses that do not depend on the data."""
    machine = counts.machine("sha512")
    traces = []
    for message in (b"", random.Random(3).randbytes(111)):
        assert digest(machine, message, watch=True)[0] == hashlib.sha512(message).digest()
        traces.append(list(machine.trace))
    assert len(traces[0]) > 900
    assert traces[0] == traces[1]


@pytest.mark.parametrize("at_start", [False, True])
def test_buffers_between_guard_pages(at_start: bool) -> None:
    found, _ = digest(counts.machine("sha512"), b"abc", at_start=at_start)
    assert found == hashlib.sha512(b"abc").digest()
