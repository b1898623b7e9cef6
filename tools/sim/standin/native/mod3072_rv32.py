# Stands in for the native code of the 3072-bit arithmetic: same call, same results.

_LEN = 384
_M_LEN = 376
_BITS = 3072
_MASK = (1 << _BITS) - 1
_known = [None, 0, 0]  # the modulus as it is handed over, as a number, and -1 / modulus


def multiply(value, table, index, work):
    m = bytes(work[:_M_LEN])
    if _known[0] != m:
        # The words given are those of (modulus + 1) / 2 ** 64.
        modulus = (int.from_bytes(m, "little") << 64) - 1
        inverse = 1  # of -modulus modulo 2 ** 64, by Newton's method then of more and more bits
        for _ in range(6):
            inverse = inverse * (2 + modulus * inverse) & _MASK
        _known[:] = m, modulus, inverse
    _, modulus, inverse = _known
    x = int.from_bytes(value, "little")
    y = x if index < 0 else int.from_bytes(table[index * _LEN : (index + 1) * _LEN], "little")
    x *= y
    x = x + (x * inverse & _MASK) * modulus >> _BITS
    value[:] = (x if x <= _MASK else x - modulus).to_bytes(_LEN, "little")
