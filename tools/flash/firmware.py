"""Is this file a MicroPython image for the ESP32-C3, whole and undamaged?

esptool writes what it is given, and its `image-info` shows a wrong checksum without failing. So its
loader is used here, and what it has read is compared, before a byte reaches a chip.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass

import click
from esptool.bin_image import ESP32FirmwareImage, LoadFirmwareImage
from esptool.targets import CHIP_DEFS
from esptool.util import FatalError

from tools.board_boot import MIN_MICROPYTHON

CHIP = "esp32c3"
FLASH_LEN = 4 << 20  # of ESP32_GENERIC_C3

# The layout of ESP-IDF: second-stage bootloader at 0 on this chip, then the partition table.
_TABLE_AT = 0x8000
_TABLE_LEN = 0xC00
_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC = b"\xaa\x50"
_MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
_APP_TYPE = 0
_BANNER = re.compile(rb"MicroPython v((\d+)\.(\d+)[^\s\0]{0,60}) on ")


class ImageError(click.ClickException):
    """The file must not be flashed; the text says why."""


@dataclass(frozen=True)
class Firmware:
    """A checked image, to be written at address 0."""

    data: bytes
    version: str


def check(data: bytes) -> Firmware:
    """Look at every part of a full flash image. Raises ImageError."""
    if data[:1] == b":" or data[:4] == b"\x7fELF" or data[:4] == b"UF2\n":
        raise ImageError("this is not a .bin image; download the .bin for ESP32_GENERIC_C3")
    _check_part(data, 0, "bootloader")
    apps = _apps(data)
    # Of a table with several slots for the program, the image fills the first.
    start = min(apps)
    if start >= len(data):
        raise ImageError(f"the image is cut off: it ends before its program at {start:#x}")
    _check_part(data[: start + apps[start]], start, "program")
    if len(data) > FLASH_LEN:
        raise ImageError(f"the image has {len(data)} bytes; the board's flash has {FLASH_LEN}")
    found = _BANNER.search(data, start)
    if found is None:
        raise ImageError("the program in this image is not MicroPython")
    version = found[1].decode()
    if (int(found[2]), int(found[3])) < MIN_MICROPYTHON:
        wanted = ".".join(map(str, MIN_MICROPYTHON))
        raise ImageError(f"this is MicroPython {version}; Homing needs {wanted} or newer")
    return Firmware(data, version)


def _check_part(data: bytes, start: int, what: str) -> None:
    part = data[start:]
    if not part.startswith(b"\xe9"):
        raise ImageError(
            f"no {what} at {start:#x}: not an image for an ESP32-C3, or not a whole one "
            "(take the .bin that is written at address 0)"
        )
    chip_id = struct.unpack_from("<H", part, 12)[0] if len(part) >= 14 else None
    ours = CHIP_DEFS[CHIP].IMAGE_CHIP_ID
    if chip_id not in (ours, None):
        names = {rom.IMAGE_CHIP_ID: rom.CHIP_NAME for rom in CHIP_DEFS.values()}
        name = names.get(chip_id, f"chip number {chip_id}")
        raise ImageError(f"the {what} is for {name}, not for ESP32-C3")
    try:
        image = LoadFirmwareImage(CHIP, part)
    # Besides its own error, the loader lets those of struct and ord escape on short input.
    except (FatalError, RuntimeError, struct.error, TypeError, ValueError) as error:
        raise ImageError(f"the {what} is damaged or cut off: {error}") from error
    assert isinstance(image, ESP32FirmwareImage)
    if image.checksum != image.calculate_checksum():
        raise ImageError(f"the {what} is damaged: its checksum is wrong")
    if not image.append_digest:
        raise ImageError(f"the {what} has no digest, so it cannot be checked")
    if image.stored_digest != image.calc_digest:
        raise ImageError(f"the {what} is damaged or cut off: its SHA-256 digest is wrong")


def _apps(data: bytes) -> dict[int, int]:
    """Offset → length of every slot for a program in the partition table."""
    table = data[_TABLE_AT : _TABLE_AT + _TABLE_LEN]
    if not table.startswith(_ENTRY_MAGIC):
        raise ImageError(
            f"no partition table at {_TABLE_AT:#x}: only a part of an image, or cut off "
            "(take the .bin that is written at address 0)"
        )
    apps = {}
    for at in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        magic, kind, _sub, offset, length, _label, _flags = _ENTRY.unpack_from(table, at)
        if magic == _ENTRY_MAGIC:
            if kind == _APP_TYPE:
                apps[offset] = length
        elif table.startswith(_MD5_MAGIC, at):
            if hashlib.md5(table[:at], usedforsecurity=False).digest() != table[at + 16 : at + 32]:
                raise ImageError("the partition table is damaged: its MD5 is wrong")
            break
        else:
            raise ImageError("the partition table is damaged")
    else:
        raise ImageError("the partition table is damaged or cut off: it has no MD5")
    if not apps:
        raise ImageError("the partition table has no place for a program")
    return apps
