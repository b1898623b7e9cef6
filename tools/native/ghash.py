"""GHASH (NIST SP 800-38D, 6.3 and 6.4) with a table of 16 multiples of the key.

A polynomial of degree 127 is four words, the coefficient of x ** 0 in the highest bit of the first,
so multiplying by x ** 32 is to go to the next word, and by x ** 4 a shift to the right by four. In
a block's bytes the order is the same, so words are turned round between memory and registers.

The product is made after López and Dahab: of the four words of the other factor one nibble each is
taken at the same time, those of the highest degree first, and their multiples of the key are added
to a sum of eight words, each a word further on; then the sum is multiplied by x ** 4. The reduction
by x ** 128 = x ** 7 + x ** 2 + x + 1 comes once, at the end.

The time does not depend on what is hashed. The places that are read in the table do; the chip has
no cache in front of its RAM.
"""

from __future__ import annotations

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
    T0,
    T1,
    T2,
    T3,
    T4,
    ZERO,
    Array,
    Function,
    Mem,
    Reg,
)

if TYPE_CHECKING:
    from .emulator import Machine

BLOCK_LEN = 16
TABLE_LEN = 16 * BLOCK_LEN
_WORDS = range(4)
_BYTES = 0x00FF00FF  # every other one


def functions() -> list[Function]:
    """The asm functions of the module, in order."""
    return [_table(), _update()]


def _reverse(f: Function, word: Reg, mask: Reg, spare: Reg) -> None:
    """The bytes of a word in the other order; mask: _BYTES."""
    f.srli(spare, word, 8)
    f.and_(spare, spare, mask)
    f.and_(word, word, mask)
    f.slli(word, word, 8)
    f.or_(word, word, spare)
    f.srli(spare, word, 16)
    f.slli(word, word, 16)
    f.or_(word, word, spare)


def _table() -> Function:
    f = Function(
        "table",
        parameters=2,
        doc="table(out, key): the products of the key, 16 bytes, with the 16 polynomials of\n"
        "degree 3, numbered with the coefficient of x ** 0 as the highest bit. Both are aligned.",
    )
    out, key = A0, A1
    words = (A2, A3, A4, A5)
    mask, spare, bit, place, other, end, top = A6, A7, T0, T1, T2, T3, T4
    f.li(mask, _BYTES)
    for i in _WORDS:
        f.lw(words[i], Mem(key, 4 * i))
        _reverse(f, words[i], mask, spare)
        f.sw(ZERO, Mem(out, 4 * i))
    f.li(top, 0xE1000000)  # 1 + x + x ** 2 + x ** 7
    for power in (8, 4, 2, 1):
        for i in _WORDS:
            f.sw(words[i], Mem(out, BLOCK_LEN * power + 4 * i))
        if power == 1:
            break
        f.andi(bit, words[3], 1)
        for i in reversed(_WORDS):
            f.srli(words[i], words[i], 1)
            if i:
                f.slli(spare, words[i - 1], 31)
                f.or_(words[i], words[i], spare)
        f.sub(bit, ZERO, bit)
        f.and_(bit, bit, top)
        f.xor(words[0], words[0], bit)
    # The others are sums: entry i + j = entry i + entry j, for i = 2, 4, 8 and j below i.
    for power in (2, 4, 8):
        for i in _WORDS:
            f.lw(words[i], Mem(out, BLOCK_LEN * power + 4 * i))
        f.addi(place, out, BLOCK_LEN * (power + 1))
        f.addi(other, out, BLOCK_LEN)
        f.addi(end, out, BLOCK_LEN * power)
        loop = f.new_label("sum")
        f.label(loop)
        for i in _WORDS:
            f.lw(spare, Mem(other, 4 * i))
            f.xor(spare, spare, words[i])
            f.sw(spare, Mem(place, 4 * i))
        f.addi(place, place, BLOCK_LEN)
        f.addi(other, other, BLOCK_LEN)
        f.bne(other, end, loop)
    return f


def _update() -> Function:
    f = Function(
        "update",
        parameters=4,
        doc="update(digest, table, data, count): take `count` blocks of 16 bytes into the digest.\n"
        "All pointers are aligned.",
    )
    digest, table, data, blocks = A0, A1, A2, A3
    x = (A4, A5, A6, A7)  # the digest, plus the block; words as in memory
    total = (S2, S3, S4, S5, S6, S7, S8, S9)
    mask, place, left, spare = S0, S1, S10, S11
    entry = (T0, T1, T2, T3)
    memory = Array(digest, 0, 4)
    with f.frame((S0, S1, *total, S10, S11)):
        for i in _WORDS:
            f.lw(x[i], memory[i])
        f.li(mask, _BYTES)
        f.beq(blocks, ZERO, "end")
        f.label("block")
        for i in _WORDS:
            f.lw(entry[i], Mem(data, 4 * i))
        for i in _WORDS:
            f.xor(x[i], x[i], entry[i])
        for word in total:
            f.li(word, 0)
        f.li(left, 4)
        # The last byte has the highest degrees, and its lower nibble the higher ones of them.
        f.label("byte")
        for shift in (20, 24):
            _times_x4(f, total, spare)
            for k in _WORDS:
                f.srli(place, x[k], shift)
                f.andi(place, place, 0xF0)
                f.add(place, place, table)
                for i in _WORDS:
                    f.lw(entry[i], Mem(place, 4 * i))
                for i in _WORDS:
                    f.xor(total[k + i], total[k + i], entry[i])
        for k in _WORDS:
            f.slli(x[k], x[k], 8)
        f.addi(left, left, -1)
        f.bne(left, ZERO, "byte")
        # From the top down: what the last word spills over goes into the first of those above.
        for i in reversed(_WORDS):
            high, low = total[4 + i], total[i]
            f.xor(low, low, high)
            for shift in (1, 2, 7):
                f.srli(spare, high, shift)
                f.xor(low, low, spare)
                f.slli(spare, high, 32 - shift)
                f.xor(total[i + 1], total[i + 1], spare)
        for i in _WORDS:
            f.mv(x[i], total[i])
            _reverse(f, x[i], mask, spare)
        f.addi(data, data, BLOCK_LEN)
        f.addi(blocks, blocks, -1)
        f.bne(blocks, ZERO, "block")
        f.label("end")
        for i in _WORDS:
            f.sw(x[i], memory[i])
    return f


def _times_x4(f: Function, words: tuple[Reg, ...], spare: Reg) -> None:
    for i in reversed(range(len(words))):
        f.srli(words[i], words[i], 4)
        if i:
            f.slli(spare, words[i - 1], 28)
            f.or_(words[i], words[i], spare)


def _table_cost(machine: Machine) -> int:
    return machine.call("table", bytearray(TABLE_LEN), bytes(BLOCK_LEN)).instructions


def _update_cost(machine: Machine) -> int:
    table = bytearray(TABLE_LEN)
    machine.call("table", table, bytes(range(16)))
    return machine.call("update", bytearray(16), table, bytes(16), 1).instructions


OPERATIONS = [
    counts.Operation("ghash.table", "GHASH, table of a key", _table_cost),
    counts.Operation("ghash.block", "GHASH, a block", _update_cost),
]
