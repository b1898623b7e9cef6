# GHASH on MicroPython's big integers.
#
# Blocks are taken as numbers, in which the standard's first bit, the coefficient of x ** 0, is the
# highest: a product of two such numbers is the product of the polynomials, mirrored in 255 bits.

from micropython import const

_BLOCK_LEN = const(16)
_MASK = (1 << 128) - 1


def table(key):
    """What update() needs of a key of 16 bytes: its products with the polynomials of four bits."""
    key = int.from_bytes(key, "big")
    out = [0, key]
    for i in range(1, 8):
        out.append(out[i] << 1)
        out.append(out[i] << 1 ^ key)
    return out


def update(digest, table, data):
    """Take blocks of 16 bytes into the digest, a bytearray of 16."""
    x = int.from_bytes(digest, "big")
    for pos in range(0, len(data), _BLOCK_LEN):
        x ^= int.from_bytes(data[pos : pos + _BLOCK_LEN], "big")
        z = 0
        for byte in x.to_bytes(_BLOCK_LEN, "big"):
            z = (z << 4 ^ table[byte >> 4]) << 4 ^ table[byte & 15]
        # Modulo x ** 128 + x ** 7 + x ** 2 + x + 1: what is below 2 ** 128 of the mirrored product
        # has to come in at the top. Its lowest bits would fall out again and come in first.
        z <<= 1
        low = z & _MASK
        low ^= (low << 127 ^ low << 126 ^ low << 121) & _MASK
        x = z >> 128 ^ low ^ low >> 1 ^ low >> 2 ^ low >> 7
    digest[:] = x.to_bytes(_BLOCK_LEN, "big")
