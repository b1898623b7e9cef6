"""Runs the board's cloud clients on the real MicroPython, against a LocalCloud in this process.

The board side is a script; its host names resolve to loopback through a socket module of the test's
own, so that names and certificates are really checked. What the script prints with `say` comes back
as a list.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tools.cloud import LocalCloud
from tools.cloud.app import RainMakerApp, ThethingsApp, session_for
from tools.sim.node_reports import NodeReports

NODE = "node-1"
SECRET = "mapping-secret-1"
USER = "a@example.com"

_LIB = Path(__file__).parent.parent.parent / "lib"
_MICROPYTHON = Path(sys.executable).parent / "micropython"

_SOCKET = """
from usocket import *
import usocket, _route

def getaddrinfo(host, port, *rest):
    if host not in _route.HOSTS:
        raise OSError(-2)
    return usocket.getaddrinfo("127.0.0.1", _route.PORT, *rest)
"""

# Time goes faster for the clients: what they would sleep is said and, up to a point, skipped.
_PRELUDE = """
import asyncio, json, sys, time, gc
import homing.cloud.roots as roots
import homing.cloud.https as https
from homing.store import Store
from homing.cloud.thethings import ThethingsIo
from homing.cloud.rainmaker import RainMaker
from homing.cloud import rainmaker_map, talk, thethings_link

roots.CERTS_DIR = _route_certs

def say(*what):
    print("\\x01" + json.dumps(what))

now_offset_s = 0

def now():
    return time.time() + now_offset_s

thethings_link.time = now
slept_ms = 0
_sleep_ms = asyncio.sleep_ms

class _Asyncio:
    # The clients' own pauses only: asyncio's inner workings and time-outs keep real time.
    def __getattr__(self, name):
        return getattr(asyncio, name)

    async def sleep_ms(self, ms):
        global slept_ms, now_offset_s
        slept_ms += ms
        now_offset_s += ms // 1000
        say("sleep", ms)
        await _sleep_ms(PAUSE_MS)

for module in (talk, thethings_link, rainmaker_map):
    module.asyncio = _Asyncio()

def report(state, **fields):
    say("state", state, fields)

store = Store(STORE_DIR)
"""


class Clock:
    """A clock for LocalCloud that only moves when told."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Lets pytest run an async test."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Board:
    """One board's flash (a directory) and identity; `run` is one boot."""

    def __init__(self, directory: Path, cloud: LocalCloud, identity: dict[str, str]) -> None:
        self._directory = directory
        self._cloud = cloud
        self._identity = identity
        self._shims = directory / "shims"
        self._certs = directory / "certs"
        self.store = directory / "store"
        for each in (self._shims, self._certs, self.store):
            each.mkdir(parents=True)
        (self._shims / "socket.py").write_text(_SOCKET)
        self.trust(cloud.ca_der)
        self.pause_ms = 20  # what a pause of the clients takes really
        self.prelude = ""  # more Python before the script
        self.options: tuple[str, ...] = ()  # of the interpreter
        self.output = ""

    def trust(self, der: bytes | None) -> None:
        """Put this authority into the board's /certs; None takes it away."""
        for host in self._cloud.hosts:
            path = self._certs / f"{host}.der"
            if der is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(der)

    async def run(self, script: str, *, timeout_s: float = 30.0, code: int = 0) -> list[Any]:
        """One boot: runs the script, returns what it said. `code`: the exit code it must have."""
        route = f"HOSTS = {list(self._cloud.hosts)!r}\nPORT = {self._cloud.port}\n"
        (self._shims / "_route.py").write_text(route)
        head = (
            f"_route_certs = {str(self._certs)!r}\nSTORE_DIR = {str(self.store)!r}\n"
            f"PAUSE_MS = {self.pause_ms}\nidentity = {self._identity!r}\n"
        )
        path = self._directory / "boot_script.py"
        path.write_text(head + _PRELUDE + self.prelude + script)
        process = await asyncio.create_subprocess_exec(
            str(_MICROPYTHON),
            *self.options,
            str(path),
            env={"MICROPYPATH": f"{self._shims}:{_LIB}:.frozen"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = output.decode(errors="replace")
        self.output += text
        assert process.returncode == code, text
        return [json.loads(line[1:]) for line in text.splitlines() if line.startswith("\x01")]


class BoardRig:
    """A cloud, its user's apps, and one board."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.cloud = LocalCloud()
        self.reports = NodeReports(self.cloud.rainmaker)

    async def __aenter__(self) -> BoardRig:
        await self.cloud.start()
        self.thing = self.cloud.thethings.add_thing()
        self.cloud.thethings.add_user(USER, "correct horse")
        self.cloud.rainmaker.accounts.add(USER, "correct horse")
        self.session = session_for(self.cloud.port, self.cloud.ca_pem)
        self.app = ThethingsApp(self.session)
        self.app.token = self.cloud.thethings.log_in(USER)
        self.maker = RainMakerApp(self.session)
        self.maker.token = self.cloud.rainmaker.accounts.log_in(USER)
        identity = {"thing_token": self.thing.token, "node_id": NODE}
        self.board = Board(self._directory / "board", self.cloud, identity)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.session.close()
        await self.cloud.stop()
        self.check_output()

    def check_output(self) -> None:
        """What the board printed holds no secret (the link id is printed by the tests)."""
        for secret in [*self.cloud.secrets(), SECRET]:
            raw = secret.encode()
            for form in (secret, raw.hex(), base64.b64encode(raw).decode()):
                assert form not in self.board.output

    async def get(self, url: str = "https://api.thethings.io/v2/x", **options: Any) -> list[Any]:
        """One plain request of the board; ["answer", status] or ["error", kind, detail]."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in options.items())
        said = await self.board.run(f"""
async def main():
    try:
        status, _headers, _body = await https.request("GET", {url!r}, {arguments})
        say("answer", status)
    except https.CloudError as e:
        say("error", e.kind, e.detail)
asyncio.run(main())
""")
        return said[-1]


async def until(
    condition: Callable[[], Any], boot: asyncio.Task[Any], timeout_s: float = 20.0
) -> None:
    """Wait for something in the cloud while a board runs; what ends the board early is raised."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            if boot.done():
                raise AssertionError(f"the board is done: {boot.result()}")
            await asyncio.sleep(0.01)


def states(said: list[Any]) -> list[str]:
    """The states reported, in order; a fault is appended in brackets."""
    return [
        s[1] + (f" [{s[2]['fault']}]" if "fault" in s[2] else "") for s in said if s[0] == "state"
    ]
