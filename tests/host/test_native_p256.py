"""The native P-256, in emulation, against OpenSSL; docs/native.md has the bounds that are tested.
Always the same number of instructions."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tools.native import build, counts, p256, p256_numbers
from tools.native.emulator import Machine, assembled

ROOT = Path(__file__).parents[2]
P, N = p256.P, p256.N
R = 1 << 256
TOOTH = 64
MULTIPLY, SIGN = (counts.recorded()[f"p256.{name}"] for name in ("multiply", "sign"))


def openssl(k: int) -> tuple[int, int]:
    """x and y of k * G."""
    point = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers()
    return point.x, point.y


def _comb() -> bytes:
    entries = []
    for digit in range(1, 16):
        entries += openssl(sum((digit >> j & 1) << TOOTH * j for j in range(4)))
    return b"".join(entry.to_bytes(32, "little") for entry in entries)


COMB = _comb()


def number(data: bytes | bytearray, place: int) -> int:
    return int.from_bytes(data[p256.LEN * place : p256.LEN * (place + 1)], "little")


def sign(machine: Machine, k: int, d: int, z: int, **options: bool) -> tuple[int, int, int, int]:
    """x, y and s modulo P and N, and the instructions."""
    work = p256.work(k, d, z)
    run = machine.call("multiply", work, COMB, 1, **options)
    x, y, s = (number(work, place) for place in (p256.X, p256.Y, p256.S))
    return x % P, y % P, s % N, run.instructions


def check(machine: Machine, k: int, d: int, z: int) -> None:
    x, y, s, run = sign(machine, k, d, z)
    assert (x, y) == openssl(k)
    assert s == pow(k, -1, N) * (z + x * d) % N
    assert run in (0, SIGN)


def test_cost() -> None:
    assert SIGN <= 4_000_000
    assert counts.milliseconds(SIGN) <= 35


def test_the_comb_of_the_board() -> None:
    """The literal in lib/homing/crypto/p256_domain.py, against OpenSSL's points."""
    text = (ROOT / "lib/homing/crypto/p256_domain.py").read_text()
    names: dict[str, bytes] = {}
    exec(text, names)
    assert names["COMB"] == COMB
    assert (names["P"], names["N"], names["B"]) == (P, N, p256.B)


def test_random_keys_take_the_recorded_number_of_instructions(
    rounds: Callable[[int, int], range],
) -> None:
    random_ = random.Random(1)
    machine = counts.machine("p256")
    for _ in rounds(40, 100):
        check(machine, *(random_.randrange(1, N) for _ in range(3)))


def test_edges() -> None:
    """Scalars of few and many bits, each digit of the comb alone, extreme keys and hashes."""
    machine = counts.machine("p256")
    scalars = [1, 2, 3, N - 1, N - 2, 1 << 255, (1 << 64) - 1, 1 << 63, (1 << 192) - 1]
    scalars += [sum((digit >> j & 1) << 64 * j for j in range(4)) for digit in range(1, 16)]
    for i, k in enumerate(scalars):
        d = (1, N - 1, 5)[i % 3]
        check(machine, k, d, (0, 1, N - 1)[i % 3])
    for z in (0, N - 1):
        for d in (1, N - 1):
            check(machine, 0x123456789ABCDEF << 100, d, z)


def test_points_that_have_no_sum_by_other_formulas() -> None:
    """In the last step: P + P; P - P, the neutral point; and the neutral point all the way."""
    machine = counts.machine("p256")
    digit13 = 1 + (1 << 128) + (1 << 192)
    k = N + 2 * digit13  # ends with that digit, so the sum before is digit13 * G itself
    assert [k >> TOOTH * j & 1 for j in range(4)] == [1, 0, 1, 1] and k < R
    x, y, _, run = sign(machine, k, 1, 1)
    assert (x, y) == openssl(k % N) and run == SIGN
    for k in (0, N):
        x, y, _, run = sign(machine, k, 1, 1)
        assert (x, y) == (0, 0) and run == SIGN


def _sweep(seed: int, count: int) -> None:
    machine = Machine(build.compiled("p256"), p256.functions(), counting=False)
    random_ = random.Random(seed)
    for _ in range(count):
        check(machine, *(random_.randrange(1, N) for _ in range(3)))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_random(seed: int) -> None:
    _sweep(seed, 250)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1000, 1050))
def test_100_000_random(seed: int) -> None:
    _sweep(seed, 2000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_keys_take_the_recorded_number_of_instructions(seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(1000):
        check(counts.machine("p256"), *(random_.randrange(1, N) for _ in range(3)))


# -- memory --------------------------------------------------------------------------------------


def test_every_access() -> None:
    """Aligned, inside the buffers, and at addresses that do not depend on the numbers."""
    machine, traces, random_ = counts.machine("p256"), [], random.Random(2)
    for _ in range(2):
        k, d, z = (random_.randrange(1, N) for _ in range(3))
        assert sign(machine, k, d, z, watch=True)[:2] == openssl(k)
        traces.append(hash(tuple(machine.trace)))
        assert len(machine.trace) > 100_000
    assert traces[0] == traces[1]


@pytest.mark.parametrize("at_start", [False, True])
def test_buffers_between_guard_pages(at_start: bool) -> None:
    assert sign(counts.machine("p256"), 3, 1, 1, at_start=at_start)[:2] == openssl(3)


def test_a_public_key_needs_no_signature() -> None:
    work = p256.work(7)
    run = counts.machine("p256").call("multiply", work, COMB, 0)
    assert (number(work, p256.X) % P, number(work, p256.Y) % P) == openssl(7)
    assert run.instructions == MULTIPLY
    assert number(work, p256.S) == 0


# -- numbers: any below R are taken, and what comes out is below R ------------------------------


@pytest.fixture(scope="module")
def numbers() -> Machine:
    return assembled(*p256_numbers.functions())


def _values(seed: int, count: int) -> list[int]:
    """Edges of both moduli, words of all ones and zeros, random ones."""
    random_ = random.Random(seed)
    values = [0, 1, 2, R - 1, R - 2, R // 2, 1 << 224, (1 << 224) - 1, R - (1 << 224)]
    for modulus in (P, N):
        values += [modulus - 1, modulus, modulus + 1, R - modulus, R - modulus - 1, 2 * modulus - R]
    for _ in range(count):
        words = [random_.choice((0, 1, 2**31, 2**32 - 1, 2**32 - 2)) for _ in range(8)]
        values.append(sum(word << 32 * i for i, word in enumerate(words)))
        values.append(random_.getrandbits(256))
    return values


def _cases() -> dict[str, tuple[Callable[[int, int], int], int]]:
    return {
        "add_p": (lambda a, b: a + b, P),
        "sub_p": (lambda a, b: a - b, P),
        "mul_p": (lambda a, b: a * b * pow(R, -1, P), P),
        "mul_n": (lambda a, b: a * b * pow(R, -1, N), N),
    }


def _check_numbers(machine: Machine, name: str, a: int, b: int) -> int:
    work = p256.work(0)
    operation, modulus = _cases()[name]
    for place, value in ((p256_numbers.LEFT, a), (p256_numbers.RIGHT, b)):
        work[p256.LEN * place : p256.LEN * (place + 1)] = value.to_bytes(p256.LEN, "little")
    run = machine.call(name, work)
    assert number(work, p256_numbers.RESULT) % modulus == operation(a, b) % modulus, (name, a, b)
    return run.instructions


@pytest.mark.parametrize("name", list(_cases()))
def test_numbers(numbers: Machine, name: str) -> None:
    values = _values(1, 12)
    assert len({_check_numbers(numbers, name, a, b) for a in values for b in values}) == 1


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(_cases()))
def test_100_000_random_numbers(name: str) -> None:
    machine = Machine(
        build.assemble(p256_numbers.functions(), "t.py"), p256_numbers.functions(), counting=False
    )
    random_ = random.Random(3)
    values = _values(4, 100)
    for _ in range(100_000):
        _check_numbers(machine, name, random_.choice(values), random_.getrandbits(256))
