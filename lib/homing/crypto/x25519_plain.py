# X25519 (RFC 7748) on MicroPython's big integers.
#
# Not constant time: big integers are not. A private key serves one handshake, so there is one
# measurement at most, and the only loop whose length depends on a secret works on a blinded value.

from micropython import const

from .inverse import inverse

_KEY_LEN = const(32)
_A24 = const(121665)
_P = (1 << 255) - 19  # the field
_MASK = (1 << 256) - 1


def multiply(scalar, u=None):
    """X25519(scalar, u), 32 bytes each; u: 9, the base point, if not given. See x25519.py."""
    x1 = 9 if u is None else int.from_bytes(u, "little") & ((1 << 255) - 1)
    scalar = bytearray(scalar)
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    p = _P
    mask = _MASK
    x2, z2, x3, z3 = 1, 0, x1, 1
    last = 0
    for t in range(254, -1, -1):
        bit = scalar[t >> 3] >> (t & 7) & 1
        if bit != last:
            last = bit
            x2, x3 = x3, x2
            z2, z3 = z3, z2
        # Variables are reused for what the RFC calls A, B, AA, BB, E, DA, CB; products are folded
        # at 2**256 = 38 (mod p) to some 270 bits, and only the four results are reduced.
        a = x2 + z2
        b = x2 - z2
        da = (x3 - z3) * a
        da = (da & mask) + (da >> 256) * 38
        cb = (x3 + z3) * b
        cb = (cb & mask) + (cb >> 256) * 38
        a *= a
        a = (a & mask) + (a >> 256) * 38
        b *= b
        b = (b & mask) + (b >> 256) * 38
        x3 = da + cb
        x3 *= x3
        x3 = ((x3 & mask) + (x3 >> 256) * 38) % p
        z3 = da - cb
        z3 *= z3
        z3 = ((z3 & mask) + (z3 >> 256) * 38) * x1
        z3 = ((z3 & mask) + (z3 >> 256) * 38) % p
        x2 = a * b
        x2 = ((x2 & mask) + (x2 >> 256) * 38) % p
        b = a - b
        z2 = b * (a + b * _A24)
        z2 = ((z2 & mask) + (z2 >> 256) * 38) % p
    # The last bit of a clamped scalar is 0, so nothing is left to swap.
    return (x2 * inverse(z2, p) % p).to_bytes(_KEY_LEN, "little")
