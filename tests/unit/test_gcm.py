# AES-256-GCM: the test cases of its specification, the recorded traffic of Security 2, refusals.

import vectors2 as v
from support import Random, raises, unhex

from homing.crypto.gcm import AesGcm

# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13 to 18.
_KEY = unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
_IV = unhex("cafebabefacedbaddecaf888")
_PLAIN = unhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
_AAD = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_CASES = (
    (bytes(32), bytes(12), b"", b"", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        bytes(32),
        bytes(12),
        bytes(16),
        b"",
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    ),
    (
        _KEY,
        _IV,
        _PLAIN,
        b"",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10"
        "56828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c",
    ),
    (
        _KEY,
        _IV,
        _PLAIN[:60],
        _AAD,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10"
        "56828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
    ),
    (
        _KEY,
        _IV[:8],
        _PLAIN[:60],
        _AAD,
        "c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0feb582d33934a4f0954cc236"
        "3bc73f7862ac430e64abe499f47c9b1f3a337dbf46a792c45e454913fe2ea8f2",
    ),
    (
        _KEY,
        unhex(
            "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728"
            "c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b"
        ),
        _PLAIN[:60],
        _AAD,
        "5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf40fc0c3b780f244452da3ebf1"
        "c5d82cdea2418997200ef82e44ae7e3fa44a8266ee1c8eb0c8b5d4cf5ae9f19a",
    ),
)


def test_cases_13_to_18_of_the_specification():
    for key, iv, plain, aad, expected in _CASES:
        gcm = AesGcm(key)
        assert gcm.encrypt(iv, plain, aad) == unhex(expected)
        assert gcm.decrypt(iv, unhex(expected), aad) == plain


def test_recorded_traffic():
    gcm = AesGcm(v.KEY[:32])
    count = int.from_bytes(v.NONCE[8:], "big")
    for plain, cipher in v.TRAFFIC:
        iv = v.NONCE[:8] + count.to_bytes(4, "big")
        assert gcm.encrypt(iv, unhex(plain)) == unhex(cipher)
        assert gcm.decrypt(iv, memoryview(unhex(cipher))) == unhex(plain)
        count += 1


def test_every_changed_bit_is_found():
    gcm = AesGcm(_KEY)
    good = gcm.encrypt(_IV, _PLAIN[:21], b"aad")
    for pos in range(len(good)):
        bad = bytearray(good)
        bad[pos] ^= 1 << pos % 8
        assert raises(ValueError, gcm.decrypt, _IV, bad, b"aad").args[0] == "wrong tag"
    for iv, aad in ((_IV[:8], b"aad"), (bytes(12), b"aad"), (_IV, b"aae"), (_IV, b"")):
        raises(ValueError, gcm.decrypt, iv, good, aad)
    assert gcm.decrypt(_IV, good, b"aad") == _PLAIN[:21]


def test_counter_of_32_bits_does_not_carry():
    # The first counter block of an iv with another length than 12 is a hash, so any number may
    # stand in its last bytes: here they are made to.
    for low in (0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFF0):
        gcm = AesGcm(bytes(range(32)))
        first = b"\xff" * 12 + low.to_bytes(4, "big")
        gcm._first = lambda iv, first=first: first
        out = gcm.encrypt(b"any", bytes(64))
        for i in range(4):
            count = low + 1 + i & 0xFFFFFFFF
            block = gcm._ecb.encrypt(b"\xff" * 12 + count.to_bytes(4, "big"))
            assert out[16 * i : 16 * i + 16] == block, (low, i)


def test_short_and_wrong_arguments():
    for size in (0, 16, 31, 33):
        raises(ValueError, AesGcm, bytes(size))
    gcm = AesGcm(_KEY)
    raises(ValueError, gcm.encrypt, b"", b"data")
    for size in range(16):
        assert "shorter" in raises(ValueError, gcm.decrypt, _IV, bytes(size)).args[0]


def test_round_trip_at_every_length():
    random = Random(9)
    gcm = AesGcm(random.bytes(32))
    for size in range(50):
        iv = random.bytes(12)
        plain = random.bytes(size)
        aad = random.bytes(random.below(40))
        out = gcm.encrypt(iv, memoryview(plain), bytearray(aad))
        assert len(out) == size + 16
        assert gcm.decrypt(iv, bytearray(out), memoryview(aad)) == plain
