"""Small flash images for tests, made by esptool's own image classes: bootloader, table, program."""

from __future__ import annotations

import hashlib
import struct

from esptool.bin_image import ESP32FirmwareImage, ImageSegment
from esptool.targets import CHIP_DEFS

_APP_AT = 0x10000
_SLOT_LEN = 0x1F0000


def part(text: bytes, chip: str = "esp32c3") -> bytes:
    """One ESP image with `text` in its RAM segment."""
    rom = CHIP_DEFS[chip]
    # The chips' own classes differ by this attribute, as far as a small image is concerned.
    image = type("Image", (ESP32FirmwareImage,), {"ROM_LOADER": rom})()
    image.entrypoint = 0x40380000
    segment = ImageSegment(0x3FC80000, text + bytes(-len(text) % 4))
    segment.name = ".data"  # as a section of an ELF file has it
    image.segments = [segment]
    made = image.save(None)
    assert made is not None
    return made


def table(app_at: int = _APP_AT) -> bytes:
    entries = b""
    for kind, sub, offset, length, label in (
        (1, 2, 0x9000, 0x6000, b"nvs"),
        (1, 1, 0xF000, 0x1000, b"phy_init"),
        (0, 0, app_at, _SLOT_LEN, b"factory"),
        (1, 0x81, 0x200000, 0x200000, b"vfs"),
    ):
        entries += struct.pack("<2sBBII16sI", b"\xaa\x50", kind, sub, offset, length, label, 0)
    md5 = hashlib.md5(entries, usedforsecurity=False).digest()
    return entries + b"\xeb\xeb" + b"\xff" * 14 + md5


def flash_image(
    version: str = "v1.29.0",
    chip: str = "esp32c3",
    boot_chip: str | None = None,
    name: str = "MicroPython",
    filler: bytes = b"",
) -> bytes:
    """What the MicroPython project's .bin for a C3 looks like, a hundred times smaller."""
    text = f"{name} {version} on 2026-09-01\0".encode() + filler
    image = part(b"second-stage bootloader", boot_chip or chip)
    image += b"\xff" * (0x8000 - len(image)) + table()
    return image + b"\xff" * (_APP_AT - len(image)) + part(text, chip)
