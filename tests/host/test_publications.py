"""What main publishes for handlers, and takes from them, with events between any two statements.

Main publishes again and again while a handler looks. Every look must see one publication as a
whole. Each subject has a racy twin, in which one assignment is split in two: the same look must
catch it, or it would prove nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from radio_rig import ROOT, Rig, on_loop

from tools.sim.ether import Ether
from tools.sim.instrument import instrument

LOOKS = 400  # as often a handler looks; the racy twins end at the first fault, long before the last
LOOKS_RACY = 20_000

# main(n) publishes the n-th; look() is the handler and returns whether what it saw is whole.
COMMON = """
import _world
faults = looks = 0
def look(*args):
    global faults, looks
    _world.in_handler += 1
    try:
        looks += 1
        faults += not whole()
    finally:
        _world.in_handler -= 1
"""
LOOP = """
_world.on("look", look)
n = 0
while looks < %d and not faults:
    n += 1
    main(n)
    if n %% 256 == 0:
        _world.pump()
_world.notify("note", "done", faults)
_world.wait(60_000)
"""

CONFIG = """
from homing.protocomm.protobuf import decode
from homing.provisioning.config import CONNECTED, FAILED, PAYLOAD, ConfigEndpoint
asked = []
config = ConfigEndpoint(asked.append)
config(bytes.fromhex("080262140a066d7973736964120a6d7970617373776f7264"))
config(bytes.fromhex("0804"))
def main(n):
    if n & 1:
        config.failed(1, 0)
    else:
        n &= 7
        config.connected(1, "10.0.0.%d" % n, 3, b"net%d" % n, bytes(6), n or 8)
main(1)
def whole():
    reply = decode(PAYLOAD, config(bytes.fromhex("5200")))[11]
    if reply.get(2, 0) == 3:  # wifi_sta_state
        return config.state == FAILED
    got = reply[11]  # wifi_connected
    n = got[5] & 7
    return (config.state == CONNECTED and got[1] == "10.0.0.%d" % n and got[3] == b"net%d" % n)
"""

SCAN = """
from homing.protocomm.protobuf import decode, encode
from homing.provisioning.scan import PAYLOAD, ScanEndpoint
scan = ScanEndpoint(lambda item: None)
def main(n):
    n &= 3
    scan.publish([(b"%d-%d" % (n, i), bytes(6), n + 1, -40, 3) for i in range(n + 1)])
main(0)
def whole():
    scan(bytes.fromhex("5206080118052078"))
    count = decode(PAYLOAD, scan(b"\\x08\\x02"))[13][2]  # result_count
    page = scan(encode(PAYLOAD, {1: 4, 14: {2: count}}))
    entries = decode(PAYLOAD, page)[15][1]
    return len(entries) == count and all([e[2] == count for e in entries])  # channel
"""

KEYS = """
from homing.crypto import x25519
from homing.protocomm import security1
made = 0
def public_key(private):
    global made
    made += 1
    return b"%032d" % made
security1.x25519.public_key = public_key
security1.x25519.shared_secret = lambda private, peer: bytes(32)
_world.entropy = True
from homing.protocomm.protobuf import decode, encode
from homing.protocomm.security1 import SESSION_DATA
security = security1.Security1(b"pop")
used = set()
hello = encode(SESSION_DATA, {2: 1, 11: {20: {1: bytes(32)}}})
def main(n):
    security.prepare()
def whole():
    key = decode(SESSION_DATA, security.handshake(hello))[11][21].get(2)  # device_pubkey
    fresh = key and key not in used
    used.add(key)
    return fresh
"""

INTENTS = """
from homing.provisioning.intents import Intents
intents = Intents(size=4)
posted = taken = 0
def main(n):
    global taken, faults
    item = intents.get_nowait()
    if item is not None:
        faults += item != taken + 1
        taken = item
def whole():
    global posted
    try:
        intents.post(posted + 1)
        posted += 1
    except Exception:
        return posted - taken >= 4
    return True
"""

HELD = """
import json
from homing.cloud.fragments import parse
from homing.cloud.rainmaker import RainMaker
class Ns(dict):
    def set(self, key, value): self[key] = value
    def erase(self, key): self.pop(key, None)
ns = Ns()
cloud = RainMaker(ns, {"node_id": "n"}, None)
posted = 0
def main(n):
    global faults
    if cloud.take():
        faults += cloud._access_token() != [b"token" + ns["secret"].encode()]
def whole():
    global posted
    posted += 1
    fields = {"operation": "add", "secret_key": str(posted), "access_token": "token%d" % posted}
    cloud._held.append(parse([json.dumps(fields).encode()]))
    return True
"""

# Subject → (its program, file of the racy twin, one assignment, the same in two).
SUBJECTS = {
    "status": (
        CONFIG,
        "provisioning/config.py",
        "self._snapshot = (seq, _status(_CONNECTION_FAILED, 10, reason), FAILED)",
        "self._snapshot = (seq, self._snapshot[1], FAILED)\n"
        "        self._snapshot = (seq, _status(_CONNECTION_FAILED, 10, reason), FAILED)",
    ),
    "networks": (
        SCAN,
        "provisioning/scan.py",
        "self._snapshot = tuple(",
        "self._snapshot = (self._snapshot or ())[:1]\n        self._snapshot = tuple(",
    ),
    "key pair": (
        KEYS,
        "protocomm/security1.py",
        "self.next_key = _key_pair()",
        "self.next_key = (b'', b'')\n            self.next_key = _key_pair()",
    ),
    "intents": (
        INTENTS,
        "provisioning/intents.py",
        "return self._items.popleft()",
        "item = self._items.popleft()\n"
        "            if not self._items:\n"
        "                size = 8\n"
        "                self._items = deque((), size, 1)\n"
        "            return item",
    ),
    "token": (
        HELD,
        "cloud/rainmaker.py",
        "op, secret, user, self._token = self._held.popleft()",
        "self._token = self._held[0][3]\n"
        "            op, secret, user, _token = self._held.popleft()",
    ),
}


def library(where: Path, seed: int, file: str = "", whole: str = "", split: str = "") -> Path:
    """lib with points for events; with a replacement in one file for the racy twin."""
    for source in (ROOT / "lib" / "homing").rglob("*.py"):
        text = source.read_text()
        if file and str(source).endswith(file):
            assert text.count(whole) == 1, f"{file} no longer has {whole!r}: adapt the racy twin"
            text = text.replace(whole, split)
        target = where / source.relative_to(ROOT / "lib")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(instrument(text, seed))
    return where


async def run(program: str, lib: Path, looks: int) -> int:
    """Faults of one subject: 0 after that many looks, or 1."""
    rig = await Rig(Ether()).start(COMMON + program + LOOP % looks, prelude="", lib=lib)

    async def look() -> None:
        while True:
            await rig.channel.request("look")

    looking = asyncio.ensure_future(look())
    try:
        (faults,) = await rig.note("done", timeout_s=100)
    finally:
        looking.cancel()
        await rig.kill()
    assert "Traceback" not in rig.out, rig.out
    return faults


@pytest.mark.parametrize("subject", list(SUBJECTS))
@pytest.mark.parametrize("seed", [1, 2])
@on_loop
async def test_every_look_sees_a_whole(subject: str, seed: int, tmp_path: Path) -> None:
    assert await run(SUBJECTS[subject][0], library(tmp_path, seed), LOOKS) == 0


@pytest.mark.parametrize("subject", list(SUBJECTS))
@on_loop
async def test_a_publication_in_two_steps_is_caught(subject: str, tmp_path: Path) -> None:
    program, *twin = SUBJECTS[subject]
    assert await run(program, library(tmp_path, 1, *twin), LOOKS_RACY) > 0
