# ECDSA with SHA-256 on P-256 (FIPS 186-5) with the nonces of RFC 6979.

from hashlib import sha256

from micropython import const

from . import native
from .hmac import hmac_sha256
from .p256_domain import N

_LEN = const(32)

_kernel = native.load("p256")
if _kernel is None:
    from .p256_plain import multiply, multiply_and_sign
else:
    from .p256_domain import COMB, B, P

    # What the kernel's memory begins with, and where it leaves x, y and s.
    _CONSTANTS = (1, pow(2, 512, P), (B << 256) % P, P - 2, N, pow(2, 512, N), N - 2)
    _WORK_LEN = const(832)
    _COMB_LEN = const(960)
    _X = const(320)
    _Y = const(352)
    _S = const(384)

    def multiply(k):
        """x and y of k * G, for k in 1 … N - 1."""
        work = _run((k, 0, 0), 0)
        return _number(work, _X) % P, _number(work, _Y) % P

    def multiply_and_sign(k, d, z):
        """x of k * G, and (z + x * d) / k modulo N."""
        work = _run((k, d, z), 1)
        return _number(work, _X) % P, _number(work, _S) % N

    def _run(numbers, sign):
        work = bytearray(_WORK_LEN)
        pos = 0
        for number in _CONSTANTS + numbers:
            work[pos : pos + _LEN] = number.to_bytes(_LEN, "little")
            pos += _LEN
        comb = native.source(COMB, _COMB_LEN)
        _kernel.multiply(work, comb, sign)  # pyright: ignore - there is one
        return work

    def _number(work, pos):
        return int.from_bytes(work[pos : pos + _LEN], "little")


def public_key(private):
    """The public key of a private one (32 bytes, big-endian): 4, x, y, 65 bytes (SEC 1, 2.3.3).

    Raises ValueError for a wrong length and for a key that is not in 1 … n - 1.
    """
    x, y = multiply(_scalar(private))
    return b"\4" + x.to_bytes(_LEN, "big") + y.to_bytes(_LEN, "big")


def sign(private, message):
    """The signature of the message's SHA-256, an ASN.1 DER SEQUENCE of r and s (RFC 3279, 2.2.3).

    The nonce follows from key and message (RFC 6979). Raises ValueError as public_key.
    """
    d = _scalar(private)
    digest = sha256(message).digest()
    z = int.from_bytes(digest, "big") % N
    nonces = _nonces(bytes(private) + z.to_bytes(_LEN, "big"))
    while True:
        k = next(nonces)
        r, s = multiply_and_sign(k, d, z)
        r %= N
        if r and s:
            return _sequence(r, s)


def _scalar(private):
    if len(private) != _LEN:
        raise ValueError("bad private key length")
    d = int.from_bytes(private, "big")
    if not 0 < d < N:
        raise ValueError("private key out of range")
    return d


def _nonces(seed):
    # RFC 6979, 3.2, steps b to h, for a hash as long as the group's order.
    key = bytes(_LEN)
    v = b"\1" * _LEN
    for step in (b"\0", b"\1"):
        key = hmac_sha256(key, v + step + seed)
        v = hmac_sha256(key, v)
    while True:
        v = hmac_sha256(key, v)
        k = int.from_bytes(v, "big")
        if 0 < k < N:
            yield k
        key = hmac_sha256(key, v + b"\0")
        v = hmac_sha256(key, v)


def _sequence(*values):
    # DER of a SEQUENCE of INTEGERs: each as short as it can be, with 0 as its highest bit.
    body = b""
    for value in values:
        data = value.to_bytes(_LEN + 1, "big").lstrip(b"\0")
        if data[0] & 0x80:
            data = b"\0" + data
        body += bytes((2, len(data))) + data
    return bytes((0x30, len(body))) + body
