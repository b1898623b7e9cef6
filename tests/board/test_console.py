"""Provisioning over the REPL's serial port, by esp-protocomm and a cable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from bleak.exc import BleakError
from esp_protocomm.ble import TransportError
from esp_protocomm.security1 import Security1, SecurityError
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiState, provision_wifi

from tools.harness.bench import POP, Bench, SimBench
from tools.harness.board import Board
from tools.harness.dialogue import CONFIG, Dialogue
from tools.sim.image import image_files

FILES = {"main.py": "import homing\nhoming.run(transports=('ble', 'console'))\n"}
BOTH = pytest.mark.sim(files=FILES)
VERSION = "proto-ver 0 455350"


class Refused(Exception):
    """The board's line of refusal."""


class Cable:
    """esp-protocomm's transport: one line there, one line back."""

    def __init__(
        self, board: Board, session_id: int = 0, wait: Callable[[], None] = lambda: None
    ) -> None:
        self.board = board
        self.session_id = session_id
        self.wait = wait

    def line(self, text: str) -> str:
        start = len(self.board.log)
        self.board.write(text.encode() + b"\r")
        answer = r'(?m)^(?:@err \{"error": "console", "why": "(.*)"\}|((?:[0-9a-f]{2})+))\r$'
        found = self.board.wait_text(answer, start=start)
        if found[1]:
            raise Refused(found[1])
        return found[2]

    async def send(self, endpoint: str, data: bytes) -> bytes:
        self.wait()
        return bytes.fromhex(self.line(f"{endpoint} {self.session_id} {data.hex()}"))


def secured(cable: Cable, pop: str) -> Security1:
    return asyncio.run(establish_session(cable, Security1(pop)))


@BOTH
def test_provisioned_over_the_console(lab: SimBench) -> None:
    """Wrong proof, right proof, wrong password, right password; nothing on the air is needed."""
    lab.board.wait_state("advertising")
    lab.board.wait_text("console: this serial port; type help")
    cable = Cable(lab.board, wait=lambda: lab.world.advance(seconds=0.5))
    with pytest.raises(SecurityError):
        secured(cable, "WRONGWRONG22")

    async def work() -> list[WifiState]:
        security = await establish_session(cable, Security1(POP))
        return [
            (await provision_wifi(cable, security, lab.ssid, password, poll_interval=0)).state
            for password in ("wrong horse", lab.password)
        ]

    assert asyncio.run(work()) == [WifiState.CONNECTION_FAILED, WifiState.CONNECTED]
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("online")
    # The port is the REPL's alone again: lines are not answered any more.
    start = len(lab.board.log)
    lab.board.write(VERSION.encode() + b"\r")
    lab.world.advance(seconds=2)
    assert "6e" not in lab.board.log[start:]


@pytest.mark.sim(files={"main.py": "import homing\nhoming.run(transports=('console',))\n"})
def test_the_only_way_in(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert json.loads(bytes.fromhex(Cable(lab.board).line(VERSION)))["prov"]["sec_ver"] == 1
    assert "ble" not in lab.sim.radios
    said = lab.board.log
    assert "QR:" not in said and "advertising as" not in said  # a phone cannot come this way
    assert f"proof of possession: {POP}" in said
    assert secured(Cable(lab.board), POP)


LONG = "line longer than 1152 characters, or no memory for it"
BAD = [
    ("prov-session 0", "a line is: <endpoint> <session id> <request as hex>; or help"),
    ("prov-session 0 1 2", "a line is: <endpoint> <session id> <request as hex>; or help"),
    ("prov-nothing 0 00", "no such endpoint; help lists them"),
    ("prov-config -1 00", "a session id is a number from 0 to 4294967294"),
    ("prov-config 4294967295 00", "a session id is a number from 0 to 4294967294"),
    ("prov-config x 00", "a session id is a number from 0 to 4294967294"),
    ("prov-config 0 0", "the request is not hex, two digits a byte"),
    ("prov-config 0 zz", "the request is not hex, two digits a byte"),
    ("prov-config 0 5200", "not secured"),
    ("prov-session 0 " + "00" * 513, "request too long"),
    ("prov-session 0 " + "00" * 700, LONG),
    ("x" * 1153 + "\x7f", LONG),
    ("x" * 20_000, LONG),
]


@BOTH
def test_bad_lines(lab: SimBench) -> None:
    """One clear line each, and the next good line is answered."""
    lab.board.wait_state("advertising")
    cable = Cable(lab.board)
    for line, why in BAD:
        with pytest.raises(Refused) as refused:
            cable.line(line)
        assert refused.value.args[0] == why, line[:50]
        cable.line(VERSION)


@BOTH
def test_longest_request_and_what_a_person_types(lab: SimBench) -> None:
    """A message as long as Security 2's first; \\n for \\r; a correction; help."""
    lab.board.wait_state("advertising")
    cable = Cable(lab.board)
    cable.line("proto-ver 0 " + "55" * 512)
    command0 = (
        bytes.fromhex("1002 629103 a2018d03 0a08") + b"wifiprov" + b"\x12\x80\x03" + b"A" * 384
    )
    assert len(command0) == 406
    with pytest.raises(Refused, match="not Security 1"):
        cable.line("prov-session 0 " + command0.hex())
    cable.line("\r\n\n" + VERSION + "x\x7f")
    start = len(lab.board.log)
    lab.board.write(b"help\n")
    said = lab.board.wait_text(r"(?s)a line is.*endpoints: (.*?)\r\n.*or: (.*?)\r\n", start=start)
    assert {"prov-ctrl", "prov-session", "proto-ver", "cloud_link"} <= set(said[1].split(", "))
    assert said[2] == "reset all, reset wifi, help"


@BOTH
def test_a_new_number_is_a_new_session(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    one, two = Cable(lab.board, 0), Cable(lab.board, 7)
    security = secured(one, POP)
    status = b"\x52\x00"

    def ask(cable: Cable, security: Security1) -> bytes:
        return security.decrypt(asyncio.run(cable.send(CONFIG, security.encrypt(status))))

    assert ask(one, security) == bytes.fromhex("08015a021001")
    with pytest.raises(Refused, match="not secured"):
        two.line("prov-config 7 5200")
    with pytest.raises(Refused, match="not secured"):  # and the old one is gone with its keys
        ask(one, security)
    assert ask(two, secured(two, POP)) == bytes.fromhex("08015a021001")


@BOTH
def test_one_client_at_a_time(lab: SimBench) -> None:
    """Whoever has a session keeps the other way in shut, until it ends or idles for long."""
    lab.board.wait_state("advertising")
    cable = Cable(lab.board)
    dialogue = lab.dialogue()

    async def status(d: Dialogue) -> WifiState:
        return (await d.status()).state

    async def open_ble() -> None:
        await dialogue.open()
        await dialogue.secure(POP)

    cable.line(VERSION)  # to look is no session
    lab.run(open_ble())
    with pytest.raises(Refused, match="busy: another client has a session"):
        secured(cable, POP)
    assert lab.run(status(dialogue)) is WifiState.CONNECTING  # undisturbed
    lab.run(dialogue.close())
    lab.board.wait_state("client", up=False)
    security = secured(cable, POP)
    with pytest.raises((BleakError, TransportError, SecurityError)):
        lab.talk(status)
    cipher = security.encrypt(b"\x52\x00")
    assert security.decrypt(asyncio.run(cable.send(CONFIG, cipher)))
    lab.world.advance(seconds=320)
    assert lab.talk(status) is WifiState.CONNECTING


@BOTH
def test_reset_all(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert "nvs/thethings.dat" in image_files(lab.sim.flash.image_path)
    start = len(lab.board.log)
    lab.board.write(b"reset all\r")
    lab.board.wait_text(r'(?s)"factory_reset".*@boot', start=start)
    lab.board.wait_text(f"possession: {POP}", start=start)


@pytest.mark.timeout(3600)
@BOTH
def test_mpremote_at_any_time(bench: Bench, rounds: Callable[[int, int], range]) -> None:
    """The raw REPL, also in the middle of a line; and what was half a line never counts."""
    board = bench.board
    for turn in rounds(4, 20):
        board.wait_state("advertising")
        if turn % 2:
            board.write(b"prov-session 0 10015a25a2")
        assert board.mpremote("exec", "print(6 * 7)").strip() == "42"
        board.skip_to_now()
        board.write(b"\x04")
        board.wait("boot", cause="soft")
    board.wait_state("advertising")
    Cable(board).line(VERSION + "\rproto-ver 0 45")  # what follows is read along with it
    start = len(board.log)
    board.to_repl(1)
    assert "KeyboardInterrupt" in board.log[start:] and "@err" not in board.log[start:]
