"""Numbers of 256 bits for P-256: sum, difference and product in the field, product modulo n.

A number is eight words, the lowest first, in one of the numbered places of a piece of memory. In
the field and modulo the group's order n it is in Montgomery form, times R = 2 ** 256, and below R,
not always below the modulus.

Bounds. Multiplication, with factors a and b below R, modulus m: each of eight steps makes of v, 0
at first, the number (v + a[i] * b + q * m) / 2 ** 32; a[i] and q are words. If v < R + m, that is
below (R + m + (2 ** 32 - 1) * (R + m)) / 2 ** 32 = R + m again: eight words and one bit; before the
division below 2 ** 289, nine words and one bit. At the end m is taken away if the bit is set, and
less than R is left. Addition: a + b < 2 * R. If it is not below R, p is taken away; what is left is
below 2 * R - p = R + 2 ** 224, so this may be needed again. Subtraction: p is added if the
difference is negative, and once more if it still is.

All is done in the same order, and takes the same time, whatever the numbers are.
"""

from __future__ import annotations

from .asm import (
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    RA,
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
    ZERO,
    Function,
    Mem,
    Reg,
)

WORDS = 8
LEN = 4 * WORDS
P = (1 << 256) - (1 << 224) + (1 << 192) + (1 << 96) - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PLACE_N = 4  # where n is in the memory
_N_PRIME = -pow(N, -1, 1 << 32) % (1 << 32)

WORK = T0  # the memory's address, all the time
_TO, _LEFT, _RIGHT = A0, A1, A2  # arguments of the subroutines
FACTOR = (S0, S1, S2, S3, S4, S5, S6, S7)
SUM = (S8, S9, S10, S11, T2, T3, T4, T5, T6)
_WORD, _LOW, _HIGH, _CARRY, _BIT, _OVER = A3, A4, A5, A6, A7, T1


class Calls:
    """Calls of the subroutines, by numbers of places."""

    def __init__(self, f: Function) -> None:
        self._f = f

    def call(self, name: str, *places: int) -> None:
        for reg, place in zip((_TO, _LEFT, _RIGHT), places, strict=True):
            self._f.addi(reg, WORK, LEN * place)
        self._f.call(name)

    def mul(self, to: int, left: int, right: int) -> None:
        self.call("mul_p", to, left, right)

    def mul_n(self, to: int, left: int, right: int) -> None:
        self.call("mul_n", to, left, right)

    def add(self, to: int, left: int, right: int) -> None:
        self.call("add_p", to, left, right)

    def sub(self, to: int, left: int, right: int) -> None:
        self.call("sub_p", to, left, right)


def subroutines(f: Function) -> None:
    """Where the calls go."""
    _mul_p(f)
    _mul_n(f)
    _add_p(f)
    _sub_p(f)


def _products(f: Function, total: tuple[Reg, ...]) -> None:
    """total += word * factor, nine words; `over` = what is carried out of them."""
    for k, b in enumerate(FACTOR):
        f.mul(_LOW, _WORD, b)
        f.mulhu(_HIGH, _WORD, b)
        if k:
            f.add(_LOW, _LOW, _CARRY)
            f.sltu(_BIT, _LOW, _CARRY)
            f.add(_HIGH, _HIGH, _BIT)
        f.add(total[k], total[k], _LOW)
        f.sltu(_BIT, total[k], _LOW)
        f.add(_CARRY, _HIGH, _BIT)
    f.add(total[8], total[8], _CARRY)
    f.sltu(_OVER, total[8], _CARRY)


def _start(f: Function) -> None:
    for i, b in enumerate(FACTOR):
        f.lw(b, Mem(_RIGHT, 4 * i))
    for word in SUM:
        f.li(word, 0)


def _mul_p(f: Function) -> None:
    """Subroutine: to = left * right / R in the field."""
    f.label("mul_p")
    _start(f)
    total = SUM
    for i in range(WORDS):
        f.lw(_WORD, Mem(_LEFT, 4 * i))
        _products(f, total)
        # p = -1 modulo 2 ** 96, so the quotient's word is the lowest itself.
        # q * p = q * (2 ** 96 + 2 ** 192 + (2 ** 32 - 1) * 2 ** 224) - q.
        q = total[0]
        f.add(total[3], total[3], q)
        f.sltu(_CARRY, total[3], q)
        for word in (total[4], total[5], total[6]):
            f.add(word, word, _CARRY)
            f.sltu(_CARRY, word, _CARRY)
        f.add(total[6], total[6], q)
        f.sltu(_BIT, total[6], q)
        f.add(_CARRY, _CARRY, _BIT)
        f.sub(_LOW, ZERO, q)
        f.sltu(_BIT, ZERO, q)
        f.sub(_HIGH, q, _BIT)
        f.add(total[7], total[7], _CARRY)
        f.sltu(_CARRY, total[7], _CARRY)
        f.add(total[7], total[7], _LOW)
        f.sltu(_BIT, total[7], _LOW)
        f.add(_CARRY, _CARRY, _BIT)
        f.add(_HIGH, _HIGH, _CARRY)
        f.add(total[8], total[8], _HIGH)
        f.sltu(_BIT, total[8], _HIGH)
        f.add(q, _OVER, _BIT)  # the lowest word is gone, this is the new highest
        total = (*total[1:], q)
    f.sub(_WORD, ZERO, total[8])
    _take_p(f, total, _WORD)
    for i in range(WORDS):
        f.sw(total[i], Mem(_TO, 4 * i))
    f.ret()


def _take_p(f: Function, value: tuple[Reg, ...], mask: Reg) -> None:
    """value += R - p if the mask is all ones, nothing if it is 0; `carry`: out of eight words."""
    _masked_add(f, value, mask, (1 << 256) - P)


def _masked_add(f: Function, value: tuple[Reg, ...], mask: Reg, constant: int) -> None:
    carried = False
    for k in range(WORDS):
        word = constant >> 32 * k & 0xFFFF_FFFF
        if carried:
            f.add(value[k], value[k], _CARRY)
            f.sltu(_CARRY, value[k], _CARRY)
        if not word:
            continue
        addend = mask
        if word != 0xFFFF_FFFF:
            f.andi(_LOW, mask, (word + (1 << 31)) % (1 << 32) - (1 << 31))
            addend = _LOW
        f.add(value[k], value[k], addend)
        f.sltu(_BIT if carried else _CARRY, value[k], addend)
        if carried:
            f.add(_CARRY, _CARRY, _BIT)
        carried = True


def _add_p(f: Function) -> None:
    """Subroutine: to = left + right in the field."""
    f.label("add_p")
    value = FACTOR
    for k in range(WORDS):
        f.lw(value[k], Mem(_LEFT, 4 * k))
        f.lw(_LOW, Mem(_RIGHT, 4 * k))
        if k:
            f.add(value[k], value[k], _CARRY)
            f.sltu(_CARRY, value[k], _CARRY)
        f.add(value[k], value[k], _LOW)
        f.sltu(_BIT if k else _CARRY, value[k], _LOW)
        if k:
            f.add(_CARRY, _CARRY, _BIT)
    for _ in range(2):
        f.sub(_WORD, ZERO, _CARRY)
        _take_p(f, value, _WORD)
    for k in range(WORDS):
        f.sw(value[k], Mem(_TO, 4 * k))
    f.ret()


def _sub_p(f: Function) -> None:
    """Subroutine: to = left - right in the field."""
    f.label("sub_p")
    value = FACTOR
    for k in range(WORDS):
        f.lw(value[k], Mem(_LEFT, 4 * k))
        f.lw(_LOW, Mem(_RIGHT, 4 * k))
        f.sltu(_BIT, value[k], _LOW)
        f.sub(value[k], value[k], _LOW)
        if k:
            f.sltu(_HIGH, value[k], _CARRY)
            f.sub(value[k], value[k], _CARRY)
            f.add(_CARRY, _BIT, _HIGH)
        else:
            f.mv(_CARRY, _BIT)
    # A negative number has been borrowed for; adding p pays that back if there is a carry.
    f.sub(_WORD, ZERO, _CARRY)
    _masked_add(f, value, _WORD, P)
    f.addi(_CARRY, _CARRY, -1)
    f.and_(_WORD, _WORD, _CARRY)
    _masked_add(f, value, _WORD, P)
    for k in range(WORDS):
        f.sw(value[k], Mem(_TO, 4 * k))
    f.ret()


def _mul_n(f: Function) -> None:
    """Subroutine: to = left * right / R modulo n."""
    f.label("mul_n")
    _start(f)
    total = SUM
    f.addi(_RIGHT, _LEFT, LEN)  # where it ends
    f.label("word")
    f.lw(_WORD, Mem(_LEFT))
    _products(f, total)
    f.li(_WORD, _N_PRIME)
    f.mul(_WORD, _WORD, total[0])
    for k in range(WORDS):
        f.lw(_BIT, Mem(WORK, LEN * PLACE_N + 4 * k))
        f.mul(_LOW, _WORD, _BIT)
        f.mulhu(_HIGH, _WORD, _BIT)
        if k:
            f.add(_LOW, _LOW, _CARRY)
            f.sltu(_BIT, _LOW, _CARRY)
            f.add(_HIGH, _HIGH, _BIT)
        # Each column moves down by one; the lowest becomes 0.
        to = total[k - 1] if k else total[0]
        f.add(to, total[k], _LOW)
        f.sltu(_BIT, to, _LOW)
        f.add(_CARRY, _HIGH, _BIT)
    f.add(total[7], total[8], _CARRY)
    f.sltu(_BIT, total[7], _CARRY)
    f.add(total[8], _OVER, _BIT)
    f.addi(_LEFT, _LEFT, 4)
    f.bne(_LEFT, _RIGHT, "word")
    f.sub(_WORD, ZERO, total[8])
    _take_n(f, total)
    for i in range(WORDS):
        f.sw(total[i], Mem(_TO, 4 * i))
    f.ret()


def _take_n(f: Function, value: tuple[Reg, ...]) -> None:
    """value -= n if `word` is all ones, nothing if it is 0."""
    for k in range(WORDS):
        f.lw(_LOW, Mem(WORK, LEN * PLACE_N + 4 * k))
        f.and_(_LOW, _LOW, _WORD)
        f.sltu(_BIT, value[k], _LOW)
        f.sub(value[k], value[k], _LOW)
        if k:
            f.sltu(_HIGH, value[k], _CARRY)
            f.sub(value[k], value[k], _CARRY)
            f.add(_CARRY, _BIT, _HIGH)
        else:
            f.mv(_CARRY, _BIT)


def add_n(f: Function, to: int, number: int) -> None:
    """to += number, modulo n; the number is below n, so one n is enough to be below R again."""
    value = FACTOR
    for k in range(WORDS):
        f.lw(value[k], Mem(WORK, LEN * to + 4 * k))
        f.lw(_LOW, Mem(WORK, LEN * number + 4 * k))
        if k:
            f.add(value[k], value[k], _CARRY)
            f.sltu(_CARRY, value[k], _CARRY)
        f.add(value[k], value[k], _LOW)
        f.sltu(_BIT if k else _CARRY, value[k], _LOW)
        if k:
            f.add(_CARRY, _CARRY, _BIT)
    f.sub(_WORD, ZERO, _CARRY)
    _take_n(f, value)
    for k in range(WORDS):
        f.sw(value[k], Mem(WORK, LEN * to + 4 * k))


# -- for the tests ------------------------------------------------------------------------------


def functions() -> list[Function]:
    """The subroutines as functions of their own, with the operands in LEFT and RIGHT of the memory
    that they are given, n in PLACE_N, and the result in RESULT."""
    return [_alone(name) for name in ("add_p", "sub_p", "mul_p", "mul_n")]


LEFT, RIGHT, RESULT = 7, 8, 9


def _alone(name: str) -> Function:
    f = Function(name, parameters=1)
    with f.frame((RA, *SAVED)):
        f.mv(WORK, A0)
        Calls(f).call(name, RESULT, LEFT, RIGHT)
        f.jump("end")
        subroutines(f)
        f.label("end")
    return f
