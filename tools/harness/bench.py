"""What a board test has on its table: a board, a phone, a network, and perhaps a cloud."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from bleak.exc import BleakBluetoothNotAvailableError
from esp_protocomm.security1 import Security1
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiStatus, provision_wifi

from tools.board_port import BoardPort
from tools.sim.phone import Phone
from tools.sim.scene import Scene

from . import reset
from .board import Board, BoardError
from .dialogue import Dialogue, NotedTransport
from .journal import Journal

_T = TypeVar("_T")
_PASS_S = 0.2
_LISTEN_S = 0.01
_SCAN_RADIO_S = 1.0  # real seconds, through a simulated ether in another process
_SCAN_S = 2.0  # the simulated ether answers at once; a real one gets esp-protocomm's 10 s

SSID = "home"
PASSWORD = "correct horse"
THING_TOKEN = "thing-token-of-the-bench-0123456789"
NODE_ID = "bench-node-1"
POP = "K7QM2X9ADRT4"
SPEED = 2.0  # waits skip time anyway; so a slow host eats little of a deadline in the world


class BenchError(AssertionError):
    """The bench lacks something that the test needs; the text names the cure."""


class PhoneSide:
    """What a person with a phone does, by unmodified esp-protocomm; on any bench."""

    board: Board
    journal: Journal
    ssid = SSID
    password = PASSWORD
    scan_s = 10.0

    def run(self, work: Coroutine[Any, Any, _T], timeout_s: float = 120) -> _T:
        """Drive a coroutine of a client that is not ours; bleak works inside it."""
        raise NotImplementedError

    def pop(self) -> str:
        """The proof of possession as the board prints it."""
        return self.board.wait_text(r"proof of possession: (\S+)\s")[1]

    def name(self) -> str:
        """The board's BLE name; back when the board says that it can be found."""
        name = self.board.wait_text(r"\bname: (\S+)\s")[1]
        told = self.board.log.rfind('"unprovisioned"')
        if told >= 0:  # by homing.run; a program of its own may say nothing
            self.board.wait_text('"advertising"', start=told)
        return name

    def dialogue(self, name: str | None = None) -> Dialogue:
        """A connection to the board (or whoever advertises as `name`), for use inside run()."""
        return Dialogue(name or self.name(), self.scan_s, self.journal.note)

    def talk(
        self,
        work: Callable[[Dialogue], Coroutine[Any, Any, _T]],
        pop: str | None = None,
        name: str | None = None,
        scheme: Callable[[str], Any] = Security1,
    ) -> _T:
        """Connect to the board, secure, do `work` with it, hang up. scheme: of the proof; see
        tools.provision.schemes."""
        dialogue, pop = self.dialogue(name), self.pop() if pop is None else pop

        async def whole() -> _T:
            async with dialogue as d:
                await d.secure_by(lambda: scheme(pop))
                return await work(d)

        return self.run(whole())

    def provision(
        self, ssid: str | None = None, password: str | None = None, pop: str | None = None
    ) -> WifiStatus:
        """Find the board, secure, hand over Wi-Fi, wait for the outcome; the link ends then."""
        name, pop = self.name(), pop or self.pop()
        ssid = self.ssid if ssid is None else ssid
        password = self.password if password is None else password

        async def work() -> WifiStatus:
            async with NotedTransport(self.scan_s, self.journal.note) as transport:
                await transport.connect(name)
                security = await establish_session(transport, Security1(pop))
                return await provision_wifi(transport, security, ssid, password)

        return self.run(work())


class Bench(PhoneSide):
    """One board, whatever its address, with a phone and a network it may join."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Journal("")

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.board.close()

    def real_time(self) -> None:
        """From here on no time is skipped or sped up: a second of a bound is a second."""

    def check(self, quiet: bool = False) -> None:
        """Raise if something went wrong that no single wait would notice."""


class ExternalBench(Bench):
    """A board somewhere else: reached by its serial address, and by BLE if there is a radio.

    Every bench begins with a board that has forgotten its network and was reset.
    """

    def __init__(
        self,
        address: str,
        radio: str | None = None,
        ssid: str | None = None,
        password: str = "",
        ways: Sequence[reset.Way] | None = None,
        journal: Journal | None = None,
    ) -> None:
        """ways: to reset it. radio: a simulated one, over HCI; None: this computer's Bluetooth."""
        super().__init__(journal)
        self._ssid = ssid
        self.password = password
        self.board = Board(address, ways, note=self.journal.note)
        self._radio_address = radio
        if radio is not None:
            self.scan_s = _SCAN_RADIO_S

    @property
    def ssid(self) -> str:  # type: ignore[override]
        if self._ssid is None:
            raise BenchError("which network may the board join? Say --ssid and --password")
        return self._ssid

    def __enter__(self) -> ExternalBench:
        self.board.open()
        try:
            self._interrupt()
            self.board.type("import homing; homing.forget_wifi()")
            self.board.wait("ok", done="forget_wifi")
            self.board.reset()
            self.board.wait("boot")
        except BaseException:
            self.board.close()
            raise
        return self

    def _interrupt(self) -> None:
        try:
            self.board.to_repl()
        except BoardError:
            # A program that does not let go, or the raw REPL of a tool that was killed.
            self.board.reset()
            self.board.wait("boot")  # what is typed before that may be lost
            self.board.to_repl()

    def run(self, work: Coroutine[Any, Any, _T], timeout_s: float = 120) -> _T:
        async def bounded() -> _T:
            if self._radio_address is None:
                return await asyncio.wait_for(work, timeout_s)
            phone = await Phone.over_hci(self._radio_address)
            try:
                with phone.as_bleak():
                    return await asyncio.wait_for(work, timeout_s)
            finally:
                await phone.close()

        try:
            return asyncio.run(bounded())
        except BleakBluetoothNotAvailableError as error:
            raise BenchError(
                f"this computer has no Bluetooth that could be used ({error.args[0]}); a bench "
                "needs one to play the phone"
            ) from error


class SimBench(Bench):
    """A simulated board in a world of its own, with both clouds on loopback."""

    scan_s = _SCAN_S

    def __init__(
        self,
        identity: dict[str, str | None] | None = None,
        speed: float = SPEED,
        power: bool = True,
        journal: Journal | None = None,
        **board_options: Any,
    ) -> None:
        """identity: fields of the board's identity file; None for one with everything, {} for a
        bare board. power=False: the board is left off. Other options go to Scene.new_board; with
        node="ec" or "rsa" the board has the credentials of a RainMaker node."""
        super().__init__(journal)
        if identity is None:
            identity = {"pop": POP, "thing_token": THING_TOKEN, "node_id": NODE_ID}
        self._identity = identity
        self._power = power
        self._options = board_options
        self._skipping = True
        self._stack = contextlib.ExitStack()
        self.scene = Scene(speed, SSID, PASSWORD)
        self.world = self.scene.world
        self.cloud = self.scene.cloud

    def __enter__(self) -> SimBench:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.scene)
            self.access_point = self.scene.access_point
            self.cloud.thethings.add_thing(THING_TOKEN)
            self.sim = self.scene.new_board("a", self._identity, **self._options)
            self.cloud.observers.append(lambda entry: self.journal.note("cloud", str(entry)))
            own = reset.Own(self.sim.reset)
            ports = self.sim.list_ports
            port = BoardPort(self.sim.port, ports()[0].serial_number, True, ports)
            self.board = Board(port, [own], self._pass_time, self.journal.note)
            self.board.open()
            stack.callback(self.board.close)
            self.phone = self.scene.new_phone()
            stack.callback(lambda: self.world.run(self.phone.close()))
            if self._power:
                self.sim.power_on()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def check(self, quiet: bool = False) -> None:
        violations = list(self.sim.violations)
        if violations and not quiet:
            raise AssertionError(f"a BLE handler did what the chip forbids: {violations}")

    def run(self, work: Coroutine[Any, Any, _T], timeout_s: float = 120) -> _T:
        """Time is skipped whenever nobody is at work, until `work` is done."""
        deadline = time.monotonic() + timeout_s
        with self.phone.as_bleak():
            future = asyncio.run_coroutine_threadsafe(work, self.world.loop)
            try:
                while not future.done() and time.monotonic() < deadline:
                    self._pass_time()
                return future.result(0)
            finally:
                future.cancel()

    def real_time(self) -> None:
        self.world.set_speed(1)
        self._skipping = False

    def _pass_time(self) -> None:
        if self._skipping:
            self.world.advance(seconds=_PASS_S)
        else:
            time.sleep(_LISTEN_S)


@contextlib.contextmanager
def opened(address: str) -> Iterator[Board]:
    """A board at any serial address, closed at the end. Raises PortError."""
    board = Board(address)
    board.open()
    try:
        yield board
    finally:
        board.close()
