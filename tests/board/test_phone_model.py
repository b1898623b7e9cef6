"""Provisionings by phones of all kinds, with accidents: each ends as the phone must have seen it,
the board is ready for the next one, and holds the right credentials or none.

A failure prints the line that repeats that one case:
    PHONE_MODEL=seed/number pytest tests/board/test_phone_model.py -k 'KIND]'
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from phone_model import discovery
from phone_model.app import Refused, Run
from phone_model.case import DEN, HOME, BoardKind, Case, Visit, outcome_of
from phone_model.link import BleWay, Cut, Failed, HttpWay

from tools.harness.bench import POP, SimBench
from tools.harness.stored import stored
from tools.identity import verifier_fields
from tools.sim.phone import Phone

KINDS = (
    BoardKind("ble", 1),
    BoardKind("softap", 1),
    BoardKind("ble", 2),
    BoardKind("softap", 2),
    BoardKind("ble", 0),
    BoardKind("ble", (1, 2)),
)
SHARE = (300, 300, 150, 150, 40, 60)  # of 1,000
FEW = (3, 3, 1, 1, 1, 1)
ORDINARY_SEED = 20_261_125
FILE = "tests/board/test_phone_model.py"
WRONG_POP = "K7QM2X9ADRT5"
READY_S = 5.0  # on the air again after a client; how soon is for test_service.py
JOIN_S = 60.0  # three attempts with a wrong password, and a second before
HANDSHAKES = 4  # one in 128 of Security 2 fails by a leading zero, and a person tries again
UNLIKELY, RESOURCES = 0x0E, 0x11


class Phones:
    """The people before one board."""

    def __init__(self, lab: SimBench, kind: BoardKind) -> None:
        self.lab, self.kind = lab, kind
        self.name = lab.name()
        self.jars: dict[str, dict[str, str]] = {}
        self.trace: list[str] = []
        self.failing = 0  # joins that were asked for and cannot succeed

    # -- one visit ---------------------------------------------------------------------------

    def security_of(self, visit: Visit) -> int:
        offered = self.kind.security
        if not isinstance(offered, tuple):
            return offered
        return 2 if visit.app.follows_sec_ver else 1

    async def visit(self, visit: Visit, chance: random.Random, soft: Any) -> tuple[str, Run | None]:
        """What the app shows in the end, and its run."""
        if self.kind.way == "ble":
            phone = await Phone.on_ether(self.lab.world.ether, mtu=visit.effective_mtu)
            way: Any = await self._connected(phone, visit)
        else:
            jar = self.jars.setdefault(visit.app.name, {}) if visit.app.keeps_cookies else {}
            if visit.app.keeps_cookies and not visit.same_phone:
                jar["session"] = str(chance.getrandbits(32))  # of another board, long ago
            if visit.app.discover is discovery.ios:
                await asyncio.sleep(5)
            way = HttpWay(soft[0], soft[1], jar, visit.app.pools, chance, visit.accident)
            phone = None
        run = Run(visit.app, way, chance)
        try:
            return await self._talk(visit, run), run
        except Cut:
            return "cut", run
        except Refused as error:
            self.trace.append(f"refused: {error}")
            if error.code is not None:
                too_long = self.security_of(visit) == 2 and visit.effective_mtu == 23
                assert error.code == (RESOURCES if too_long else UNLIKELY), error
            return "no-session", run
        except Failed as error:
            self.trace.append(f"failed: {error}")
            return "lost", run
        finally:
            self.trace += way.trace
            if not way.left:
                await way.leave("goodbye")
            if phone is not None and way.left != "vanish":
                await phone.close()

    async def _connected(self, phone: Phone, visit: Visit) -> BleWay:
        sighting = await phone.find(self.name, visit.app.scan_s)
        if visit.app.home:
            discovery.listed_by_home(sighting)
            assert self.name.startswith("PROV_")
        async with asyncio.timeout(20):
            link = await phone.connect(sighting)
            way = BleWay(phone, link, visit.accident)
            way.paths = await visit.app.discover(link, sighting)
        return way

    async def _talk(self, visit: Visit, run: Run) -> str:
        pop = POP if visit.right_pop else WRONG_POP
        await run.secure(pop, self.security_of(visit))
        if visit.scans:
            assert {HOME[0].encode(), DEN[0].encode()} <= await run.networks()
        outcome = "nothing tried"
        for number, (ssid, password) in enumerate(visit.networks):
            if number:
                await run.reset()
            outcome = await run.join(ssid, password)
            if outcome not in ("auth-error", "not-found"):
                break
        return outcome

    # -- one case ----------------------------------------------------------------------------

    def go(self, case: Case) -> None:
        """All visits; afterwards the board is provisioned."""
        chance = random.Random(case.seed + "/visits")  # noqa: S311 - reproducible on purpose
        lab, joining = self.lab, None
        for visit in case.visits:
            self.trace.append(f"-- {visit}")
            for handshake in range(1, HANDSHAKES + 1):
                soft = None
                if self.kind.way == "softap":
                    phone = lab.sim.soft_ap.join(self.name)
                    soft = phone, phone.address()
                outcome, run = lab.run(self.visit(visit, chance, soft))
                assert run is not None
                hiccup = (
                    outcome == "no-session"
                    and self.security_of(visit) == 2
                    and visit.outcome(2) != "no-session"
                    and not run.way.superseded
                )
                if not hiccup:
                    break
                assert handshake < HANDSHAKES, "no handshake gets through"
            self.trace.append(f"== {outcome}")
            joining = self._judge(visit, outcome, run)
            self.failing += sum(outcome_of(visit.app, each) != "connected" for each in run.applied)
            if joining is not None:
                break
            # While wrong credentials are being tried, another phone's are answered with status 5.
            lab.board.wait_count(self.failing, "join-failed", JOIN_S)
            lab.run(self._ready())
        assert joining is not None, "the last visit was right"
        told = lab.board.wait_state("provisioned", timeout_s=60)["told"]
        assert joining[1] in (told, None)
        lab.board.wait_state("online")
        kept = stored(lab.sim, "wifi")
        assert (kept["ssid"], kept["password"]) == tuple(x.encode() for x in joining[0]), kept

    def _judge(
        self, visit: Visit, outcome: str, run: Run
    ) -> tuple[tuple[str, str], bool | None] | None:
        """Hold the outcome against the case; credentials that the board now has for good, and
        whether the app has read so (None: perhaps)."""
        accident = visit.accident
        reached = accident is not None and run.way.sent > accident.at
        expected = visit.outcome(self.security_of(visit))
        if reached and accident is not None:
            if accident.kind in ("goodbye", "vanish"):
                expected = "cut"
            elif run.way.superseded and run.way.in_session:
                assert outcome in ("lost", "no-session"), (outcome, "after another's session")
                expected = outcome
        assert outcome == expected, f"the app shows {outcome!r}, not {expected!r}"
        if outcome == "connected":
            return visit.networks[-1], True
        last = run.applied[-1] if run.applied else None
        if last is not None and outcome_of(visit.app, last) == "connected":
            # Nobody was told: it waits, then goes on by itself. But what is sent over TCP counts as
            # read: a server cannot know better.
            blind = accident is not None and accident.late and self.kind.way == "softap"
            return last, None if blind else False
        return None

    async def _ready(self) -> None:
        """For the next phone, and with nothing kept of this one."""
        if self.kind.way == "ble":
            async with asyncio.timeout(READY_S):
                while not self.lab.sim.bridge.advertising:
                    await asyncio.sleep(0.05)
        else:
            assert self.lab.sim.soft_ap.on
        assert not stored(self.lab.sim, "wifi"), "credentials that never worked are kept"

    def forget(self) -> None:
        """As new, but for its identity."""
        board = self.lab.board
        start = len(board.log)
        board.to_repl()
        board.type("import homing, machine; homing.forget_wifi(); machine.reset()")
        board.wait_text('"advertising"', start=start)


def board_of(kind: BoardKind) -> Any:
    main = f"import homing\nhoming.run(transports=({kind.way!r},), security={kind.security!r})\n"
    identity = {"pop": POP} | (verifier_fields(POP) if kind.security not in (0, 1) else {})
    return pytest.param(
        kind,
        id=str(kind),
        marks=pytest.mark.sim(identity=identity, files={"main.py": main}, native=True),
    )


@pytest.mark.timeout(7200)  # at full length
@pytest.mark.parametrize("kind", [board_of(kind) for kind in KINDS])
def test_provisionings(lab: SimBench, kind: BoardKind, rounds: Callable[[int, int], range]) -> None:
    lab.world.add_access_point(*DEN, channel=11, rssi=-70)
    lab.board.wait_state("advertising")
    phones = Phones(lab, kind)
    share = KINDS.index(kind)
    numbers = list(rounds(FEW[share], SHARE[share]))
    # The ordinary run is the same every time; the soak is where new accidents are looked for.
    seed = ORDINARY_SEED if len(numbers) == FEW[share] else secrets.randbits(32)
    if repeat := os.environ.get("PHONE_MODEL"):
        wanted, _, number = repeat.partition("/")
        seed, numbers = int(wanted), [int(number)] if number else numbers
    print(f"seed {seed}")
    for turn, number in enumerate(numbers):
        if turn:
            phones.forget()
        case = Case.drawn(seed, number, kind)
        phones.trace = []
        try:
            phones.go(case)
        except BaseException:
            print(f"repeat: PHONE_MODEL={seed}/{number} pytest {FILE} -k '{kind}]'")
            print("\n".join(phones.trace))
            raise
