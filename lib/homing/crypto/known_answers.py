# One short test per native kernel, which calls each of its functions. For native_trial.py.

_LEN = 32  # of scalars and coordinates


def _ctr(kernel):
    counter = bytearray(b"\0" * 13 + b"\1\xff\xfe")
    blocks = bytearray(48)
    kernel.blocks(blocks, counter, 3)
    low = (b"\1\xff\xfe", b"\1\xff\xff", b"\2\0\0", b"\2\0\1")
    expected = [bytes(13) + end for end in low]
    if b"".join(expected[:3]) != blocks or counter != expected[3]:
        return False
    data = bytearray(range(23))
    kernel.xor(data, blocks, 23)
    return data == bytes([i ^ blocks[i] for i in range(23)])


def _x25519(kernel):
    # The scalar times the base point, and that once more times the scalar. Answer by OpenSSL.
    scalar = bytearray(range(_LEN))
    base = bytearray(_LEN)
    base[0] = 9
    public = bytearray(_LEN)
    kernel.multiply(public, scalar, base, 1)
    out = bytearray(_LEN)
    kernel.multiply(out, scalar, public, 0)
    return out == (
        b"\xdf\x6b\xaf\x6f\x6a\x43\xb9\x74\x4f\xc5\xef\x9d\xea\x11\x22\x78"
        b"\x2f\x9f\x69\x6d\xc4\xa0\xd1\x5c\x03\xc1\x78\x7e\xe6\xd1\x5e\x64"
    )


CHECKS = {"ctr": _ctr, "x25519": _x25519}
