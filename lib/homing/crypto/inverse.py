# The inverse modulo a prime by Euclid's algorithm.

import os


def inverse(z, p):
    """x in 0 … p - 1 with z * x = 1 (mod p); 0 if z = 0 (mod p), as z ** (p - 2) is. p: a prime.

    Euclid takes a time that depends on its operand, so it sees z times a random number only.
    """
    blind = int.from_bytes(os.urandom(32), "big") % p or 1
    a, b = z * blind % p, p
    u, v = 1, 0
    while a:
        q, r = divmod(b, a)
        b, a = a, r
        v, u = u, v - q * u
    return v * blind % p
