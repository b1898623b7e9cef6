# NIST SP 800-38A F.5, the carries, and that the cut of the messages does not matter.

from support import Random, raises, unhex

from homing.crypto import aes_ctr
from homing.crypto.aes_ctr import AesCtr

_NIST_KEY = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
_NIST_COUNTER = unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
_NIST_PLAIN = unhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
_NIST_CIPHER = unhex(
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
)

# Keystreams for key 00…1f, made with the PyPI package `cryptography` (OpenSSL).
_CARRIES = (
    (
        "ffffffffffffffffffffffffffffffff",
        "e999e41d4ca770da5387117b5d8f57eef29000b62a499fd0a9f39a6add2e7780"
        "f05d76ae4ab99fe5a6f69b3148c2363d0ebcb5deb52c83bd08a8a935182c9199",
    ),
    (
        "0000000000000000000000000000ffff",
        "695737554fb975a9fd99adc5bfe6881fb22753304d69b57f49d10a62eb01c832"
        "60b5cd82988415c68ff08c28c035d55c3c2bd346440fa94000543ebb16b8e771",
    ),
    (
        "00000000000000000000000000ffffff",
        "ab89db43666ff1254c0234b6a4ee1b2964f80563a373394590a7ebda3426c23b"
        "d5325df6c6f59bc82e156f0c4441fa9f50739e5e61bcf825be82014e612eac39",
    ),
    (
        "fffffffffffffffffffffffffffffffd",
        "48153bf82a75651572790b985562ae5c63e5b402b51e48ddfaedf9de99cc2744"
        "e999e41d4ca770da5387117b5d8f57eef29000b62a499fd0a9f39a6add2e7780",
    ),
    (
        "0123456789abcdef00000000fffffffe",
        "a5a84f2ed9ed0857892095deefc1233835713364bac0776d8e52c68879df4707"
        "f136dfbad062ba134bab48fbcbaa131a7e17ce5714b7a27fc599fa984824157e",
    ),
)


def test_nist_sp_800_38a_f_5_5_encrypt():
    assert AesCtr(_NIST_KEY, _NIST_COUNTER).crypt(_NIST_PLAIN) == _NIST_CIPHER


def test_nist_sp_800_38a_f_5_6_decrypt():
    assert AesCtr(_NIST_KEY, _NIST_COUNTER).crypt(_NIST_CIPHER) == _NIST_PLAIN


def test_counter_carries_through_all_128_bits():
    key = bytes(range(32))
    for counter, keystream in _CARRIES:
        keystream = unhex(keystream)
        assert AesCtr(key, unhex(counter)).crypt(bytes(64)) == keystream
        stream = AesCtr(key, unhex(counter))
        for pos in range(64):  # the carry falls between two calls
            assert stream.crypt(b"\0") == keystream[pos : pos + 1]


def test_fast_and_slow_counters_agree():
    # At each distance from the carry of the last two bytes, and for each number of blocks.
    for low in range(0xFFF0, 0x10000):
        counter = unhex("00112233445566778899aabbccdd") + bytes((low >> 8, low & 255))
        value = int.from_bytes(counter, "big")
        for count in range(1, 18):
            blocks, following = aes_ctr.counter_blocks(counter, count)
            expected = b"".join([(value + i).to_bytes(16, "big") for i in range(count)])
            assert blocks == expected, (low, count)
            assert following == (value + count).to_bytes(16, "big")


def test_chunking_does_not_matter():
    random = Random(3)
    for _ in range(40):
        key = random.bytes(32)
        counter = random.bytes(random.below(14)) + b"\xff" * 16
        counter = counter[:16]
        plain = random.bytes(300)
        whole = AesCtr(key, counter).crypt(plain)
        stream = AesCtr(key, counter)
        parts = []
        pos = 0
        while pos < len(plain):
            size = random.below(40)
            parts.append(stream.crypt(memoryview(plain)[pos : pos + size]))
            assert isinstance(parts[-1], bytes)
            pos += size
        assert b"".join(parts) == whole
        assert AesCtr(key, counter).crypt(whole) == plain


def test_empty_message_uses_no_keystream():
    stream = AesCtr(_NIST_KEY, _NIST_COUNTER)
    assert stream.crypt(b"") == b""
    assert stream.crypt(_NIST_PLAIN[:5]) == _NIST_CIPHER[:5]
    assert stream.crypt(b"") == b""
    assert stream.crypt(_NIST_PLAIN[5:]) == _NIST_CIPHER[5:]


def test_wrong_lengths_are_refused():
    for key_len, counter_len in (
        (0, 16),
        (16, 16),
        (31, 16),
        (33, 16),
        (32, 0),
        (32, 15),
        (32, 17),
    ):
        raises(ValueError, AesCtr, bytes(key_len), bytes(counter_len))


def test_built_in_ctr_is_used_where_the_platform_has_it():
    # No platform at hand has mode 6: a stand-in for cryptolib.aes, with ours doing the work.
    made = []

    class BuiltIn:
        def __init__(self, key, mode, counter):
            assert mode == 6
            aes_ctr._BUILT_IN = False
            self._ours = AesCtr(key, counter)
            aes_ctr._BUILT_IN = True
            made.append(self)

        def encrypt(self, data):
            return self._ours.crypt(data)

    ecb = aes_ctr.aes

    def stand_in(key, mode, *counter):
        return BuiltIn(key, mode, *counter) if mode == 6 else ecb(key, mode, *counter)

    aes_ctr.aes = stand_in
    aes_ctr._BUILT_IN = True
    stream = AesCtr(_NIST_KEY, _NIST_COUNTER)
    assert made
    assert stream.crypt(_NIST_PLAIN[:7]) + stream.crypt(_NIST_PLAIN[7:]) == _NIST_CIPHER
