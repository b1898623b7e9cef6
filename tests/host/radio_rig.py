"""A board with nothing but a radio: the interpreter, the shims and one program, no flash, no world.

For tests of the radio alone. The program talks back with `note(...)`; `AIOBLE` in the environment
names the directory of a real aioble to use instead of the stand-in.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

from bumble import att

from tools.sim import image
from tools.sim.channel import Channel
from tools.sim.ether import Ether
from tools.sim.hci_pty import Radio, make_radio
from tools.sim.phone import Link, Phone

ROOT = Path(__file__).resolve().parents[2]
LIB = Path(os.environ.get("RADIO_LIB", ROOT / "lib"))
SIM = ROOT / "tools" / "sim"
# An interpreter with a host stack of its own is used with that: nothing of ours shadows it.
OWN_HOST = image.has_bluetooth()
SHIMS = [str(SIM / "shims" / "hci")] * OWN_HOST + [str(SIM / "shims")]
DEADLINE_S = float(os.environ.get("RADIO_DEADLINE_S", "20"))

# A router as the transport sees it: answers with what the endpoint's function says.
PRELUDE = """
import asyncio, _world
from homing.provisioning.ble import BleTransport

def note(*args):
    _world.notify("note", *args)

class Router:
    def __init__(self, **endpoints):
        self.endpoints = {k.replace("_", "-"): f for k, f in endpoints.items()}
        self.order = [n for n in ("prov-ctrl", "prov-scan", "prov-session", "prov-config",
                                  "proto-ver") if n in self.endpoints]
        self.order += sorted(n for n in self.endpoints if n not in self.order)
        self.session = None
        self.log = []
    def names(self):
        return self.order
    def open(self, session, way=None):
        self.session = session
        self.log.append(("open", session))
        return True
    def close(self, way=None):
        if self.session is not None:
            self.log.append(("close", self.session))
        self.session = None
    def handle(self, session, name, data):
        if session != self.session:
            raise ValueError("no session")
        self.log.append(("handle", name, len(data)))
        return self.endpoints[name](data)
"""


class Rig:
    """One board process with a radio on an ether; everything on the running loop."""

    def __init__(self, ether: Ether, number: int = 1, aioble: str | None = None) -> None:
        self.ether = ether
        self.address = f"02:00:00:00:00:{number:02X}"
        self.notes: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.out = ""
        self.bridge: Radio
        self.channel: Channel
        self._aioble = aioble or os.environ.get("AIOBLE")
        self._directory = tempfile.TemporaryDirectory()  # aioble may write a file where it runs
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]

    async def start(
        self,
        program: str,
        prelude: str = PRELUDE,
        lib: Path = LIB,
    ) -> Rig:
        """Run prelude + program."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.channel = Channel(ours)
        self.channel.register("note", lambda *args: self.notes.put_nowait(list(args)))
        self.channel.register("radio", lambda *_: None)
        self.channel.register("idle", lambda *_: None)
        self.bridge = make_radio(OWN_HOST, self.ether, self.channel, self.address)
        where = str(Path(self._aioble).parent) if self._aioble else str(SIM / "standin")
        env = {
            "MICROPYPATH": ":".join((*SHIMS, where, str(lib), ".frozen")),
            "HOMING_SIM_FD": str(theirs.fileno()),
            "HOMING_SIM_CONFIG": json.dumps({}),
        }
        self._process = await asyncio.create_subprocess_exec(
            *image.interpreter(),
            "-c",
            prelude + program,
            env=env,
            cwd=self._directory.name,
            pass_fds=(theirs.fileno(),),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        theirs.close()
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(4096):
            self.out += chunk.decode("utf-8", "replace")

    async def note(self, *expected: Any, timeout_s: float = DEADLINE_S) -> list[Any]:
        """The next note; it must begin with what is expected."""
        try:
            async with asyncio.timeout(timeout_s):
                got = await self.notes.get()
        except TimeoutError:
            raise AssertionError(f"no note {expected}; the board printed:\n{self.out}") from None
        assert got[: len(expected)] == list(expected), f"{got}; the board printed:\n{self.out}"
        return got[len(expected) :]

    async def kill(self) -> None:
        """Power off."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._reader
        self.channel.close()
        self.bridge.power_lost()
        self._directory.cleanup()


@contextlib.asynccontextmanager
async def radio(program: str, *, mtu: int = 517, aioble: str | None = None, **kwargs: Any) -> Any:
    """A board running the program and a phone."""
    ether = Ether()
    rig = await Rig(ether, aioble=aioble).start(program, **kwargs)
    phone = await Phone.on_ether(ether, mtu=mtu)
    try:
        yield rig, phone
    except BaseException:
        print(rig.out)
        raise
    finally:
        await phone.close()
        await rig.kill()
        await ether.close()


async def link_to(phone: Phone, name: str = "PROV_a") -> Link:
    """Find the board by name and connect."""
    return await phone.connect(await phone.find(name, DEADLINE_S))


def on_loop(test: Any) -> Any:
    """Run an async test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def refused(work: Any) -> int:
    """Await what must end in an ATT error; return its code."""
    try:
        got = await work
    except att.ATT_Error as error:
        return int(error.error_code)
    raise AssertionError(f"no ATT error but {got!r}")
