"""Credentials: proven before they are saved, corrected at will, bytes from end to end."""

from __future__ import annotations

import asyncio

import pytest
from esp_protocomm.wifi import WifiState, get_status, set_config

from tools.harness.bench import Bench, SimBench
from tools.harness.dialogue import NOT_FOUND, WRONG_PASSWORD, Dialogue, Status

WRONG = ("wrong horse", "worse horse!")
WIFI_FILE = "nvs/wifi.dat"
CONNECTED, CONNECTING = WifiState.CONNECTED, WifiState.CONNECTING
INVALID_ARGUMENT, INTERNAL_ERROR = 4, 5
AUTH_STATUSES = {2, 14, 15, 202, 204, 205}


def on_flash(lab: SimBench, secret: bytes) -> bool:
    """Whether the bytes are anywhere in the flash, deleted files and old blocks included."""
    return secret in lab.sim.flash.image_path.read_bytes()


@pytest.mark.parametrize("reset_between", [False, True], ids=["at once", "after ctrl reset"])
def test_wrong_wrong_right_in_one_session(bench: Bench, reset_between: bool) -> None:
    bench.board.wait_state("advertising")
    remaining: list[list[int | None]] = []

    async def work(d: Dialogue) -> Status:
        for password in WRONG:
            seen: list[Status] = []
            ssid = bench.ssid.encode()
            assert await d.join(ssid, password.encode(), poll_s=0.1, seen=seen) == WRONG_PASSWORD
            remaining.append([s.attempts_remaining for s in seen if s.state is CONNECTING])
            if isinstance(bench, SimBench):
                assert WIFI_FILE not in bench.sim.files()
            if reset_between:
                assert await d.reset() == 0
                assert await d.reset() == 0  # nothing to take back: fine, for careful clients
        return await d.provision(bench.ssid, bench.password)

    assert bench.talk(work).state is CONNECTED
    # Every set of credentials gets the full number of attempts, and the client sees them go.
    assert remaining == [[None, 2, 1]] * 2
    bench.board.wait_state("online")
    failures = [s for s in bench.board.states() if s["state"] == "join-failed"]
    assert [s["reason"] for s in failures] == [0, 0]
    # The simulator's access point ends it with 15; real ones have other numbers for it as well.
    statuses = {15} if isinstance(bench, SimBench) else AUTH_STATUSES
    assert {s["status"] for s in failures} <= statuses
    if isinstance(bench, SimBench):
        assert not any(on_flash(bench, password.encode()) for password in WRONG)
        assert on_flash(bench, bench.password.encode())  # the search does find what is there


def test_wrong_password_by_esp_protocomm_alone(bench: Bench) -> None:
    """The library's own loop ends with its own answer, well within its 45 s."""
    bench.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        assert await d.provision(bench.ssid, WRONG[0]) == WRONG_PASSWORD
        assert await d.provision("no such network", WRONG[0]) == NOT_FOUND
        assert (await d.provision(bench.ssid, bench.password)).state is CONNECTED

    bench.talk(work)
    bench.board.wait_text(r"network not found: .*2\.4 GHz")


def test_connected_says_where(lab: SimBench) -> None:
    """Address, BSSID, channel and mode are those of the strongest one of that name."""
    lab.access_point.rssi = -71
    near = lab.world.add_access_point(
        lab.ssid, lab.password, auth=4, channel=11, rssi=-40, bssid=b"\x02nearx"
    )
    lab.board.wait_state("advertising")
    status = lab.talk(lambda d: d.provision(lab.ssid, lab.password))
    assert status == Status(
        CONNECTED,
        ip=lab.sim.station.ip,
        auth=4,
        ssid=lab.ssid.encode(),
        bssid=near.bssid,
        channel=11,
    )
    assert lab.board.wait_state("online")["ip"] == status.ip


@pytest.mark.parametrize(
    ("ssid", "password"),
    [
        (bytes(range(0, 256, 8)), b"correct horse"),
        pytest.param(
            *(bytes(range(255, 127, -4)), b"\xff\xfe\x80 no text"), marks=pytest.mark.soak
        ),
        (b'it\'s "home"; \\n', b"p'a\"s\\s {}%s"),
        pytest.param("Café ☕ 🏠".encode(), "пароль 🔑".encode(), marks=pytest.mark.soak),
        (b"a.b\x00c", b"z" * 63),
    ],
    ids=["32 bytes", "not UTF-8", "quotes and spaces", "emoji", "zero and long"],
)
def test_any_ssid(lab: SimBench, ssid: bytes, password: bytes) -> None:
    point = lab.world.add_access_point(ssid, password)
    lab.board.wait_state("advertising")
    status = lab.talk(lambda d: d.join(ssid, password))
    assert (status.state, status.ssid) == (CONNECTED, ssid)
    lab.board.wait_state("ble-off")
    assert lab.board.wait_state("online")["ip"] == status.ip
    lab.board.reset()
    lab.board.wait("boot")
    lab.board.wait_state("online")  # what was stored is what was given
    assert point.joins == 2


def test_hidden_and_open_network(lab: SimBench) -> None:
    """Neither needs to be in the list, nor a password."""
    lab.world.add_access_point("cellar", "hidden horse", hidden=True, channel=3)
    lab.world.add_access_point("guests", auth=0, channel=9)
    lab.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        # The first is taken back by a wrong password, so that one session sees both.
        assert await d.join(b"cellar", b"wrong horse") == WRONG_PASSWORD
        status = await d.provision("guests", "")
        assert (status.state, status.auth, status.channel) == (CONNECTED, 0, 9)

    lab.talk(work)
    lab.board.wait_state("online")


def test_hidden_network(lab: SimBench) -> None:
    lab.world.add_access_point("cellar", "hidden horse", hidden=True, channel=3)
    lab.board.wait_state("advertising")
    status = lab.talk(lambda d: d.provision("cellar", "hidden horse"))
    assert (status.state, status.ssid, status.channel) == (CONNECTED, b"cellar", 3)
    lab.board.wait_state("online")


def test_refused_arguments_leave_the_session_alone(bench: Bench) -> None:
    bench.board.wait_state("advertising")
    ssid, password = bench.ssid.encode(), bench.password.encode()

    async def work(d: Dialogue) -> None:
        assert await d.apply() == INTERNAL_ERROR  # nothing set yet
        assert await d.set(b"s" * 33, password) == INVALID_ARGUMENT
        assert await d.set(ssid, b"p" * 64) == INVALID_ARGUMENT
        assert await d.set(ssid, password, bssid=b"12345") == INVALID_ARGUMENT
        assert await d.apply() == INTERNAL_ERROR  # nothing of that was kept
        assert (await d.status()).state is CONNECTING  # and above all not "connected"
        assert await d.set(b"s" * 32, b"p" * 63, bssid=b"123456", channel=13) == 0
        assert await d.set(ssid, password) == 0  # the last one counts
        assert await d.apply() == 0
        assert await d.apply() == INTERNAL_ERROR  # used up, and busy
        assert await d.set(b"other", b"other horse") == 0  # held, but not applied
        assert await d.apply() == INTERNAL_ERROR
        assert await d.reset() == INTERNAL_ERROR  # nothing failed
        status = await d.settled()
        assert (status.state, status.ssid) == (CONNECTED, ssid)

    bench.talk(work)
    bench.board.wait_state("online")


# What the board sees at each attempt, how well it hears the network, what the client is told, and
# after how many attempts.
REASONS = (
    ([2, 2, 15], -50, WRONG_PASSWORD, 3),  # one sure sign is enough
    ([14, 2, 2], -50, WRONG_PASSWORD, 3),
    ([204, 204, 204], -50, WRONG_PASSWORD, 3),
    ([202, 202, 202], -80, WRONG_PASSWORD, 3),
    ([205, 205, 205], -80, WRONG_PASSWORD, 3),
    ([2, 2, 2, 2], -50, WRONG_PASSWORD, 4),  # not heard at low power either
    ([201, 201, 201], -50, NOT_FOUND, 3),
    ([210, 210, 210], -50, NOT_FOUND, 3),
    ([211, 211, 211], -50, NOT_FOUND, 3),
    ([212, 212, 212], -50, NOT_FOUND, 3),
)


def test_reasons(lab: SimBench) -> None:
    """All in one session, one after the other; the last set has bad luck twice, then an address."""
    # One network each: the list that the board made at the start says how well it hears them.
    points = [
        lab.world.add_access_point(f"net{n}", lab.password, rssi=rssi)
        for n, (_reasons, rssi, _outcome, _attempts) in enumerate(REASONS)
    ]
    lab.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        for point, (reasons, _rssi, outcome, attempts) in zip(points, REASONS, strict=True):
            point.reasons = list(reasons)
            status = await d.provision(point.ssid.decode(), lab.password)
            assert (status, point.attempts) == (outcome, attempts), reasons
            assert WIFI_FILE not in lab.sim.files()
        lab.access_point.reasons = [2, 15]
        assert (await d.provision(lab.ssid, lab.password)).state is CONNECTED
        assert lab.access_point.attempts == 3

    lab.talk(work)
    lab.board.wait_state("online")


def test_no_address(lab: SimBench) -> None:
    """A network that lets us in and gives no address: an answer while the client still waits."""
    lab.access_point.dhcp = False
    lab.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        assert await d.provision(lab.ssid, lab.password) == NOT_FOUND
        lab.access_point.dhcp = True
        assert (await d.provision(lab.ssid, lab.password)).state is CONNECTED

    lab.talk(work)
    lab.board.wait_text("no address from the network")


@pytest.mark.sim(speed=1)  # what is late here is late by the board's doing, not by the host's
def test_slow_phone_still_reads_connected(lab: SimBench) -> None:
    """The service waits for the client, 30 s; and a little longer once it has been read."""
    lab.board.wait_state("advertising")
    clock = lab.world.clock
    dialogue, pop = lab.dialogue(), lab.pop()

    async def start() -> None:
        await dialogue.open()
        await dialogue.secure(pop)
        await set_config(dialogue.transport, dialogue.security, lab.ssid, lab.password)
        assert await dialogue.apply() == 0

    lab.run(start())
    lab.board.wait_state("saved")
    lab.world.advance(seconds=20)

    async def look() -> None:
        status = await get_status(dialogue.transport, dialogue.security)
        assert status.state is CONNECTED
        await asyncio.sleep(2)  # less than 3 s: whoever looks twice is served twice
        assert (await dialogue.status()).state is CONNECTED

    lab.run(look())
    read_ms = clock.now_ms()
    lab.board.wait_state("provisioned", told=True)
    lab.board.wait_state("ble-off")
    assert clock.now_ms() - read_ms < 10_000
    assert "ble" not in lab.sim.radios


@pytest.mark.sim(speed=1)
def test_unread_connected_ends_too(lab: SimBench) -> None:
    """A client that leaves after apply: the board is online all the same, after 30 s."""
    lab.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        assert await d.set(lab.ssid.encode(), lab.password.encode()) == 0
        assert await d.apply() == 0

    lab.talk(work)
    lab.board.wait_state("saved")
    saved_ms = lab.world.clock.now_ms()
    lab.world.advance(seconds=20)
    assert lab.world.do(lambda: lab.sim.bridge.advertising)  # a second client could read it now
    lab.board.wait_state("provisioned", told=False)
    assert lab.world.clock.now_ms() - saved_ms < 45_000
    lab.board.wait_state("online")


def test_another_client_reads_connected(lab: SimBench) -> None:
    """The outcome outlives the session that asked for it."""
    lab.board.wait_state("advertising")

    async def work(d: Dialogue) -> None:
        assert await d.set(lab.ssid.encode(), lab.password.encode()) == 0
        assert await d.apply() == 0

    lab.talk(work)
    lab.board.wait_state("saved")
    status = lab.talk(Dialogue.status)
    assert (status.state, status.ip) == (CONNECTED, lab.sim.station.ip)
    lab.board.wait_state("provisioned", told=True)
