"""One provisioning by chance: phones that come, fail, vanish and come again, and a last one that
gets through. What each of them must see follows from the case alone.

    Case.drawn(seed, number, board) always is the same case.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from .app import APPS, App
from .link import Accident

MTUS = (23, 185, 247, 512)
HOME = ("home", "correct horse")
DEN = ("Höhle", "Schlüssel 1")  # phones say it in UTF-8
WRONG = ("home", "battery staple")
UNKNOWN = ("nowhere", "correct horse")
_REQUESTS = 24  # what a whole exchange has at most, about
_OUTCOMES = {HOME: "connected", DEN: "connected", WRONG: "auth-error", UNKNOWN: "not-found"}


@dataclass(frozen=True)
class BoardKind:
    """How the board under test is made. way: "ble" or "softap"; security: as homing.run takes."""

    way: str
    security: int | tuple[int, ...]

    def __str__(self) -> str:
        numbers = self.security if isinstance(self.security, tuple) else (self.security,)
        return f"{self.way}-security-" + "-".join(str(number) for number in numbers)


@dataclass(frozen=True)
class Visit:
    """One run of an app. networks: credentials in the order in which they are tried."""

    app: App
    networks: tuple[tuple[str, str], ...]
    mtu: int = 512
    right_pop: bool = True
    scans: bool = True
    accident: Accident | None = None
    same_phone: bool = False  # as the one before: its cookies are still there

    def outcome(self, security: int) -> str:
        """What the app must see if nothing happens on the way."""
        if security == 2 and self.effective_mtu == 23:
            return "no-session"  # 406 bytes: more than NimBLE takes in parts of 18
        if security and not self.right_pop:
            return "no-session"
        return outcome_of(self.app, self.networks[-1])

    def __str__(self) -> str:
        tried = ", ".join(outcome_of(self.app, network) for network in self.networks)
        proof = "right" if self.right_pop else "wrong"
        return (
            f"{self.app.name}, MTU {self.effective_mtu}, {proof} proof, scans: {self.scans}, "
            f"same phone: {self.same_phone}, networks: {tried}, {self.accident}"
        )

    @property
    def effective_mtu(self) -> int:
        return max(self.mtu, self.app.min_mtu)


@dataclass(frozen=True)
class Case:
    """The visits of one provisioning; the last one is undisturbed and right."""

    visits: tuple[Visit, ...]
    seed: str

    @classmethod
    def drawn(cls, seed: int, number: int, kind: BoardKind) -> Case:
        name = f"{seed}/{number}/{kind}"
        chance = random.Random(name)  # noqa: S311 - reproducible on purpose
        before = [_visit(chance, kind) for _ in range(chance.choice((0, 1, 1, 2)))]
        app = _app(chance)
        last = Visit(
            app=app,
            networks=_networks(app, chance, right=True),
            mtu=chance.choice([mtu for mtu in MTUS if mtu > 23 or kind.security in (0, 1)]),
            scans=chance.random() < 0.7,
            same_phone=chance.random() < 0.5,
        )
        return cls((*before, last), name)


def outcome_of(app: App, network: tuple[str, str]) -> str:
    """Of a join: esp_prov says Latin-1 where a network's name is UTF-8, and finds none."""
    if network[0].encode(app.encoding) != network[0].encode():
        return "not-found"
    return _OUTCOMES[network]


def _app(chance: random.Random) -> App:
    return chance.choice(APPS)


def _networks(app: App, chance: random.Random, right: bool) -> tuple[tuple[str, str], ...]:
    wrong = tuple(chance.choice((WRONG, UNKNOWN)) for _ in range(chance.choice((0, 0, 1))))
    if right:
        right_one = chance.choice((HOME, HOME, DEN))
        return (*wrong, right_one if outcome_of(app, right_one) == "connected" else HOME)
    return wrong or (
        chance.choice((WRONG, UNKNOWN, DEN) if app.encoding != "utf-8" else (WRONG, UNKNOWN)),
    )


def _visit(chance: random.Random, kind: BoardKind) -> Visit:
    accident = None
    if chance.random() < 0.7:
        kinds = ["goodbye", "vanish", "rival"] + ["socket"] * (kind.way == "softap")
        accident = Accident(
            chance.randrange(_REQUESTS), chance.choice(kinds), chance.random() < 0.5
        )
    app = _app(chance)
    return Visit(
        app=app,
        networks=_networks(app, chance, right=chance.random() < 0.6),
        mtu=chance.choice(MTUS) if kind.way == "ble" else MTUS[-1],  # HTTP knows none
        right_pop=chance.random() < 0.8,
        scans=chance.random() < 0.5,
        accident=accident,
        same_phone=chance.random() < 0.5,
    )
