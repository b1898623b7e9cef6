"""SHA-512's compression of one block (FIPS 180-4, 6.4.2).

A 64-bit word is a pair of registers, (low, high). All eight working variables stay in registers;
eight rounds are written out, after which each variable is back in the pair where it began. The
schedule is computed before the rounds into memory that the caller lends.
"""

from __future__ import annotations

import math
from itertools import count, islice
from typing import TYPE_CHECKING

from . import counts
from .asm import (
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    S0,
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
    S7,
    S8,
    S9,
    S10,
    S11,
    SAVED,
    T0,
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    Function,
    Mem,
    Reg,
)

if TYPE_CHECKING:
    from .emulator import Machine

Pair = tuple[Reg, Reg]

ROUNDS = 80
BLOCK_LEN = 128
TABLE_LEN = 2 * 8 * ROUNDS  # bytes: the constants, and room for the schedule
_W = 8 * ROUNDS  # where that begins
_UNROLLED = 8


def functions() -> list[Function]:
    """The asm functions of the module, in order."""
    return [_compress()]


def _compress() -> Function:
    f = Function(
        "compress",
        parameters=3,
        doc="compress(state, block, table): take a block of 128 bytes into the state of 8 words.\n"
        "table: 80 constants, and room for 80 words more. All pointers are aligned.",
    )
    state, block, table = A0, A1, A2
    with f.frame(SAVED, words=1) as stack:
        f.sw(state, stack[0])
        _load(f, block, table)
        _expand(f, table)
        variables = [(S0, S1), (S2, S3), (S4, S5), (S6, S7), (S8, S9), (S10, S11), (A4, A5)]
        variables.append((A6, A7))
        for i, (low, high) in enumerate(variables):
            f.lw(low, Mem(state, 8 * i))
            f.lw(high, Mem(state, 8 * i + 4))
        _rounds(f, table, variables)
        f.lw(state, stack[0])
        low, high, carry = T0, T1, T2
        for i, pair in enumerate(variables):
            f.lw(low, Mem(state, 8 * i))
            f.lw(high, Mem(state, 8 * i + 4))
            _add(f, pair, (low, high), carry)
            f.sw(pair[0], Mem(state, 8 * i))
            f.sw(pair[1], Mem(state, 8 * i + 4))
    return f


def _add(f: Function, to: Pair, value: Pair, carry: Reg) -> None:
    f.add(to[0], to[0], value[0])
    f.sltu(carry, to[0], value[0])
    f.add(to[1], to[1], value[1])
    f.add(to[1], to[1], carry)


def _rotations(f: Function, to: Pair, of: Pair, turns: tuple[int, ...], spare: Reg) -> None:
    """to = XOR of `of`, rotated to the right by each of turns; a negative one is a shift."""
    for half in (0, 1):
        first = True
        for turn in turns:
            bits = abs(turn)
            near, far = of[half], of[1 - half]
            if bits > 32:
                near, far, bits = far, near, bits - 32
            f.srli(to[half] if first else spare, near, bits)
            if not first:
                f.xor(to[half], to[half], spare)
            first = False
            if turn > 0 or half == 0:  # nothing is shifted into the high word from above
                f.slli(spare, far, 32 - bits)
                f.xor(to[half], to[half], spare)


def _load(f: Function, block: Reg, table: Reg) -> None:
    # The first 16 words of the schedule are the block's, which are big endian.
    to, end, word, byte = T0, T1, T2, T3
    f.addi(to, table, _W)
    f.addi(end, to, BLOCK_LEN)
    f.label("load")
    for half in (0, 1):
        for i in range(4):
            f.lbu(byte, Mem(block, 4 * half + i))
            if i == 0:
                f.slli(word, byte, 24)
            elif i < 3:
                f.slli(byte, byte, 24 - 8 * i)
                f.or_(word, word, byte)
            else:
                f.or_(word, word, byte)
        f.sw(word, Mem(to, 4 - 4 * half))
    f.addi(block, block, 8)
    f.addi(to, to, 8)
    f.bne(to, end, "load")


def _expand(f: Function, table: Reg) -> None:
    # w[i + 16] = w[i] + sigma0(w[i + 1]) + w[i + 9] + sigma1(w[i + 14]). Four pairs pass through
    # the roles of w[i], w[i + 1], w[i + 14] and w[i + 15], so each word is loaded once for them.
    place, end = T0, T1
    pairs = [(S0, S1), (S2, S3), (S4, S5), (S6, S7)]
    x, y = (A4, A5), (A6, A7)
    spare, carry = T2, T3
    f.addi(place, table, _W)
    f.addi(end, place, 8 * (ROUNDS - 16))
    for pair, i in zip(pairs, (0, 1, 14, 15), strict=True):
        f.lw(pair[0], Mem(place, 8 * i))
        f.lw(pair[1], Mem(place, 8 * i + 4))
    f.label("expand")
    for i in range(4):
        w0, w1, w14, w15 = pairs
        _rotations(f, x, w1, (1, 8, -7), spare)
        _add(f, w0, x, carry)
        f.lw(y[0], Mem(place, 8 * (i + 9)))
        f.lw(y[1], Mem(place, 8 * (i + 9) + 4))
        _rotations(f, x, w14, (19, 61, -6), spare)
        _add(f, w0, y, carry)
        _add(f, w0, x, carry)
        f.sw(w0[0], Mem(place, 8 * (i + 16)))
        f.sw(w0[1], Mem(place, 8 * (i + 16) + 4))
        f.lw(w14[0], Mem(place, 8 * (i + 2)))
        f.lw(w14[1], Mem(place, 8 * (i + 2) + 4))
        pairs = [w1, w14, w15, w0]
    f.addi(place, place, 8 * 4)
    f.bne(place, end, "expand")


def _rounds(f: Function, table: Reg, variables: list[Pair]) -> None:
    end, carry, spare = A3, T0, T1
    x = (T2, T3)
    differences = [(T4, T5), (T6, A0)]  # b ^ c of this round; a ^ b, which is that of the next
    f.addi(end, table, 8 * ROUNDS)
    _, b, c = variables[:3]
    for half in (0, 1):
        f.xor(differences[0][half], b[half], c[half])
    f.label("rounds")
    for i in range(_UNROLLED):
        a, b, _, d, e, g0, g1, h = variables
        for table_offset in (8 * i, 8 * i + _W):
            f.lw(x[0], Mem(table, table_offset))
            f.lw(x[1], Mem(table, table_offset + 4))
            _add(f, h, x, carry)
        _rotations(f, x, e, (14, 18, 41), spare)
        _add(f, h, x, carry)
        for half in (0, 1):  # Ch = g ^ (e & (f ^ g))
            f.xor(x[half], g0[half], g1[half])
            f.and_(x[half], x[half], e[half])
            f.xor(x[half], x[half], g1[half])
        _add(f, h, x, carry)
        _add(f, d, h, carry)
        _rotations(f, x, a, (28, 34, 39), spare)
        _add(f, h, x, carry)
        bc, ab = differences
        for half in (0, 1):  # Maj = b ^ ((a ^ b) & (b ^ c))
            f.xor(ab[half], a[half], b[half])
            f.and_(bc[half], bc[half], ab[half])
            f.xor(bc[half], bc[half], b[half])
        _add(f, h, bc, carry)
        differences.reverse()
        variables = [variables[-1], *variables[:-1]]
    f.addi(table, table, 8 * _UNROLLED)
    f.bne(table, end, "rounds")


# -- what the tests and the bench put in --------------------------------------------------------


def _primes() -> list[int]:
    candidates = (n for n in count(2) if all(n % d for d in range(2, math.isqrt(n) + 1)))
    return list(islice(candidates, ROUNDS))


def constants() -> bytes:
    """K of the standard: 64 bits of the fractions of the primes' cube roots."""
    words = []
    for prime in _primes():
        low, high = 0, 1 << 72
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if middle**3 <= prime << 192 else (low, middle)
        words.append(low % (1 << 64))
    return b"".join(word.to_bytes(8, "little") for word in words)


def _block(machine: Machine) -> int:
    table = bytearray(constants() + bytes(TABLE_LEN // 2))
    return machine.call("compress", bytearray(64), bytes(BLOCK_LEN), table).instructions


OPERATIONS = [
    counts.Operation("sha512.block", "SHA-512, a block", _block),
]
