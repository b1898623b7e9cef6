"""The native parts of AES-CTR, in emulation: counters at every carry, XOR of every length."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tools.native import counts
from tools.native.emulator import Fault

ONES = 2**128 - 1


def blocks(counter: int, count: int, **options: bool) -> tuple[bytes, int]:
    out, following = bytearray(16 * count), bytearray(counter.to_bytes(16, "big"))
    counts.machine("ctr").call("blocks", out, following, count, **options)
    return bytes(out), int.from_bytes(following, "big")


def xor(data: bytes, stream: bytes, length: int, **options: bool) -> bytes:
    out = bytearray(data)
    counts.machine("ctr").call("xor", out, stream, length, **options)
    return bytes(out)


def test_cost_of_1000_bytes() -> None:
    assert counts.recorded()["ctr.1000"] <= 2000


@pytest.mark.parametrize("carries", range(17))
def test_counters_at_every_carry(carries: int) -> None:
    """Through `carries` bytes, at each distance, and for each number of blocks."""
    random_ = random.Random(carries)
    high = random_.getrandbits(128) << 8 * carries & ONES
    for below in (0, 1, 2, 15, 255, 256, 257):
        start = (high | (1 << 8 * carries) - 1) - below & ONES
        for count in (0, 1, 2, 3, 17, 63, 300):
            out, following = blocks(start, count)
            values = [start + i & ONES for i in range(count)]
            assert out == b"".join(value.to_bytes(16, "big") for value in values)
            assert following == start + count & ONES


def test_xor_of_every_length() -> None:
    random_ = random.Random(1)
    for length in [*range(70), 512, 999, 1000, 1001]:
        data, stream = random_.randbytes(length), random_.randbytes(length)
        expected = bytes(a ^ b for a, b in zip(data, stream, strict=True))
        for options in ({}, {"at_start": True}, {"watch": True}):
            assert xor(data, stream, length, **options) == expected


def test_xor_stops_at_its_length() -> None:
    data, stream = bytes(range(100)), bytes([255]) * 100
    for length in range(100):
        out = xor(data, stream, length)
        assert out[:length] == bytes(byte ^ 255 for byte in data[:length])
        assert out[length:] == data[length:]


def test_what_is_too_long_is_a_fault_here() -> None:
    """The reason for the wrappers."""
    with pytest.raises(Fault):
        counts.machine("ctr").call("xor", bytearray(16), bytes(16), 20)
    with pytest.raises(Fault):
        counts.machine("ctr").call("blocks", bytearray(16), bytearray(16), 2)
    with pytest.raises(Fault):
        counts.machine("ctr").call("xor", bytes(16), bytes(16), 16)


def test_a_stream_as_openssl_makes_it() -> None:
    random_ = random.Random(2)
    for length in (1, 15, 16, 17, 100, 1000):
        key, counter = random_.randbytes(32), random_.getrandbits(128)
        data = random_.randbytes(length)
        count = -(-length // 16)
        stream = (
            Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks(counter, count)[0])
        )
        other = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big"))).encryptor()
        assert xor(data, stream, length) == other.update(data)


def test_accesses_with_watch() -> None:
    for counter in (0, 255, 2**32 - 2, ONES - 1):
        blocks(counter, 5, watch=True)
