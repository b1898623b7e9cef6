# As known_answers.py, for the kernels of Security 2 and P-256.

from hashlib import sha256


def _sha512(kernel):
    # A block and constants of no meaning. Answer by the standard's text in another language.
    state = bytearray(64)
    table = bytearray(bytes(range(256)) * 5)
    kernel.compress(state, bytearray(range(128)), table)
    return sha256(state).digest() == (
        b"\x4c\x8e\x61\xa2\x02\x9e\xfc\x4d\x5d\xb7\xe0\xa4\x80\x2b\xb0\x25"
        b"\x2e\x9a\x06\xad\xdd\xfa\xcf\xba\xc5\xbd\xb6\x88\xc8\x1d\x2a\x5a"
    )


def _ghash(kernel):
    # Two blocks.
    digest = bytearray(16)
    table = bytearray(256)
    kernel.table(table, bytearray(range(1, 17)))
    kernel.update(digest, table, bytearray(range(32)), 2)
    return digest == b"\x24\x32\x89\xd1\x00\x15\x88\x0b\x8a\x05\xf7\x13\x24\x9c\x50\x68"


def _mod3072(kernel):
    # A product, and its square, modulo a number that is no prime.
    pattern = bytearray(range(256))
    value = pattern + pattern[128:]
    work = (pattern[1:] + pattern)[:376] + bytes(768)
    kernel.multiply(value, pattern + pattern, 0, work)
    kernel.multiply(value, pattern, -1, work)
    return sha256(value).digest() == (
        b"\x44\xc6\x28\xfa\x46\x15\x5e\x13\xb6\x47\xae\x09\xc1\xab\x45\x25"
        b"\x41\x93\x5e\x51\x4a\xe2\x45\xb2\x36\x00\x65\x45\xc6\xb3\xd9\x40"
    )


def _p256(kernel):
    # RFC 6979, A.2.5, SHA-256, "sample": nonce, key and hash; r and s.
    from .p256_domain import COMB, B, N, P

    k = (
        b"\xa6\xe3\xc5\x7d\xd0\x1a\xbe\x90\x08\x65\x38\x39\x83\x55\xdd\x4c"
        b"\x3b\x17\xaa\x87\x33\x82\xb0\xf2\x4d\x61\x29\x49\x3d\x8a\xad\x60"
    )
    d = (
        b"\xc9\xaf\xa9\xd8\x45\xba\x75\x16\x6b\x5c\x21\x57\x67\xb1\xd6\x93"
        b"\x4e\x50\xc3\xdb\x36\xe8\x9b\x12\x7b\x8a\x62\x2b\x12\x0f\x67\x21"
    )
    r = (
        b"\xef\xd4\x8b\x2a\xac\xb6\xa8\xfd\x11\x40\xdd\x9c\xd4\x5e\x81\xd6"
        b"\x9d\x2c\x87\x7b\x56\xaa\xf9\x91\xc3\x4d\x0e\xa8\x4e\xaf\x37\x16"
    )
    s = (
        b"\xf7\xcb\x1c\x94\x2d\x65\x7c\x41\xd4\x36\xc7\xa1\xb6\xe2\x9f\x65"
        b"\xf3\xe9\x00\xdb\xb9\xaf\xf4\x06\x4d\xc4\xab\x2f\x84\x3a\xcd\xa8"
    )
    work = bytearray(832)
    pos = 0
    for number in (1, pow(2, 512, P), (B << 256) % P, P - 2, N, pow(2, 512, N), N - 2):
        work[pos : pos + 32] = number.to_bytes(32, "little")
        pos += 32
    for number in (k, d, sha256(b"sample").digest()):
        work[pos : pos + 32] = bytes(reversed(number))
        pos += 32
    kernel.multiply(work, bytearray(COMB), 1)
    x = int.from_bytes(work[320:352], "little") % P
    return x == int.from_bytes(r, "big") and (
        int.from_bytes(work[384:416], "little") % N == int.from_bytes(s, "big")
    )


CHECKS = {"sha512": _sha512, "ghash": _ghash, "mod3072": _mod3072, "p256": _p256}
