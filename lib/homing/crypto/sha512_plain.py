# SHA-512's compression of a block on MicroPython's big integers.

from array import array
from struct import pack_into, unpack

from micropython import const

_ROUNDS = const(80)
_MASK = (1 << 64) - 1


class Compressor:
    """Holds the constants: 80 words of 64 bits, as little-endian bytes."""

    def __init__(self, constants):
        self._constants = array("Q", constants)

    def compress(self, state, block):
        """Take one block of 128 bytes into the state, 8 words in 64 bytes."""
        constants = self._constants
        before = unpack("<8Q", state)
        a, b, c, d, e, f, g, h = before
        w = list(unpack(">16Q", block))
        mask = _MASK
        bc = b ^ c
        for i in range(_ROUNDS):
            t = i & 15
            if i > 15:
                # A value twice in a row makes a rotation of a shift.
                x = w[i + 1 & 15]
                y = w[i - 2 & 15]
                xx = x << 64 | x
                yy = y << 64 | y
                x = xx >> 1 ^ xx >> 8 ^ x >> 7
                y = yy >> 19 ^ yy >> 61 ^ y >> 6
                w[t] = w[t] + (x & mask) + w[i - 7 & 15] + (y & mask) & mask
            x = e << 64 | e
            t = h + ((x >> 14 ^ x >> 18 ^ x >> 41) & mask) + (g ^ e & (f ^ g)) + constants[i] + w[t]
            h = g
            g = f
            f = e
            e = d + t & mask
            d = c
            c = b
            # Maj(a, b, c), with a ^ b of one round being b ^ c of the next.
            ab = a ^ b
            x = a << 64 | a
            t += ((x >> 28 ^ x >> 34 ^ x >> 39) & mask) + (b ^ ab & bc)
            b = a
            a = t & mask
            bc = ab
        after = (a, b, c, d, e, f, g, h)
        pack_into("<8Q", state, 0, *[before[i] + after[i] & mask for i in range(8)])
