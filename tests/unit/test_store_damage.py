# Files that a power cut, a bad block or another firmware can leave, on littlefs and FAT.

import os
import struct
from binascii import crc32

from flash import formatted, mounted
from support import raises

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


def _two_generations():
    # The files of generation 1 and 2.
    ns = _open()
    ns.set("a", b"old")
    ns.commit()
    old = _read("wifi.dat")
    ns.set("a", b"new")
    ns.commit()
    return old, _read("wifi.dat")


def test_files_that_a_power_cut_can_leave():
    def body():
        old, new = _two_generations()
        for dat, following, expected in (
            (old, None, b"old"),
            (old, b"", b"old"),
            (old, new[:-1], b"old"),
            (old, new[:10], b"old"),
            (old, new, b"new"),
            (None, new, b"new"),  # FAT removes the target before it renames
            (new, old, b"new"),
            (new, new, b"new"),
            (None, b"", None),
            (None, new[:-1], None),
        ):
            _open().erase_all()
            if dat is not None:
                _write("wifi.dat", dat)
            if following is not None:
                _write("wifi.new", following)
            said = []
            assert _open(said=said).get("a") == expected
            assert os.listdir(_DIR) == (["wifi.dat"] if expected else [])
            assert _open(said=said).get("a") == expected
            assert not said
            # and the next commit counts on from there
            ns = _open()
            ns.set("a", b"next")
            ns.commit()
            assert _open().get("a") == b"next"

    _on_both(body)


def test_damage_is_set_aside_and_reported():
    def body():
        _old, good = _two_generations()
        bad_files = [good[:size] for size in range(len(good))]
        for pos in range(len(good)):
            for bit in (1, 0x80):
                bad = bytearray(good)
                bad[pos] ^= bit
                bad_files.append(bad)
        bad_files.append(good + b"x")
        for bad in bad_files:
            _open().erase_all()
            _write("wifi.dat", bad)
            said = []
            ns = _open(said=said)
            assert ns.get("a") is None
            assert len(said) == 1 and said[0][0] == "wifi" and "new" not in said[0][1]
            assert os.listdir(_DIR) == ["wifi.bad"] and _read("wifi.bad") == bad
            said.clear()
            assert _open(said=said).get("a") is None and not said
        ns.set("a", b"next")
        ns.commit()
        assert sorted(os.listdir(_DIR)) == ["wifi.bad", "wifi.dat"]
        ns.erase_all()
        assert os.listdir(_DIR) == []

    mounted(body, formatted())


def test_damaged_file_beside_a_good_new_one():
    def body():
        old, new = _two_generations()
        _write("wifi.dat", old[:-1])
        _write("wifi.new", new)
        said = []
        assert _open(said=said).get("a") == b"new"
        assert said and sorted(os.listdir(_DIR)) == ["wifi.bad", "wifi.dat"]

    _on_both(body)


def test_file_with_a_right_checksum_and_wrong_entries():
    def body():
        os.mkdir(_DIR)
        for entries in (
            b"\1",
            struct.pack("<BBH", 1, 200, 0),
            struct.pack("<BBH", 1, 1, 500) + b"a",
            struct.pack("<BBH", 2, 1, 1) + b"a\xff",
            struct.pack("<BBH", 3, 1, 1) + b"ax",
        ):
            data = struct.pack("<4sHI", b"HmSt", 1, 1) + entries
            _write("wifi.dat", data + struct.pack("<I", crc32(data)))
            said = []
            assert _open(said=said).get("a") is None
            assert said == [("wifi", "bad entries")]

    mounted(body, formatted())


def _newer_file():
    data = struct.pack("<4sHI", b"HmSt", 2, 9)
    data += struct.pack("<BBH", 1, 1, 3) + b"aold"
    data += struct.pack("<BBH", 77, 1, 2) + b"bxx"  # a type of the future
    data += struct.pack("<BBH", 3, 1, 2) + b"c-5"
    return data + struct.pack("<I", crc32(data))


def test_newer_schema_is_read_only():
    flash = formatted()

    def body():
        os.mkdir(_DIR)
        _write("wifi.dat", _newer_file())
        flash.operations.clear()
        said = []
        ns = _open(said=said)
        assert len(said) == 1 and "schema 2" in said[0][1]
        assert ns.get("a") == b"old" and ns.get("c") == -5 and ns.get("b") is None
        for call, args in ((ns.set, ("a", b"new")), (ns.erase, ("a",)), (ns.commit, ())):
            e = raises(OSError, call, *args)
            assert e.errno == 30 and "schema 2" in str(e)
        assert flash.operations == [] and _read("wifi.dat") == _newer_file()
        ns.erase_all()  # the way out
        ns.set("a", b"new")
        assert ns.commit() is True and _open().get("a") == b"new"

    mounted(body, flash)
