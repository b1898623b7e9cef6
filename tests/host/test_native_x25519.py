"""The native X25519, in emulation: right, bounded, and always the same number of instructions."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tools.native import build, counts, x25519
from tools.native.emulator import Machine, assembled

P = 2**255 - 19
M = 2**255 + 40 * 2**224 - 1  # what a product is at most
BASE = b"\x09" + bytes(31)
FORMAT_MAX = 2**256 - 1
RFC = (
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
)
# Points whose order divides 8 (cr.yp.to/ecdh.html): the result is zero, whatever the scalar.
LOW_ORDER = (
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723061781553021112529911719440698176882885853963445705823,
)


def le(value: int) -> bytes:
    return value.to_bytes(32, "little")


def number(data: bytes | bytearray) -> int:
    return int.from_bytes(data, "little")


@cache
def expected_count(base: bool) -> int:
    return counts.recorded()["x25519.base" if base else "x25519.arbitrary"]


@cache
def fast_machine() -> Machine:
    return Machine(build.compiled("x25519"), x25519.functions(), counting=False)


def multiply(scalar: bytes, u: bytes | None = None) -> bytes:
    """The product; asserts that it took the recorded number of instructions, to the instruction."""
    out = bytearray(32)
    base = u is None
    run = counts.machine("x25519").call("multiply", out, scalar, u or BASE, int(base))
    assert run.instructions == expected_count(base)
    return bytes(out)


def openssl(scalar: bytes, u: bytes) -> bytes:
    try:
        return X25519PrivateKey.from_private_bytes(scalar).exchange(
            X25519PublicKey.from_public_bytes(u)
        )
    except ValueError:
        return bytes(32)  # a point of low order


def test_cost() -> None:
    assert expected_count(False) <= 1_400_000
    assert expected_count(True) <= 1_250_000


def test_rfc_7748_section_5_2() -> None:
    for scalar, u, out in RFC:
        assert multiply(bytes.fromhex(scalar), bytes.fromhex(u)).hex() == out


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.soak) for part in range(1, 10))]
)
def test_rfc_7748_section_5_2_iterated_1000_times(part: int) -> None:
    """In ten parts that begin where OpenSSL has got to, to share the work."""
    k = u = BASE
    for _ in range(100 * part):
        k, u = openssl(k, u), k
    for _ in range(100):
        k, u = multiply(k, u), k
    if part == 9:
        assert k.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
    else:
        begin = v = BASE
        for _ in range(100 * (part + 1)):
            begin, v = openssl(begin, v), begin
        assert k == begin


def test_edges() -> None:
    """Coordinates that are not reduced, of low order, of all ones; scalars of few and many bits."""
    random_ = random.Random(3)
    us = [0, 1, 2, 9, 18, 19, P - 1, P, P + 1, P + 18, 2**255 - 1, 2**255, FORMAT_MAX, 2**224 - 1]
    us += [*LOW_ORDER, *(2**255 + low for low in LOW_ORDER)]
    scalars = [0, 1, 8, FORMAT_MAX, 2**255 - 8, 2**254, 2**255 - 1, 1 << 3, 0x5555 << 200]
    for u in us:
        for scalar in (*scalars[:4], random_.getrandbits(256)):
            assert multiply(le(scalar), le(u)) == openssl(le(scalar), le(u))
    for scalar in scalars + [1 << bit for bit in range(0, 256, 8)]:
        assert multiply(le(scalar)) == openssl(le(scalar), BASE)


def test_base_point_as_any_other() -> None:
    random_ = random.Random(4)
    for _ in range(20):
        scalar = random_.randbytes(32)
        assert multiply(scalar) == multiply(scalar, BASE)


def _sweep(seed: int, count: int, counted: int = 1) -> None:
    """One in `counted` multiplications is run where instructions are counted, too."""
    random_ = random.Random(seed)
    fast, out = fast_machine(), bytearray(32)
    for i in range(count):
        scalar, u = random_.randbytes(32), random_.randbytes(32)
        if i % counted:
            fast.call("multiply", out, scalar, u, 0)
            assert out == openssl(scalar, u)
        elif i % 3 == 0:
            assert multiply(scalar) == openssl(scalar, BASE)
        else:
            assert multiply(scalar, u) == openssl(scalar, u)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_random(seed: int) -> None:
    _sweep(seed, 100)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_100_000_random(seed: int) -> None:
    _sweep(seed, 1000, counted=10)


# -- memory --------------------------------------------------------------------------------------


def test_every_access() -> None:
    """Aligned, inside the buffers, and at addresses that do not depend on the data.

    But for the two points of the ladder, which are 64 bytes apart at the bottom of the stack: the
    scalar's bits say in which order they are used.
    """
    traces = []
    for seed in (1, 2):
        random_ = random.Random(seed)
        machine = counts.machine("x25519")
        out = bytearray(32)
        scalar, u = random_.randbytes(32), random_.randbytes(32)
        machine.call("multiply", out, scalar, u, 0, gap=64, watch=True)
        assert out == openssl(scalar, u)
        bottom = min(address for _write, address, _size in machine.trace)
        traces.append(
            [
                (write, offset & ~64 if offset < 128 else offset, size)
                for write, offset, size in (
                    (write, address - bottom, size) for write, address, size in machine.trace
                )
            ]
        )
    assert len(traces[0]) > 50_000
    assert traces[0] == traces[1]


@pytest.mark.parametrize("at_start", [False, True])
def test_buffers_between_guard_pages(at_start: bool) -> None:
    scalar, u = bytes(range(32)), bytes(range(32, 64))
    out = bytearray(32)
    counts.machine("x25519").call("multiply", out, scalar, u, 0, at_start=at_start)
    assert out == openssl(scalar, u)


# -- the field: docs/native.md has the bounds that are tested here ------------------------------


@pytest.fixture(scope="module")
def field() -> Machine:
    return assembled(*x25519.field_functions())


def _elements(limit: int, seed: int, count: int = 60) -> list[int]:
    """Elements up to `limit`: edges, words of all ones and zeros, random ones."""
    random_ = random.Random(seed)
    edges = [0, 1, 18, 19, 37, 38, P - 1, P, P + 1, 2 * P - 1, 2 * P, 2**255 - 1, 2**255, M]
    edges += [FORMAT_MAX, FORMAT_MAX - 19, FORMAT_MAX - 37, limit, limit - 1, limit - 19]
    for _ in range(count // 2):
        words = [random_.choice((0, 1, 2**31, 2**32 - 1, 2**32 - 2)) for _ in range(8)]
        edges.append(sum(word << 32 * i for i, word in enumerate(words)))
    edges += [random_.getrandbits(256) for _ in range(count // 2)]
    return [min(value, limit) for value in edges]


def _same_count(runs: set[int]) -> None:
    assert len(runs) == 1


def test_multiply_takes_any_elements(field: Machine, rounds: Callable[[int, int], range]) -> None:
    runs, out = set(), bytearray(32)
    values = _elements(FORMAT_MAX, 1, len(rounds(20, 60)))
    for x in values:
        for y in values:
            runs.add(field.call("field_multiply", out, le(x), le(y)).instructions)
            assert number(out) % P == x * y % P
            assert number(out) <= M
    _same_count(runs)


def test_square_takes_any_element_but_the_last_19(field: Machine) -> None:
    runs, out = set(), bytearray(32)
    limit = 2**256 - 20
    for x in _elements(limit, 2, count=2000):
        runs.add(field.call("field_square", out, le(x)).instructions)
        assert number(out) % P == x * x % P
        assert number(out) <= M
    _same_count(runs)


def test_sum_and_difference_take_products_and_give_what_squares_take(
    field: Machine, rounds: Callable[[int, int], range]
) -> None:
    runs, out = set(), bytearray(64)
    values = _elements(M, 3, len(rounds(20, 60)))
    top = 2**31 + 66
    for x in values:
        for y in values:
            runs.add(field.call("field_sum_difference", out, le(x), le(y)).instructions)
            difference, total = number(out[:32]), number(out[32:])
            assert difference % P == (x - y) % P
            assert total % P == (x + y) % P
            assert max(difference, total) >> 224 <= top
    _same_count(runs)


def test_a24_takes_a_product_and_any_element(
    field: Machine, rounds: Callable[[int, int], range]
) -> None:
    runs, out = set(), bytearray(32)
    count = len(rounds(20, 60))
    values = _elements(FORMAT_MAX, 4, count)
    for x in _elements(M, 5, count):
        for y in values:
            runs.add(field.call("field_a24", out, le(x), le(y)).instructions)
            assert number(out) % P == (x + 121665 * y) % P
            assert number(out) >> 224 <= 2**31 + 121665
    _same_count(runs)


def test_times_9_takes_any_element_and_gives_a_product(field: Machine) -> None:
    runs, out = set(), bytearray(32)
    for x in _elements(FORMAT_MAX, 6, count=1000):
        runs.add(field.call("field_times_9", out, le(x)).instructions)
        assert number(out) % P == 9 * x % P
        assert number(out) <= M
    _same_count(runs)


def test_reduce(field: Machine) -> None:
    runs, out = set(), bytearray(32)
    for x in _elements(FORMAT_MAX, 7, count=1000):
        runs.add(field.call("field_reduce", out, le(x)).instructions)
        assert number(out) == x % P
    _same_count(runs)
