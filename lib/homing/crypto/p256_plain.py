# Multiples of P-256's base point on MicroPython's big integers.
#
# Not constant time: big integers are not. But the sequence of operations is the same for all
# scalars, and what depends on its operand, Euclid, sees blinded values.
#
# Homogeneous coordinates, and the complete formulas of Renes, Costello and Batina ("Complete
# addition formulas for prime order elliptic curves", algorithms 5 and 6), for which no operand is
# an exception, not even the neutral point (0 : 1 : 0).

from micropython import const

from .inverse import inverse
from .p256_domain import COMB, B, N, P

_LEN = const(32)
_SPACING = const(64)  # bits between the teeth of the comb


def multiply(k):
    """x and y of k * G, for k in 1 … N - 1."""
    p = P
    k = k.to_bytes(_LEN, "little")
    point = 0, 1, 0
    for i in range(_SPACING - 1, -1, -1):
        point = _double(*point)
        digit = 0
        for pos in range(i + 3 * _SPACING, -1, -_SPACING):
            digit = digit << 1 | k[pos >> 3] >> (pos & 7) & 1
        # For the digit 0 there is no affine point: the same work is done, and not used.
        pos = ((digit or 1) - 1) * 2 * _LEN
        x = int.from_bytes(COMB[pos : pos + _LEN], "little")
        y = int.from_bytes(COMB[pos + _LEN : pos + 2 * _LEN], "little")
        more = _add(*point, x, y)
        point = (point, more)[digit > 0]
    x, y, z = point
    z = inverse(z, p)
    return x * z % p, y * z % p


def _double(x, y, z):
    p = P
    xx = x * x % p
    yy = y * y % p
    zz = z * z % p
    xy = (x * y << 1) % p
    xz = (x * z << 1) % p
    yz = (y * z << 1) % p
    s = (xx - zz) * 3
    t = (B * xz - zz * 3 - xx) * 3 % p
    w = (B * zz - xz) * 3 % p
    u = yy - w
    return (xy * u - yz * t) % p, (u * (yy + w) + s * t) % p, (yz * yy << 2) % p


def _add(x, y, z, x2, y2):
    # To a point an affine one, which is therefore not neutral.
    p = P
    xx = x * x2 % p
    yy = y * y2 % p
    xy = (x * y2 + x2 * y) % p
    xz = (x2 * z + x) % p
    yz = (y2 * z + y) % p
    s = (xx - z) * 3
    t = (B * xz - z * 3 - xx) * 3 % p
    w = (xz - B * z) * 3 % p
    u = yy - w
    v = yy + w
    return (xy * v - yz * t) % p, (u * v + s * t) % p, (yz * u + xy * s) % p


def multiply_and_sign(k, d, z):
    """x of k * G, and (z + x * d) / k modulo N."""
    x = multiply(k)[0]
    return x, inverse(k, N) * (z + x * d) % N
