# The store on littlefs and FAT: values, what is refused, what a damaged file does, how much is
# written.

import os
import struct
from binascii import crc32

from flash import formatted, mounted
from support import Random, raises

from homing import store as store_module
from homing.store import Store

_DIR = "/flash/homing"


def _open(name="wifi", said=None):
    return Store(_DIR, None if said is None else lambda *args: said.append(args)).open(name)


def _read(name):
    with open(_DIR + "/" + name, "rb") as file:
        return file.read()


def _write(name, data):
    with open(_DIR + "/" + name, "wb") as file:
        file.write(data)


def _on_both(function):
    for fat in (False, True):
        mounted(function, formatted(fat), fat=fat)


def _values():
    return {
        "bytes": b"\x00\xff\n'",
        "empty": b"",
        "text": "é 'x' \U0001f600",
        "none": "",
        "zero": 0,
        "big": 1 << 80,
        "minus": -(1 << 40) - 1,
        "fifteen_bytes__": 1,
    }


def test_values_survive():
    def body():
        ns = _open()
        assert ns.get("text") is None and ns.get("text", 5) == 5
        for key, value in _values().items():
            ns.set(key, value)
        assert ns.get("zero") == 0  # before commit too
        assert ns.commit() is True
        again = _open()
        for key, value in _values().items():
            got = again.get(key)
            assert got == value and type(got) is type(value), key
        assert os.listdir(_DIR) == ["wifi.dat"]

    _on_both(body)


def test_commit_is_all_there_is():
    def body():
        ns = _open()
        ns.set("a", 1)
        assert _open().get("a") is None
        ns.commit()
        ns.set("a", 2)
        ns.set("b", b"x")
        ns.erase("c")
        assert _open().get("a") == 1
        ns.rollback()
        assert ns.get("a") == 1 and ns.get("b") is None
        ns.erase("a")
        assert ns.get("a") is None and _open().get("a") == 1
        ns.commit()
        assert _open().get("a") is None
        assert b"\x00a" not in _read("wifi.dat")

    _on_both(body)


def test_namespaces_are_apart_and_the_same_object_every_time():
    def body():
        store = Store(_DIR)
        assert store.open("wifi") is store.open("wifi")
        store.open("wifi").set("a", 1)
        store.open("identity").set("a", 2)
        store.open("wifi").commit()
        store.open("identity").commit()
        store.open("wifi").erase_all()
        assert Store(_DIR).open("identity").get("a") == 2

    _on_both(body)


def test_equal_values_write_nothing():
    flash = formatted()

    def body():
        ns = _open()
        assert flash.operations == []  # opening what is not there does not write
        assert ns.commit() is False and flash.operations == []
        ns.set("a", b"x")
        ns.commit()
        written = len(flash.operations)
        assert written
        for _ in range(3):
            ns.set("a", bytearray(b"x"))
            ns.erase("nothing")
            assert ns.commit() is False
        ns.set("a", b"y")
        ns.set("b", 1)
        ns.set("a", b"x")
        ns.erase("b")
        assert ns.commit() is False  # there and back again
        again = _open()
        again.set("a", b"x")
        assert again.commit() is False
        assert len(flash.operations) == written

    mounted(body, flash)


def test_what_is_refused():
    def body():
        store = Store(_DIR)
        for name in ("", "sixteen_letters_", "UPPER", "a.b", "a/b", "é", " "):
            raises(ValueError, store.open, name)
        ns = store.open("fifteen_letters")
        for key in ("", "sixteen_letters_", "éééééééé"):
            raises(ValueError, ns.set, key, 1)
        for value in (None, True, 1.5, [], {}, (1,)):
            raises(TypeError, ns.set, "key", value)
        raises(ValueError, ns.set, "key", bytes(65536))
        assert ns.commit() is False
        ns.set("key", memoryview(b"abc")[1:])
        assert ns.get("key") == b"bc"

    _on_both(body)


def test_full_file_system_keeps_the_old_values():
    def fill():
        with open("/flash/filler", "wb") as file:
            try:
                while True:
                    file.write(bytes(256))
                    file.flush()
            except OSError as e:
                assert e.errno == 28

    def body():
        ns = _open()
        ns.set("a", b"old")
        ns.commit()
        try:
            fill()
        except OSError as e:  # closing a file that did not fit
            assert e.errno == 28
        ns.set("a", bytes(3000))
        assert raises(OSError, ns.commit).errno == 28
        assert _open().get("a") == b"old"
        assert ns.get("a") == bytes(3000)  # still there for another try
        os.remove("/flash/filler")
        assert ns.commit() is True
        assert _open().get("a") == bytes(3000)

    _on_both(body)


def test_what_cannot_be_read_back_does_not_replace_the_old():
    def body():
        ns = _open()
        ns.set("a", b"old")
        ns.commit()
        ns.set("a", b"new")
        same = store_module._same
        store_module._same = lambda path, blob: False
        try:
            assert raises(OSError, ns.commit).errno == 5
        finally:
            store_module._same = same
        assert os.listdir(_DIR) == ["wifi.dat"]
        assert _open().get("a") == b"old"
        assert ns.commit() is True and _open().get("a") == b"new"

    _on_both(body)


def test_read_back_sees_every_difference():
    def body():
        os.mkdir(_DIR)
        blob = bytearray(Random(5).bytes(300))
        _write("x", blob)
        path = _DIR + "/x"
        assert store_module._same(path, blob)
        for pos in (0, 127, 128, 255, 256, 299):
            blob[pos] ^= 1
            assert not store_module._same(path, blob)
            blob[pos] ^= 1
        assert not store_module._same(path, blob[:299])
        assert not store_module._same(path, blob + b"x")
        assert not store_module._same(path, blob[:256])

    _on_both(body)


def _two_generations():
    # The files of generation 1 and 2.
    ns = _open()
    ns.set("a", b"old")
    ns.commit()
    old = _read("wifi.dat")
    ns.set("a", b"new")
    ns.commit()
    return old, _read("wifi.dat")


def test_erase_all_leaves_no_file_and_no_value():
    def body():
        for leftover in ("wifi.dat", "wifi.new", "wifi.bad"):
            old, _new = _two_generations()
            _write(leftover, old)
            ns = _open()
            assert ns.erase_all() is True
            assert ns.get("a") is None and _open().get("a") is None
            assert os.listdir(_DIR) == []
            assert ns.erase_all() is False
            assert ns.commit() is False

    _on_both(body)


def test_file_is_as_documented():
    def body():
        ns = _open()
        ns.set("k", "é")
        ns.set("a", -12)
        ns.commit()
        ns.set("b", b"\0")
        ns.commit()
        data = b"HmSt\x01\x00\x02\x00\x00\x00"
        data += b"\x03\x01\x03\x00a-12\x01\x01\x01\x00b\x00\x02\x01\x02\x00k\xc3\xa9"
        assert _read("wifi.dat") == data + struct.pack("<I", crc32(data))

    mounted(body, formatted())


def _names():
    store = Store(_DIR)
    assert store.names() == []
    for name in ("wifi", "a"):
        ns = store.open(name)
        ns.set("key", 1)
        ns.commit()
    _write("torn.new", b"x")
    assert store.names() == ["a", "torn", "wifi"]


def test_names():
    _on_both(_names)
