# Small values that survive: namespaces of short keys, one file each, safe against power loss.
#
# A namespace "wifi" is /nvs/wifi.dat; while it is replaced, the next generation is
# /nvs/wifi.new. A file is, all numbers little-endian:
#     4 bytes  "HmSt"
#     u16      schema number, 1
#     u32      generation, one more than that of the file it replaces
#     entries: u8 type (1 bytes, 2 str in UTF-8, 3 int in decimal), u8 key length, u16 value length,
#              key in UTF-8, value
#     u32      CRC-32 (zlib) of everything before it
#
# commit() writes .new, flushes it by closing, reads it back and compares, and only then renames it
# over .dat. littlefs renames in one step; FAT removes .dat first, so a reader takes whichever valid
# file has the higher generation, and finishes the rename. A torn .new is removed. A corrupt .dat
# becomes .bad and is reported. What any schema keeps: header, entry layout and CRC; so a newer file
# can be read (types unknown here are left out) but is not written.

import os
import struct
from binascii import crc32

from micropython import const

_MAGIC = const(b"HmSt")
_SCHEMA = const(1)
_HEADER = const("<4sHI")
_HEADER_LEN = const(10)
_ENTRY = const("<BBH")
_ENTRY_LEN = const(4)
_CRC_LEN = const(4)

_BYTES = const(1)
_STR = const(2)
_INT = const(3)

_MAX_KEY_LEN = const(15)
_MAX_VALUE_LEN = const(0xFFFF)
_CHUNK_LEN = const(128)
_ENOENT = const(2)
_EEXIST = const(17)
_EIO = const(5)
_EROFS = const(30)
_NAME = b"abcdefghijklmnopqrstuvwxyz0123456789_-"


class Store:
    """Namespaces under one directory, which is made when something is first written.

    The directory must not have the name of a package: MicroPython looks in / before /lib.

    report: called with (namespace, why) when a file was set aside or cannot be written by this
    version; may be None.
    """

    def __init__(self, path="/nvs", report=None):
        self._path = path
        self._report = report
        self._open = {}

    def open(self, name):
        """The namespace called name; the same object every time.

        name: 1 to 15 of a-z 0-9 _ -, else ValueError. OSError if the file system fails.
        """
        if not 0 < len(name) <= _MAX_KEY_LEN:
            raise ValueError("namespace %r: 1 to 15 characters" % name)
        for byte in name.encode():  # not by characters: each would become an interned string
            if byte not in _NAME:
                raise ValueError("namespace %r: only a-z 0-9 _ -" % name)
        if name not in self._open:
            self._open[name] = Namespace(self._path, name, self._report)
        return self._open[name]

    def names(self):
        """Names of the namespaces that have files, sorted. Raises OSError."""
        try:
            files = os.listdir(self._path)
        except OSError as e:
            if e.errno != _ENOENT:
                raise
            return []
        return sorted({file.split(".")[0] for file in files})


class Namespace:
    """Values by key. What set() and erase() change is in RAM until commit()."""

    def __init__(self, path, name, report):
        self._name = name
        self._dir = path
        self._base = path + "/" + name
        self._generation = 0
        self._newer = 0
        self._saved = {}
        self._load(report or _ignore)
        self._values = dict(self._saved)

    def get(self, key, default=None):
        """The value (bytes, str or int), or default."""
        return self._values.get(key, default)

    def set(self, key, value):
        """Change one value: bytes (or bytearray, memoryview), str or int; key of 1 to 15 bytes.

        Raises ValueError or TypeError for anything else, OSError(EROFS) for a newer schema.
        """
        self._check_writable()
        if not 0 < len(key.encode()) <= _MAX_KEY_LEN:
            raise ValueError("key %r: 1 to 15 bytes" % key)
        if isinstance(value, (bytearray, memoryview)):
            value = bytes(value)
        _type, raw = _pack(value)
        if len(raw) > _MAX_VALUE_LEN:
            raise ValueError("value of %r is too long" % key)
        self._values[key] = value

    def erase(self, key):
        """Drop one value, if it is there."""
        self._check_writable()
        self._values.pop(key, None)

    def rollback(self):
        """Take back what was changed since the last commit."""
        self._values = dict(self._saved)

    def commit(self):
        """Write what changed, all or nothing; True if there was anything to write.

        Raises OSError (file system full, broken): the old values are still in flash then, the new
        ones still in RAM.
        """
        self._check_writable()
        if self._values == self._saved:
            return False
        blob = _serialise(self._values, self._generation + 1)
        new = self._base + ".new"
        try:
            self._write(new, blob)
            if not _same(new, blob):
                raise OSError(_EIO)
            os.rename(new, self._base + ".dat")
        except OSError:
            _remove(new)
            raise
        self._generation += 1
        self._saved = dict(self._values)
        return True

    def erase_all(self):
        """Drop every value and every file, at once; True if there was any. Raises OSError."""
        # .dat last: until it goes, the old values are what a reader finds.
        removed = [_remove(self._base + end) for end in (".bad", ".new", ".dat")]
        self._generation = self._newer = 0
        self._saved = {}
        self._values = {}
        return True in removed

    def _check_writable(self):
        if self._newer:
            raise OSError(
                _EROFS,
                "%s.dat has schema %d, this version writes %d: update the firmware, or erase_all()"
                % (self._base, self._newer, _SCHEMA),
            )

    def _write(self, path, blob):
        if not self._generation:
            try:
                os.mkdir(self._dir)
            except OSError as e:
                if e.errno != _EEXIST:
                    raise
        with open(path, "wb") as file:
            file.write(blob)

    def _load(self, report):
        dat = self._base + ".dat"
        new = self._base + ".new"
        current, why = _read(dat)
        if why:
            os.rename(dat, self._base + ".bad")
            report(self._name, why)
        following, torn = _read(new)
        if following and (not current or following[1] > current[1]):
            current = following
            os.rename(new, dat)
        elif following or torn:
            os.remove(new)
        if current:
            schema, self._generation, self._saved = current
            if schema > _SCHEMA:
                self._newer = schema
                report(self._name, "schema %d is newer than this version's: read-only" % schema)


def _ignore(_namespace, _why):
    pass


def _pack(value):
    if isinstance(value, bytes):
        return _BYTES, value
    if isinstance(value, str):
        return _STR, value.encode()
    if isinstance(value, int) and not isinstance(value, bool):
        return _INT, b"%d" % value
    raise TypeError("bytes, str or int, not %s" % type(value).__name__)


def _serialise(values, generation):
    out = bytearray(struct.pack(_HEADER, _MAGIC, _SCHEMA, generation))
    for key in sorted(values):
        kind, raw = _pack(values[key])
        key = key.encode()
        out.extend(struct.pack(_ENTRY, kind, len(key), len(raw)))
        out.extend(key)
        out.extend(raw)
    out.extend(struct.pack("<I", crc32(out)))
    return out


def _read(path):
    # ((schema, generation, values), None), (None, why it is corrupt), or (None, None): no file.
    try:
        with open(path, "rb") as file:
            blob = file.read()
    except OSError as e:
        if e.errno == _ENOENT:
            return None, None
        raise
    end = len(blob) - _CRC_LEN
    if end < _HEADER_LEN or blob[:4] != _MAGIC:
        return None, "not a store file"
    view = memoryview(blob)
    if crc32(view[:end]) != struct.unpack_from("<I", blob, end)[0]:
        return None, "wrong checksum"
    _magic, schema, generation = struct.unpack_from(_HEADER, blob)
    try:
        return (schema, generation, _entries(blob, view, end)), None
    except ValueError:  # UnicodeError is one
        return None, "bad entries"


def _entries(blob, view, end):
    values = {}
    pos = _HEADER_LEN
    while pos < end:
        kind, key_len, size = struct.unpack_from(_ENTRY, blob, pos)
        pos += _ENTRY_LEN + key_len
        key = str(view[pos - key_len : pos], "utf-8")
        pos += size
        value = bytes(view[pos - size : pos])
        if kind == _STR:
            value = value.decode()
        elif kind == _INT:
            value = int(value)
        elif kind != _BYTES:
            continue
        values[key] = value
    if pos != end:
        raise ValueError
    return values


def _same(path, blob):
    view = memoryview(blob)
    pos = 0
    with open(path, "rb") as file:
        while True:
            chunk = file.read(_CHUNK_LEN)
            if chunk != view[pos : pos + _CHUNK_LEN]:
                return False
            if not chunk:
                return pos == len(blob)
            pos += len(chunk)


def _remove(path):
    try:
        os.remove(path)
        return True
    except OSError as e:
        if e.errno != _ENOENT:
            raise
        return False
