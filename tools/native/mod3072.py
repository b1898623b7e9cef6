"""Montgomery multiplication and squaring modulo the prime N of RFC 5054's 3072-bit group.

Values are 96 words of 32 bits, the lowest first, and below R = 2 ** 3072; not always below N.

The product of two values is made in 192 words `t`, in rows: six words of one factor are kept in
registers while the other's words pass by. A row's sum has six columns in registers; each word that
passes adds six products to them, and completes the lowest. For a square only the products of two
different words are made, once; they are doubled when the squares are added.

Then t is divided by R. N + 1 = m * 2 ** 64, so adding q * N, with q the lowest six words of t, is
to take q away and to add q * m two words further on. The first two words of q are those of t, and
the next four depend on the sums of the columns before: the six words that then would be zero are
just left behind. Sixteen such rows leave t / R modulo N in the upper half of t.

Bounds: with factors below R, t is below R ** 2, and as sum(q * N) < R * N, what remains is below
R + N. If it is not below R, N is subtracted once; then it is.

Everything is done in the same order whatever the values are.
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

if TYPE_CHECKING:
    from .emulator import Machine

WORDS = 96
LEN = 4 * WORDS
ROW = 6  # words of a factor in registers
_M_WORDS = WORDS - 2
_M_LEN = 4 * _M_WORDS
WORK_LEN = _M_LEN + 2 * LEN  # m, then t

# Registers of a row: the factor's words, the columns, and what one product needs.
_FACTOR = (S0, S1, S2, S3, S4, S5)
_COLUMNS = (S6, S7, S8, S9, S10, S11)
_WORD, _LOW, _HIGH, _CARRY, _BIT = A4, A5, A6, A7, T1
_FROM, _TO, _END = A0, A1, A2
_STEP = 4 * ROW


def functions() -> list[Function]:
    """The asm functions of the module, in order."""
    return [_multiply()]


def _multiply() -> Function:
    f = Function(
        "multiply",
        parameters=4,
        doc="multiply(value, table, index, work): value = value * table[index] / 2 ** 3072, or\n"
        "value ** 2 / 2 ** 3072 with index -1, modulo the prime. work: m, and room for t.",
    )
    value, table, index, work = A0, A1, A2, A3
    with f.frame((RA, *SAVED), words=2) as stack:
        place_of_value, place_of_factor = stack[0], stack[1]
        f.sw(value, place_of_value)
        f.li(T1, LEN)
        f.mul(T1, T1, index)
        f.add(table, table, T1)
        f.sw(table, place_of_factor)
        f.addi(work, work, _M_LEN)  # from here on: t
        _clear(f, work)
        f.bge(index, ZERO, "product")
        _square(f, place_of_value, work)
        f.jump("reduce")
        f.label("product")
        _product(f, place_of_value, place_of_factor, work)
        f.label("reduce")
        _reduce(f, work)
        _subtract(f, place_of_value, work)
        f.jump("end")
        _row(f)
        f.label("end")
    return f


def _clear(f: Function, t: Reg) -> None:
    # The lower half: the upper one is written before it is read.
    place, end = T2, T3
    f.mv(place, t)
    f.addi(end, t, LEN)
    f.label("clear")
    for i in range(ROW):
        f.sw(ZERO, Mem(place, 4 * i))
    f.addi(place, place, _STEP)
    f.bne(place, end, "clear")


def _row(f: Function) -> None:
    """Subroutine: to the columns add what is at `to`, and the factor times each word at `from`, up
    to `end`; leave complete columns at `to`. Another entry leaves out the first two words.

    Six words at a time: then each column is back in its register.
    """
    f.label("row")
    for i in range(ROW):
        if i == 2:
            f.label("row_from_2")
        f.lw(_WORD, Mem(_FROM, 4 * i))
        f.lw(_CARRY, Mem(_TO, 4 * i))
        for k in range(ROW):
            column = _COLUMNS[(i + k) % ROW]
            _product_and_carry(f, _WORD, _FACTOR[k])
            f.add(column, column, _LOW)
            f.sltu(_BIT, column, _LOW)
            if k == 0:
                done = column
                f.sw(done, Mem(_TO, 4 * i))
            # The last carry is the new, highest column, and takes the place of the lowest.
            f.add(_CARRY if k < ROW - 1 else done, _HIGH, _BIT)
    f.addi(_FROM, _FROM, _STEP)
    f.addi(_TO, _TO, _STEP)
    f.bne(_FROM, _END, "row")
    f.ret()


def _product_and_carry(f: Function, a: Reg, b: Reg) -> None:
    """(high, low) = a * b + carry: no more than two words can hold."""
    f.mul(_LOW, a, b)
    f.mulhu(_HIGH, a, b)
    f.add(_LOW, _LOW, _CARRY)
    f.sltu(_BIT, _LOW, _CARRY)
    f.add(_HIGH, _HIGH, _BIT)


def _chain(f: Function, a: Reg, factors: tuple[Reg, ...], columns: tuple[Reg, ...]) -> None:
    """Add a * factors[k] to columns[k]; the carry of the last remains in `carry`."""
    for k, (b, column) in enumerate(zip(factors, columns, strict=True)):
        if k:
            _product_and_carry(f, a, b)
        else:
            f.mul(_LOW, a, b)
            f.mulhu(_HIGH, a, b)
        f.add(column, column, _LOW)
        f.sltu(_BIT, column, _LOW)
        f.add(_CARRY, _HIGH, _BIT)


def _product(f: Function, place_of_value: Mem, place_of_factor: Mem, t: Reg) -> None:
    factor, end = T2, T3
    f.lw(factor, place_of_factor)
    f.addi(end, factor, LEN)
    f.mv(_TO, t)
    f.label("factor")
    for i, word in enumerate(_FACTOR):
        f.lw(word, Mem(factor, 4 * i))
    for column in _COLUMNS:
        f.li(column, 0)
    f.lw(_FROM, place_of_value)
    f.addi(_END, _FROM, LEN)
    f.call("row")
    for i, column in enumerate(_COLUMNS):
        f.sw(column, Mem(_TO, 4 * i))
    f.addi(_TO, _TO, _STEP - LEN)
    f.addi(factor, factor, _STEP)
    f.bne(factor, end, "factor")


def _square(f: Function, place_of_value: Mem, t: Reg) -> None:
    # Row i multiplies words 6i to 6i + 5 by each other, then by all above them. Their own products
    # reach from column 12i + 1 to 12i + 10, of which the upper five are the row's first columns.
    place, lower = T0, (T2, T3, T4, T5, T6)
    columns = (*lower, *_COLUMNS)  # 12i + 1 and those that follow
    f.lw(place, place_of_value)
    f.addi(_END, place, LEN)
    f.label("square")
    for i, word in enumerate(_FACTOR):
        f.lw(word, Mem(place, 4 * i))
    for i, column in enumerate(lower):
        f.lw(column, Mem(t, 4 * (i + 1)))
    for i in range(ROW - 1):
        others = _FACTOR[i + 1 :]
        _chain(f, _FACTOR[i], others, columns[2 * i : 2 * i + len(others)])
        f.mv(_COLUMNS[i], _CARRY)
    f.li(_COLUMNS[-1], 0)
    for i, column in enumerate(lower):
        f.sw(column, Mem(t, 4 * (i + 1)))
    f.addi(place, place, _STEP)
    f.mv(_FROM, place)
    f.addi(_TO, t, _STEP)
    f.addi(t, t, 2 * _STEP)
    f.beq(_FROM, _END, "last_row")
    f.call("row")
    f.label("last_row")
    for i, column in enumerate(_COLUMNS):
        f.sw(column, Mem(_TO, 4 * i))
    f.bne(place, _END, "square")
    f.addi(t, t, -2 * LEN)
    _double_and_add_squares(f, place_of_value, t)


def _double_and_add_squares(f: Function, place_of_value: Mem, t: Reg) -> None:
    value, place, top, carry, new = T0, T2, T3, _CARRY, T4  # top: the bit that a doubling lost
    pair = (S6, S7)
    f.lw(value, place_of_value)
    f.addi(_END, value, LEN)
    f.mv(place, t)
    f.li(top, 0)
    f.li(carry, 0)
    f.label("double")
    for i in range(2):
        f.lw(_WORD, Mem(value, 4 * i))
        for k, word in enumerate(pair):
            f.lw(word, Mem(place, 8 * i + 4 * k))
        for word in pair:
            f.srli(new, word, 31)
            f.slli(word, word, 1)
            f.or_(word, word, top)
            f.mv(top, new)
        _product_and_carry(f, _WORD, _WORD)
        f.add(pair[0], pair[0], _LOW)
        f.sltu(_BIT, pair[0], _LOW)
        f.add(_HIGH, _HIGH, _BIT)  # no more than two words can hold, again
        f.add(pair[1], pair[1], _HIGH)
        f.sltu(carry, pair[1], _HIGH)
        for k, word in enumerate(pair):
            f.sw(word, Mem(place, 8 * i + 4 * k))
    f.addi(value, value, 8)
    f.addi(place, place, 16)
    f.bne(value, _END, "double")


def _reduce(f: Function, t: Reg) -> None:
    """Add multiples of N until the lower half of t is to be left out; `above` = what is carried
    out of the upper half."""
    place, end, m, above, x = T0, T2, T3, T6, T4
    q = _FACTOR
    lowest = (T4, T5, _FROM, _TO)  # of m, before the row takes some of these registers
    f.mv(place, t)
    f.addi(end, t, LEN)
    f.addi(m, t, -_M_LEN)
    f.li(above, 0)
    f.label("quotient")
    for i, word in enumerate(q):
        f.lw(word, Mem(place, 4 * i))
    for i, word in enumerate(lowest):
        f.lw(word, Mem(m, 4 * i))
    for i in range(4):
        _chain(f, q[i], lowest[: 4 - i], q[i + 2 :])
    for column in _COLUMNS:
        f.li(column, 0)
    f.addi(_FROM, m, -8)
    f.mv(_TO, place)
    f.mv(_END, t)  # where m ends
    f.call("row_from_2")
    for i, column in enumerate(_COLUMNS):
        f.lw(x, Mem(_TO, 4 * i))
        f.add(x, x, above)
        f.sltu(above, x, above)
        f.add(x, x, column)
        f.sltu(_BIT, x, column)
        f.add(above, above, _BIT)
        f.sw(x, Mem(_TO, 4 * i))
    f.addi(place, place, _STEP)
    f.bne(place, end, "quotient")


def _subtract(f: Function, place_of_value: Mem, t: Reg) -> None:
    # value = the upper half of t - N if something is above it. Adding the complement of m, two
    # words further on, and 1 there takes m * 2 ** 64 away; N is one less.
    value, place, m, keep, x, y, carry = T0, T2, T3, T5, A4, A5, A6
    above = T6
    f.lw(value, place_of_value)
    f.addi(place, t, LEN)
    f.addi(m, t, -_M_LEN)
    f.addi(keep, above, -1)  # all ones if nothing is subtracted
    f.mv(carry, above)
    for i in range(2):
        f.lw(x, Mem(place, 4 * i))
        f.add(x, x, carry)
        f.sltu(carry, x, carry)
        f.sw(x, Mem(value, 4 * i))
    f.addi(carry, carry, 1)
    f.label("subtract")
    for i in range(2):
        f.lw(x, Mem(place, 8 + 4 * i))
        f.lw(y, Mem(m, 4 * i))
        f.xori(y, y, -1)
        f.or_(y, y, keep)
        f.add(x, x, carry)
        f.sltu(carry, x, carry)
        f.add(x, x, y)
        f.sltu(_BIT, x, y)
        f.add(carry, carry, _BIT)
        f.sw(x, Mem(value, 8 + 4 * i))
    f.addi(place, place, 8)
    f.addi(value, value, 8)
    f.addi(m, m, 8)
    f.bne(m, t, "subtract")


# -- what the tests and the bench put in --------------------------------------------------------


def work(prime: int) -> bytearray:
    """The memory that multiply() needs, with m in it."""
    m = (prime + 1) >> 64
    return bytearray(m.to_bytes(_M_LEN, "little") + bytes(2 * LEN))


def _cost(index: int) -> Callable[[Machine], int]:
    def measure(machine: Machine) -> int:
        table = bytes(LEN) if index >= 0 else b""
        return machine.call("multiply", bytearray(LEN), table, index, work(3)).instructions

    return measure


# What the device does in Security 2 from the client's A to the proof that it expects, with all
# prepared that can be (lib/homing/crypto/srp6a.py): calls, conversions being multiplications too.
RESPOND = {"square": 259, "multiply": 224, "set": 1, "bytes": 1, "compress": 20}


def _respond(machine: Machine) -> int:
    from .sha512 import _block

    multiply, square = _cost(0)(machine), _cost(-1)(machine)
    factors = RESPOND["multiply"] + RESPOND["set"] + RESPOND["bytes"]
    blocks = RESPOND["compress"] * _block(counts.machine("sha512"))
    return RESPOND["square"] * square + factors * multiply + blocks


OPERATIONS = [
    counts.Operation("mod3072.multiply", "3072-bit multiplication", _cost(0)),
    counts.Operation("mod3072.square", "3072-bit squaring", _cost(-1)),
    counts.Operation("mod3072.respond", "Security 2, from A to M1", _respond),
]
