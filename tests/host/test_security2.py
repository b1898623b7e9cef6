"""Security 0 and 2, and 1 and 2 together, on MicroPython without a radio. The client is other
people's: SRP-6a of PyPI's `srp`, AES-GCM of `cryptography`, `esp-protocomm` for Security 1."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from esp_protocomm.security1 import Security1, SecurityError
from esp_protocomm.session import establish_session
from peer import Peer

from tools.identity import verifier_fields
from tools.provision import flow
from tools.provision.client import Client
from tools.provision.schemes import GENERATOR, PRIME, USERNAME, Security0, Security2, establish

POP = "abcd1234"
STATUS, CONNECTING = bytes.fromhex("5200"), bytes.fromhex("08015a021001")
AGAIN = "a zero byte leads; try again"


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


class Refused(Exception):
    """As a transport fails."""


class Wire:
    """A transport of esp-protocomm to a board without one."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.sizes: list[tuple[int, int]] = []

    async def send(self, endpoint: str, data: bytes) -> bytes:
        reply = self._peer.ask("send", endpoint, data.hex())
        if reply.startswith("refused: "):
            raise Refused(reply.removeprefix("refused: "))
        self.sizes.append((len(data), len(reply) // 2))
        return bytes.fromhex(reply)


def service(peer: Peer, which: Any, pop: str | None = POP, **verifier: str) -> dict[str, Any]:
    return json.loads(peer.ask("service", which, pop, *verifier.values()))["prov"]


def secured(peer: Peer, scheme: Any) -> Any:
    """After a handshake; once more when a zero byte leads, as a client would."""
    while True:
        try:
            return asyncio.run(establish_session(Wire(peer), scheme))
        except (Refused, SecurityError) as error:
            if AGAIN not in str(error):
                raise
            peer.ask("prepare")


def asked(peer: Peer, session: Any, plain: bytes = STATUS) -> bytes:
    return session.decrypt(asyncio.run(Wire(peer).send("prov-config", session.encrypt(plain))))


def works(peer: Peer, scheme: Any) -> None:
    session = secured(peer, scheme)
    for _ in range(3):
        assert asked(peer, session) == CONNECTING


def test_security_2(peer: Peer) -> None:
    """With a verifier of the board's own making, of a person's PoP and user name."""
    assert service(peer, 2) == {
        "ver": "netprov-v1.2",
        "sec_ver": 2,
        "sec_patch_ver": 1,
        "cap": ["wifi_prov", "wifi_scan"],
    }
    for _ in range(3):
        works(peer, Security2(POP))
        peer.ask("prepare")
    assert peer.ask("asked").count("secured") >= 3


def test_sizes(peer: Peer) -> None:
    """Protocol's: all fit an attribute, and only long writes carry the first."""
    service(peer, 2)
    wire = Wire(peer)
    while not wire.sizes[2:]:
        wire.sizes.clear()
        try:
            session = asyncio.run(establish_session(wire, Security2(POP)))
            asyncio.run(wire.send("prov-config", session.encrypt(STATUS)))
        except (Refused, SecurityError) as error:
            assert AGAIN in str(error)
            peer.ask("prepare")
    assert wire.sizes[1:] == [(75, 89), (18, 22)]
    assert wire.sizes[0] in ((406, 416), (405, 416))  # srp sends no leading zeros


def test_verifier_of_the_host(peer: Peer) -> None:
    """The host's own computation, and the board that knows nothing else."""
    fields = verifier_fields(POP)
    salt, verifier = bytes.fromhex(fields["salt"]), int(fields["verifier"], 16)
    inner = hashlib.sha512(f"{USERNAME}:{POP}".encode()).digest()
    x = int.from_bytes(hashlib.sha512(salt + inner).digest(), "big")
    assert verifier == pow(GENERATOR, x, PRIME)
    assert salt[0] and len(salt) == 16
    service(peer, 2, None, **fields)
    works(peer, Security2(POP))


def test_wrong_proof_and_then_the_right_one(peer: Peer) -> None:
    service(peer, 2)
    for wrong in (Security2("abcd1235"), Security2(POP, username="wifiprog"), Security2("")):
        with pytest.raises(SecurityError):
            secured(peer, wrong)
        peer.ask("prepare")
    assert peer.ask("asked").count("wrong-pop") == 3
    works(peer, Security2(POP))


def test_patch_0_does_not_get_through(peer: Peer) -> None:
    """A client that does not read sec_patch_ver keeps its nonce: the second request fails."""
    service(peer, 2)
    session = secured(peer, Security2(POP, patch=0))
    with pytest.raises(SecurityError):  # the answer has the next nonce
        asked(peer, session)
    with pytest.raises(Refused, match="wrong tag"):
        asked(peer, session)


def test_a_changed_or_repeated_message(peer: Peer) -> None:
    service(peer, 2)
    session, wire = secured(peer, Security2(POP)), Wire(peer)
    request = session.encrypt(STATUS)
    for i in (0, 5, 17):
        changed = bytearray(request)
        changed[i] ^= 0x80
        with pytest.raises(Refused, match="wrong tag"):
            asyncio.run(wire.send("prov-config", bytes(changed)))
    answer = asyncio.run(wire.send("prov-config", request))
    for replay in (request, answer):
        with pytest.raises(Refused, match="wrong tag"):
            asyncio.run(wire.send("prov-config", replay))
    assert session.decrypt(answer) == CONNECTING
    assert asked(peer, session) == CONNECTING


class Person:
    """Types a wrong proof, then the right one."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._typed = ["wrong", POP]

    def stage(self, text: str) -> None:
        self.said.append(text)

    def ask_pop(self) -> str:
        return self._typed.pop(0)


@pytest.mark.parametrize("which", [0, 1, 2, [1, 2]])
def test_homing_provision(peer: Peer, which: Any) -> None:
    """Takes what the board tells of."""
    service(peer, which)
    client = Client(Wire(peer))

    async def whole() -> Person:
        version = await client.version()
        while True:
            person = Person()
            try:
                await flow._secure(person, client, version)  # type: ignore[arg-type]
                assert await client.exchange("prov-config", STATUS) == CONNECTING
                return person
            except Refused as error:
                assert AGAIN in str(error)
                peer.ask("prepare")

    person = asyncio.run(whole())
    assert (which == 0) == (person._typed == ["wrong", POP])
    assert (which == 0) != any("printed on its serial port" in text for text in person.said)


@pytest.mark.parametrize("which", ["K", "M1"])
def test_a_leading_zero_fails_one_handshake(peer: Peer, which: str) -> None:
    service(peer, 2)
    peer.ask("zero", which)
    with pytest.raises((Refused, SecurityError), match=AGAIN):
        asyncio.run(establish_session(Wire(peer), Security2(POP)))
    peer.ask("prepare")
    works(peer, Security2(POP))


def test_security_0(peer: Peer) -> None:
    told = service(peer, 0)
    assert (told["sec_ver"], told["sec_patch_ver"]) == (0, 0)
    assert told["cap"] == ["no_sec", "wifi_prov", "wifi_scan"]
    wire = Wire(peer)
    assert Security0().setup_request() == bytes.fromhex("5203a20100")
    for _ in range(2):
        session = asyncio.run(establish(wire, Security0()))
        assert asked(peer, session) == CONNECTING
    assert wire.sizes[0] == (5, 7)
    assert peer.ask("asked") == ["secured", "secured"]
    for scheme in (Security1(POP), Security2(POP)):
        with pytest.raises(Refused, match="not Security 0"):
            asyncio.run(establish_session(wire, scheme))
    assert peer.ask("send", "prov-session", "ff").startswith("refused: bad varint")


def test_security_0_needs_no_handshake(peer: Peer) -> None:
    service(peer, 0)
    assert asked(peer, Security0()) == CONNECTING


def test_both(peer: Peer) -> None:
    """Either, one after the other in one connection: the later ends the earlier."""
    told = service(peer, [1, 2])
    assert (told["sec_ver"], told["sec_patch_ver"]) == (2, 1)
    assert told["cap"] == ["wifi_prov", "wifi_scan"]
    for _ in range(2):
        works(peer, Security1(POP))
        works(peer, Security2(POP))
        peer.ask("prepare")
    one = secured(peer, Security1(POP))
    secured(peer, Security2(POP))
    with pytest.raises((Refused, SecurityError)):
        asked(peer, one)
    with pytest.raises(Refused, match="not Security 2"):
        asyncio.run(establish(Wire(peer), Security0()))


def test_both_in_disorder(peer: Peer) -> None:
    """Half of one and half of the other is neither; what fails leaves the session alone."""
    service(peer, [1, 2])
    wire = Wire(peer)
    one, two = Security1(POP), Security2(POP)
    one.handle_setup0_response(asyncio.run(wire.send("prov-session", one.setup0_request())))
    while True:
        reply = peer.ask("send", "prov-session", two.setup0_request().hex())
        if AGAIN not in reply:
            break
        peer.ask("prepare")
    two.handle_setup0_response(bytes.fromhex(reply))
    with pytest.raises(Refused, match="no key exchange"):
        asyncio.run(wire.send("prov-session", one.setup1_request()))
    two.handle_setup1_response(asyncio.run(wire.send("prov-session", two.setup1_request())))
    for bad in ("ff", "", "10015a00", "1003"):
        assert peer.ask("send", "prov-session", bad).startswith("refused: ")
    assert asked(peer, two) == CONNECTING


def test_both_tell_of_wrong_proofs(peer: Peer) -> None:
    """The service counts them, whichever scheme they were tried with."""
    service(peer, [1, 2])
    for i in range(5):
        with pytest.raises(SecurityError):
            secured(peer, (Security1, Security2)[i % 2]("wrong"))
        peer.ask("prepare")
    assert peer.ask("asked").count("wrong-pop") == 5
