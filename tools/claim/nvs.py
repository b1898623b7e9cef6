"""An NVS partition of ESP-IDF's, as binary: the values in it, every checksum checked.

Format: "NVS Partition" in ESP-IDF's documentation, API reference, storage. A page has 4,096 bytes:
a header of 32, a map of 32 with two bits an entry, and 126 entries of 32. An entry is namespace,
type, span, chunk, CRC-32, key (16 bytes) and 8 bytes of data; longer data follow in entries of
their own.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator

PAGE_LEN = 4096
_ENTRY_LEN = 32
_ENTRIES = 126
_MAP_AT, _FIRST_AT = 32, 64
_IN_USE = {0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8}  # active, full, being freed
_WRITTEN = 0b10
_INTS = dict(zip((1, 2, 4, 8, 0x11, 0x12, 0x14, 0x18), ("<" + c for c in "BHIQbhiq"), strict=True))
_STR, _BLOB, _BLOB_DATA, _BLOB_INDEX = 0x21, 0x41, 0x42, 0x48
_VARIABLE = {_STR, _BLOB, _BLOB_DATA}

Value = bytes | str | int


class NvsError(ValueError):
    """No NVS partition, or a damaged one; the text says where."""


@dataclasses.dataclass(frozen=True)
class _Item:
    namespace: int
    kind: int
    chunk: int
    key: str
    inline: bytes
    data: bytes


def read(partition: bytes) -> dict[str, dict[str, Value]]:
    """Namespace → key → value: int, str, or bytes for a blob. Raises NvsError."""
    if not partition or len(partition) % PAGE_LEN:
        raise NvsError(f"an NVS partition is a multiple of {PAGE_LEN} bytes")
    items = [item for page in _pages(partition) for item in _items(*page)]
    if not items:
        raise NvsError("nothing is written in it")
    names = {item.inline[0]: item.key for item in items if item.namespace == 0}
    found: dict[str, dict[str, Value]] = {name: {} for name in names.values()}
    chunks = {
        (item.namespace, item.key, item.chunk): item.data
        for item in items
        if item.kind == _BLOB_DATA
    }
    for item in items:
        if item.namespace == 0 or item.kind == _BLOB_DATA:
            continue
        values = found.get(names.get(item.namespace, ""))
        if values is None:
            raise NvsError(f"the key {item.key} is in a namespace without a name")
        values[item.key] = _value(item, chunks)
    return found


def _pages(partition: bytes) -> list[tuple[int, bytes]]:
    # (number, page) in the order in which they were written: the last value of a key counts.
    found = []
    for at in range(0, len(partition), PAGE_LEN):
        page = partition[at : at + PAGE_LEN]
        state, sequence = struct.unpack_from("<II", page)
        if state not in _IN_USE:
            if state != 0xFFFFFFFF and not at:
                raise NvsError("it does not begin as an NVS partition does")
            continue
        if _crc(page[4:28]) != struct.unpack_from("<I", page, 28)[0]:
            raise NvsError(f"page {at // PAGE_LEN} has a damaged header")
        found.append((sequence, at // PAGE_LEN, page))
    return [(number, page) for _sequence, number, page in sorted(found)]


def _items(number: int, page: bytes) -> Iterator[_Item]:
    index = 0
    while index < _ENTRIES:
        bits = page[_MAP_AT + index // 4] >> index % 4 * 2 & 3
        at = _FIRST_AT + index * _ENTRY_LEN
        index += 1
        if bits != _WRITTEN:
            continue
        entry = page[at : at + _ENTRY_LEN]
        where = f"entry {index - 1} of page {number}"
        if _crc(entry[:4] + entry[8:]) != struct.unpack_from("<I", entry, 4)[0]:
            raise NvsError(f"{where} is damaged, or the partition is encrypted")
        namespace, kind, span, chunk = entry[:4]
        data = b""
        if kind in _VARIABLE:
            size, crc = struct.unpack_from("<HxxI", entry, 24)
            room = (max(span, 1) - 1) * _ENTRY_LEN
            data = page[at + _ENTRY_LEN : at + _ENTRY_LEN + size]
            if size > room or len(data) != size or _crc(data) != crc:
                raise NvsError(f"the data of {where} are damaged")
        index += max(span, 1) - 1
        key = entry[8:24].partition(b"\0")[0].decode("ascii", errors="replace")
        yield _Item(namespace, kind, chunk, key, entry[24:], data)


def _value(item: _Item, chunks: dict[tuple[int, str, int], bytes]) -> Value:
    if item.kind in _INTS:
        value: int = struct.unpack_from(_INTS[item.kind], item.inline)[0]
        return value
    if item.kind == _STR:
        try:
            return item.data.partition(b"\0")[0].decode()
        except UnicodeDecodeError:
            raise NvsError(f"the text of the key {item.key} is no UTF-8") from None
    if item.kind == _BLOB:
        return item.data
    if item.kind == _BLOB_INDEX:
        size, count, start = struct.unpack_from("<IBB", item.inline)
        parts = [chunks.get((item.namespace, item.key, start + i)) for i in range(count)]
        data = b"".join(part for part in parts if part is not None)
        if None in parts or len(data) != size:
            raise NvsError(f"a part of the key {item.key} is missing")
        return data
    raise NvsError(f"the key {item.key} has the unknown type 0x{item.kind:02x}")


def _crc(data: bytes) -> int:
    return zlib.crc32(data, 0xFFFFFFFF)
