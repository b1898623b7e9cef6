"""Runs one board's interpreter and makes it behave like a chip behind a serial line.

The unix port ends its process where a chip soft-resets, leaves ^C to signals, and knows nothing
of reset causes; all of that is put right here. Lives on the world's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import image
from .channel import Channel
from .clock import WorldLoop
from .interrupt import Interrupt
from .tty import SerialLine

OFF, BOOTING, RUNNING, REPL, DOWNLOAD = "off", "booting", "running", "repl", "download"

_MARK = b"\x00\x1esim-repl\x1e\x00"
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_FRIENDLY_BANNER = b'Type "help()" for more information.'
_LONE_NEWLINE = re.compile(rb"(?<!\r)\n")
_READ_LEN = 1 << 16
_INPUT_LEN = 1 << 16  # held for a booting board; a chip's buffer is smaller
_EXIT_TIMEOUT_S = 5.0
_CRASHES = 3  # in a row, then the board stays off


class Supervisor:
    """One board's process, respawned over resets.

    `configure()` gives what the next process needs to know; `attach(channel)` registers the world's
    operations; `on_stop(soft)` hears that the process is gone, `on_ready()` that boot.py is next;
    `follow(kind)` starts again: "soft", "hard", "wdt", "interrupted" (the REPL, nothing else).
    """

    def __init__(
        self,
        loop: WorldLoop,
        name: str,
        line: Callable[[Callable[[bytes], None]], SerialLine],
        configure: Callable[[], dict[str, Any]],
        attach: Callable[[Channel], None],
        on_stop: Callable[[bool], None],
        follow: Callable[[str], None],
        on_ready: Callable[[], None],
        heap: str | int | None = None,
        interpreter: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self._loop = loop
        self.line = line(self._on_input)
        self._configure = configure
        self._attach = attach
        self._on_stop = on_stop
        self._follow = follow
        self._on_ready = on_ready
        self._heap = heap
        self._interpreter = interpreter
        self._process: subprocess.Popen[bytes] | None = None
        self._stdio: socket.socket | None = None
        self.channel: Channel | None = None
        self.state = OFF
        self.raw = False
        self._next: str | None = None  # what follows when the process has ended
        self._swallowing = False  # the friendly banner of a raw soft reset
        self._held, self._to_board = bytearray(), bytearray()
        self._tail = self._last_byte = b""
        self._stop = Interrupt(loop, self._executing, self._tell, self._signal, self._reads)
        self._crashes = 0
        self._stopped = asyncio.Event()
        self._stopped.set()

    # -- life --------------------------------------------------------------------------------

    def start(self, **config: Any) -> None:
        """Start a process. The board must be off."""
        if self._process:
            raise RuntimeError(f"board {self.name} is on")
        self._next = None
        self._stopped.clear()
        self.state = BOOTING
        self._tail = self._last_byte = b""
        self._held.clear()
        self._to_board.clear()
        config = {**self._configure(), **config}
        config["raw"] = self.raw
        self._swallowing = False
        ours, theirs = socket.socketpair()
        stdio, child_stdio = socket.socketpair()
        theirs.setblocking(False)  # the board's side reads what is there and no more
        heap = ["-X", f"heapsize={self._heap}"] if self._heap else []
        command = "import _rom; _rom.mount('/_sim'); import _simboot; _simboot.start(globals())"
        shims = str(image.shim_dir(self._interpreter))
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": shims,
            "TERM": "dumb",
            "MICROPYPATH": shims,
            "HOMING_SIM_FD": str(theirs.fileno()),
            "HOMING_SIM_CONFIG": json.dumps(config),
        }
        try:
            self._stop.struck = False
            self._process = subprocess.Popen(
                [*image.interpreter(self._interpreter), *heap, "-i", "-c", command],
                stdin=child_stdio.fileno(),
                stdout=child_stdio.fileno(),
                stderr=child_stdio.fileno(),
                cwd=shims,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError:
            for sock in (ours, stdio):
                sock.close()
            self.state = OFF
            self._stopped.set()
            raise
        finally:
            theirs.close()
            child_stdio.close()
        stdio.setblocking(False)
        self._stdio = stdio
        self._loop.add_reader(stdio, self._read_output)
        self.channel = Channel(ours)
        self.channel.register("ready", self._ready)
        self.channel.register("reset", self.reset)
        self.channel.register("interrupted", self._stop.taken)
        self._attach(self.channel)

    def kill(self, then: str | None = None) -> None:
        """End the process at once, as the power or a reset does. `then` is the next start."""
        self._next = then
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._ended(drain=True)
        elif then:
            self._follow(then)

    def reset(self, kind: str) -> Any:
        """The board resets itself: "soft", "hard" or "wdt". Never answered: the board is gone."""
        # Not from inside the channel's reader, which is still looping.
        self._loop.call_soon(self.kill, kind)
        return self._loop.create_future()

    @property
    def process_id(self) -> int | None:
        """Of the interpreter, while it runs."""
        return self._process.pid if self._process else None

    async def stopped(self) -> None:
        await self._stopped.wait()

    def close(self) -> None:
        self.kill()
        self.line.close()

    def download_mode(self) -> None:
        """The ROM waits for esptool: nothing of ours runs."""
        self.state = DOWNLOAD

    def _ended(self, drain: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._stop.taken()
        if drain:
            self._read_output()
        try:
            code = process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if self._stdio:
            if drain:
                self._read_output()
            self._loop.remove_reader(self._stdio)
            self._loop.remove_writer(self._stdio)
            self._stdio.close()
            self._stdio = None
        self._emit(self._tail, final=True)
        self._tail = b""
        if self.channel:
            self.channel.drain()  # its last words
            self.channel.close()
        was, self.state = self.state, OFF
        self._on_stop(self._next == "soft" if drain else was == REPL and code >= 0)
        self._stopped.set()
        if drain:
            if self._next:
                self._follow(self._next)
            return
        # It ended by itself. At a prompt that is ^D or SystemExit: a soft reset; or the end of an
        # interpreter whose heap a signal has locked.
        if was == REPL and code >= 0:
            self._crashes = 0
            self._follow("interrupted" if code == 1 and self._stop.struck else "soft")
            return
        self._crashes += 1
        self.line.write(f"\r\n[simulator: the interpreter ended with {code}]\r\n".encode())
        if code == 1 or code == -signal.SIGINT:
            self._follow("interrupted")
        elif self._crashes < _CRASHES:
            self._follow("hard")

    # -- what the board says -----------------------------------------------------------------

    def _ready(self) -> None:
        if self.state == BOOTING:
            self.state = RUNNING
            self._on_ready()
        held, self._held = bytes(self._held), bytearray()
        if held:
            self._on_input(held)

    # -- output ------------------------------------------------------------------------------

    def _read_output(self) -> None:
        while self._stdio:
            try:
                data = self._stdio.recv(_READ_LEN)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if not data:
                if self._process:
                    self._ended()
                return
            self._stop.output_at = time.monotonic()
            self._output(data)

    def _output(self, data: bytes) -> None:
        data = self._tail + data
        # Hold back what may be the beginning of the mark.
        self._tail = b""
        before, mark, after = data.partition(_MARK)
        if not mark:
            cut = data.rfind(b"\x00")
            if cut >= 0 and _MARK.startswith(data[cut:]):
                self._tail, data = data[cut:], data[:cut]
            self._emit(data)
            return
        self._emit(before)
        self._stop.cancel()
        self.state = REPL
        self._crashes = 0
        if self.raw:
            self._swallowing = True
            self._send(b"\x01")
        self._emit(after)

    def _emit(self, data: bytes, final: bool = False) -> None:
        if self._swallowing:
            start = data.find(_RAW_BANNER)
            if start < 0:
                if not final:
                    self._tail = data + self._tail
                return
            self._swallowing = False
            data = data[start:]
        if not data:
            return
        raw_at, friendly_at = data.rfind(_RAW_BANNER), data.rfind(_FRIENDLY_BANNER)
        if raw_at != friendly_at:
            self.raw = raw_at > friendly_at
        if not self.raw:
            # A chip's console turns \n into \r\n. In raw mode this may be binary: left alone.
            before = self._last_byte if self._last_byte == b"\r" else b""
            data = _LONE_NEWLINE.sub(b"\r\n", before + data)[len(before) :]
        self._last_byte = data[-1:]
        self.line.write(data)

    # -- input -------------------------------------------------------------------------------

    def _on_input(self, data: bytes) -> None:
        if self.state in (OFF, DOWNLOAD):
            return
        if self.state == BOOTING:
            if len(self._held) + len(data) <= _INPUT_LEN:
                self._held += data
            return
        first, *others = data.split(b"\x03")
        self._send(first)
        for part in others:
            if not self._executing():
                self._send(b"\x03")
            elif self.state == RUNNING:
                self._stop.ask()
            else:
                self._stop.strike()  # code typed at the prompt need not look at its channel
            self._send(part)

    def _executing(self) -> bool:
        """Whether Python code runs, and not the prompt: only then is ^C a signal."""
        if self._to_board or not self._process:
            return False
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return self.state == RUNNING  # no /proc: code typed at the prompt is not interrupted
        match = re.search(r"SigCgt:\s*([0-9a-f]+)", status)
        return bool(match and int(match[1], 16) >> (signal.SIGINT - 1) & 1)

    def _reads(self) -> int:
        """System calls that read, so far; 0 where that cannot be known."""
        try:
            found = re.search(r"syscr: (\d+)", Path(f"/proc/{self.process_id}/io").read_text())
        except OSError:
            return 0
        return int(found[1]) if found else 0

    def _tell(self, event: str) -> None:
        if self.channel:
            self.channel.send(event)

    def _signal(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)

    def _send(self, data: bytes) -> None:
        if data and self._stdio:
            idle = not self._to_board
            self._to_board += data
            if idle:
                self._flush_input()

    def _flush_input(self) -> None:
        if not self._stdio:
            return
        try:
            count = self._stdio.send(self._to_board)
        except (BlockingIOError, InterruptedError):
            count = 0
        except OSError:
            self._to_board.clear()
            return
        del self._to_board[:count]
        if self._to_board:
            self._loop.add_writer(self._stdio, self._flush_input)
        else:
            self._loop.remove_writer(self._stdio)
