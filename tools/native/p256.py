"""Multiples of P-256's base point, and the arithmetic of an ECDSA signature with them.

Numbers are as p256_numbers.py has them. Points are in homogeneous coordinates and are added and
doubled by the complete formulas of Renes, Costello and Batina ("Complete addition formulas for
prime order elliptic curves", algorithms 5 and 6), which have no exceptions. The scalar is read by a
comb of four teeth, 64 bits apart. Every entry of the comb's table is read each time, and one is
kept.

All is done in the same order, and takes the same time, whatever the numbers are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import counts
from .asm import (
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    RA,
    SAVED,
    T1,
    T2,
    T3,
    T4,
    ZERO,
    Function,
    Mem,
)
from .p256_numbers import FACTOR, LEN, PLACE_N, SUM, WORDS, WORK, Calls, N, P, add_n, subroutines

if TYPE_CHECKING:
    from .emulator import Machine

B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_SPACING = 64  # bits from tooth to tooth
_ENTRIES = 15
COMB_LEN = 2 * LEN * _ENTRIES

# Places. The caller fills those up to Z with the numbers in CONSTANTS, scalar k, key d and hash z.
_ONE, _R2_P, _B, _P_2, _N, _R2_N, _N_2, _K, _D, _HASH = range(10)
assert _N == PLACE_N
X, Y, S = 10, 11, 12  # results
_X1, _Y1, _Z1, _X3, _Y3, _Z3, _X2, _Y2, _T0, _T1, _T2, _T3, _T4 = range(13, 26)
WORK_LEN = 26 * LEN
CONSTANTS = (1, (1 << 512) % P, (B << 256) % P, P - 2, N, (1 << 512) % N, N - 2)


def functions() -> list[Function]:
    """The asm functions of the module, in order."""
    return [_multiply()]


def _multiply() -> Function:
    f = Function(
        "multiply",
        parameters=3,
        doc="multiply(work, comb, sign): x and y of k * G; with sign also s = (z + x * d) / k\n"
        "modulo n. comb: the 15 sums of G, 2 ** 64 G, 2 ** 128 G and 2 ** 192 G, x and y each.",
    )
    with f.frame((RA, *SAVED), words=4) as stack:
        comb, sign, counter, digit = (stack[i] for i in range(4))
        f.mv(WORK, A0)
        f.sw(A1, comb)
        f.sw(A2, sign)
        ops = Calls(f)
        # The neutral point (0 : 1 : 0).
        for place in (_X1, _Z1):
            for i in range(WORDS):
                f.sw(ZERO, Mem(WORK, LEN * place + 4 * i))
        ops.mul(_Y1, _ONE, _R2_P)
        f.li(T1, _SPACING)
        f.sw(T1, counter)
        f.label("bit")
        _double(ops)
        _digit(f, counter, digit)
        _select(f, comb, digit)
        for place in (_X2, _Y2):
            ops.mul(place, place, _R2_P)
        _add_affine(ops)
        _keep_unless_zero(f, digit)
        f.lw(T1, counter)
        f.bne(T1, ZERO, "bit")

        _power(f, ops.mul, _T0, _Z1, _P_2, counter)
        for result, coordinate in ((X, _X1), (Y, _Y1)):
            ops.mul(result, coordinate, _T0)
            ops.mul(result, result, _ONE)
        f.lw(T1, sign)
        f.bne(T1, ZERO, "sign")
        f.jump("end")
        f.label("sign")
        ops.mul_n(_T1, _K, _R2_N)
        _power(f, ops.mul_n, _T0, _T1, _N_2, counter)
        ops.mul_n(_T1, _D, _R2_N)
        ops.mul_n(_T1, _T1, X)
        add_n(f, _T1, _HASH)
        ops.mul_n(S, _T1, _T0)
        f.jump("end")
        subroutines(f)
        f.label("end")
    return f


# -- points -------------------------------------------------------------------------------------


def _double(ops: Calls) -> None:
    """(X3 : Y3 : Z3) = 2 * (X1 : Y1 : Z1), step by step as in algorithm 6."""
    mul, add, sub = ops.mul, ops.add, ops.sub
    mul(_T0, _X1, _X1)
    mul(_T1, _Y1, _Y1)
    mul(_T2, _Z1, _Z1)
    mul(_T3, _X1, _Y1)
    add(_T3, _T3, _T3)
    mul(_Z3, _X1, _Z1)
    add(_Z3, _Z3, _Z3)
    mul(_Y3, _B, _T2)
    sub(_Y3, _Y3, _Z3)
    add(_X3, _Y3, _Y3)
    add(_Y3, _X3, _Y3)
    sub(_X3, _T1, _Y3)
    add(_Y3, _T1, _Y3)
    mul(_Y3, _X3, _Y3)
    mul(_X3, _X3, _T3)
    add(_T3, _T2, _T2)
    add(_T2, _T2, _T3)
    mul(_Z3, _B, _Z3)
    sub(_Z3, _Z3, _T2)
    sub(_Z3, _Z3, _T0)
    add(_T3, _Z3, _Z3)
    add(_Z3, _Z3, _T3)
    add(_T3, _T0, _T0)
    add(_T0, _T3, _T0)
    sub(_T0, _T0, _T2)
    mul(_T0, _T0, _Z3)
    add(_Y3, _Y3, _T0)
    mul(_T0, _Y1, _Z1)
    add(_T0, _T0, _T0)
    mul(_Z3, _T0, _Z3)
    sub(_X3, _X3, _Z3)
    mul(_Z3, _T0, _T1)
    add(_Z3, _Z3, _Z3)
    add(_Z3, _Z3, _Z3)


def _add_affine(ops: Calls) -> None:
    """(X1 : Y1 : Z1) = (X3 : Y3 : Z3) + (X2 : Y2 : 1), step by step as in algorithm 5, whose
    1 and 3 are our 3 and 1."""
    mul, add, sub = ops.mul, ops.add, ops.sub
    mul(_T0, _X3, _X2)
    mul(_T1, _Y3, _Y2)
    add(_T3, _X2, _Y2)
    add(_T4, _X3, _Y3)
    mul(_T3, _T3, _T4)
    add(_T4, _T0, _T1)
    sub(_T3, _T3, _T4)
    mul(_T4, _Y2, _Z3)
    add(_T4, _T4, _Y3)
    mul(_Y1, _X2, _Z3)
    add(_Y1, _Y1, _X3)
    mul(_Z1, _B, _Z3)
    sub(_X1, _Y1, _Z1)
    add(_Z1, _X1, _X1)
    add(_X1, _X1, _Z1)
    sub(_Z1, _T1, _X1)
    add(_X1, _T1, _X1)
    mul(_Y1, _B, _Y1)
    add(_T1, _Z3, _Z3)
    add(_T2, _T1, _Z3)
    sub(_Y1, _Y1, _T2)
    sub(_Y1, _Y1, _T0)
    add(_T1, _Y1, _Y1)
    add(_Y1, _T1, _Y1)
    add(_T1, _T0, _T0)
    add(_T0, _T1, _T0)
    sub(_T0, _T0, _T2)
    mul(_T1, _T4, _Y1)
    mul(_T2, _T0, _Y1)
    mul(_Y1, _X1, _Z1)
    add(_Y1, _Y1, _T2)
    mul(_X1, _T3, _X1)
    sub(_X1, _X1, _T1)
    mul(_Z1, _T4, _Z1)
    mul(_T1, _T3, _T0)
    add(_Z1, _Z1, _T1)


def _digit(f: Function, counter: Mem, digit: Mem) -> None:
    """Count down to position i; digit = bits i, i + 64, i + 128 and i + 192 of k."""
    i, word, bit, result = T1, T2, T3, T4
    f.lw(i, counter)
    f.addi(i, i, -1)
    f.sw(i, counter)
    f.srli(word, i, 5)
    f.slli(word, word, 2)
    f.add(word, word, WORK)
    f.li(result, 0)
    for tooth in reversed(range(4)):
        f.lw(bit, Mem(word, LEN * _K + tooth * _SPACING // 8))
        f.srl(bit, bit, i)  # by the lowest five bits of i
        f.andi(bit, bit, 1)
        f.slli(result, result, 1)
        f.or_(result, result, bit)
    f.sw(result, digit)


def _select(f: Function, comb: Mem, digit: Mem) -> None:
    """x2, y2 = the comb's entry of that digit; zeros for 0."""
    kept = (*FACTOR, *SUM[:8])
    entry, wanted, left, mask, word = A0, A1, A2, A3, A4
    f.lw(entry, comb)
    f.lw(wanted, digit)
    f.li(left, _ENTRIES)
    for reg in kept:
        f.li(reg, 0)
    f.label("entry")
    f.addi(wanted, wanted, -1)
    f.sltiu(mask, wanted, 1)
    f.sub(mask, ZERO, mask)
    for i, reg in enumerate(kept):
        f.lw(word, Mem(entry, 4 * i))
        f.and_(word, word, mask)
        f.or_(reg, reg, word)
    f.addi(entry, entry, 2 * LEN)
    f.addi(left, left, -1)
    f.bne(left, ZERO, "entry")
    for i, reg in enumerate(kept):
        f.sw(reg, Mem(WORK, LEN * (_X2 + i // WORDS) + 4 * (i % WORDS)))


def _keep_unless_zero(f: Function, digit: Mem) -> None:
    """(X1 : Y1 : Z1) = (X3 : Y3 : Z3) if the digit is 0, for which there is no affine point."""
    mask, old, new = A3, A4, A5
    f.lw(mask, digit)
    f.sltiu(mask, mask, 1)
    f.sub(mask, ZERO, mask)
    for i in range(3 * WORDS):
        f.lw(new, Mem(WORK, LEN * _X1 + 4 * i))
        f.lw(old, Mem(WORK, LEN * _X3 + 4 * i))
        f.xor(old, old, new)
        f.and_(old, old, mask)
        f.xor(new, new, old)
        f.sw(new, Mem(WORK, LEN * _X1 + 4 * i))


def _power(
    f: Function,
    mul: Callable[[int, int, int], None],
    to: int,
    of: int,
    exponent: int,
    counter: Mem,
) -> None:
    """to = of ** the number at `exponent`, a constant whose highest bit is 1."""
    i, word = A3, A4
    for k in range(WORDS):
        f.lw(word, Mem(WORK, LEN * of + 4 * k))
        f.sw(word, Mem(WORK, LEN * to + 4 * k))
    f.li(i, 32 * WORDS - 1)
    square, skip = f.new_label("square"), f.new_label("skip")
    f.label(square)
    f.addi(i, i, -1)
    f.sw(i, counter)
    mul(to, to, to)
    f.lw(i, counter)
    f.srli(word, i, 5)
    f.slli(word, word, 2)
    f.add(word, word, WORK)
    f.lw(word, Mem(word, LEN * exponent))
    f.srl(word, word, i)
    f.andi(word, word, 1)
    f.beq(word, ZERO, skip)
    mul(to, to, of)
    f.label(skip)
    f.lw(i, counter)
    f.bne(i, ZERO, square)


# -- what the tests and the bench put in --------------------------------------------------------


def work(k: int, d: int = 0, z: int = 0) -> bytearray:
    """The memory that multiply() needs, filled."""
    numbers = b"".join(number.to_bytes(LEN, "little") for number in (*CONSTANTS, k, d, z))
    return bytearray(numbers.ljust(WORK_LEN, b"\0"))


def _cost(sign: int) -> Callable[[Machine], int]:
    def measure(machine: Machine) -> int:
        return machine.call("multiply", work(1, 1, 1), bytes(COMB_LEN), sign).instructions

    return measure


OPERATIONS = [
    counts.Operation("p256.multiply", "P-256, multiple of the base point", _cost(0)),
    counts.Operation("p256.sign", "P-256, ECDSA signature without the nonce", _cost(1)),
]
