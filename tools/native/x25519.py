"""X25519 (RFC 7748): the whole scalar multiplication in one function.

Field elements are eight words of 32 bits, least significant first, of any value below 2**256;
modulo p = 2**255 - 19, and not reduced. docs/native.md has the bounds and their proof. In short:

- `product` gives what fits: any two elements, result with a top word of at most 2**31 + 39 ("M");
- sums and differences take two M and give elements for a product only;
- so does multiplication by a small constant.

Time and memory accesses depend on nothing but the loop counter, with one exception: which of two
addresses is read is decided by bits of the scalar. On a processor without a data cache, as the
ESP32-C3's RAM has none, that shows in nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    SP,
    T0,
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    ZERO,
    Array,
    Function,
    Reg,
)

if TYPE_CHECKING:
    from .emulator import Machine

WORDS = 8
# 28 registers: an element that comes and goes in VALUE, another one in OTHER, and room to work.
VALUE = (A0, A1, A2, A3, A4, A5, S0, S1)
OTHER = (A6, A7, S2, S3, S4, S5, S6, S7)
WORK = (T0, T1, T2, T3, T4, T5, T6, S8, S9, S10)
COUNT = S11  # kept by `square`
POINTER = OTHER[7]  # to the operand of `multiply`; becomes its last word
SOURCE, TARGET = T0, T1  # of `sum_and_difference`

_A24 = 121665
_BIT_LEN = 255


class _Pool:
    """Registers that are free. A name that is not needed any more gives its register back."""

    def __init__(self, regs: Sequence[Reg]) -> None:
        self._free = list(regs)

    def take(self) -> Reg:
        return self._free.pop(0)

    def give(self, reg: Reg) -> None:
        self._free.append(reg)


class _Columns:
    """Sum of products of words, one column of 32 bits after the other (product scanning).

    A column's sum is three words: `sums[0]` is finished with the column, the others go on to the
    next. A word that is known to be zero is None and costs nothing.
    """

    def __init__(self, f: Function, pool: _Pool) -> None:
        self._f = f
        self._pool = pool
        self.sums: list[Reg | None] = [None, None, None]
        self.low, self.high = pool.take(), pool.take()

    def add(self, x: Reg, y: Reg, dead: Sequence[Reg] = (), top: bool = False) -> None:
        """Add x * y. `dead` may be given back once they are multiplied. `top`: the sum is known
        to fit in two words."""
        f, low, high = self._f, self.low, self.high
        f.mulhu(high, x, y)
        f.mul(low, x, y)
        for reg in dead:
            self._pool.give(reg)
        first, second, third = self.sums
        if first is None:
            self.sums = [low, high, None]
            self.low, self.high = self._pool.take(), self._pool.take()
            return
        f.add(first, first, low)
        f.sltu(low, first, low)
        f.add(high, high, low)  # no overflow: the high word of a product is at most 2**32 - 2
        if second is None:
            self.sums[1] = high
            self.high = self._pool.take()
            return
        f.add(second, second, high)
        if top:
            return
        if third is None:
            self.sums[2] = self._pool.take()
            f.sltu(self.sums[2], second, high)
        else:
            f.sltu(low, second, high)
            f.add(third, third, low)

    def next(self) -> Reg:
        """End the column; its word."""
        done = self.sums.pop(0)
        self.sums.append(None)
        assert done is not None
        return done


def fold(
    f: Function,
    low: Sequence[Reg] | None,
    high: Sequence[Reg],
    factor: int,
    out: Sequence[Reg],
    work: Sequence[Reg],
) -> None:
    """out = low + factor * high modulo p, in one pass from the bottom to the top.

    What of the top word is above bit 255 is multiplied by 19 and is where the pass begins: it is
    known beforehand but for a carry, which therefore stays in the top word. out[i] may be low[i]
    or high[i]. `work`: four registers; the third may be the last of `high`, the fourth out[6].
    """
    a, b, carry, constant = work
    top = WORDS - 1
    f.li(constant, factor)
    f.mulhu(b, high[top], constant)
    f.mul(a, high[top], constant)
    if low:
        f.add(a, a, low[top])
        f.sltu(carry, a, low[top])
        f.add(b, b, carry)
    f.srli(carry, a, 31)
    f.slli(b, b, 1)
    f.or_(b, b, carry)
    f.slli(out[top], a, 1)
    f.srli(out[top], out[top], 1)
    f.li(carry, 19)
    f.mul(carry, carry, b)
    for i in range(top):
        f.mulhu(b, high[i], constant)
        f.mul(a, high[i], constant)
        if low:
            f.add(a, a, carry)
            f.sltu(carry, a, carry)
            f.add(b, b, carry)
            f.add(out[i], low[i], a)
            f.sltu(carry, out[i], a)
        else:
            f.add(out[i], a, carry)
            f.sltu(carry, out[i], carry)
        f.add(carry, b, carry)
    f.add(out[top], out[top], carry)


def load(f: Function, regs: Sequence[Reg], place: Array) -> None:
    """Bring an element into registers. The base may be the last of them."""
    for i, reg in enumerate(regs):
        f.lw(reg, place[i])


def store(f: Function, regs: Sequence[Reg], place: Array) -> None:
    """Put an element into memory."""
    for i, reg in enumerate(regs):
        f.sw(reg, place[i])


def multiply(f: Function) -> None:
    """VALUE *= the element at POINTER. Any two elements; the result is M. Keeps RA."""
    load(f, OTHER, Array(POINTER, 0, WORDS))
    pool = _Pool((*WORK, COUNT))
    columns = _Columns(f, pool)
    product = []
    for k in range(2 * WORDS - 1):
        for i in range(max(0, k - WORDS + 1), min(k, WORDS - 1) + 1):
            j = k - i
            # From column 7 on, each is the last use of the lowest word; VALUE is for the result.
            dead = (OTHER[i],) if j == WORDS - 1 else ()
            columns.add(OTHER[i], VALUE[j], dead, top=i == j == WORDS - 1)
        product.append(columns.next())
    product.append(columns.next())
    work = (columns.low, columns.high, product[-1], VALUE[6])
    fold(f, product[:WORDS], product[WORDS:], 38, VALUE, work)


def square(f: Function) -> None:
    """VALUE *= VALUE. Any element; the result is M. Keeps RA and COUNT.

    Products of two different words count twice. The double of the element, shifted by one bit, is
    the second factor: word j of it has the top bit of word j - 1, except where that one is
    the other factor.
    """
    a = VALUE
    top = WORDS - 1
    pool = _Pool((*WORK, *OTHER))
    t = pool.take()
    # Below 2**255 first, so that the double fits: bit 255 counts 19.
    f.srai(t, a[top], 31)
    f.andi(t, t, 19)
    f.slli(a[top], a[top], 1)
    f.srli(a[top], a[top], 1)
    for word in a[:top]:
        f.add(word, word, t)
        f.sltu(t, word, t)
    f.add(a[top], a[top], t)
    double: dict[int, Reg] = {}
    for j in range(2, WORDS):
        double[j] = pool.take()
        f.slli(double[j], a[j], 1)
        f.srli(t, a[j - 1], 31)
        f.or_(double[j], double[j], t)
    pool.give(t)
    columns = _Columns(f, pool)
    product = []
    for k in range(2 * WORDS - 1):
        for i in range(max(0, k - top), k // 2 + 1):
            j = k - i
            if i == j:
                columns.add(a[i], a[i], top=i == top)
            elif j == i + 1:
                # The last column with word j as the higher one.
                f.slli(columns.low, a[j], 1)
                columns.add(a[i], columns.low, [double[j]] if j in double else [])
            else:
                columns.add(a[i], double[j])
        product.append(columns.next())
    product.append(columns.next())
    work = (columns.low, columns.high, product[-1], VALUE[6])
    fold(f, product[:WORDS], product[WORDS:], 38, VALUE, work)


def difference(f: Function, x: Sequence[Reg], y: Sequence[Reg], work: Sequence[Reg]) -> None:
    """y = x - y modulo p, both M; the result is for a product. `work`: four registers.

    A multiple of p is added that makes it positive and keeps it small: 0, 1 or 2, as the top words
    tell. They may differ by a borrow from what the whole tells: 32 is more than that.
    """
    t, borrow, top, a = work
    last = WORDS - 1
    f.srli(t, x[last], 1)
    f.srli(a, y[last], 1)
    f.sub(t, t, a)
    f.addi(t, t, -32)
    f.srai(t, t, 30)  # minus the multiple
    f.sub(top, x[last], y[last])
    f.slli(a, t, 31)
    f.sub(top, top, a)
    f.li(borrow, -19)
    f.mul(borrow, borrow, t)
    for i in range(last):
        f.sltu(t, x[i], y[i])
        f.sub(y[i], x[i], y[i])
        f.sltu(a, y[i], borrow)
        f.sub(y[i], y[i], borrow)
        f.add(borrow, t, a)
    f.sub(y[last], top, borrow)


def sum_to_memory(
    f: Function, x: Sequence[Reg], y: Sequence[Reg], place: Array, work: Sequence[Reg]
) -> None:
    """place = x + y modulo p, both M; the result is for a product. `work`: five registers."""
    t, carry, top, word, a = work
    last = WORDS - 1
    f.srli(t, x[last], 1)
    f.srli(a, y[last], 1)
    f.add(t, t, a)
    f.srli(t, t, 30)  # how often 2**255 is in the top words: 0, 1 or 2 times
    f.li(carry, 19)
    f.mul(carry, carry, t)
    f.add(top, x[last], y[last])
    f.slli(t, t, 31)
    f.sub(top, top, t)
    for i in range(last):
        f.add(word, x[i], y[i])
        f.sltu(a, word, y[i])
        f.add(word, word, carry)
        f.sltu(carry, word, carry)
        f.add(carry, carry, a)
        f.sw(word, place[i])
    f.add(top, top, carry)
    f.sw(top, place[last])


def sum_and_difference(f: Function) -> None:
    """TARGET in memory = x + y, VALUE = x - y, with x at SOURCE and y in VALUE. Keeps RA."""
    load(f, OTHER, Array(SOURCE, 0, WORDS))
    sum_to_memory(f, OTHER, VALUE, Array(TARGET, 0, WORDS), (T2, T3, T4, T5, T6))
    difference(f, OTHER, VALUE, (T2, T3, T4, T5))


def reduce(f: Function) -> None:
    """VALUE, any element, becomes the one below p that is the same modulo p."""
    t, carry, last = T0, T1, WORDS - 1

    def propagate(write: bool) -> None:
        # VALUE + carry, the top word in t; without `write` only that.
        for word in VALUE[:last]:
            to = word if write else t
            f.add(to, word, carry)
            f.sltu(carry, to, carry)
        f.add(t, VALUE[last], carry)

    # Bit 255 counts 19: then the value is below 2**255.
    f.srai(carry, VALUE[last], 31)
    f.andi(carry, carry, 19)
    f.slli(VALUE[last], VALUE[last], 1)
    f.srli(VALUE[last], VALUE[last], 1)
    propagate(write=True)
    f.mv(VALUE[last], t)
    # It is p or more if 19 more reach bit 255; then adding them takes p away, but for that bit.
    f.li(carry, 19)
    propagate(write=False)
    f.srai(carry, t, 31)
    f.andi(carry, carry, 19)
    propagate(write=True)
    f.slli(t, t, 1)
    f.srli(VALUE[last], t, 1)


class _Ladder:
    """The function `multiply(out, scalar, u, base)`, and where it keeps what on the stack."""

    def __init__(self) -> None:
        self.f = Function(
            "multiply",
            parameters=4,
            doc="multiply(out, scalar, u, base): X25519 of RFC 7748, section 5. 32 bytes each,\n"
            "aligned; `scalar` is clamped and bit 255 of `u` ignored. base is 1 if u is 9, which\n"
            "is faster, else 0.",
        )
        self._words = 0

    def _place(self, frame: Array, length: int) -> Array:
        self._words += length
        return Array(SP, 4 * (self._words - length), length)

    def write(self) -> Function:
        f = self.f
        words = 4 * WORDS + 6 * WORDS + 5
        with f.frame((*SAVED, RA), words) as frame:
            # The two points of the ladder, x and z each: 64 bytes apart, from sp on.
            self.r = [self._place(frame, WORDS) for _ in range(4)]
            self.a, self.b, self.c, self.d = (self._place(frame, WORDS) for _ in range(4))
            self.x1 = self._place(frame, WORDS)
            self.scalar = self._place(frame, WORDS)
            self.out, self.index, self.base, self.p, self.q = self._place(frame, 5)
            assert self._words == words
            self._start()
            self._steps()
            self._finish()
            f.jump("end")
            for name, body in (
                ("sum_difference", sum_and_difference),
                ("multiply", multiply),
                ("square", square),
            ):
                f.label(name)
                body(f)
                f.ret()
            f.label("end")
        return f

    # -- parts -------------------------------------------------------------------------------

    def _start(self) -> None:
        f = self.f
        out, scalar, u, base = A0, A1, A2, A3
        f.sw(out, self.out)
        f.sw(base, self.base)
        words = OTHER
        source = Array(scalar, 0, WORDS)
        for i in range(WORDS):
            f.lw(T0, source[i])
            if i == 0:
                f.andi(T0, T0, -8)
            if i == WORDS - 1:  # bit 255 off, bit 254 on
                f.slli(T0, T0, 2)
                f.srli(T0, T0, 2)
                f.li(T1, 1 << 30)
                f.or_(T0, T0, T1)
            f.sw(T0, self.scalar[i])
        load(f, words, Array(u, 0, WORDS))
        f.slli(words[-1], words[-1], 1)
        f.srli(words[-1], words[-1], 1)
        # The topmost bit is always 1: its step makes P, 2P of the neutral element and P. So both
        # start as P, and the second one is doubled.
        for place in (self.x1, self.r[0], self.r[2]):
            store(f, words, place)
        for place in (self.r[1], self.r[3]):
            f.li(T0, 1)
            f.sw(T0, place[0])
            for i in range(1, WORDS):
                f.sw(ZERO, place[i])
        f.li(T0, _BIT_LEN - 1)
        f.sw(T0, self.index)

    def _steps(self) -> None:
        f = self.f
        a, b, c, d = self.a, self.b, self.c, self.d
        index, t, p, q = T0, T1, T2, T3
        f.label("step")
        # p is the point that is doubled, q the other one, which becomes the sum of both.
        f.lw(index, self.index)
        f.srli(t, index, 5)
        f.slli(t, t, 2)
        f.add(t, t, SP)
        f.lw(t, Array(t, self.scalar.offset, 1)[0])
        f.srl(t, t, index)
        f.andi(t, t, 1)
        f.slli(t, t, 6)
        f.add(p, SP, t)
        f.xori(t, t, 64)
        f.add(q, SP, t)
        f.sw(p, self.p)
        f.sw(q, self.q)
        # A = x + z, B = x - z of p
        load(f, VALUE, Array(p, 4 * WORDS, WORDS))
        f.mv(SOURCE, p)
        self._address(TARGET, a)
        f.call("sum_difference")
        store(f, VALUE, b)
        # The first step and the last three, where the scalar's bits are 0, need no sum of points.
        f.lw(T0, self.index)
        f.addi(T0, T0, -3)
        f.sltiu(T0, T0, _BIT_LEN - 1 - 3)
        f.beq(T0, ZERO, "double")
        # C = x + z, D = x - z of q
        f.lw(SOURCE, self.q)
        load(f, VALUE, Array(SOURCE, 4 * WORDS, WORDS))
        self._address(TARGET, c)
        f.call("sum_difference")
        # (D A + C B)**2 and (D A - C B)**2, the latter times x1
        self._times(a)
        store(f, VALUE, d)
        load(f, VALUE, b)
        self._times(c)
        self._address(SOURCE, d)
        self._address(TARGET, c)
        f.call("sum_difference")
        f.call("square")
        f.lw(T0, self.base)
        f.bne(T0, ZERO, "times_9")
        self._times(self.x1)
        f.jump("times_x1_done")
        f.label("times_9")
        fold(f, None, VALUE, 9, VALUE, (T0, T1, T2, T3))
        f.label("times_x1_done")
        f.lw(T0, self.q)
        store(f, VALUE, Array(T0, 4 * WORDS, WORDS))
        load(f, VALUE, c)
        f.call("square")
        f.lw(T0, self.q)
        store(f, VALUE, Array(T0, 0, WORDS))
        # AA = A**2, BB = B**2, E = AA - BB: x = AA BB, z = E (AA + a24 E)
        f.label("double")
        load(f, VALUE, a)
        f.call("square")
        store(f, VALUE, a)
        load(f, VALUE, b)
        f.call("square")
        store(f, VALUE, b)
        load(f, OTHER, a)
        difference(f, OTHER, VALUE, (T0, T1, T2, T3))
        store(f, VALUE, c)
        fold(f, OTHER, VALUE, _A24, VALUE, (T0, T1, T2, T3))
        self._times(c)
        f.lw(T0, self.p)
        store(f, VALUE, Array(T0, 4 * WORDS, WORDS))
        load(f, VALUE, b)
        self._times(a)
        f.lw(T0, self.p)
        store(f, VALUE, Array(T0, 0, WORDS))
        f.lw(T0, self.index)
        f.addi(T0, T0, -1)
        f.sw(T0, self.index)
        f.blt(T0, ZERO, "steps_done")
        f.jump("step")
        f.label("steps_done")

    def _finish(self) -> None:
        """x / z, with 1 / z = z**(p - 2), and out."""
        f = self.f
        x, z, z2, z9 = self.r  # bit 0 of the scalar is 0: the result is the first point
        z11, e5, e10, e20 = self.a, self.b, self.c, self.d
        load(f, VALUE, z)
        f.call("square")
        store(f, VALUE, z2)
        self._squares(2)
        self._times(z, keep=z9)
        self._times(z2, keep=z11)
        f.call("square")
        self._times(z9, keep=e5)  # z**(2**5 - 1)
        for squares, factor, keep in (
            (5, e5, e10),
            (10, e10, e20),
            (20, e20, None),
            (10, e10, e5),  # e5 holds z**(2**50 - 1) from here on
            (50, e5, e10),  # e10: z**(2**100 - 1)
            (100, e10, None),
            (50, e5, None),
            (5, z11, None),
        ):
            self._squares(squares)
            self._times(factor, keep)
        self._times(x)
        reduce(f)
        f.lw(T0, self.out)
        store(f, VALUE, Array(T0, 0, WORDS))

    def _squares(self, count: int) -> None:
        f = self.f
        again = f.new_label("squares")
        f.li(COUNT, count)
        f.label(again)
        f.call("square")
        f.addi(COUNT, COUNT, -1)
        f.bne(COUNT, ZERO, again)

    def _times(self, place: Array, keep: Array | None = None) -> None:
        self._address(POINTER, place)
        self.f.call("multiply")
        if keep:
            store(self.f, VALUE, keep)

    def _address(self, reg: Reg, place: Array) -> None:
        self.f.addi(reg, place.base, place.offset)


def functions() -> list[Function]:
    """The asm functions of the module, in order."""
    return [_Ladder().write()]


# -- parts of it alone, for tests ----------------------------------------------------------------


@contextmanager
def _alone(name: str, parameters: int) -> Iterator[Function]:
    f = Function(name, parameters)
    with f.frame((*SAVED, RA), words=2) as local:
        f.sw(A0, local[0])
        yield f
        f.lw(T0, local[0])
        store(f, VALUE, Array(T0, 0, WORDS))


def field_functions() -> list[Function]:
    """Functions on elements in memory: f(out, x, y), f(out, x)."""
    with _alone("field_multiply", 3) as f_multiply:
        f_multiply.mv(POINTER, A2)
        f_multiply.mv(T0, A1)
        load(f_multiply, VALUE, Array(T0, 0, WORDS))
        multiply(f_multiply)
    made = [f_multiply]
    for name, body in (
        ("field_square", square),
        ("field_reduce", reduce),
        ("field_times_9", lambda f: fold(f, None, VALUE, 9, VALUE, (T0, T1, T2, T3))),
    ):
        with _alone(name, 2) as f:
            f.mv(T0, A1)
            load(f, VALUE, Array(T0, 0, WORDS))
            body(f)
        made.append(f)
    # out is x - y, and after it x + y; then one: out = x + a24 * y
    f = Function("field_sum_difference", 3)
    with f.frame((*SAVED, RA), words=2) as local:
        f.sw(A0, local[0])
        f.addi(TARGET, A0, 4 * WORDS)
        f.mv(SOURCE, A1)
        f.mv(T2, A2)
        load(f, VALUE, Array(T2, 0, WORDS))
        sum_and_difference(f)
        f.lw(T0, local[0])
        store(f, VALUE, Array(T0, 0, WORDS))
    made.append(f)
    with _alone("field_a24", 3) as f:
        f.mv(T0, A1)
        f.mv(T1, A2)
        load(f, OTHER, Array(T0, 0, WORDS))
        load(f, VALUE, Array(T1, 0, WORDS))
        fold(f, OTHER, VALUE, _A24, VALUE, (T0, T1, T2, T3))
    made.append(f)
    return made


# -- what is measured ----------------------------------------------------------------------------


def _multiplication(base: bool) -> Callable[[Machine], int]:
    def measure(machine: Machine) -> int:
        rng = random.Random(1)
        u = bytes([9]) + bytes(31) if base else rng.randbytes(32)
        return machine.call("multiply", bytearray(32), rng.randbytes(32), u, int(base)).instructions

    return measure


OPERATIONS = [
    counts.Operation(
        "x25519.arbitrary",
        "X25519, arbitrary point",
        _multiplication(base=False),
    ),
    counts.Operation(
        "x25519.base",
        "X25519, base point",
        _multiplication(base=True),
    ),
]
