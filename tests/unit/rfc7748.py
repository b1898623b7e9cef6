# X25519 as RFC 7748 spells it out, for comparison only: % after every step, pow() to invert.

_P = (1 << 255) - 19


def x25519(k, u):
    """k, u: 32 bytes."""
    k = bytearray(k)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    x1 = int.from_bytes(u, "little") & ((1 << 255) - 1)
    p = _P
    x2, z2, x3, z3 = 1, 0, x1, 1
    swap = 0
    for t in range(254, -1, -1):
        k_t = k[t >> 3] >> (t & 7) & 1
        swap ^= k_t
        if swap:
            x2, x3 = x3, x2
            z2, z3 = z3, z2
        swap = k_t
        a = (x2 + z2) % p
        aa = a * a % p
        b = (x2 - z2) % p
        bb = b * b % p
        e = (aa - bb) % p
        c = (x3 + z3) % p
        d = (x3 - z3) % p
        da = d * a % p
        cb = c * b % p
        x3 = (da + cb) % p
        x3 = x3 * x3 % p
        z3 = (da - cb) % p
        z3 = x1 * (z3 * z3 % p) % p
        x2 = aa * bb % p
        z2 = e * ((aa + 121665 * e % p) % p) % p
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")
