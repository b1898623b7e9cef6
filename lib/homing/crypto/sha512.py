# SHA-512 (FIPS 180-4) for a board whose hashlib has none.

from struct import pack_into, unpack

from micropython import const

from . import native

_BLOCK_LEN = const(128)
_DIGEST_LEN = const(64)
_LENGTH_POS = const(120)  # the standard has 16 bytes for the length; the first 8 stay zero
_ROUNDS = const(80)
_TABLE_LEN = const(1280)  # what the kernel wants: the constants, and room for as much again


def _constants():
    # FIPS 180-4, 4.2.3 and 5.3.5: 64 bits of the fractions of the cube roots of the first 80
    # primes, and of the square roots of the first 8.
    primes = []
    n = 2
    while len(primes) < _ROUNDS:
        for p in primes:
            if not n % p:
                break
        else:
            primes.append(n)
        n += 1
    cubic = bytearray(_ROUNDS * 8)
    square = bytearray(_DIGEST_LEN)
    for i in range(_ROUNDS):
        pack_into("<Q", cubic, 8 * i, _fraction(primes[i], 3))
        if i < 8:
            pack_into("<Q", square, 8 * i, _fraction(primes[i], 2))
    return cubic, square


def _fraction(n, degree):
    # 64 bits after the point of the root of n, by Newton's method from above.
    n <<= 64 * degree
    x = 8 << 64
    while True:
        y = ((degree - 1) * x + n // x ** (degree - 1)) // degree
        if y >= x:
            return x & (1 << 64) - 1
        x = y


_K, _INITIAL = _constants()  # words of 64 bits, little-endian

_kernel = native.load("sha512")
if _kernel is None:
    from .sha512_plain import Compressor

    compress = Compressor(_K).compress
else:
    _TABLE = _K + bytes(_TABLE_LEN - len(_K))

    def compress(state, block):
        """Take one block of 128 bytes into the state, 8 words in 64 bytes."""
        state = native.target(state, _DIGEST_LEN)
        block = native.source(block, _BLOCK_LEN)
        _kernel.compress(state, block, _TABLE)  # pyright: ignore - there is one


del _K


class Sha512:
    """As hashlib's: update() with any number of pieces, then digest(), 64 bytes.

    digest() changes nothing: more may follow it.
    """

    def __init__(self, data=b""):
        self._state = bytearray(_INITIAL)
        self._block = bytearray(_BLOCK_LEN)
        self._fill = 0  # bytes of the block that are taken
        self._len = 0
        self.update(data)

    def update(self, data):
        data = memoryview(data)
        size = len(data)
        self._len += size
        block = self._block
        fill = self._fill
        pos = 0
        if fill and size >= _BLOCK_LEN - fill:
            pos = _BLOCK_LEN - fill
            block[fill:] = data[:pos]
            compress(self._state, block)
            fill = 0
        while size - pos >= _BLOCK_LEN:
            compress(self._state, data[pos : pos + _BLOCK_LEN])
            pos += _BLOCK_LEN
        self._fill = fill + size - pos
        block[fill : self._fill] = data[pos:]

    def digest(self):
        state = bytearray(self._state)
        block = bytearray(_BLOCK_LEN)
        fill = self._fill
        block[:fill] = memoryview(self._block)[:fill]
        block[fill] = 0x80
        if fill >= _LENGTH_POS - 8:
            compress(state, block)
            block = bytearray(_BLOCK_LEN)
        pack_into(">Q", block, _LENGTH_POS, self._len * 8)
        compress(state, block)
        out = bytearray(_DIGEST_LEN)
        pack_into(">8Q", out, 0, *unpack("<8Q", state))
        return bytes(out)
