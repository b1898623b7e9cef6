"""One simulated board: its flash, pins, clock, radios and serial line, over all its resets.

The public methods may be called from any thread; the work is done on the world's loop.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import costs, image
from .channel import Channel
from .flash import Flash, FlashOps
from .net import BoardNetwork
from .rfc2217 import Lines
from .soft_ap import SoftAp
from .supervisor import BOOTING, DOWNLOAD, OFF, REPL, RUNNING, Supervisor
from .tty import SerialLine
from .wifi import Station

if TYPE_CHECKING:
    from .hci_pty import Radio
    from .world import World

_BOOT_PIN = 9
_PWRON, _HARD, _WDT, _SOFT = 1, 2, 3, 5  # machine.reset_cause()
_ROM = "ESP-ROM:esp32c3-api1-20210207\r\n"
_RST = {
    "power": "rst:0x1 (POWERON)",
    "hard": "rst:0x3 (RTC_SW_SYS_RST)",
    "wdt": "rst:0x7 (TG0WDT_SYS_RST)",
}


@dataclass(frozen=True)
class UsbPort:
    """What pyserial's list_ports would say of a C3's own USB."""

    device: str
    serial_number: str
    vid: int = 0x303A
    pid: int = 0x1001


class SimBoard:
    """Made by World.new_board; off until power_on()."""

    def __init__(
        self,
        world: World,
        name: str,
        index: int,
        files: dict[str, bytes],
        heap: str | int | None,
        charge: bool,
        weak_above_dbm: float | None,
        interpreter: Sequence[str] | None = None,
    ) -> None:
        self.world = world
        self.name = name
        # Four addresses each: station, soft AP, Bluetooth, and one to spare.
        self.mac = bytes((0x02, 0x00, 0x53, 0x49)) + (4 * index).to_bytes(2, "big")
        self.weak_above_dbm = weak_above_dbm
        self.interpreter = interpreter
        self.charge_ms = costs.milliseconds() if charge else None
        self.violations: list[str] = []
        self.radios: set[str] = set()
        self.idf_heap: tuple[int, int] | None = None  # (free, largest block): overrides the model
        self.pins_out: dict[int, int] = {}  # what the board drives
        # (pin, level or None: let go), on the loop
        self.on_pin: Callable[[int, int | None], None] | None = None
        self.boots = 0
        self.bridge: Radio | None = None
        self._directory = tempfile.TemporaryDirectory(prefix=f"homing-{name}-")
        self.flash = Flash(Path(self._directory.name), image.build_image(files))
        self._pins: dict[int, int] = {}
        self._rtc: tuple[int, int] | None = None  # (µs since 2000, ticks µs when that was so)
        self._rtc_memory = ""
        self._next_press: tuple[float, float] | None = None
        self._powered = False
        self._in_reset = False  # EN is held low
        self._boot_low = False  # by the DTR line, not by set_pin
        self.usb_away_s: float | None = None  # USB inside the chip: the port leaves at every reset
        self._watchdog: Any = None
        self._idle: tuple[int | None, int] | None = None  # as reported: (deadline ticks ms, seen)
        loop = world.loop
        self.network = BoardNetwork(loop, world.target, world.resolves, self._is_online)
        self.soft_ap = SoftAp(world, self.mac, self.network.server)
        # After the network: the station tells it about the link from the first moment.
        self.station = Station(
            loop,
            world.access_points,
            self.mac,
            f"192.168.1.{10 + index % 240}",
            lambda: self.weak_above_dbm,
            self.network.link,
            self.soft_ap,
        )
        self._supervisor = Supervisor(
            loop,
            name,
            lambda on_input: SerialLine(loop, on_input),
            self._config,
            self._attach,
            self._process_gone,
            self._start,
            self._ready,
            heap,
            interpreter,
        )
        self._line = self._supervisor.line

    # -- serial ------------------------------------------------------------------------------

    @property
    def port(self) -> str:
        """The pty that mpremote and pyserial open."""
        return self._line.port

    @property
    def log(self) -> str:
        """Everything it has printed since it was made."""
        return self._line.log

    def wait_log(self, pattern: str, timeout_s: float = 45.0, start: int = 0) -> re.Match[str]:
        """The first match of a regular expression in log[start:]; real seconds.

        Raises TimeoutError with the log.
        """
        return self._line.wait_for(pattern, timeout_s, start)

    def write(self, data: bytes) -> None:
        """Type on its serial line."""
        self.world.do(self._supervisor._on_input, data)

    def serve_tcp(self, port: int = 0) -> int:
        """Offer the serial line as socket://127.0.0.1:port; returns the port."""
        return self.world.do(self._line.serve_tcp, port)

    def serve_rfc2217(self, port: int = 0) -> int:
        """Offer it as rfc2217://127.0.0.1:port too; returns the port. DTR and RTS are wired to
        BOOT and EN by two transistors, as on a devkit."""
        lines = Lines(self._set_lines)
        return self.world.do(self._line.serve_tcp, port, lines)

    def list_ports(self) -> list[UsbPort]:
        """The port as a computer lists it while it is there: its name may change, its serial number
        does not."""
        return [UsbPort(self.port, self.mac.hex(":").upper())] if self._line.plugged else []

    # -- power and buttons -------------------------------------------------------------------

    @property
    def state(self) -> str:
        """ "off", "booting", "running", "repl" or "download"."""
        return self._supervisor.state

    def power_on(self) -> None:
        """Apply power. Raises RuntimeError if it is on."""
        if self.state != OFF:
            raise RuntimeError(f"board {self.name} is on")
        self.world.do(self._start, "power")

    def power_off(self) -> None:
        """Take the power away, now: nothing is finished or closed."""
        self.world.do(self._power_off)

    def reset(self) -> None:
        """Press the reset button (EN): like a power cycle, RTC and all."""
        self.world.do(self._reset_button)

    def cut_power_after(self, block_ops: int, torn: float = 1.0) -> None:
        """Let the power fail in flash operation `block_ops` + 1 from now (programs and erases).

        `torn` is how much of that operation still reaches the flash: 0 nothing, 1 all of it.
        """
        self.world.do(self._cut_power_after, block_ops, torn)

    def cancel_power_cut(self) -> None:
        self.flash.cut_at = None
        self.world.do(self._send_cut)

    def wait_off(self, timeout_s: float = 45.0) -> None:
        """Wait until the power has failed; real seconds, TimeoutError with the log."""
        try:
            self.world.run(self._supervisor.stopped(), timeout_s)
        except TimeoutError:
            raise TimeoutError(f"still on after {timeout_s} s; it said:\n{self.log}") from None

    def set_pin(self, number: int, level: int | None) -> None:
        """Drive a pin from outside, or with None let it go."""
        self.world.do(self._set_pin, number, level)

    def press_boot(self, hold_s: float = 0.5) -> None:
        """Press BOOT (GPIO9) now and hold it for that many of the world's seconds."""
        self.world.do(self._press_boot, hold_s)

    def press_boot_after_reset(self, delay_s: float = 0.2, hold_s: float = 1.0) -> None:
        """Press BOOT that long after the next start of boot.py, once; the world's seconds."""
        self._next_press = (delay_s, hold_s)

    # -- flash -------------------------------------------------------------------------------

    @property
    def flash_ops(self) -> FlashOps:
        """Block operations so far: .programs, .erases, .total."""
        return self.flash.ops

    def files(self) -> dict[str, bytes]:
        """Path -> content of what is on the flash now, read by littlefs itself."""
        return self.flash.files()

    # -- on the loop -------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        clock = self.world.clock
        if self._rtc is None:
            self._rtc = (0, clock.ticks_us())
        return {
            "name": self.name,
            "clock": clock.base(),
            "image": str(self.flash.image_path),
            "ops": str(self.flash.ops_path),
            "blocks": image.BLOCK_COUNT,
            "cut_at": self.flash.cut_at,
            "torn": self.flash.torn,
            "mac": self.mac.hex(),
            "pins": {str(number): level for number, level in self._pins.items()},
            "rtc": self._rtc,
            "charge_ms": self.charge_ms,
        }

    def _start(self, kind: str) -> None:
        self._powered = True
        if self._in_reset:
            return  # when EN rises
        self.boots += 1
        cause = {"power": _PWRON, "hard": _HARD, "wdt": _WDT}.get(kind, _SOFT)
        if kind in _RST:
            if self.usb_away_s is not None:
                self._line.replug(self.usb_away_s)
            self._supervisor.raw = False
            held = self._pins.get(_BOOT_PIN) == 0
            mode = "0x5 (DOWNLOAD(USB/UART0/1))" if held else "0xd (SPI_FAST_FLASH_BOOT)"
            self._line.write(f"{_ROM}{_RST[kind]},boot:{mode}\r\n".encode())
            if held:
                self._line.write(b"waiting for download\r\n")
                self._supervisor.download_mode()
                return
        else:
            self._line.write(b"\r\nMPY: soft reboot\r\n")
        self._supervisor.start(cause=cause, repl_only=kind == "interrupted")

    def _ready(self) -> None:
        if self._next_press:
            delay_s, hold_s = self._next_press
            self._next_press = None
            self.world.loop.call_later(delay_s, self._press_boot, hold_s)

    def _power_off(self) -> None:
        self._powered = False
        self._supervisor.kill()
        self._supervisor.state = OFF
        self._rtc, self._rtc_memory = None, ""

    def _reset_button(self) -> None:
        if self.state == OFF:
            return
        self._power_off()
        self._start("power")

    def _set_lines(self, dtr: bool, rts: bool) -> None:
        # Only one of the two alone does something: RTS pulls EN down, DTR pulls BOOT down. The USB
        # inside the chip reads them the same way.
        boot_low, in_reset = dtr and not rts, rts and not dtr
        if boot_low != self._boot_low:
            self._boot_low = boot_low
            self._set_pin(_BOOT_PIN, 0 if boot_low else None)
        if in_reset == self._in_reset:
            return
        powered = self._powered
        if in_reset:
            self._power_off()
        self._powered, self._in_reset = powered, in_reset
        if powered and not in_reset:
            self._start("power")

    def _power_cut(self) -> None:
        self.flash.cut_at = None
        # Not from inside the channel's reader, which is still looping.
        self.world.loop.call_soon(self._power_off)

    def _cut_power_after(self, block_ops: int, torn: float) -> None:
        self.flash.cut_after(block_ops, torn)
        self._send_cut()

    def _send_cut(self) -> None:
        if self._supervisor.channel:
            self._supervisor.channel.send("flash.cut", self.flash.cut_at, self.flash.torn)

    def _set_pin(self, number: int, level: int | None) -> None:
        if level is None:
            self._pins.pop(number, None)
        else:
            self._pins[number] = level
        if self._supervisor.channel:
            self._supervisor.channel.send("pin", number, level)

    def _press_boot(self, hold_s: float) -> None:
        self._set_pin(_BOOT_PIN, 0)
        self.world.loop.call_later(hold_s, self._set_pin, _BOOT_PIN, None)

    def _attach(self, channel: Channel) -> None:
        self._idle = None
        self.station.attach(channel)
        self.network.attach(channel)
        self.soft_ap.attach(channel)
        channel.register("idle", self._report_idle)
        channel.register("violation", self.violations.append)
        channel.register("radio", self._radio)
        channel.register("rtc.set", self._rtc_set)
        channel.register("rtc.memory", self._rtc_store)
        channel.register("power.cut", self._power_cut)
        channel.register("pin.out", self._pin_out)
        channel.register("esp32.heap", lambda: self.idf_heap)
        channel.register("wdt", self._feed)
        channel.send("clock", *self.world.clock.base(), self.world.skipping)
        self.bridge = self.world.make_bridge(self, channel)

    def _process_gone(self, soft: bool) -> None:
        self.radios.clear()
        for number in self.pins_out if self.on_pin else ():
            self.on_pin(number, None)
        self.pins_out.clear()
        self.station.reset()
        self.soft_ap.reset()
        self.network.close()
        if self._watchdog:
            self._watchdog.cancel()
            self._watchdog = None
        bridge, self.bridge = self.bridge, None
        if bridge is not None and soft:
            bridge.stop()  # a soft reset switches the radio off in good order
        elif bridge is not None:
            bridge.power_lost()

    def _report_idle(self, deadline_ms: int | None, seen: int) -> None:
        self._idle = (deadline_ms, seen)
        self.world.somebody_idles()

    def _radio(self, name: str, active: bool) -> None:
        (self.radios.add if active else self.radios.discard)(name)

    def _pin_out(self, number: int, level: int) -> None:
        self.pins_out[number] = level
        if self.on_pin:
            self.on_pin(number, level)

    def _rtc_set(self, us: int, ticks_us: int) -> None:
        self._rtc = (us, ticks_us)

    def _rtc_store(self, data: str | None) -> str:
        if data is not None:
            self._rtc_memory = data
        return self._rtc_memory

    def _feed(self, timeout_ms: int) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        self._watchdog = self.world.loop.call_later(timeout_ms / 1000, self._supervisor.kill, "wdt")

    def _is_online(self) -> bool:
        ap = self.station.ap
        return bool(self.station.connected and ap and ap.up and ap.internet)

    def quiet(self) -> tuple[bool, int | None]:
        """Whether only time can move this board, and when (µs since the world began)."""
        state = self.state
        if state in (OFF, DOWNLOAD):
            return True, None
        channel = self._supervisor.channel
        under_way = (
            self.network.busy or self.soft_ap.busy or (self.bridge is not None and self.bridge.busy)
        )
        if under_way or channel is None or channel.waiting:
            return False, None
        if self._idle is None or self._idle[1] != channel.sent or self._idle[0] == -1:
            return state == REPL, None
        deadline_ms = self._idle[0]
        if deadline_ms is None:
            return True, None
        deadline_us = self.world.clock.ticks_ms_to_us(deadline_ms)
        return deadline_us > self.world.clock.now_us(), deadline_us

    @property
    def delicate(self) -> bool:
        """Whether its radios are in the middle of something: time must go in exact steps."""
        connected = self.bridge is not None and self.bridge.connected
        return connected or self.station.joining or self.network.in_use or self.soft_ap.in_use

    def tell_clock(self, skipping: bool) -> None:
        channel = self._supervisor.channel
        if channel and self.state in (BOOTING, RUNNING, REPL):
            channel.send("clock", *self.world.clock.base(), skipping)

    def close(self) -> None:
        """Throw the board away."""
        self._power_off()
        self.soft_ap.close()
        self._supervisor.close()
        self._directory.cleanup()
