# ECDSA on P-256: RFC 6979's vectors, known points, DER's corners, refusals.

from hashlib import sha256

from support import raises, unhex

from homing.crypto import p256
from homing.crypto.hmac import hmac_sha256
from homing.crypto.inverse import inverse
from homing.crypto.p256_domain import B, N, P

_KEY = unhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")


def _bytes(value):
    return value.to_bytes(32, "big")


def test_rfc_6979_a_2_5():
    assert p256.public_key(_KEY) == b"\x04" + unhex(
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    )
    assert p256.sign(_KEY, b"sample") == unhex(
        "3046022100"
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "022100"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    )
    assert p256.sign(_KEY, b"test") == unhex(
        "3045022100"
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
        "0220"
        "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
    )


def test_nonces_of_rfc_6979():
    for message, k in (
        (b"sample", "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60"),
        (b"test", "d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0"),
    ):
        z = int.from_bytes(sha256(message).digest(), "big") % N
        assert _bytes(next(p256._nonces(_KEY + _bytes(z)))) == unhex(k)


def test_nonces_out_of_range_are_passed_over():
    # Of the stand-in's answers the first four set up; the nonces are those at 4, 7 and 10.
    answers = [b"\1" * 32] * 11
    answers[4] = _bytes(N)
    answers[7] = bytes(32)
    answers[10] = _bytes(N - 1)
    seen = []

    def hmac(key, message):
        seen.append(message)
        return answers[len(seen) - 1]

    real = p256.hmac_sha256
    p256.hmac_sha256 = hmac
    assert next(p256._nonces(bytes(64))) == N - 1
    p256.hmac_sha256 = real
    assert seen[5] == answers[4] + b"\0" and seen[8] == answers[7] + b"\0"


def test_r_and_s_are_never_zero():
    results = [(5, 0), (N, 5), (0, 5)]  # the last ones first
    real = p256.multiply_and_sign
    used = []

    def stand_in(k, d, z):
        used.append(k)
        return results.pop() if results else real(k, d, z)

    p256.multiply_and_sign = stand_in
    z = int.from_bytes(sha256(b"sample").digest(), "big")
    nonces = p256._nonces(_KEY + _bytes(z % N))
    signature = p256.sign(_KEY, b"sample")
    p256.multiply_and_sign = real
    assert used == [next(nonces) for _ in range(4)]
    x, s = real(used[3], int.from_bytes(_KEY, "big"), z)
    assert signature == p256._sequence(x % N, s)


def test_small_and_large_multiples():
    # NIST's "Mathematical routines for the NIST prime elliptic curves", 4.3 and known answers.
    for k, x in (
        (1, "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
        (2, "7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"),
        (3, "5ecbe4d1a6330a44c8f7ef951d4bf165e6c6b721efada985fb41661bc6e7fd6c"),
    ):
        point = p256.public_key(_bytes(k))
        other = p256.public_key(_bytes(N - k))
        assert point[1:33] == other[1:33] == unhex(x)
        # -P has the other y.
        y = int.from_bytes(point[33:], "big") + int.from_bytes(other[33:], "big")
        assert y == P


def test_every_entry_of_the_comb():
    # One bit at each tooth alone, and all of them: each entry of the table is used by itself.
    for digit in range(1, 16):
        k = sum([(digit >> j & 1) << 64 * j for j in range(4)])
        x, y = p256.multiply(k)
        assert (y * y - x * x * x + 3 * x - B) % P == 0
        assert _affine_sum(k, x, y), digit


def _affine_sum(k, x, y):
    # G + (k - 1) G by the textbook's formula, with k - 1 from another path through the table.
    p = P
    if k == 1:
        return True
    x1, y1 = p256.multiply(1)
    x2, y2 = p256.multiply(k - 1)
    rise, run = (3 * x1 * x1 - 3, 2 * y1) if x1 == x2 else (y2 - y1, x2 - x1)
    slope = rise * inverse(run, p)
    x3 = (slope * slope - x1 - x2) % p
    return (x3, (slope * (x1 - x3) - y1) % p) == (x, y)


def test_der():
    for values, expected in (
        ((1, 0x7F), "3006 020101 02017f"),
        ((0x80, 0xFF), "3008 02020080 020200ff"),
        ((0x8000, 0x100), "3009 0203008000 02020100"),
    ):
        assert p256._sequence(*values) == unhex(expected)
    top = 1 << 255
    assert p256._sequence(top, 1) == unhex("3026 022100" + "80" + "00" * 31 + "020101")


def test_bad_private_keys_are_refused():
    for size in (0, 31, 33):
        for function in (p256.public_key, lambda key: p256.sign(key, b"")):
            assert "length" in raises(ValueError, function, bytes(size)).args[0]
    for value in (0, N, (1 << 256) - 1):
        assert "range" in raises(ValueError, p256.public_key, _bytes(value)).args[0]
        assert "range" in raises(ValueError, p256.sign, _bytes(value), b"").args[0]


def test_hmac_rfc_4231():
    for key, message, code in (
        (
            b"\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
    ):
        assert hmac_sha256(key, message) == unhex(code)
    raises(ValueError, hmac_sha256, bytes(65), b"")


def test_inverse():
    for p in (P, N, (1 << 255) - 19):
        for z in (1, 2, p - 1, p + 3, 0x123456789ABCDEF << 100):
            for _ in range(3):  # blinded differently each time
                assert inverse(z, p) * z % p == 1
        assert inverse(0, p) == inverse(p, p) == 0
