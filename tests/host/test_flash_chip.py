"""`homing flash` against somebody else's bootloader, PyPI's esp32-mock-bootloader, over esptool."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import c3_image
import click
import pytest
from click.testing import CliRunner, Result
from esp32_mock_bootloader import MockHandle, mock_bootloader
from esptool.loader import ESPLoader
from serial_proxy import SerialProxy

from tools import board_port
from tools.board_port import find
from tools.cli import main
from tools.flash import chip, verb
from tools.sim.board import UsbPort
from tools.sim.world import World

# Not compressible: its way over the line takes many blocks, so that it can be cut off in between.
IMAGE = c3_image.flash_image(filler=random.Random(1).randbytes(96_000))
_PROBE_AND_ESPTOOL = 2  # connections that belong to flashing; what comes after listens


@pytest.fixture
def mock() -> Iterator[MockHandle]:
    with mock_bootloader("esp32c3", timeout=100) as made:
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "ESP32_GENERIC_C3.bin"
    path.write_bytes(IMAGE)
    return path


def flash(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["flash", *map(str, arguments)])


def holds(mock: MockHandle, data: bytes, address: int = 0) -> bool:
    """Whether the mock's flash has these bytes, by esptool's own command line."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(data)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "esptool", "--chip", "esp32c3", "--port", mock.url()]
            + ["--before", "no-reset", "verify-flash", str(address), file.name],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "Verif" in done.stdout, done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("option", ["--stub", "--no-stub"])
def test_written_and_verified(option: str, mock: MockHandle, image: Path) -> None:
    result = flash(image, "--port", mock.url(), "--no-wait", option)
    assert result.exit_code == 0, result.output
    assert holds(mock, IMAGE)


def test_files_stay_unless_erased(mock: MockHandle, image: Path, tmp_path: Path) -> None:
    behind = len(IMAGE) + -len(IMAGE) % 4096
    longer = tmp_path / "longer.bin"
    longer.write_bytes(IMAGE + b"\x55" * 8192)  # stands for files and credentials
    assert flash(longer, "--port", mock.url(), "--no-wait").exit_code == 0
    assert flash(image, "--port", mock.url(), "--no-wait").exit_code == 0
    assert holds(mock, b"\x55" * 1024, behind)
    assert flash(image, "--port", mock.url(), "--no-wait", "--erase").exit_code == 0
    assert holds(mock, IMAGE)
    assert holds(mock, b"\xff" * 1024, behind)


def test_reset_and_first_words(mock: MockHandle, image: Path) -> None:
    with World(speed=10) as world:
        board = world.new_board("a")
        serial_line = board.serve_tcp()

        def target(connection: int) -> int:
            if connection <= _PROBE_AND_ESPTOOL:
                return mock.port()
            world.loop.call_soon_threadsafe(world.loop.call_later, 5.0, board.power_on)
            return serial_line

        with SerialProxy(target) as proxy:
            result = flash(image, "--port", proxy.url)
    assert result.exit_code == 0, result.output
    assert 'started: @boot {"homing"' in result.output


def test_found_again_under_another_name(
    mock: MockHandle,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    rounds: Callable[[int, int], range],
) -> None:
    """A chip's own USB leaves at the reset; the serial number leads to where it comes back."""
    with World(speed=10) as world:
        board = world.new_board("a")
        board.usb_away_s = 3.0
        (usb,) = board.list_ports()
        in_download_mode = True

        def listed() -> list[UsbPort]:
            flashing = UsbPort(mock.url(), usb.serial_number)
            return [flashing] if in_download_mode else board.list_ports()

        def reset(esp: ESPLoader) -> None:
            nonlocal in_download_mode
            plain_reset(esp)
            in_download_mode = False
            board.power_on()

        plain_reset = chip.reset
        monkeypatch.setattr(board_port.list_ports, "comports", listed)
        monkeypatch.setattr(chip, "reset", reset)
        for _ in rounds(2, 20):
            in_download_mode = True
            board.power_off()
            result = flash(image, "--port", f"id:{usb.serial_number}")
            assert result.exit_code == 0, result.output
            assert "started: @" in result.output


def test_written_but_does_not_start(
    mock: MockHandle, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "_BOOT_S", 1.0)
    result = flash(image, "--port", mock.url())
    assert result.exit_code == 1
    assert "written and verified, but it has not started" in result.output
    assert "Press RESET" in result.output


def test_another_chip(image: Path) -> None:
    with mock_bootloader("esp32s3", timeout=60) as other:
        result = flash(image, "--port", other.url(), "--no-wait")
    assert result.exit_code == 1
    assert "is an ESP32-S3, not an ESP32-C3; nothing was written" in result.output


def test_a_bad_image_reaches_no_chip(mock: MockHandle, tmp_path: Path) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(IMAGE[:-1])
    result = flash(path, "--port", mock.url(), "--no-wait")
    assert result.exit_code == 1
    assert "digest is wrong" in result.output
    assert holds(mock, b"\xff" * 4096)


def test_port_that_vanishes_while_writing(mock: MockHandle, image: Path) -> None:
    with SerialProxy(lambda _n: mock.port(), cut_after=60_000) as proxy:
        result = flash(image, "--port", proxy.url, "--no-wait")
    assert result.exit_code == 1
    assert "lost while writing" in result.output
    assert "hold BOOT" in result.output
    # The same command again brings everything in order.
    assert flash(image, "--port", mock.url(), "--no-wait").exit_code == 0
    assert holds(mock, IMAGE)


def test_port_that_vanishes_at_first(mock: MockHandle, image: Path) -> None:
    with SerialProxy(lambda _n: mock.port(), cut_after=600) as proxy:
        result = flash(image, "--port", proxy.url, "--no-wait")
    assert result.exit_code == 1
    assert "nothing was written" in result.output or "before anything was" in result.output
    assert holds(mock, b"\xff" * 4096)


def test_nobody_answers(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    plain = chip._try

    def counted(port: object, mode: str, attempts: int) -> object:
        tries.append(mode)
        return plain(port, mode, 1)  # type: ignore[arg-type]

    monkeypatch.setattr(chip, "_try", counted)
    ours, theirs = os.openpty()
    try:
        result = flash(image, "--port", os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)
    assert result.exit_code == 1
    assert "no chip answers" in result.output
    assert "hold BOOT" in result.output
    # The second look is for a board that a person has put into download mode: no reset then.
    assert tries == ["default-reset", "no-reset"]


def test_a_chip_that_answers_only_without_reset(mock: MockHandle) -> None:
    # Connection 1 is the look whether the port opens; 2 is the try with a reset, which fails.
    with SerialProxy(lambda n: None if n == 2 else mock.port()) as proxy:
        esp = chip.connect(find(proxy.url), attempts=1)
        assert esp.CHIP_NAME == "ESP32-C3"
        chip.release(esp)


def test_errors_are_for_people() -> None:
    # click prints these without a traceback and exits with 1.
    assert issubclass(chip.FlashError, click.ClickException)
    assert chip.FlashError("x").exit_code == 1
