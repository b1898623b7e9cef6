# Small helpers for tests that run on MicroPython.

from binascii import unhexlify


def raises(kind, function, *args):
    """Call it and return the exception it must raise."""
    try:
        result = function(*args)
    except kind as e:
        return e
    raise AssertionError(f"no {kind.__name__}; returned {result!r}")


def unhex(text):
    return unhexlify(text.replace(" ", "").replace("\n", ""))


class Random:
    """Seeded xorshift: the same sequence on every run."""

    def __init__(self, seed=1):
        self._state = seed * 2654435761 & 0xFFFFFFFF or 1

    def below(self, limit):
        x = self._state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._state = x
        return (x >> 3) % limit

    def bytes(self, count):
        return bytes([self.below(256) for _ in range(count)])
