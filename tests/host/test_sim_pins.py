"""What `homing sim` tells of a board's pins, in bounds, and the buttons that are typed there."""

from __future__ import annotations

import os
import sys

import pytest

from tools.sim.buttons import Buttons
from tools.sim.pin_log import PinLog
from tools.sim.world import World


class _Pins:
    """A log of a time that is set by hand, read after every change as `homing sim` does."""

    def __init__(self, every: bool = False) -> None:
        self.now_s = 0.0
        self.log = PinLog(lambda: self.now_s, every)
        self.said: list[str] = []

    def blink(self, number: int, changes: int, every_s: float) -> None:
        for n in range(changes):
            self.log.changed(number, (n + 1) % 2)
            self.said += self.log.lines()
            self.now_s += every_s


ONE_BY_ONE = ["pin 8 = 1", "pin 8 = 0"] * 2


def test_a_blinking_pin_is_told_once() -> None:
    pins = _Pins()
    pins.blink(8, 1000, 0.5)
    assert pins.said == [*ONE_BY_ONE, "pin 8 blinks, a change every 500 ms (--pins shows each)"]
    pins.now_s += 5
    pins.said += pins.log.lines()
    assert pins.said[5:] == ["pin 8 = 0, steady after 1000 changes"]
    pins.blink(8, 1, 0)
    assert pins.said[6:] == ["pin 8 = 1"]


def test_slow_changes_are_all_told() -> None:
    pins = _Pins()
    pins.blink(8, 20, 6.0)
    assert pins.said == ["pin 8 = 1", "pin 8 = 0"] * 10


def test_another_pace_is_told() -> None:
    pins = _Pins()
    pins.blink(8, 40, 0.5)
    pins.blink(8, 200, 0.1)
    assert pins.said[5:] == [
        # The first look at the new pace may still have some of the old one in it.
        *(line for line in pins.said[5:-1] if "blinks" in line),
        "pin 8 blinks, a change every 100 ms (--pins shows each)",
    ]
    assert len(pins.said) <= 7


@pytest.mark.parametrize("every_s", [0.0, 0.0001])
def test_no_flood(every_s: float) -> None:
    pins = _Pins()
    pins.blink(8, 100_000, every_s)
    assert len(pins.said) <= 5


def test_a_reset_starts_anew() -> None:
    pins = _Pins()
    pins.blink(8, 100, 0.5)
    pins.log.changed(8, None)
    pins.blink(8, 100, 0.1)
    assert pins.said[5:] == [*ONE_BY_ONE, "pin 8 blinks, a change every 100 ms (--pins shows each)"]


def test_each_change_when_asked() -> None:
    pins = _Pins(every=True)
    pins.blink(8, 100, 0.5)
    assert pins.said == ["pin 8 = 1", "pin 8 = 0"] * 50


def test_buttons_typed_where_the_simulator_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "from machine import Pin\nimport time\nb = Pin(9, Pin.IN, Pin.PULL_UP)\nwas = 1\n"
        "print('started')\n"
        "while True:\n    if b.value() != was:\n        was = b.value()\n"
        "        print('boot', was, time.ticks_ms())\n    time.sleep_ms(10)\n"
    )
    reading, writing = os.pipe()
    with World(speed=10) as world, os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        boards = {
            name: world.new_board(name, files={"main.py": program}, project=False)
            for name in ("board1", "board2")
        }
        for board in boards.values():
            board.power_on()
            board.wait_log("started")
        buttons = Buttons(boards)
        os.write(writing, b"board2 boot 12\nboo")
        assert buttons.wait(5) == []
        pressed = boards["board2"].wait_log(r"boot 0 (\d+)\r?\n(?:.|\n)*boot 1 (\d+)")
        assert 11_900 <= int(pressed[2]) - int(pressed[1]) < 20_000
        os.write(writing, b"t\nhelp\n")
        assert "board1, board2" in buttons.wait(5)[0]
        boards["board1"].wait_log(r"boot 1")
        os.write(writing, b"reset\n")
        assert buttons.wait(5) == []
        boards["board1"].wait_log("(?s)started.*started")
        os.close(writing)
        assert buttons.wait(5) == buttons.wait(0) == []


def test_pins_of_a_board() -> None:
    program = (
        "from machine import Pin\nimport time\nlamp = Pin(8, Pin.OUT, value=1)\n"
        "lamp.on()\nlamp.off()\nPin(3, Pin.OUT).on()\nprint('found', Pin(3).value(), 'done')\n"
    )
    with World(speed=20) as world:
        board = world.new_board(files={"main.py": program}, project=False)
        log = PinLog(lambda: world.clock.now_us() / 1e6)
        board.on_pin = log.changed
        board.power_on()
        board.wait_log("found 1 done")
        assert list(log.lines()) == ["pin 8 = 1", "pin 8 = 0", "pin 3 = 1"]
        assert board.pins_out == {8: 0, 3: 1}
        board.reset()
        board.wait_log("(?s)done.*done")
        assert list(log.lines()) == ["pin 8 = 1", "pin 8 = 0", "pin 3 = 1"]
