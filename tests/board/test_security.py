"""Whole provisionings with Security 2, 0, and 1 and 2 together, over BLE, on simulated boards whose
native code works or does not. Security 2's client is PyPI's `srp` and `cryptography`; Security 1's
is esp-protocomm; its messages carry all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import Any

import pytest
from bleak.exc import BleakGATTProtocolError
from click.testing import CliRunner
from esp_protocomm.security1 import SecurityError
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiState

from tools import identity
from tools.harness.bench import NODE_ID, POP, SPEED, THING_TOKEN, SimBench
from tools.harness.dialogue import Dialogue
from tools.harness.owner import bind, link_id_of
from tools.harness.stored import stored
from tools.identity import verifier_fields
from tools.provision.binding import BindingError
from tools.provision.schemes import Security0, Security2, establish

HAZARD = "00000071"  # the hash of "wifiprov:00000071" begins with a zero byte
KERNELS = ["ctr", "sha512", "ghash", "mod3072"]
AGAIN_S = 1.0


KNOWN = {"pop": POP} | verifier_fields(POP)  # so that no time goes into making it


def board(
    main: str = "security=2",
    identity: dict[str, Any] = KNOWN,
    native: bool = True,
    speed: float = SPEED,
):
    files = {"main.py": f"import homing\nhoming.run({main})\n"}
    return pytest.mark.sim(identity=identity, files=files, native=native, speed=speed)


def by_security_2(lab: SimBench, work: Any = None) -> Any:
    """Provision, or do `work`, over one connection; what came of it."""
    work = work or (lambda d: d.provision(lab.ssid, lab.password))
    return lab.talk(work, POP, scheme=Security2)


def told(lab: SimBench) -> dict[str, Any]:
    dialogue = lab.dialogue()

    async def ask() -> Any:
        async with dialogue as d:
            return json.loads(await d.transport.send("proto-ver", b"ESP"))

    return lab.run(ask())["prov"]


def qr(lab: SimBench) -> dict[str, Any]:
    return json.loads(lab.board.wait_text(r"  QR: (\{.*\})")[1])


def refused_at_start(lab: SimBench, why: str) -> None:
    lab.board.wait_text(rf"ValueError: [^\n]*{why}")
    assert '"advertising"' not in lab.board.log


@board(identity={"pop": POP})
def test_security_2(lab: SimBench) -> None:
    """Found, scanned, joined; the verifier is made once, at first boot, and kept."""
    assert lab.board.wait_state("unprovisioned")["native"] == KERNELS
    lab.board.wait_state("advertising")
    assert qr(lab) == {
        "ver": "v1",
        "name": lab.name(),
        "username": "wifiprov",
        "pop": POP,
        "transport": "ble",
        "security": 2,
    }
    assert "making the verifier" in lab.board.log
    kept = stored(lab.sim, "identity")
    assert len(kept["salt"]) == 16 and len(kept["verifier"]) == 384
    prov = told(lab)
    assert (prov["sec_ver"], prov["sec_patch_ver"]) == (2, 1)
    assert prov["sec_patch_ver"].__class__ is int

    async def work(d: Dialogue) -> Any:
        assert (await d.ask("prov-scan", bytes.fromhex("5206080118052078"))).hex() == "08015a00"
        return await d.join(b"home", b"wrong password"), await d.provision(lab.ssid, lab.password)

    wrong, right = by_security_2(lab, work)
    assert wrong.state is WifiState.CONNECTION_FAILED
    assert right.state is WifiState.CONNECTED
    lab.board.wait_state("online")
    assert not lab.sim.violations
    start = len(lab.board.log)
    lab.board.to_repl()
    lab.board.type("import homing, machine; homing.forget_wifi(); machine.reset()")
    lab.board.wait_text('"advertising"', start=start)
    assert "making the verifier" not in lab.board.log[start:]
    assert stored(lab.sim, "identity") == kept


@board()
def test_security_2_in_the_chips_time(lab: SimBench) -> None:
    """A client waits as long as it would for a chip."""
    lab.board.wait_state("advertising")
    dialogue = lab.dialogue()

    async def whole() -> list[float]:
        times: list[float] = []
        async with dialogue as d:
            while len(times) < 2:
                start = asyncio.get_running_loop().time()
                with contextlib.suppress(BleakGATTProtocolError):
                    await establish_session(d.transport, Security2(POP))
                    times.append(asyncio.get_running_loop().time() - start)
                await asyncio.sleep(AGAIN_S)
        return times

    # 72 M instructions, × 1.3 at 160 MHz: 0.58 s, of which native code is charged.
    assert all(seconds > 0.5 for seconds in lab.run(whole()))


@board(native=False)
def test_without_native_code_it_is_refused(lab: SimBench) -> None:
    refused_at_start(lab, "6 seconds a client .*--native.* slow_security2=True")


@board("security=2, slow_security2=True", native=False, speed=10)
def test_without_native_code_it_may_be_forced(lab: SimBench) -> None:
    lab.board.wait_text("WARNING: no native code")
    lab.board.wait_state("advertising", timeout_s=60)

    async def work(d: Dialogue) -> Any:
        seconds = asyncio.get_running_loop().time() - start
        return seconds, await d.provision(lab.ssid, lab.password)

    start = lab.world.loop.time()
    seconds, status = by_security_2(lab, work)
    assert seconds > 5  # 743 M instructions; a client's ATT gives up after 30
    assert status.state is WifiState.CONNECTED


@board(identity={"pop": POP, "username": "max"} | verifier_fields(POP, "max"))
def test_wrong_proofs_and_another_user_name(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert qr(lab)["username"] == "max"
    dialogue = lab.dialogue()

    async def whole() -> Any:
        async with dialogue as d:
            for pop, username in (("K7QM2X9ADRT5", "max"), (POP, "wifiprov")):
                with pytest.raises(SecurityError):
                    await d.secure_by(lambda pop=pop, name=username: Security2(pop, name))
                await asyncio.sleep(AGAIN_S)
            await d.secure_by(lambda: Security2(POP, "max"))
            return await d.provision(lab.ssid, lab.password)

    assert lab.run(whole()).state is WifiState.CONNECTED
    assert [state["n"] for state in lab.board.states() if state["state"] == "wrong-pop"] == [1, 2]


@board(identity=verifier_fields(POP))
def test_a_board_that_knows_its_verifier_only(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert lab.board.wait_text(r"proof of possession: (.*)")[1].strip() == "see label"
    assert "pop" not in qr(lab) and qr(lab)["security"] == 2
    assert "pop" not in stored(lab.sim, "identity")
    assert "making the verifier" not in lab.board.log
    assert by_security_2(lab).state is WifiState.CONNECTED


@board("security=1", identity={"pop": POP, "security": "2"})
def test_the_keyword_wins(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert told(lab)["sec_ver"] == 1
    assert lab.provision().state is WifiState.CONNECTED


@board("security=(1, 2)")
def test_both_and_a_client_of_1(lab: SimBench) -> None:
    """esp-protocomm, which knows nothing of Security 2."""
    assert lab.board.wait_state("unprovisioned")["native"] == ["ctr", "x25519", *KERNELS[1:]]
    lab.board.wait_state("advertising")
    assert qr(lab)["security"] == 2
    prov = told(lab)
    assert (prov["sec_ver"], prov["sec_patch_ver"]) == (2, 1)
    assert lab.provision().state is WifiState.CONNECTED


@board("", identity=KNOWN | {"security": "1,2"})
def test_the_store_chooses_both_and_a_client_of_2(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    assert by_security_2(lab).state is WifiState.CONNECTED


@board("security=(1, 2)")
def test_security_2_cannot_pass_at_mtu_23(lab: SimBench) -> None:
    """Its first message has 406 bytes, and NimBLE room for 216 in parts of 18. Security 1 can."""
    lab.board.wait_state("advertising")
    dialogue, lab.phone = lab.dialogue(), lab.scene.new_phone(mtu=23)

    async def whole() -> int | None:
        async with dialogue as d:
            try:
                await d.secure_by(lambda: Security2(POP))
            except BleakGATTProtocolError as error:
                await d.secure(POP)
                assert (await d.status()).state is WifiState.CONNECTING
                return error.code
        return None

    assert lab.run(whole()) == 0x11


SECURITY_0 = "WARNING: Security 0"


@board("security=0", {"pop": POP, "thing_token": THING_TOKEN, "node_id": NODE_ID}, native=False)
def test_security_0(lab: SimBench) -> None:
    """A warning at every boot; no token or link id travels in clear."""
    lab.board.wait_state("advertising")
    assert lab.board.log.count(SECURITY_0) == 1
    assert qr(lab)["security"] == 0 and "pop" not in qr(lab)
    assert told(lab)["cap"][0] == "no_sec"
    dialogue = lab.dialogue()

    async def whole() -> Any:
        async with dialogue as d:
            d.security = await establish(d.transport, Security0())  # type: ignore[assignment]
            with pytest.raises(BindingError):
                await link_id_of(d)
            with pytest.raises(BindingError):
                await bind(d, "a secret", "a token")
            return await d.provision(lab.ssid, lab.password)

    assert lab.run(whole()).state is WifiState.CONNECTED
    lab.board.wait_state("online")
    lab.board.reset()
    lab.board.wait_text(rf"(@boot [\s\S]*){{2}}{SECURITY_0}[\s\S]*\"online\"")


@board("security=2, no_pop=True")
def test_security_2_needs_a_proof(lab: SimBench) -> None:
    refused_at_start(lab, "needs a proof of possession")


@board("security=1", identity=verifier_fields(POP))
def test_a_verifier_does_not_serve_security_1(lab: SimBench) -> None:
    refused_at_start(lab, "only a verifier .* Security 2 alone")


@board(identity={"pop": HAZARD})
def test_a_proof_with_a_hazard(lab: SimBench) -> None:
    refused_at_start(lab, "always fail .* change a character")


@board("security=3")
def test_no_such_security(lab: SimBench) -> None:
    refused_at_start(lab, "no security 3")


IDENTITY = f"""
import homing

homing.set_identity(security="2", pop="{HAZARD}")
homing.set_identity(security="12")
homing.set_identity(salt="00" * 16, verifier="05")
homing.set_identity(salt="05", verifier="xy")
homing.set_identity(verifier="05")
homing.set_identity(security="1", pop="{HAZARD}")
homing.set_identity(security="2", pop="{POP}")
homing.run()
"""


@pytest.mark.sim(identity={}, files={"main.py": IDENTITY}, native=True)
def test_identity_fields(lab: SimBench) -> None:
    """What cannot work is refused with the reason; what was loaded to find out, loads again."""
    assert lab.board.wait_state("unprovisioned")["native"] == KERNELS
    lab.board.wait_state("advertising")
    whys = re.findall(r'"error": "identity", "why": "(.*)"', lab.board.log)
    for why, part in zip(
        whys,
        ("always fail", "no security", "zero byte", "hexadecimal", "belong together"),
        strict=True,
    ):
        assert part in why
    assert by_security_2(lab).state is WifiState.CONNECTED


@board(identity={"pop": POP})
def test_identity_set(lab: SimBench) -> None:
    """The host draws a proof for the label, and the board gets a verifier and forgets its own."""
    lab.board.wait_state("advertising")
    start = len(lab.board.log)
    with lab.board.lent() as port:
        said = CliRunner().invoke(identity.command, ["set", "--port", port, "--verifier-only"])
        assert said.exit_code == 0, said.output
        for arguments, why in (
            (["--security", "1", "--verifier-only"], "serves --security 2 alone"),
            (["--security", "2", "--pop", HAZARD], "change a character"),
        ):
            wrong = CliRunner().invoke(identity.command, ["set", "--port", port, *arguments])
            assert wrong.exit_code and why in wrong.output
    (pop,) = re.findall(r"proof of possession: (\S{12}) ", said.output)
    shown = lab.board.wait_text(r"proof of possession: (.*)", start=start)[1]
    assert shown.strip() == "see label"
    kept = stored(lab.sim, "identity")
    assert kept["security"] == "2" and "pop" not in kept and pop != POP
    lab.board.wait_text('"advertising"', start=start)
    work = lab.talk(lambda d: d.provision(lab.ssid, lab.password), pop, scheme=Security2)
    assert work.state is WifiState.CONNECTED


LIBRARY = f"""
import asyncio
import homing

async def main():
    async with homing.Provisioner("PROV_badge", pop="{POP}", security=2) as p:
        async for event in p:
            print("event", event.kind)
            if event.kind == "credentials":
                await p.report("192.168.1.9")

print("  name: PROV_badge")
asyncio.run(main())
"""


@pytest.mark.sim(identity={}, files={"main.py": LIBRARY}, native=True)
def test_library_form(lab: SimBench) -> None:
    lab.board.wait_text("event advertising")
    assert by_security_2(lab).state is WifiState.CONNECTED
    lab.board.wait_text("event done")


@pytest.mark.sim(identity={}, files={"main.py": LIBRARY})
def test_library_form_without_native_code(lab: SimBench) -> None:
    refused_at_start(lab, "slow_security2=True")
