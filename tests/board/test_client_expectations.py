"""What clients expect and naive devices break: 35 points, each proven here, or elsewhere by tests
that ROWS names, or with a sentence why there is nothing to prove.

The other side is esp-protocomm, bleak or the phone model, over the simulated radio.
"""

from __future__ import annotations

import ast
import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from phone_model.app import APPS, App, Run
from phone_model.link import BleWay, Failed

from tools.harness.bench import PASSWORD, POP, SSID, SimBench
from tools.sim.phone import Phone

TESTS = Path(__file__).parents[1]
_T = TypeVar("_T")

HERE = "here"
# Number → HERE; or "directory/file::test" of the tests that prove it; or why nothing can.
ROWS: dict[int, str | tuple[str, ...]] = {
    1: ("host/test_radio_rule::test_answers_of_every_size", "board/test_requests::test_sizes"),
    2: (
        "host/test_radio_rule::test_long_values_at_every_mtu",
        "board/test_security::test_security_2_cannot_pass_at_mtu_23",
    ),
    3: ("host/test_radio_phone::test_wrong_proof_is_an_error_not_a_hang",),
    4: ("unit/test_config::test_before_anything_it_is_connecting",),
    5: HERE,
    6: HERE,
    7: ("board/test_service::test_network_list_merges_one_name",),
    8: ("board/test_service::test_network_list",),
    9: ("board/test_service::test_gatt_table",),
    10: ("board/test_service::test_gatt_table",),
    11: ("board/test_service::test_gatt_table",),
    12: ("board/test_service::test_advertisement",),
    13: ("board/test_service::test_advertisement",),
    14: ("board/test_service::test_advertisement",),
    15: ("board/test_security::test_security_2",),
    16: (
        "board/test_phone_model::test_provisionings",
        "unit/test_security2::test_what_fails_does_not_count",
    ),
    17: HERE,
    18: HERE,
    19: HERE,
    20: ("board/test_softap_http::test_the_answer",),
    21: ("board/test_service::test_version_in_mid_session",),
    22: ("board/test_softap_http::test_a_session_outlives_its_sockets_and_ends_with_the_next",),
    23: HERE,
    24: ("board/test_credentials::test_slow_phone_still_reads_connected",),
    25: HERE,
    26: ("board/test_service::test_version", "board/test_service::test_no_pop"),
    27: HERE,
    28: "What esp-rainmaker-cli asks a person when a network has no password happens before a word "
    "reaches the board, which sees a scan and then an ordinary set.",
    29: ("board/test_rainmaker_cli::test_provisions_and_maps",),
    30: ("board/test_softap_http::test_the_cookie_and_the_socket",),
    31: HERE,
    32: ("board/test_phone_model::test_provisionings",),
    33: HERE,
    34: (
        "board/test_main_job::test_provision_and_come_online",
        "board/test_credentials::test_wrong_password_by_esp_protocomm_alone",
    ),
    35: "That clients never write twice at once is their promise, not the board's; "
    "test_no_answer_is_older_than_its_request holds even if they break it.",
}


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_is_accounted_for() -> None:
    assert list(ROWS) == list(range(1, 36))
    own = _functions(Path(__file__))
    numbered = {int(name[5:7]) for name in own if name[5:7].isdigit()}
    assert numbered == {number for number, proof in ROWS.items() if proof == HERE}
    for number, proof in ROWS.items():
        if isinstance(proof, str):
            assert proof == HERE or len(proof) > 60, f"{number}: say why"
            continue
        for named in proof:
            file, _, name = named.partition("::")
            assert name in _functions(TESTS / f"{file}.py"), f"{number}: there is no {named}"


# -- what is proven here ---------------------------------------------------------------------------


def app(name: str) -> App:
    return next(app for app in APPS if app.name == name)


def with_app(
    lab: SimBench,
    name: str,
    work: Callable[[Run], Awaitable[_T]],
    mtu: int = 512,
    kind: type[Run] = Run,
) -> _T:
    """One run of an app of the phone model, secured with Security 1."""
    board = lab.name()

    async def whole() -> _T:
        phone = await Phone.on_ether(lab.world.ether, mtu=mtu)
        try:
            sighting = await phone.find(board)
            link = await phone.connect(sighting)
            way = BleWay(phone, link, None)
            way.paths = await app(name).discover(link, sighting)
            run = kind(app(name), way, random.Random(0))  # noqa: S311 - reproducible on purpose
            await run.secure(POP, 1)
            return await work(run)
        finally:
            await phone.close()

    return lab.run(whole())


def neighbours(lab: SimBench, count: int) -> set[bytes]:
    names = [f"neighbour {n}".encode() for n in range(count)]
    for number, name in enumerate(names):
        lab.world.add_access_point(name, b"nobody joins these", rssi=-60 - number)
    return {SSID.encode(), *names}


def test_05_scan_finished_on_the_first_status(lab: SimBench) -> None:
    """Run.networks asks once, and is content with nothing else."""
    assert with_app(lab, "android", lambda run: run.networks()) == {SSID.encode()}


@pytest.mark.sim(power=False)
@pytest.mark.parametrize("count", [3, 4])
def test_06_no_page_is_empty(lab: SimBench, count: int) -> None:
    """A page that is exactly full, and one network more."""
    expected = neighbours(lab, count)
    lab.sim.power_on()
    assert with_app(lab, "ios", lambda run: run.networks()) == expected


def test_17_a_refused_set_surfaces_at_apply(lab: SimBench) -> None:
    """The iOS library takes any answer to set for success."""
    assert with_app(lab, "ios", lambda run: run.join("x" * 33, PASSWORD)) == "apply-refused"
    assert with_app(lab, "android", lambda run: run.join("x" * 33, PASSWORD)) == "set-refused"


def test_18_encrypting_an_answer_instead(lab: SimBench) -> None:
    """Older iOS libraries do that to the answer to scan-start; one stream makes it the same."""

    class Older(Run):
        async def _ask(self, endpoint: str, data: bytes) -> bytes:
            if endpoint != "prov-scan":
                return await super()._ask(endpoint, data)
            session = self._session
            return session.encrypt(await self.way.send(endpoint, session.encrypt(data)))

    async def work(run: Run) -> Any:
        return await run.networks(), await run.join(SSID, PASSWORD)

    assert with_app(lab, "ios", work, kind=Older) == ({SSID.encode()}, "connected")


def test_19_a_dead_session_and_a_new_one(lab: SimBench) -> None:
    """Android sends what failed again, as it is, and reads no answer. Nothing of it counts."""
    bad = bytes.fromhex("0804720408631001")  # the hundredth network

    async def fail(run: Run) -> list[str]:
        with pytest.raises(Failed):
            await run._ask("prov-scan", bad)
        return run.way.trace

    trace = with_app(lab, "android", fail)
    assert [line.split("->")[0] for line in trace[-2:]] == ["prov-scan 8"] * 2
    assert with_app(lab, "android", lambda run: run.join(SSID, PASSWORD)) == "connected"


@pytest.mark.sim(speed=1)
@pytest.mark.parametrize("name", ["android", "ios", "esp_prov"])
def test_23_apply_is_answered_before_the_radio_works(lab: SimBench, name: str) -> None:
    async def work(run: Run) -> None:
        loop = lab.world.loop
        task = loop.create_task(run.join(SSID, PASSWORD))
        while run.applied is None:
            await asyncio.sleep(0.01)
        answered_at = loop.time()
        while not lab.access_point.attempts:
            await asyncio.sleep(0.01)
        assert loop.time() - answered_at > 0.9
        assert await task == "connected"

    with_app(lab, name, work)


def test_25_reset_when_there_is_nothing_to_reset(lab: SimBench) -> None:
    async def work(run: Run) -> str:
        await run.reset()
        assert await run.join(SSID, "battery staple") == "auth-error"
        await run.reset()
        await run.reset()
        return await run.join(SSID, PASSWORD)

    assert with_app(lab, "esp_prov", work) == "connected"


@pytest.mark.parametrize(("name", "encoding"), [("android", "utf-8"), ("esp_prov", "latin-1")])
def test_27_names_are_bytes(lab: SimBench, name: str, encoding: str) -> None:
    """Whichever the client and the access point agree on."""
    lab.world.add_access_point("Höhle".encode(encoding), "Schlüssel".encode(encoding))
    assert with_app(lab, name, lambda run: run.join("Höhle", "Schlüssel")) == "connected"


def test_31_without_a_larger_mtu(lab: SimBench) -> None:
    """Android asks for 512 and goes on with 23 if it must."""

    async def work(run: Run) -> Any:
        return await run.networks(), await run.join(SSID, PASSWORD)

    assert with_app(lab, "android", work, mtu=23) == ({SSID.encode()}, "connected")


QUIET = f"""
import asyncio
import homing

async def main():
    p = homing.Provisioner("PROV_quiet", pop="{POP}")
    p.endpoint("quiet", reply=lambda data: b"")
    async with p:
        async for event in p:
            if event.kind == "credentials":
                await p.report("192.168.1.9", bssid=b"123456")

print("  name: PROV_quiet")
asyncio.run(main())
"""


@pytest.mark.sim(files={"main.py": QUIET})
def test_33_an_empty_answer(lab: SimBench) -> None:
    """No bytes with Security 1, and the next request is in step."""

    async def work(run: Run) -> Any:
        return await run._ask("quiet", b"x"), await run.join(SSID, PASSWORD)

    assert with_app(lab, "android", work) == (b"", "connected")
