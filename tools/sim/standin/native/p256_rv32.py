# Stands in for the native code of P-256: same call, same places in memory, same results. Without
# p256_plain's inversions, which want random numbers before there are any.

from homing.crypto.p256_domain import COMB, N, P
from homing.crypto.p256_plain import _add, _double

_LEN = 32
_K, _D, _HASH = 7, 8, 9  # places of what the caller wants to know
_X, _Y, _S = 10, 11, 12  # and of the results


def multiply(work, _comb, sign):
    def number(place):
        return int.from_bytes(work[_LEN * place : _LEN * (place + 1)], "little")

    def put(place, value):
        work[_LEN * place : _LEN * (place + 1)] = value.to_bytes(_LEN, "little")

    k = number(_K)
    gx, gy = (int.from_bytes(COMB[pos : pos + _LEN], "little") for pos in (0, _LEN))
    point = 0, 1, 0
    for bit in range(255, -1, -1):
        point = _double(*point)
        if k >> bit & 1:
            point = _add(*point, gx, gy)
    x, y, z = point
    z = pow(z, P - 2, P)
    x = x * z % P
    put(_X, x)
    put(_Y, y * z % P)
    if sign:
        put(_S, pow(k, N - 2, N) * (number(_HASH) + x * number(_D)) % N)
