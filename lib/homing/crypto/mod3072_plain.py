# Arithmetic modulo the prime of group3072 on MicroPython's big integers: not constant time.

from .group3072 import LEN, PRIME

_P = int.from_bytes(PRIME, "big")


class Mod3072:
    """An accumulator, and tables of values to load it from and to multiply it by."""

    def __init__(self):
        self._value = 1

    def table(self, count):
        """Room for so many values, the first of which is 1. What is inside is nobody's business."""
        return [1] * count

    def store(self, table, i):
        table[i] = self._value

    def load(self, table, i):
        self._value = table[i]

    def square(self):
        self._value = self._value * self._value % _P

    def multiply(self, table, i):
        self._value = self._value * table[i] % _P

    def set(self, data):
        """Take a value from big-endian bytes, modulo the prime. ValueError for more than LEN."""
        if len(data) > LEN:
            raise ValueError("more than 3072 bits")
        self._value = int.from_bytes(data, "big") % _P

    def bytes(self):
        """The value, LEN big-endian bytes."""
        return self._value.to_bytes(LEN, "big")
