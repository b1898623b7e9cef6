"""Finding a board's port: by path, by USB serial number, or because it is the only one."""

from __future__ import annotations

import errno
import os
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import serial
from click.testing import CliRunner

from tools import board_port
from tools.board_boot import SilentBoard, await_boot
from tools.board_port import BoardPort, PortError, find
from tools.cli import main
from tools.sim.world import World


@dataclass
class Fake:
    device: str
    serial_number: str | None = None
    vid: int | None = None
    pid: int | None = None


C3 = Fake("/dev/ttyACM0", "58:CF:79:01:02:03", 0x303A, 0x1001)
OTHER_C3 = Fake("/dev/ttyACM1", "58:CF:79:0A:0B:0C", 0x303A, 0x1001)
BRIDGE = Fake("/dev/ttyUSB0", "0001", 0x10C4, 0xEA60)
SAME_BRIDGE = Fake("/dev/ttyUSB1", "0001", 0x10C4, 0xEA60)
CH340 = Fake("/dev/ttyUSB2", None, 0x1A86, 0x7523)
MODEM = Fake("/dev/ttyS0")


def test_the_only_board() -> None:
    assert find(None, lambda: [MODEM, C3]) == BoardPort("/dev/ttyACM0", C3.serial_number, True)
    assert find("", lambda: [CH340, MODEM]) == BoardPort("/dev/ttyUSB2")


def test_by_serial_number() -> None:
    ports = [C3, OTHER_C3, BRIDGE]
    assert find("id:58:cf:79:0a:0b:0c", lambda: ports).address == "/dev/ttyACM1"
    assert find("id:0001", lambda: ports) == BoardPort("/dev/ttyUSB0", "0001", False)


def test_by_path_keeps_the_serial_number() -> None:
    assert find("/dev/ttyACM0", lambda: [C3]).serial_number == C3.serial_number
    assert find("socket://127.0.0.1:1", lambda: [C3]) == BoardPort("socket://127.0.0.1:1")


@pytest.mark.parametrize(
    ("spec", "ports", "said"),
    [
        (None, [], "no serial port is there"),
        (None, [MODEM], "no board found.*\n.*ttyS0"),
        (None, [C3, OTHER_C3], "several boards(.|\n)*id:58:CF:79:01(.|\n)*id:58:CF:79:0A"),
        ("id:123", [C3, MODEM], "no port has the serial number '123'(.|\n)*58:CF:79:01"),
        ("id:", [MODEM], "no port has"),
        ("id:0001", [BRIDGE, SAME_BRIDGE], "several ports have(.|\n)*ttyUSB1"),
        ("/dev/ttyACM9", [C3], "there is no /dev/ttyACM9(.|\n)*ttyACM0"),
    ],
)
def test_no_port(spec: str | None, ports: list[Fake], said: str) -> None:
    with pytest.raises(PortError, match=said):
        find(spec, lambda: ports)


def test_a_board_that_comes_back_under_another_name() -> None:
    plugged = [C3]
    port = find(None, lambda: list(plugged))
    plugged.clear()
    # Another board takes its name meanwhile.
    stranger = Fake("/dev/ttyACM0", "other", 0x303A, 0x1001)
    again = Fake("/dev/ttyACM3", C3.serial_number, 0x303A, 0x1001)
    timer = threading.Timer(0.3, lambda: plugged.extend([stranger, again]))
    timer.start()
    assert port.again(10).address == "/dev/ttyACM3"
    timer.join()


def test_a_board_that_stays_away() -> None:
    with pytest.raises(PortError, match="did not come back within"):
        BoardPort("/dev/ttyACM0", "gone", True, list).again(0.3)


@pytest.fixture
def silent() -> Iterator[str]:
    ours, theirs = os.openpty()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("verb", ["flash", "deploy"])
def test_port_in_use(verb: str, silent: str, tmp_path: object) -> None:
    from c3_image import flash_image

    image = f"{tmp_path}/good.bin"
    with open(image, "wb") as file:
        file.write(flash_image())
    arguments = [image] if verb == "flash" else ["--aioble", "tools/sim/standin", "--any-aioble"]
    with serial.Serial(silent, exclusive=True):
        result = CliRunner().invoke(main, [verb, *arguments, "--port", silent])
    assert result.exit_code == 1
    assert f"{silent} is in use by another program" in result.output


def test_reasons_for_a_closed_port() -> None:
    why = board_port.why_closed
    assert "no permission" in why("COM3", PermissionError(13, "denied")).message
    assert "usermod -aG dialout $USER" in why("/dev/none", PermissionError(13, "denied")).message
    assert "there is no" in why("COM3", OSError(2, "no such file")).message
    assert "cannot open COM3: odd" in why("COM3", ValueError("odd")).message


def test_a_port_that_goes_while_it_is_opened(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_args: object) -> None:
        raise termios.error(errno.EIO, "Input/output error")

    monkeypatch.setattr(termios, "tcsetattr", gone)
    with pytest.raises(PortError, match=f"cannot open {silent}"):
        board_port.open_serial(silent, 1)


def test_first_words_of_a_board() -> None:
    with World(speed=10) as world:
        board = world.new_board("a")
        waiting = threading.Timer(0.3, board.power_on)
        waiting.start()
        assert await_boot(find(board.port), 20).startswith('@boot {"homing"')
        waiting.join()
        # Without Homing there is the prompt, whose banner has gone by: it is asked for.
        bare = world.new_board("b", project=False)
        bare.power_on()
        bare.wait_log(">>>")
        assert await_boot(find(bare.port), 20).startswith("MicroPython ")


def test_a_board_that_is_faster_than_its_port() -> None:
    """Its `@boot` is lost while the port is away; what comes next will do."""
    with World(speed=10) as world:
        board = world.new_board("a")
        board.usb_away_s = 1.0
        port = find(f"id:{board.list_ports()[0].serial_number}", board.list_ports)
        board.power_on()
        assert board.list_ports() == []
        board.wait_log("@boot")
        assert await_boot(port, 20).startswith('@state {"state": "unprovisioned"')
        assert board.port != port.address


def test_a_board_in_download_mode_says_so() -> None:
    with World(speed=10) as world:
        board = world.new_board("a")
        board.set_pin(9, 0)
        threading.Timer(0.3, board.power_on).start()
        with pytest.raises(SilentBoard, match="waiting for download"):
            await_boot(find(board.port), 3)


def test_a_silent_board_is_given_up(silent: str) -> None:
    began = time.monotonic()
    with pytest.raises(SilentBoard, match="it said nothing"):
        await_boot(find(silent), 1)
    assert time.monotonic() - began < 20
