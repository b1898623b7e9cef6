"""`homing flash`: a checked MicroPython image onto an ESP32-C3."""

from __future__ import annotations

from pathlib import Path

import click

from tools.board_boot import SilentBoard, await_boot
from tools.board_port import find

from . import chip, firmware

_REENUMERATE_S = 10.0
_BOOT_S = 20.0

_NO_IMAGE = """\
no image given. Get the release v1.29.0 (or newer) for the board ESP32_GENERIC_C3:
  by hand   micropython.org/download/ESP32_GENERIC_C3, the .bin file
  by tool   pipx run mpflash download --board ESP32_GENERIC_C3 --version v1.29.0
then      homing flash --port … ESP32_GENERIC_C3-….bin    (make flash PORT=… IMAGE=….bin)"""


@click.command(name="flash")
@click.argument("image", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--port", help="Path or URL of the port, or id:<USB serial number>.")
@click.option(
    "--erase", is_flag=True, help="Erase the whole flash first: files and credentials too."
)
@click.option("--baud", default=460800, show_default=True, help="Speed behind a UART bridge.")
@click.option("--stub/--no-stub", default=True, help="Use esptool's fast helper on the chip.")
@click.option("--wait/--no-wait", default=True, help="Wait until the new firmware has started.")
@click.option("--check-only", is_flag=True, help="Check the image, touch no board.")
def command(
    image: Path | None,
    port: str | None,
    erase: bool,
    baud: int,
    stub: bool,
    wait: bool,
    check_only: bool,
) -> None:
    """Check IMAGE, write it to an ESP32-C3, verify it, reset, and wait for the first words.

    Exit code: 0 done, 1 failed (the last lines say in which state the board is), 2 no image or
    wrong options.
    """
    if image is None:
        raise click.UsageError(_NO_IMAGE)
    try:
        data = image.read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read {image}: {error.strerror}") from error
    made = firmware.check(data)
    click.echo(
        f"{image.name}: MicroPython {made.version} for ESP32-C3, checksums and digests right"
    )
    if check_only:
        return
    board = find(port)
    esp = chip.connect(board)
    try:
        fast = 0 if board.native or "://" in board.address else baud
        esp = chip.write(esp, made.data, erase, stub, fast)
    except BaseException:
        chip.release(esp)
        raise
    chip.reset(esp)
    if not wait:
        return
    try:
        # Its number, if it has one, leads to it even if the system has named it anew.
        said = await_boot(board.again(_REENUMERATE_S), _BOOT_S)
    except SilentBoard as error:
        raise chip.FlashError(
            f"written and verified, but it has not started: {error.message}\n{chip.RESET_HINT}"
        ) from error
    click.echo(f"started: {said}")
