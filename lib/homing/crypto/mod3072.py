# Arithmetic modulo the prime of group3072: Mod3072.

from micropython import const

from . import native
from .group3072 import LEN, PRIME

_WORK_LEN = const(1144)
_M_LEN = const(376)
_SQUARE = const(-1)

_kernel = native.load("mod3072")
if _kernel is None:
    from .mod3072_plain import Mod3072  # pyright: ignore - has the same methods
else:
    _multiply = _kernel.multiply
    _P = int.from_bytes(PRIME, "big")
    # For all: nothing stays in it from one call to the next, and no call interrupts another.
    _WORK = bytearray(_WORK_LEN)
    _WORK[:_M_LEN] = ((_P + 1) >> 64).to_bytes(_M_LEN, "little")
    # pow: a shift of constants would be done by the compiler, and be stored in decimal.
    _ONE = pow(2, 8 * LEN, _P).to_bytes(LEN, "little")
    # Factors that bring a number into the form inside and out of it.
    _IN = bytearray(pow(2, 16 * LEN, _P).to_bytes(LEN, "little"))
    _OUT = bytearray(b"\1") + bytes(LEN - 1)

    class Mod3072:
        """As Mod3072 of mod3072_plain; takes the same time for all values.

        Inside they are 96 words, the lowest first, times 2 ** 3072, and below 2 ** 3072. A table is
        a list of them: in one piece the larger would be 12 KB, of a heap that has few such pieces.
        """

        def __init__(self):
            self._value = bytearray(_ONE)

        def table(self, count):
            return [bytearray(_ONE) for _ in range(count)]

        def store(self, table, i):
            _entry(table, i)[:] = self._value

        def load(self, table, i):
            self._value[:] = _entry(table, i)

        def square(self):
            _multiply(self._value, _IN, _SQUARE, _WORK)

        def multiply(self, table, i):
            _multiply(self._value, _entry(table, i), 0, _WORK)

        def set(self, data):
            if len(data) > LEN:
                raise ValueError("more than 3072 bits")
            self._value[:] = int.from_bytes(data, "big").to_bytes(LEN, "little")
            _multiply(self._value, _IN, 0, _WORK)

        def bytes(self):
            out = bytearray(self._value)
            _multiply(out, _OUT, 0, _WORK)
            return (int.from_bytes(out, "little") % _P).to_bytes(LEN, "big")

    def _entry(table, i):
        entry = table[i]
        if not isinstance(entry, bytearray) or len(entry) != LEN:
            raise TypeError("a table wanted")
        return entry
