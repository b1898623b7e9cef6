"""No secret of the whole run is in anything that the whole run said. Ordered last."""

from __future__ import annotations

import base64
import binascii
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.claim.board import write
from tools.harness import claim_data, leaks, suite
from tools.harness.bench import PASSWORD, POP, SimBench
from tools.harness.board import GAP
from tools.harness.dialogue import Dialogue
from tools.harness.owner import Owner, bind, link_id_of

pytestmark = pytest.mark.last

ROOT = Path(__file__).resolve().parents[1]
MAPPING_SECRET = "mapping/secret+of=the&leak-test"
USER_SECRET = "user-secret-of-the-leak-test"
NODE_MAIN = "print('main')\nimport homing\nhoming.run()\n"
WRONG = "wrong horse, wrong battery"
BANNER = (
    '@state {"state": "unprovisioned", "name": "PROV_1"}\n'
    "  proof of possession: %s\n"
    '  QR: {"ver":"v1","name":"PROV_1","pop":"%s","transport":"ble","security":1}\n'
)


@pytest.fixture(scope="module")
def life() -> None:
    """One life of a board with every kind of secret in it, for a process that ran little else."""
    with SimBench() as lab:
        _live(lab)


@pytest.fixture(scope="module")
def nodes() -> None:
    """Two more, with the credentials of nodes, written as a person writes them."""
    for kind in ("ec", "rsa"):
        found = claim_data.credentials(kind)
        with SimBench(identity={"pop": POP}, files={"main.py": NODE_MAIN}) as lab:
            lab.board.wait_text("main")
            lab.board.close()
            lab.real_time()
            write(lab.sim.port, found)
            lab.board.open()
            lab.board.wait_state("advertising")
            lab.talk(_associate_ec if kind == "ec" else _associate_rsa, POP)


async def _associate_ec(d: Dialogue) -> None:
    assert await d.ask("ch_resp", b"\x52\x05\x0a\x03abc")


async def _associate_rsa(d: Dialogue) -> None:
    texts = b"\x0a\x03u-1\x12" + bytes([len(USER_SECRET)]) + USER_SECRET.encode()
    assert await d.ask("cloud_user_assoc", b"\x52" + bytes([len(texts)]) + texts)


def _live(lab: SimBench) -> None:
    owner = Owner(lab.scene)

    async def work(d: Dialogue) -> None:
        await owner.link(await link_id_of(d))
        await bind(d, MAPPING_SECRET, await owner.access_token())
        await d.provision(lab.ssid, WRONG)
        await d.provision(lab.ssid, lab.password)

    lab.board.wait_state("advertising")
    lab.talk(work)
    lab.board.wait_text(r'"cloud": "thethings", "is": "linked"')
    lab.board.wait_text(r'"cloud": "rainmaker", "is": "confirmed"')
    print("what a test prints is searched as well")


# -- would it find anything? -----------------------------------------------------------------

SECRET = "t0p/Secret+with ümlaut&more"
RAW = SECRET.encode()
ENCODINGS: dict[str, Callable[[], str]] = {
    "raw": lambda: SECRET,
    "hex": lambda: binascii.hexlify(RAW).decode(),
    "HEX": lambda: binascii.hexlify(RAW).decode().upper(),
    "hex with colons": lambda: binascii.hexlify(RAW, ":").decode(),
    "base64": lambda: base64.b64encode(RAW).decode(),
    "base64, one byte on": lambda: base64.b64encode(b"x" + RAW + b"yz").decode(),
    "base64, two bytes on": lambda: base64.b64encode(b"xy" + RAW + b"z").decode(),
    "base64 for URLs": lambda: base64.urlsafe_b64encode(b'{"p":"' + RAW + b'"}').decode(),
    "URL": lambda: urllib.parse.quote(SECRET, safe=""),
    "URL form": lambda: urllib.parse.urlencode({"p": SECRET}),
    "URL, every byte": lambda: "".join(f"%{byte:02x}" for byte in RAW),
    "repr": lambda: repr({"p": SECRET}),
    "repr of bytes": lambda: repr(RAW),
    "JSON": lambda: json.dumps({"p": SECRET}),
    "list": lambda: repr(list(RAW)),
}


def test_a_secret_of_one_process_is_found_in_the_output_of_another() -> None:
    used, said = leaks.Record(), leaks.Record()
    used.secret(SECRET, leaks.WIFI)
    said.text("test", f"before {SECRET} after")
    together = leaks.Record()
    together.merge(used.packed())
    assert together.search() == []
    together.merge(said.packed())
    assert [f.what for f in together.search()] == [leaks.WIFI]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_planted_secret_is_found(encoding: str) -> None:
    record = leaks.Record()
    record.secret(SECRET, leaks.WIFI)
    record.text("test", "nothing here\nnor there")
    assert record.search() == []
    record.text("test", f"before {ENCODINGS[encoding]()} after")
    found = record.search()
    assert {(f.where, f.what) for f in found} == {("test", leaks.WIFI)}
    assert ENCODINGS[encoding]() not in "".join(map(str, found))


def test_the_banner_may_show_the_proof_and_nothing_else() -> None:
    record = leaks.Record()
    record.secret(POP, leaks.POP)
    record.secret(PASSWORD, leaks.WIFI)
    record.board_log("board a", BANNER % (POP, POP))
    assert record.search() == []
    record.board_log("board b", BANNER % (POP, PASSWORD))
    assert [f.what for f in record.search()] == [leaks.WIFI]


@pytest.mark.parametrize("state", ["advertising", "online", "provisioned"])
def test_the_proof_anywhere_else_is_found(state: str) -> None:
    record = leaks.Record()
    record.secret(POP, leaks.POP)
    record.board_log("board a", BANNER % (POP, POP) + f'@state {{"state": "{state}"}}\n')
    assert record.search() == []
    record.board_log("board b", f'@state {{"state": "{state}"}}\n  proof of possession: {POP}\n')
    assert [f.what for f in record.search()] == [leaks.POP]


def test_a_banner_whose_beginning_was_lost() -> None:
    record = leaks.Record()
    record.secret(POP, leaks.POP)
    banner = BANNER.partition("\n")[2] % (POP, POP)
    record.board_log("board a", f"{GAP}\n{banner}")
    assert record.search() == []
    record.board_log("board b", f'{GAP}\n@state {{"state": "online"}}\n{banner}')
    assert {f.what for f in record.search()} == {leaks.POP}


def test_what_a_board_answers_whoever_makes_its_label() -> None:
    record = leaks.Record()
    record.secret(POP, leaks.POP)
    record.secret(PASSWORD, leaks.WIFI)
    record.board_log("board a", f'>R\x01\x80\0\x01\x01\x04@label {{"pop": "{POP}"}}')
    assert record.search() == []
    record.board_log("board b", f'>R\x01\x80\0\x01\x01\x04@label {{"pop": "{PASSWORD}"}}')
    assert [f.what for f in record.search()] == [leaks.WIFI]
    record.board_log("board c", f'@label {{"pop": "{POP}"}}')
    assert {f.what for f in record.search()} == {leaks.WIFI, leaks.POP}


@pytest.mark.parametrize("also", ["pass", "assert False"])
def test_a_leak_fails_a_run_whose_failures_would_pass_when_run_again(
    also: str, tmp_path: Path
) -> None:
    test = tmp_path / "test_leaking.py"
    test.write_text(
        "from tools.harness import leaks\n"
        "def test_it():\n"
        f"    leaks.run().secret({SECRET!r}, leaks.WIFI)\n"
        f"    leaks.run().text('board', {SECRET!r})\n"
        f"    {also}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "tools.harness.suite"]
    command += ["-p", "no:cacheprovider", "--rootdir", tmp_path, "-c", "/dev/null", test]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == suite.LEAKED, done.stdout + done.stderr
    assert "LEAK board: Wi-Fi password (raw)" in done.stderr


TELLTALE = """
import homing
from binascii import hexlify
from homing.store import Store
async def app(me):
    print("debug:", hexlify(Store().open("wifi").get("password")))
homing.run(app)
"""


def test_a_board_that_tells_is_found_out(simulator: None) -> None:
    record = leaks.Record()
    with leaks.use(record), SimBench(files={"main.py": TELLTALE}) as lab:
        lab.board.wait_state("advertising")
        lab.provision()
        lab.board.wait_text("debug:")
    assert {(f.what, f.how) for f in record.search()} == {(leaks.WIFI, "hex")}
    assert {leaks.SESSION, leaks.POP, leaks.CLOUD} <= record.kinds()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_private_key_is_found_in_every_form(kind: str) -> None:
    found = claim_data.credentials(kind)
    record = leaks.Record()
    for secret in leaks.key_forms(found.key_der):
        record.secret(secret, leaks.NODE_KEY)
    record.text("test", found.certificate_der.hex())
    assert record.search() == []  # that is public
    number = found.key.private_numbers()
    secret = getattr(number, "private_value", None) or number.d  # type: ignore[union-attr]
    for text in (
        *claim_data.pem(found.key).decode().splitlines()[1:-1],
        *(found.key_der.hex(), base64.b64encode(found.key_der).decode()),
        *(f"{secret:x}", str(secret), repr(found.fields()["key"])),
    ):
        record.lines.clear()
        record.text("test", f"before {text} after")
        assert {f.what for f in record.search()} == {leaks.NODE_KEY}, text


# -- the whole run ---------------------------------------------------------------------------


def test_the_record_is_not_empty(simulator: None, life: None, nodes: None) -> None:
    record = leaks.run()
    record.finish()
    assert record.sources >= {"board", "serial", "cloud", "test"}
    assert record.kinds() >= {
        *(leaks.POP, leaks.WIFI, leaks.CLOUD, leaks.LINK),
        *(leaks.MAPPING, leaks.SESSION, leaks.TOKEN, leaks.NODE_KEY),
    }
    assert USER_SECRET.encode() in record.secrets
    assert WRONG.encode() in record.secrets
    assert any("joining" in line for line in record.lines)
    assert any("/v1/user/nodes/mapping" in line for line in record.lines)
    assert record.banner


def test_no_secret_in_anything_that_was_said() -> None:
    found = leaks.run().search()
    assert not found, "\n".join(sorted(set(map(str, found))))
