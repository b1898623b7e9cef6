"""The native GHASH, in emulation, against OpenSSL's GCM; always the same number of instructions."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tools.native import build, counts, ghash
from tools.native.emulator import Machine


def native(machine: Machine, key: bytes, data: bytes, **options: bool) -> tuple[bytes, int]:
    """The hash of whole blocks, and the instructions of update()."""
    table, digest = bytearray(ghash.TABLE_LEN), bytearray(16)
    machine.call("table", table, key, **options)
    run = machine.call("update", digest, bytes(table), data, len(data) // 16, **options)
    return bytes(digest), run.instructions


def openssl(key: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    """GHASH's key of an AES key, the blocks that are hashed for data, and the hash: the tag of a
    message that has no text is that, encrypted by XOR with a block of the cipher."""
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    hash_key, mask = ecb.update(bytes(16)), ecb.update(bytes(15) + b"\1")
    tag = AESGCM(key).encrypt(bytes(12), b"", data)
    blocks = data + bytes(-len(data) % 16) + (8 * len(data)).to_bytes(8, "big") + bytes(8)
    return hash_key, blocks, bytes(a ^ b for a, b in zip(tag, mask, strict=True))


def by_the_text(x: int, y: int) -> int:
    """The product as in SP 800-38D, 6.3."""
    z = 0
    for i in range(128):
        if x >> (127 - i) & 1:
            z ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return z


def test_cost() -> None:
    assert counts.recorded()["ghash.block"] <= 1000


def _sweep(machine: Machine, seed: int, count: int) -> None:
    random_ = random.Random(seed)
    one, two = (native(machine, bytes(16), bytes(16 * blocks))[1] for blocks in (1, 2))
    assert one in (0, counts.recorded()["ghash.block"])
    for _ in range(count):
        key, data = random_.randbytes(32), random_.randbytes(random_.randrange(100))
        hash_key, blocks, expected = openssl(key, data)
        found, run = native(machine, hash_key, blocks)
        assert found == expected
        assert run == one + (two - one) * (len(blocks) // 16 - 1)


def test_random() -> None:
    _sweep(counts.machine("ghash"), 1, 1500)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1000, 1010))
def test_100_000_random(seed: int) -> None:
    _sweep(Machine(build.compiled("ghash"), ghash.functions(), counting=False), seed, 10_000)


def test_edges_take_the_recorded_number_of_instructions() -> None:
    """Factors of a single term, of all, and random ones."""
    machine, random_ = counts.machine("ghash"), random.Random(2)
    terms = [1 << i for i in (0, 1, 3, 4, 31, 32, 63, 95, 96, 120, 124, 127)]
    values = [0, 2**128 - 1, 0xE1 << 120, *terms, *(random_.getrandbits(128) for _ in range(20))]
    runs = set()
    for x in values:
        for y in values:
            found, run = native(machine, x.to_bytes(16, "big"), y.to_bytes(16, "big"))
            assert int.from_bytes(found, "big") == by_the_text(y, x)
            runs.add(run)
    assert runs == {counts.recorded()["ghash.block"]}


def test_no_blocks_change_nothing() -> None:
    assert native(counts.machine("ghash"), bytes(range(16)), b"")[0] == bytes(16)


@pytest.mark.parametrize("at_start", [False, True])
@pytest.mark.parametrize("watch", [False, True])
def test_every_access_is_in_bounds(at_start: bool, watch: bool) -> None:
    for size in (0, 1, 16, 40):
        key, blocks, expected = openssl(bytes(range(32)), bytes(range(size)))
        machine = counts.machine("ghash")
        assert native(machine, key, blocks, at_start=at_start, watch=watch)[0] == expected


def test_only_the_place_in_the_table_depends_on_the_data() -> None:
    machine, traces = counts.machine("ghash"), []
    for seed in (1, 2):
        native(machine, bytes(range(16)), random.Random(seed).randbytes(64), watch=True)
        # The table is 256 bytes that end with a page.
        pages = [(write, a if a % 4096 < 3840 else 0, size) for write, a, size in machine.trace]
        traces.append(pages)
    assert len(traces[0]) > 4 * 128
    assert traces[0] == traces[1]
