"""The native 3072-bit arithmetic, in emulation, against Python's integers; docs/native.md has the
bounds that are tested here. Always the same number of instructions."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from peer import Peer

from tools.native import build, counts, mod3072
from tools.native.emulator import Machine

# RFC 3526, 5: 2^3072 - 2^3008 - 1 + 2^64 * (floor(2^2942 * pi) + 1690314).
R = 1 << 3072


def _pi(bits: int) -> int:
    """floor(2 ** bits * pi), by Machin's formula."""
    one = 1 << bits + 64

    def arctan_of_inverse(x: int) -> int:
        term = total = one // x
        n = 3
        while term:
            term //= -x * x
            total += term // n
            n += 2
        return total

    return 16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239) >> 64


N = R - (1 << 3008) - 1 + (_pi(2942) + 1690314 << 64)
INVERSE = pow(R, -1, N)
QUOTIENT = -pow(N, -1, R)
MULTIPLY, SQUARE = (counts.recorded()[f"mod3072.{name}"] for name in ("multiply", "square"))


def native(machine: Machine, x: int, y: int | None, **options: bool) -> tuple[int, int]:
    """x * y / R, or x * x / R, and the instructions."""
    value, work = bytearray(x.to_bytes(mod3072.LEN, "little")), mod3072.work(N)
    table, index = b"", -1
    if y is not None:
        index = y % 3  # any entry will do
        others = bytes([0x55]) * mod3072.LEN
        table = others * index + y.to_bytes(mod3072.LEN, "little") + others * (2 - index)
    run = machine.call("multiply", value, table, index, work, **options)
    return int.from_bytes(value, "little"), run.instructions


def check(machine: Machine, x: int, y: int | None) -> None:
    found, run = native(machine, x, y)
    factor = x if y is None else y
    # Not just any residue: that below R + N which Montgomery's reduction gives, or N less.
    quotient = x * factor * QUOTIENT % R
    expected = (x * factor + quotient * N) // R
    assert expected < R + N
    assert found == (expected if expected < R else expected - N)
    assert found % N == x * factor * INVERSE % N
    assert run in (0, SQUARE if y is None else MULTIPLY)


def edges() -> list[int]:
    """Below R: about 0, N and R; single words; words of all ones and zeros, at random."""
    values = [0, 1, 2, N - 1, N, N + 1, R - 1, R - 2, R - N, R - N - 1, 1 << 3071, (1 << 3071) - 1]
    values += [R - (1 << 32 * i) for i in (1, 2, 5, 6, 7, 12, 48, 90, 95)]
    values += [(1 << 32 * i) - 1 for i in (1, 2, 5, 6, 7, 12, 48, 90, 95)]
    random_ = random.Random(1)
    for _ in range(10):
        words = [random_.choice((0, 1, 2**31, 2**32 - 1, 2**32 - 2)) for _ in range(96)]
        values.append(sum(word << 32 * i for i, word in enumerate(words)))
    return values


def test_cost() -> None:
    """One call may take 2 ms, by the assumption of docs/native.md."""
    assert counts.milliseconds(MULTIPLY) <= 2
    assert SQUARE < 0.8 * MULTIPLY


def test_cost_of_security_2() -> None:
    """The native part; docs/native.md tells what MicroPython adds. What is counted is what the
    board's code calls."""
    assert counts.recorded()["mod3072.respond"] <= 70_000_000
    with Peer() as peer:
        calls = peer.ask("srp_calls", "01", "05" * 384, "07" * 384)
    assert calls == mod3072.RESPOND


def test_prime() -> None:
    assert pow(2, N - 1, N) == pow(2, N // 2 - 1, N // 2) == 1


def test_edges() -> None:
    machine = counts.machine("mod3072")
    values = edges()
    for x in values:
        check(machine, x, None)
        for y in values:
            check(machine, x, y)


def _sweep(machine: Machine, seed: int, count: int) -> None:
    random_ = random.Random(seed)
    for _ in range(count):
        x, y = random_.getrandbits(3072), random_.getrandbits(3072)
        check(machine, x, y)
        check(machine, y, None)


def test_random(rounds: Callable[[int, int], range]) -> None:
    _sweep(counts.machine("mod3072"), 2, len(rounds(100, 400)))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1000, 1050))
def test_100_000_random(seed: int) -> None:
    machine = Machine(build.compiled("mod3072"), mod3072.functions(), counting=False)
    _sweep(machine, seed, 2000)


@pytest.mark.parametrize("square", [False, True])
def test_every_access(square: bool) -> None:
    """Aligned, inside the buffers, and at addresses that do not depend on the values."""
    machine, traces, random_ = counts.machine("mod3072"), [], random.Random(3)
    for _ in range(2):
        x = random_.getrandbits(3072)
        y = None if square else random_.getrandbits(3072) // 3 * 3
        assert native(machine, x, y, watch=True)[0] % N == x * (x if square else y) * INVERSE % N
        traces.append(list(machine.trace))
    assert len(traces[0]) > 5000
    assert traces[0] == traces[1]


@pytest.mark.parametrize("at_start", [False, True])
def test_buffers_between_guard_pages(at_start: bool) -> None:
    machine = counts.machine("mod3072")
    assert native(machine, 5, 9, at_start=at_start)[0] == 45 * INVERSE % N
    assert native(machine, 7, None, at_start=at_start)[0] == 49 * INVERSE % N
