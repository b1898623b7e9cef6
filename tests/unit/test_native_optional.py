# The wrappers around the native code of Security 2 and P-256, with doubles of the asm functions
# that check what they are given and compute with the plain modules.

import sys

from support import Random, raises
from uctypes import addressof

from homing.crypto.group3072 import LEN, PRIME

_P = int.from_bytes(PRIME, "big")


def _buffer(data, length, written=False):
    # What an asm function needs of an argument.
    assert isinstance(data, bytearray if written else (bytes, bytearray, memoryview))
    assert len(data) == length, (len(data), length)
    assert not addressof(data) & 3
    return data


def _little(data):
    return int.from_bytes(data, "little")


class _Sha512:
    calls = 0

    @staticmethod
    def compress(state, block, table):
        from homing.crypto.sha512_plain import Compressor

        _buffer(state, 64, True)
        _buffer(block, 128)
        _buffer(table, 1280, True)
        assert _little(table[:8]) == 0x428A2F98D728AE22  # FIPS 180-4, 4.2.3
        assert _little(table[632:640]) == 0x6C44198C4A475817
        Compressor(table[:640]).compress(state, block)
        table[640:] = bytes(640)
        _Sha512.calls += 1


class _Ghash:
    calls = 0

    @staticmethod
    def table(out, key):
        _buffer(out, 256, True)[:16] = _buffer(key, 16)

    @staticmethod
    def update(digest, table, data, count):
        from homing.crypto import ghash_plain

        key = _buffer(table, 256)[:16]
        _buffer(digest, 16, True)
        ghash_plain.update(digest, ghash_plain.table(key), _buffer(data, 16 * count))
        _Ghash.calls += 1


class _Mod3072:
    calls = 0
    inverse = pow(1 << 3072, _P - 2, _P)

    @staticmethod
    def multiply(value, table, index, work):
        assert isinstance(table, bytearray) and not addressof(table) & 3
        assert index == -1 or 0 <= index < len(table) // LEN
        assert _little(_buffer(work, 1144, True)[:376]) << 64 == _P + 1
        x = _little(_buffer(value, LEN, True))
        y = x if index < 0 else _little(table[index * LEN : (index + 1) * LEN])
        product = x * y * _Mod3072.inverse % _P
        # A product need not be reduced.
        if product + _P < 1 << 3072:
            product += _P
        value[:] = product.to_bytes(LEN, "little")
        work[376:] = bytes(768)
        _Mod3072.calls += 1


class _P256:
    calls = 0

    @staticmethod
    def multiply(work, comb, sign):
        from homing.crypto import p256_plain
        from homing.crypto.p256_domain import COMB, B, N, P

        numbers = [_little(_buffer(work, 832, True)[i : i + 32]) for i in range(0, 320, 32)]
        assert numbers[0] == 1 and numbers[3] == P - 2 and numbers[4:7:2] == [N, N - 2]
        assert numbers[1] == (1 << 512) % P and numbers[5] == (1 << 512) % N
        assert numbers[2] == B * (1 << 256) % P
        assert _buffer(comb, 960) == COMB and sign in (0, 1)
        k, d, z = numbers[7:]
        x, y = p256_plain.multiply(k)
        work[320:384] = x.to_bytes(32, "little") + y.to_bytes(32, "little")
        if sign:
            s = p256_plain.multiply_and_sign(k, d, z)[1]
            if s + N < 1 << 256:  # need not be reduced
                s += N
            work[384:416] = s.to_bytes(32, "little")
        else:
            assert d == z == 0
        _P256.calls += 1


_DOUBLES = {"sha512": _Sha512, "ghash": _Ghash, "mod3072": _Mod3072, "p256": _P256}


def _all():
    # As if the kernels could be loaded here.
    from homing.crypto import native

    native.allowed = tuple(_DOUBLES)
    for name, double in _DOUBLES.items():
        sys.modules["homing.crypto." + name + "_rv32"] = double


def _run(tests, *left_out):
    for name in dir(tests):
        if name.startswith("test_") and name not in left_out:
            getattr(tests, name)()


def test_the_plain_ones_run_here():
    from homing.crypto import ghash, ghash_plain, mod3072, mod3072_plain, p256, p256_plain, sha512

    for module in (ghash, mod3072, p256, sha512):
        assert module._kernel is None
    assert ghash.update is ghash_plain.update
    assert mod3072.Mod3072 is mod3072_plain.Mod3072
    assert p256.multiply is p256_plain.multiply
    assert sha512.Compressor and not hasattr(sha512, "_TABLE")


def test_plain_ones_are_not_loaded_beside_native_ones():
    _all()
    from homing.crypto import gcm, ghash, mod3072, p256, sha512, srp6a

    assert gcm and srp6a
    for name, module in (("ghash", ghash), ("mod3072", mod3072), ("p256", p256)):
        assert module._kernel is _DOUBLES[name]
    assert sha512._kernel is _Sha512
    assert not [name for name in sys.modules if name.endswith("_plain") and "aes" not in name]


def test_sha512():
    _all()
    import test_sha512

    _run(test_sha512)
    assert _Sha512.calls > 500


def test_gcm():
    _all()
    import test_gcm

    _run(test_gcm)
    assert _Ghash.calls > 200


def test_srp6a():
    _all()
    import test_srp6a

    # Long ones, which the recorded handshake covers.
    _run(test_srp6a, "test_prime_of_rfc_3526", "test_powers", *_SEVERAL)
    assert _Mod3072.calls > 2000 and _Sha512.calls > 50


_SEVERAL = ("test_secrets_serve_once_and_everything_is_made_when_it_is_missing",)


def test_p256():
    _all()
    import test_p256

    _run(test_p256)
    assert _P256.calls > 20


def test_sha512_refuses():
    _all()
    from homing.crypto.sha512 import Sha512, compress

    state = bytearray(64)
    for wrong in (bytes(127), bytes(129), b""):
        raises(ValueError, compress, state, wrong)
    for wrong in ("a" * 128, [0] * 128, None):
        raises(TypeError, compress, state, wrong)
    raises(ValueError, compress, bytearray(63), bytes(128))
    raises(TypeError, compress, bytes(64), bytes(128))
    raises(TypeError, compress, memoryview(bytes(64)), bytes(128))
    raises(ValueError, compress, memoryview(bytearray(70))[1:65], bytes(128))
    for wrong in (None, 5, [1]):
        raises(TypeError, Sha512, wrong)
    assert _Sha512.calls == 0
    assert state == bytes(64)


def test_ghash_refuses():
    _all()
    from homing.crypto.ghash import table, update

    digest = bytearray(16)
    made = table(bytes(16))
    for wrong in (bytes(15), bytes(17)):
        raises(ValueError, table, wrong)
        raises(ValueError, update, bytearray(wrong), made, bytes(16))
    raises(TypeError, table, "sixteen letters.")
    raises(TypeError, update, bytes(16), made, bytes(16))
    raises(ValueError, update, digest, made[:255], bytes(16))
    raises(TypeError, update, digest, [0] * 256, bytes(16))
    raises(ValueError, update, digest, made, bytes(17))
    raises(TypeError, update, digest, made, "sixteen letters.")
    assert _Ghash.calls == 0


def test_known_answers_find_out_what_does_nothing():
    # With the operations that MicroPython has: there are fewer than in Python.
    from homing.crypto.known_answers_optional import CHECKS

    class Nothing:
        compress = table = update = multiply = lambda *args: None

    for check in CHECKS.values():
        assert not check(Nothing)


def test_known_answers_of_the_doubles():
    from homing.crypto.known_answers_optional import CHECKS

    for name in ("ghash", "p256"):
        assert CHECKS[name](_DOUBLES[name]), name


def test_mod3072_refuses():
    _all()
    from homing.crypto.mod3072 import Mod3072

    mod = Mod3072()
    table = mod.table(3)
    for operation in (mod.store, mod.load, mod.multiply):
        for i in (3, 1 << 20):
            raises(IndexError, operation, table, i)
        for wrong in ([0] * 384, bytes(LEN), [bytes(LEN)], [bytearray(LEN + 1)], table[0], None):
            raises(TypeError, operation, wrong, 0)
    raises(ValueError, mod.set, bytes(LEN + 1))
    assert _Mod3072.calls == 0


def test_views_at_any_offset():
    _all()
    from homing.crypto.gcm import AesGcm
    from homing.crypto.sha512 import Sha512

    whole = Random(5).bytes(400)
    gcm = AesGcm(bytes(32))
    for first in range(5):
        view = memoryview(whole)[first : first + 300]
        assert Sha512(view).digest() == Sha512(bytes(view)).digest()
        cipher = gcm.encrypt(bytes(12), view, view)
        assert cipher == gcm.encrypt(bytes(12), bytes(view), bytes(view))
        shifted = bytearray(first) + cipher
        assert gcm.decrypt(bytes(12), memoryview(shifted)[first:], view) == view
