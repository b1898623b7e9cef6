"""A node with credentials is associated with a user before it has Wi-Fi: by the signature of its
key over a challenge (ch_resp), or, with an RSA key, by a user's secret (cloud_user_assoc)."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from bleak.exc import BleakGATTProtocolError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.unknown_fields import UnknownFieldSet

from tools.claim.board import store_files
from tools.harness import claim_data, leaks
from tools.harness.bench import POP, SimBench
from tools.harness.claim_data import NODE
from tools.harness.dialogue import Dialogue, Status, _parsed
from tools.harness.http_phone import HttpDialogue, NoAnswer
from tools.harness.stored import stored

MAIN = "import homing\nhoming.run(**%r)\n"
FORGET = "import homing; homing.forget_wifi()"
FACTORY_RESET = "import homing; homing.factory_reset()"
KEEP_TOKEN = """
from homing.store import Store
kept = Store().open("tokens")
kept.set("of the app", "token")
kept.commit()
"""
GET_NODE_ID, DISABLE, DISABLED = b"\x08\x02\x62\x00", b"\x08\x04", b"\x08\x01\x10\x03"
NODES = {kind: claim_data.credentials(kind) for kind in ("ec", "rsa")}
BOTH = (("ble",), ("softap",))


def board(kind: str = "ec", classic: bool = False, **options: Any) -> Any:
    """A simulated board with the credentials of a node whose key is of that kind."""
    files: dict[str, Any] = dict(store_files(NODES[kind], {"pop": POP}, classic))
    files["main.py"] = MAIN % options
    return pytest.mark.sim(identity={}, files=files)


def ways(kind: str, **options: Any) -> list[Any]:
    return [
        pytest.param(way[0], marks=board(kind, transports=way, **options), id=way[0])
        for way in BOTH
    ]


def talk(lab: SimBench, way: str, work: Any, waiting: bool = True) -> Any:
    if waiting:
        lab.board.wait_state("advertising")
    if way == "ble":
        return lab.talk(work, POP)
    address = lab.sim.soft_ap.join(lab.name()).address()

    async def whole() -> Any:
        async with HttpDialogue(address) as dialogue:
            await dialogue.secure(POP)
            return await work(dialogue)

    return lab.run(whole())


async def version(d: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await d.transport.send("proto-ver", b"ESP"))
    return told


async def refused(d: Any, endpoint: str, data: bytes) -> bool:
    try:
        await d.ask(endpoint, data)
    except (BleakGATTProtocolError, NoAnswer):
        return True
    return False


def field(number: int, data: bytes) -> bytes:
    assert len(data) < 0x80
    return bytes([number << 3 | 2, len(data)]) + data


def challenge(text: str) -> bytes:
    return field(10, field(1, text.encode()))


def members(data: bytes) -> dict[int, Any]:
    return {f.field_number: f.data for f in UnknownFieldSet(_parsed(data))}


def check_signature(reply: bytes, text: str) -> None:
    """As the cloud does it, with what the node's certificate says."""
    assert members(reply)[1] == 1
    inner = members(members(reply)[11])
    assert inner[2] == NODE.encode()
    key = NODES["ec"].certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(inner[1], text.encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(inner[1], text.encode() + b"x", ec.ECDSA(hashes.SHA256()))


async def associate(d: Any, user: str, secret: str) -> bytes:
    request = field(10, field(1, user.encode()) + field(2, secret.encode()))
    reply: bytes = await d.ask("cloud_user_assoc", request)
    return reply


# -- by signature ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ways("ec"))
def test_challenge_response(lab: SimBench, way: str) -> None:
    """Before Wi-Fi, and again after a wrong password; what was there of another user is gone."""
    texts = [secrets.token_urlsafe(48), "ü" * 30]

    async def work(d: Any) -> Status:
        told = await version(d)
        assert told["rmaker_extra"] == {"ver": "1.0", "cap": ["ch_resp"]}
        assert "rmaker" not in told
        assert list(told)[-1] == "prov"
        check_signature(await d.ask("ch_resp", challenge(texts[0])), texts[0])
        assert stored(lab.sim, "rainmaker") == {}
        await d.provision(lab.ssid, "not the password")
        assert stored(lab.sim, "rainmaker") == {"st": "signed"}
        check_signature(await d.ask("ch_resp", challenge(texts[1])), texts[1])
        return await d.provision(lab.ssid, lab.password)

    talk(lab, way, work)
    lab.board.wait_state("online")
    lab.board.wait_state("cloud", cloud="rainmaker", **{"is": "signed"})
    assert stored(lab.sim, "rainmaker") == {"st": "signed"}


@pytest.mark.parametrize("way", ways("ec"))
def test_what_is_not_answered_and_what_is_not_there(lab: SimBench, way: str) -> None:
    """The session goes on after each refusal; there is no cloud_user_assoc beside ch_resp."""

    async def work(d: Any) -> None:
        for request in (field(10, b""), field(10, field(1, b"")), GET_NODE_ID, b"\x08\x07"):
            assert await refused(d, "ch_resp", request)
        check_signature(await d.ask("ch_resp", challenge("still here")), "still here")
        if way == "ble":
            assert "ch_resp" in d.transport.endpoints
            assert "cloud_user_assoc" not in d.transport.endpoints
        else:
            with pytest.raises(ConnectionError, match="404"):
                await associate(d, "u-1", "s-1")

    talk(lab, way, work)


@board("ec")
def test_disabled_until_it_is_reset(lab: SimBench) -> None:
    async def disable(d: Dialogue) -> None:
        assert await d.ask("ch_resp", DISABLE) == b"\x08\x05"
        for request in (challenge("c"), GET_NODE_ID, DISABLE):
            assert await d.ask("ch_resp", request) == DISABLED

    async def still(d: Dialogue) -> None:
        assert await d.ask("ch_resp", challenge("c")) == DISABLED
        await d.provision(lab.ssid, lab.password)

    async def again(d: Dialogue) -> None:
        check_signature(await d.ask("ch_resp", challenge("c")), "c")

    talk(lab, "ble", disable)
    talk(lab, "ble", still, waiting=False)
    lab.board.wait_state("online")
    assert stored(lab.sim, "rainmaker") == {}  # it never signed
    lab.board.mpremote("exec", FORGET)
    lab.board.reset()
    lab.board.wait("boot")
    talk(lab, "ble", again)


@pytest.mark.sim(
    identity={},
    native=True,
    files={**store_files(NODES["ec"], {"pop": POP}), "main.py": MAIN % {}},
)
def test_native_code_for_the_curve_is_admitted(lab: SimBench) -> None:
    """With doubles of the native code: it is tried before the radios take the memory."""
    told = lab.board.wait_state("unprovisioned")
    assert told["native"] == ["ctr", "x25519", "p256"]

    async def work(d: Dialogue) -> None:
        check_signature(await d.ask("ch_resp", challenge("c")), "c")

    talk(lab, "ble", work)


@board("ec")
def test_a_signature_takes_the_chips_time(lab: SimBench) -> None:
    """Without native code 210 ms, in the interrupt: as long as a handshake there."""
    spent: list[int] = []

    async def work(d: Dialogue) -> None:
        clock = lab.world.clock
        for request in (GET_NODE_ID, challenge("c")):
            before = clock.now_ms()
            await refused(d, "ch_resp", request)
            spent.append(clock.now_ms() - before)

    lab.real_time()
    talk(lab, "ble", work)
    assert spent[1] - spent[0] > 100


# -- by a user's secret ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ways("rsa"))
def test_classic_association_of_an_rsa_key(lab: SimBench, way: str) -> None:
    secret = secrets.token_urlsafe(12)

    async def work(d: Any) -> None:
        told = await version(d)
        assert "rmaker_extra" not in told and "rmaker" not in told
        reply = await associate(d, "u-1", secret)
        assert members(members(reply)[11]) == {2: NODE.encode()}
        await d.provision(lab.ssid, "not the password")
        # In flash before any join, with the node's id already told to the app.
        assert stored(lab.sim, "rainmaker") == {"st": "pending", "user": "u-1", "secret": secret}
        await d.provision(lab.ssid, lab.password)

    talk(lab, way, work)
    lab.board.wait_state("online")
    assert stored(lab.sim, "rainmaker")["st"] in ("pending", "sent")
    assert leaks.run().secrets[secret.encode()] == {leaks.MAPPING}


@board("ec", classic=True)
def test_an_ec_key_can_be_associated_the_classic_way(lab: SimBench) -> None:
    async def work(d: Dialogue) -> None:
        assert "rmaker_extra" not in await version(d)
        assert "ch_resp" not in d.transport.endpoints
        await associate(d, "u-1", "mapping secret".replace(" ", "-"))

    talk(lab, "ble", work)


@board("rsa")
def test_another_user(lab: SimBench) -> None:
    """The report for a second user says that the first is to be unmapped; a third changes nothing
    about that."""

    def provision(user: str) -> None:
        async def work(d: Dialogue) -> None:
            await associate(d, user, f"secret-of-{user}")
            await d.provision(lab.ssid, lab.password)

        talk(lab, "ble", work)
        lab.board.wait_state("online")

    def again() -> None:
        lab.board.mpremote("exec", FORGET)
        lab.board.reset()
        lab.board.wait("boot")

    provision("user-a")
    assert "reset" not in stored(lab.sim, "rainmaker")
    again()
    provision("user-a")
    assert "reset" not in stored(lab.sim, "rainmaker")
    for user in ("user-b", "user-c"):
        lab.board.mpremote("exec", KEEP_TOKEN)
        assert stored(lab.sim, "tokens")
        again()
        provision(user)
        assert not stored(lab.sim, "tokens")  # of the former user's account
        found = stored(lab.sim, "rainmaker")
        assert (found["user"], found["secret"], found["reset"]) == (user, f"secret-of-{user}", 1)


# -- with and without credentials ------------------------------------------------------------------

SAYS = "no RainMaker node credentials: homing identity credentials, on your computer"


@pytest.mark.sim(identity={"pop": POP, "node_id": NODE}, files={"main.py": MAIN % {}})
def test_a_node_id_without_credentials(lab: SimBench) -> None:
    """As between the two commits of credentials that are exchanged: the board says what is missing,
    once, offers nothing that it cannot do, and provisions Wi-Fi."""

    async def work(d: Dialogue) -> None:
        told = await version(d)
        assert "rmaker_extra" not in told
        assert not {"ch_resp", "cloud_user_assoc"} & set(d.transport.endpoints)
        await d.provision(lab.ssid, lab.password)

    talk(lab, "ble", work)
    lab.board.wait_state("online")
    assert lab.board.log.count(SAYS) == 1


@board("ec")
def test_credentials_survive_a_factory_reset(lab: SimBench) -> None:
    async def sign(d: Dialogue) -> None:
        check_signature(await d.ask("ch_resp", challenge("c")), "c")
        await d.provision(lab.ssid, lab.password)

    talk(lab, "ble", sign)
    lab.board.wait_state("online")
    lab.board.mpremote("exec", FACTORY_RESET)
    lab.board.reset()
    lab.board.wait("boot")
    talk(lab, "ble", sign)
    assert SAYS not in lab.board.log


# -- the host tool ---------------------------------------------------------------------------------


@pytest.mark.sim(identity={"pop": POP}, files={"main.py": MAIN % {}})
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_written_over_the_serial_port(lab: SimBench, tmp_path: Any, kind: str) -> None:
    from click.testing import CliRunner

    from tools.cli import main

    lab.board.wait_state("advertising")
    lab.board.close()  # the tool wants the port
    folder = claim_data.folder(tmp_path, NODES[kind].key, NODES[kind].certificate)

    def homing(*arguments: str) -> str:
        # Time passes by itself meanwhile.
        result = CliRunner().invoke(
            main, ["identity", "credentials", "--port", lab.sim.port, *arguments]
        )
        assert result.exit_code == 0, result.output
        return result.output

    lab.real_time()
    said = homing(str(folder))
    assert said.endswith("written\n") and "already" not in said
    found = stored(lab.sim, "credentials")
    assert found == {k: v for k, v in NODES[kind].fields().items() if k != "node_id"}
    assert stored(lab.sim, "identity") == {"pop": POP, "node_id": NODE, "node_key": kind}
    assert homing(str(folder)).endswith("already so; nothing was written\n")
    assert homing("--erase").endswith("written\n")
    assert stored(lab.sim, "credentials") == {}
    assert stored(lab.sim, "identity") == {"pop": POP}
