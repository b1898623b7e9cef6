# The wrappers around native code, with doubles of the asm functions that check what they are given.

import sys

import rfc7748
from support import Random, raises, unhex
from uctypes import addressof


class _Ctr:
    # ctr_rv32 in Python: refuses what would crash a board.
    calls = 0

    @staticmethod
    def blocks(out, counter, count):
        assert isinstance(out, bytearray) and isinstance(counter, bytearray)
        assert len(out) == 16 * count and len(counter) == 16
        assert not addressof(out) & 3 and not addressof(counter) & 3
        value = int.from_bytes(counter, "big")
        for pos in range(0, len(out), 16):
            out[pos : pos + 16] = (value & (1 << 128) - 1).to_bytes(16, "big")
            value += 1
        counter[:] = (value & (1 << 128) - 1).to_bytes(16, "big")
        _Ctr.calls += 1

    @staticmethod
    def xor(data, stream, length):
        assert isinstance(data, bytearray) and len(data) == length <= len(stream)
        assert not addressof(data) & 3 and not addressof(stream) & 3
        for i in range(length):
            data[i] ^= stream[i]
        _Ctr.calls += 1


class _X25519:
    # x25519_rv32 in Python, by the text of the RFC.
    calls = 0

    @staticmethod
    def multiply(out, scalar, u, base):
        assert isinstance(out, bytearray)
        for buffer in (out, scalar, u):
            assert len(buffer) == 32 and not addressof(buffer) & 3
        assert base in (0, 1)
        if base:
            assert u == b"\x09" + bytes(31)
        out[:] = rfc7748.x25519(scalar, u)
        _X25519.calls += 1


def _with(name, double):
    # As if that kernel could be loaded here.
    from homing.crypto import native

    sys.modules[f"homing.crypto.{name}_rv32"] = double
    native.allowed += (name,)


def test_what_is_not_there_or_for_another_processor_is_none():
    from homing.crypto import native

    native.allowed = ("ctr", "no such")
    assert native.load("ctr") is None
    assert native.load("no such") is None


def test_load():
    _with("ctr", _Ctr)
    from homing.crypto import native

    assert native.load("ctr") is _Ctr
    native.allowed = ("x25519",)
    assert native.load("ctr") is None


def test_source():
    from homing.crypto import native

    whole = bytearray(range(40))
    for data in (bytes(8), bytearray(8), memoryview(bytes(8)), memoryview(whole)[4:12]):
        assert native.source(data, 8) is data
    for offset in (1, 2, 3, 5):
        view = memoryview(whole)[offset : offset + 8]
        copy = native.source(view, 8)
        assert copy == view and copy is not view and not addressof(copy) & 3
    for wrong in ("12345678", 8, None, [0] * 8):
        raises(TypeError, native.source, wrong, 8)
    for length in (0, 7, 9):
        raises(ValueError, native.source, bytes(8), length)
    assert native.source(b"", 0) == b""


def test_target():
    from homing.crypto import native

    whole = bytearray(range(40))
    assert native.target(whole, 40) is whole
    view = memoryview(whole)[4:12]
    assert native.target(view, 8) is view
    assert whole == bytes(range(40))
    for wrong in (bytes(8), memoryview(bytes(8)), "12345678", 8, None):
        raises(TypeError, native.target, wrong, 8)
    raises(ValueError, native.target, memoryview(whole)[1:9], 8)
    raises(ValueError, native.target, whole, 39)


def test_the_fallback_runs_here():
    from homing.crypto import aes_ctr, aes_ctr_plain

    assert aes_ctr._kernel is None
    assert aes_ctr.counter_blocks is aes_ctr_plain.counter_blocks
    assert aes_ctr.xor is aes_ctr_plain.xor
    from homing.crypto import x25519, x25519_plain

    assert x25519._kernel is None
    assert x25519.multiply is x25519_plain.multiply


def test_aes_ctr_through_the_wrappers():
    _with("ctr", _Ctr)
    import test_aes_ctr

    from homing.crypto import aes_ctr

    assert aes_ctr._kernel is _Ctr
    assert "homing.crypto.aes_ctr_plain" not in sys.modules  # heap
    for name in dir(test_aes_ctr):
        if name.startswith("test_") and "built_in" not in name:  # that one stays patched
            getattr(test_aes_ctr, name)()
    assert _Ctr.calls > 1000


def test_aes_ctr_wrappers_refuse():
    _with("ctr", _Ctr)
    from homing.crypto.aes_ctr import AesCtr, counter_blocks, xor

    raises(ValueError, counter_blocks, bytes(15), 1)
    raises(TypeError, counter_blocks, "0123456789abcdef", 1)
    raises(ValueError, xor, bytes(17), bytes(16))
    raises(TypeError, xor, "four", bytes(16))
    raises(TypeError, xor, bytes(4), "sixteen bytes...")
    raises(TypeError, xor, 4, bytes(16))
    stream = AesCtr(bytes(32), bytes(16))
    raises(TypeError, stream.crypt, "text")
    assert stream.crypt(bytes(16)) == unhex("dc95c078a2408989ad48a21492842087")


def test_views_at_any_offset():
    _with("ctr", _Ctr)
    from homing.crypto.aes_ctr import AesCtr

    random = Random(5)
    plain = random.bytes(100)
    whole = AesCtr(bytes(32), bytes(16)).crypt(plain)
    for first in range(100):
        stream = AesCtr(bytes(32), bytes(16))
        parts = stream.crypt(memoryview(plain)[:first]), stream.crypt(memoryview(plain)[first:])
        assert parts[0] + parts[1] == whole


def test_x25519_through_the_wrappers():
    _with("x25519", _X25519)
    from homing.crypto import x25519

    assert x25519._kernel is _X25519
    assert "homing.crypto.x25519_plain" not in sys.modules  # heap
    import test_x25519

    for name in dir(test_x25519):
        if name.startswith("test_") and name not in _LONG:
            getattr(test_x25519, name)()
    assert _X25519.calls > 50


_LONG = ("test_rfc_7748_section_5_2_iterated_1000_times",)


def test_x25519_wrappers_refuse():
    _with("x25519", _X25519)
    from homing.crypto import x25519

    key = bytes(range(32))
    for wrong in ("a text of no less than 32 letters"[:32], [0] * 32, tuple(range(32))):
        raises(TypeError, x25519.public_key, wrong)
        raises(TypeError, x25519.shared_secret, wrong, key)
        raises(TypeError, x25519.shared_secret, key, wrong)
    for wrong in (None, 32):
        raises(TypeError, x25519.public_key, wrong)
        raises(TypeError, x25519.shared_secret, key, wrong)
    for length in (0, 31, 33, 64):
        raises(ValueError, x25519.public_key, bytes(length))
        raises(ValueError, x25519.shared_secret, key, bytes(length))
        raises(ValueError, x25519.multiply, bytes(length))
        raises(ValueError, x25519.multiply, key, bytes(length))
    assert _X25519.calls == 0


def test_x25519_at_any_address():
    _with("x25519", _X25519)
    from homing.crypto import x25519

    whole = bytes(range(70))
    expected = rfc7748.x25519(whole[3:35], whole[38:70])
    assert x25519.shared_secret(memoryview(whole)[3:35], memoryview(whole)[38:70]) == expected
    assert isinstance(x25519.public_key(memoryview(whole)[1:33]), bytes)
