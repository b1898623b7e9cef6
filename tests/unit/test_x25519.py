# RFC 7748: its vectors, and what must be refused.

from support import Random, raises, unhex

from homing.crypto import x25519

_P = (1 << 255) - 19

_ALICE = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
_ALICE_PUBLIC = unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
_BOB = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
_BOB_PUBLIC = unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
_SHARED = unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")

# The points whose order divides 8: 0, 1, -1 and two of order 8 (as listed at cr.yp.to/ecdh.html).
_LOW_ORDER = (
    0,
    1,
    _P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)


def _le(value):
    return value.to_bytes(32, "little")


def test_rfc_7748_section_5_2():
    for scalar, u, out in (
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            # the top bit of this one is set, and has to be ignored
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ):
        assert x25519.shared_secret(unhex(scalar), unhex(u)) == unhex(out)


def test_rfc_7748_section_5_2_iterated_1000_times():
    k = u = b"\x09" + bytes(31)
    for i in range(1000):
        k, u = x25519.shared_secret(k, u), k
        if i == 0:
            assert k == unhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
    assert k == unhex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")


def test_rfc_7748_section_6_1():
    assert x25519.public_key(_ALICE) == _ALICE_PUBLIC
    assert x25519.public_key(_BOB) == _BOB_PUBLIC
    assert x25519.shared_secret(_ALICE, _BOB_PUBLIC) == _SHARED
    assert x25519.shared_secret(_BOB, _ALICE_PUBLIC) == _SHARED


def test_low_order_points_are_refused_in_every_encoding():
    for u in _LOW_ORDER:
        encodings = {u, u | 1 << 255}
        if u + _P < 1 << 255:
            encodings |= {u + _P, u + _P | 1 << 255}
        for encoding in encodings:
            for private in (_ALICE, _BOB):
                e = raises(ValueError, x25519.shared_secret, private, _le(encoding))
                assert "low-order" in e.args[0]


def test_values_of_p_and_above_are_reduced():
    # RFC 7748 section 5: non-canonical values are accepted as if reduced modulo the prime.
    for u in range(2, 19):
        expected = x25519.shared_secret(_ALICE, _le(u))
        assert x25519.shared_secret(_ALICE, _le(u + _P)) == expected
        assert x25519.shared_secret(_ALICE, _le(u + _P | 1 << 255)) == expected


def test_scalar_is_clamped():
    loose = bytearray(_ALICE)
    loose[0] |= 7
    loose[31] |= 128
    loose[31] &= 0xBF
    assert x25519.public_key(loose) == _ALICE_PUBLIC


def test_wrong_lengths_are_refused():
    for size in (0, 1, 31, 33, 64):
        raises(ValueError, x25519.public_key, bytes(size))
        raises(ValueError, x25519.shared_secret, bytes(size), _BOB_PUBLIC)
        raises(ValueError, x25519.shared_secret, _BOB, bytes(size))


def test_both_sides_agree_on_random_keys():
    random = Random(7)
    for _ in range(20):
        a = random.bytes(32)
        b = random.bytes(32)
        ab = x25519.shared_secret(a, x25519.public_key(b))
        assert ab == x25519.shared_secret(b, x25519.public_key(a))
        assert len(ab) == 32


def test_inputs_are_not_changed():
    private = bytearray(_ALICE)
    peer = bytearray(_BOB_PUBLIC)
    x25519.shared_secret(private, peer)
    assert private == _ALICE and peer == _BOB_PUBLIC
