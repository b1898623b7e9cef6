"""Which files `homing flash` takes for an image of the ESP32-C3, and which it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import c3_image
import pytest
from click.testing import CliRunner

from tools.board_boot import MIN_MICROPYTHON
from tools.cli import main
from tools.flash import firmware
from tools.sim.image import PROJECT

GOOD = c3_image.flash_image()
APP_AT = 0x10000


def changed(at: int) -> bytes:
    data = bytearray(GOOD)
    data[at] ^= 0x01
    return bytes(data)


def without_digest(data: bytes) -> bytes:
    return data[: APP_AT + 23] + b"\0" + data[APP_AT + 24 :]


def test_good_image() -> None:
    made = firmware.check(GOOD)
    assert (made.data, made.version) == (GOOD, "1.29.0")
    assert firmware.check(c3_image.flash_image("v1.30.0-preview.7.gabcdef")).version.startswith(
        "1.30"
    )
    assert firmware.check(GOOD + b"\xff" * 5000)  # padding harms nobody


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (c3_image.flash_image(chip="esp32s3"), "bootloader is for ESP32-S3"),
        (c3_image.flash_image(chip="esp32c6", boot_chip="esp32c3"), "program is for ESP32-C6"),
        (c3_image.flash_image(chip="esp32"), "bootloader is for ESP32,"),
        (GOOD[:-1], "digest is wrong"),
        (GOOD[:-33], "damaged or cut off"),
        (GOOD[: APP_AT + 30], "damaged or cut off"),
        (GOOD[:APP_AT], "cut off"),
        (GOOD[:0x9000], "cut off"),
        (GOOD[:0x8010], "cut off|damaged"),
        (GOOD[:0x8000], "no partition table"),
        (GOOD[:10], "damaged or cut off"),
        (b"", "no bootloader"),
        (b"\0" * 100_000, "no bootloader"),
        (b"<html>not found</html>", "no bootloader"),
        (b":10000000", "not a .bin"),
        (b"\x7fELF" + bytes(100), "not a .bin"),
        (c3_image.part(b"MicroPython v1.29.0 on 2026"), "no partition table"),
        (changed(20), "bootloader.*digest is wrong"),
        (changed(40), "bootloader.*checksum is wrong"),
        (changed(0x8004), "MD5 is wrong"),
        (changed(0x8020), "partition table is damaged"),
        (changed(APP_AT + 5), "program.*digest is wrong"),
        (changed(APP_AT + 45), "program.*checksum is wrong"),
        (changed(len(GOOD) - 40), "program.*(checksum|digest) is wrong"),
        (changed(len(GOOD) - 33), "program.*checksum is wrong"),
        (changed(len(GOOD) - 1), "program.*digest is wrong"),
        (without_digest(GOOD), "no digest"),
        (GOOD + bytes(firmware.FLASH_LEN), "flash has"),
        (c3_image.flash_image("v1.28.1"), "1.28.1; Homing needs 1.29"),
        (c3_image.flash_image(name="CircuitPython"), "not MicroPython"),
    ],
)
def test_refused(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(firmware.ImageError, match=said):
        firmware.check(data)
    # As a person meets it; the port does not exist, and is not looked for either.
    path = tmp_path / "image.bin"
    path.write_bytes(data)
    result = CliRunner().invoke(main, ["flash", str(path), "--port", "/dev/no-such-port"])
    assert result.exit_code == 1
    assert "no-such-port" not in result.output


def test_every_cut_and_flipped_bit_is_noticed() -> None:
    # Of every part, not of the padding between them.
    parts = [*range(100), *range(0x8000, 0x8090), *range(APP_AT, len(GOOD))]
    for at in parts[::3]:
        with pytest.raises(firmware.ImageError):
            firmware.check(GOOD[:at])
    # The filler behind the bootloader belongs to nobody.
    for at in parts[::3]:
        if at < len(c3_image.part(b"second-stage bootloader")) or at >= 0x8000:
            with pytest.raises(firmware.ImageError):
                firmware.check(changed(at))


def test_minimum_is_the_one_that_boot_py_holds() -> None:
    found = re.search(r"^_MIN = \((\d+), (\d+)\)", (PROJECT / "boot.py").read_text(), re.M)
    assert found
    assert (int(found[1]), int(found[2])) == MIN_MICROPYTHON


def test_check_only_and_no_image(tmp_path: Path) -> None:
    path = tmp_path / "good.bin"
    path.write_bytes(GOOD)
    result = CliRunner().invoke(main, ["flash", str(path), "--check-only"])
    assert result.exit_code == 0
    assert "MicroPython 1.29.0 for ESP32-C3" in result.output
    result = CliRunner().invoke(main, ["flash"])
    assert result.exit_code == 2
    assert "ESP32_GENERIC_C3" in result.output
    result = CliRunner().invoke(main, ["flash", str(tmp_path / "none.bin")])
    assert result.exit_code == 2
    assert "cannot read" in result.output
