# Powers by windows and combs (Handbook of Applied Cryptography, 14.82 and 14.117), with any
# arithmetic that has the methods of Mod3072.
#
# All are generators that yield after each multiplication, so that other work can be done in
# between. Number and order of their steps do not depend on exponents.

from micropython import const

EXPONENT_LEN = const(32)  # bytes of a secret exponent
WINDOWS = const(16)  # values in a table of powers
# A comb reads its exponent at five places at once: 770 bits in 154 multiplications.
COMB_LEN = const(97)
COMBS = const(32)
_TEETH = const(5)
_SPACING = const(154)


def window_table(mod, table):
    """Fill a table of WINDOWS values with the powers 0 to 15 of the accumulator's value."""
    mod.store(table, 1)
    for i in range(2, WINDOWS):
        if i & 1:
            mod.multiply(table, 1)
        else:
            mod.load(table, i >> 1)
            mod.square()
        mod.store(table, i)
        yield


def comb_table(mod, table):
    """Fill a table of COMBS values for the accumulator's value."""
    mod.store(table, 1)
    for tooth in range(1, _TEETH):
        for _ in range(_SPACING):
            mod.square()
            yield
        first = 1 << tooth
        mod.store(table, first)
        for i in range(1, first):
            mod.load(table, first)
            mod.multiply(table, i)
            mod.store(table, first + i)
            yield
        mod.load(table, first)


def power(mod, table, exponent, comb=None, comb_exponent=b""):
    """Leave x ** exponent in the accumulator, or x ** exponent * y ** comb_exponent.

    table, comb: of x by window_table, of y by comb_table.
    exponent, comb_exponent: little-endian bytes; COMB_LEN of the second, and of the first enough
    for a comb, which wants 154 bits.
    """
    mod.load(table, exponent[-1] >> 4)
    for i in range(len(exponent) * 8 - 5, -1, -1):
        mod.square()
        yield
        if comb and i < _SPACING:
            digit = 0
            for pos in range(i + _SPACING * (_TEETH - 1), -1, -_SPACING):
                digit = digit << 1 | comb_exponent[pos >> 3] >> (pos & 7) & 1
            mod.multiply(comb, digit)
            yield
        if not i & 3:
            mod.multiply(table, exponent[i >> 3] >> (i & 4) & 15)
            yield
