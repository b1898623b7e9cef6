# Stands in for the native code of X25519: same call, same results, by the text of RFC 7748, 5. Not
# by x25519_plain, which wants random numbers before there are any.

_P = (1 << 255) - 19


def multiply(out, scalar, u, base):
    k = int.from_bytes(scalar, "little") & ~7 & (1 << 254) - 1 | 1 << 254
    x1 = int.from_bytes(u, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b = x2 + z2, x2 - z2
        aa, bb = a * a % _P, b * b % _P
        e = aa - bb
        da, cb = (x3 - z3) * a, (x3 + z3) * b
        x3 = (da + cb) * (da + cb) % _P
        z3 = x1 * ((da - cb) * (da - cb) % _P) % _P
        x2 = aa * bb % _P
        z2 = e * (aa + 121665 * e) % _P
    if swap:
        x2, z2 = x3, z3
    out[:] = (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")
