"""The world around simulated boards: its clock, its radio, its networks, and the boards in it.

    with World(speed=10) as world:
        world.add_access_point(b"home", b"secret123")
        board = world.new_board("a")
        board.power_on()

The world runs an asyncio loop in a thread of its own; the methods here are for other threads.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from . import image
from .board import SimBoard
from .channel import Channel
from .clock import Clock, WorldLoop
from .net import TimeServer
from .wifi import WPA2, AccessPoint

if TYPE_CHECKING:
    from .ether import Ether
    from .hci_pty import Radio
    from .phone import Phone

T = TypeVar("T")

_NTP_PORT = 123
_RUN_TIMEOUT_S = 120.0
_CLOSE_TIMEOUT_S = 10.0
# Real time to wait for boards to come to rest before time is skipped all the same.
_SETTLE_TIMEOUT_S = 1.0
_SETTLE_POLL_S = 0.005
_SETTLE_TURNS, _TIMER_TURNS = 8, 4  # of the loop, at most
# So many in which nothing else ran, and nothing will; with a radio at work, what was sent may need
# a moment to come out of the kernel.
_STILL_TURNS, _STILL_DELICATE_TURNS = 2, 4
_STEPS = 4000  # in a long skip, what happens closer together than 1/_STEPS of it happens at once
_COARSEST_US = 20_000_000


class World:
    """speed: how much faster than real the time goes. seed: of everything drawn by lot.

    start: the date at which the world begins (default: today, so that certificates fit).
    """

    def __init__(self, speed: float = 10.0, seed: int = 0, start: datetime | None = None) -> None:
        self.clock = Clock(speed, start)
        self.random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.loop = WorldLoop(self.clock)
        self.access_points: list[AccessPoint] = []
        self.boards: dict[str, SimBoard] = {}
        self.ntp = TimeServer(self.clock)
        self.skipping = False
        self._routes: dict[tuple[str, int], tuple[str, int]] = {}
        self._ether: Ether | None = None
        self._next_board = 1
        self._settled: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    # -- life --------------------------------------------------------------------------------

    def __enter__(self) -> World:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(ready,), daemon=True, name="world")
        self._thread.start()
        ready.wait()
        self.run(self.ntp.start(self.loop))

    def _live(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(ready.set)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def close(self) -> None:
        """Power off and throw away everything. Idempotent."""
        if self._closed or not self._thread:
            return
        self._closed = True
        try:
            self._submit(self._end()).result(_CLOSE_TIMEOUT_S)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(_CLOSE_TIMEOUT_S)

    async def _end(self) -> None:
        for board in list(self.boards.values()):
            board.close()
        self.ntp.close()
        if self._ether is not None:
            await self._ether.close()
        # A moment for what was just cut to unwind, then whoever is left is told.
        await asyncio.sleep(0)
        me = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not me]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2 * self.clock.speed)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()

    # -- threads -----------------------------------------------------------------------------

    def _submit(self, coro: Any) -> concurrent.futures.Future[Any]:
        return asyncio.run_coroutine_threadsafe(coro, self.loop)

    def run(self, coro: Awaitable[T], timeout_s: float = _RUN_TIMEOUT_S) -> T:
        """Run a coroutine on the world's loop and return what it returns; real seconds.

        Raises TimeoutError, and what the coroutine raises.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("world.run() on the world's own loop: await it instead")
        future = self._submit(_awaited(coro))
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise

    def do(self, func: Callable[..., T], *args: Any) -> T:
        """Call a plain function on the world's loop and return what it returns."""
        if threading.current_thread() is self._thread:
            return func(*args)

        async def call() -> T:
            return func(*args)

        return self.run(call())

    # -- networks ----------------------------------------------------------------------------

    def add_access_point(
        self, ssid: bytes | str, password: bytes | str = b"", auth: int = WPA2, **fields: Any
    ) -> AccessPoint:
        """Put up an access point; `fields` are those of wifi.AccessPoint."""
        ssid = ssid.encode() if isinstance(ssid, str) else ssid
        password = password.encode() if isinstance(password, str) else password
        number = len(self.access_points) + 1
        fields.setdefault("bssid", bytes((0x02, 0xAA, 0, 0, number >> 8, number & 0xFF)))
        up = fields.pop("up", True)
        point = AccessPoint(ssid, password, auth, **fields)
        point._up = up
        self.do(self.access_points.append, point)
        # Callers change `up` from their own threads; what follows from it belongs on the loop.
        point._run_on_loop = self.do
        return point

    def route(self, host: str, port: int, addr: str, to_port: int) -> None:
        """Let boards reach host:port at a real address; the name stays the name for TLS."""
        self._routes[host.lower(), port] = (addr, to_port)

    def unroute(self, host: str, port: int) -> None:
        self._routes.pop((host.lower(), port), None)

    def target(self, host: str, port: int) -> tuple[str, int] | None:
        """Where host:port leads; None refuses the connection."""
        routed = self._routes.get((host.lower(), port))
        if routed is None and port == _NTP_PORT:
            return self.ntp.address
        return routed

    def resolves(self, host: str, port: int) -> bool:
        """Whether DNS knows the name: any routed one, and every time server."""
        return port == _NTP_PORT or any(name == host.lower() for name, _port in self._routes)

    # -- radio -------------------------------------------------------------------------------

    @property
    def ether(self) -> Ether:
        """The Bluetooth air that all boards and phones share. On the loop only."""
        if self._ether is None:
            from .ether import Ether

            self._ether = Ether()
        return self._ether

    def phone(self, **options: Any) -> Phone:
        """A central on the air; `options` are those of Phone.on_ether."""

        async def make() -> Phone:
            from .phone import Phone

            return await Phone.on_ether(self.ether, **options)

        return self.run(make())

    def make_bridge(self, board: SimBoard, channel: Channel) -> Radio:
        """A fresh Bluetooth controller for a board's process. On the loop only."""
        from .hci_pty import make_radio

        address = (int.from_bytes(board.mac, "big") + 2).to_bytes(6, "big")
        own_host = image.has_bluetooth(board.interpreter)
        return make_radio(own_host, self.ether, channel, address.hex(":").upper(), board.name)

    # -- boards ------------------------------------------------------------------------------

    def new_board(
        self,
        name: str | None = None,
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        source: bool = False,
        heap: str | int | None = None,
        aioble: str | os.PathLike[str] | None = None,
        charge: bool = True,
        weak_above_dbm: float | None = None,
        transform: image.Transform | None = None,
        project: bool = True,
        interpreter: Sequence[str] | None = None,
        native: bool = False,
    ) -> SimBoard:
        """Make a board with the project on its flash; off until power_on().

        files: added, replaced, or with None taken away. source: no .mpy. heap: of MicroPython, as
        `-X heapsize` takes it. charge: let crypto cost what it is estimated to cost the chip.
        weak_above_dbm: access points do not hear it when it transmits above that power.
        transform(path, source): may change sources before they are compiled. project=False: only
        `files` are on it. interpreter: another MicroPython, as a command (see memory32.py).
        native: as a board whose native code works; without it that does not load here.
        """
        index = self._next_board
        self._next_board += 1
        name = name or f"board{index}"
        if name in self.boards:
            raise ValueError(f"there is a board {name}")
        if native:
            files = {**image.native_doubles(), **(files or {})}
        content = image.board_files(
            files, source=source, aioble=aioble, transform=transform, project=project
        )
        # Slow the first time: here, not on the loop.
        image.shim_dir(interpreter)
        importlib.import_module("tools.sim.hci_pty")

        def make() -> SimBoard:
            return SimBoard(self, name, index, content, heap, charge, weak_above_dbm, interpreter)

        board = self.do(make)
        self.boards[name] = board
        return board

    def remove_board(self, board: SimBoard) -> None:
        """Power it off and throw it away."""
        self.boards.pop(board.name, None)
        self.do(board.close)

    # -- time --------------------------------------------------------------------------------

    def set_speed(self, speed: float) -> None:
        def change() -> None:
            self.clock.set_speed(speed)
            self._tell_clock()

        self.do(change)

    def advance(
        self, *, hours: float = 0, minutes: float = 0, seconds: float = 0, timeout_s: float = 120
    ) -> None:
        """Skip time: every timer of every board and of the world fires on the way.

        Time jumps from one thing due to the next, and only while nobody is at work and no answer
        is under way on a network; `timeout_s` bounds the real time that takes.
        """
        self.run(self._advance(int((hours * 3600 + minutes * 60 + seconds) * 1e6)), timeout_s)

    def somebody_idles(self) -> None:
        """A board reported that only time can move it."""
        if self._settled:
            self._settled.set()

    def _tell_clock(self) -> None:
        for board in self.boards.values():
            board.tell_clock(self.skipping)

    async def _advance(self, us: int) -> None:
        target_us = self.clock.now_us() + us
        coarse_us = min(us // _STEPS, _COARSEST_US)
        self.skipping = True
        self._tell_clock()
        try:
            while self.clock.now_us() < target_us:
                due_us = await self._settle()
                now_us = self.clock.now_us()
                step_us = target_us if due_us is None else due_us
                if not any(board.delicate for board in self.boards.values()):
                    step_us = max(step_us, now_us + coarse_us)
                self.clock.skip_us(max(0, min(step_us, target_us) - now_us))
                # Timers of the loop first, so that what they send is ahead of the new time.
                await self._turns(_TIMER_TURNS)
                self._tell_clock()
            await self._settle()
        finally:
            self.skipping = False
            self._tell_clock()

    async def _turns(self, at_most: int) -> None:
        for _turn in range(at_most):
            await asyncio.sleep(0)
            if self.loop.still:
                return

    async def _settle(self) -> int | None:
        """Wait until only time can move anybody; when that is, in µs."""
        at_rest, states = False, []
        self._settled = asyncio.Event()
        real_end = time.monotonic() + _SETTLE_TIMEOUT_S
        try:
            while True:
                self._settled.clear()
                # What a board wrote to a socket before it reported is in the kernel by now: a few
                # turns of the loop take it from there, and then the network knows that it is busy.
                still = 0
                delicate = any(board.delicate for board in self.boards.values())
                enough = _STILL_DELICATE_TURNS if delicate else _STILL_TURNS
                for _turn in range(_SETTLE_TURNS):
                    states = [board.quiet() for board in self.boards.values()]
                    at_rest = all(quiet for quiet, _due in states)
                    if not at_rest or still == enough:
                        break
                    await asyncio.sleep(0)
                    still = still + 1 if self.loop.still else 0
                if at_rest or time.monotonic() > real_end:
                    break
                poll_s = _SETTLE_POLL_S * self.clock.speed
                look_again = self.loop.call_later(poll_s, self._settled.set)
                await self._settled.wait()
                look_again.cancel()
        finally:
            self._settled = None
        dues = [due for quiet, due in states if quiet and due is not None]
        timer_us = self.loop.next_timer_us()
        if timer_us is not None:
            dues.append(timer_us)
        return min(dues) if dues else None


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable
