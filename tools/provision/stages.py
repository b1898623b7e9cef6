"""The five stages that the RainMaker Home app shows while it adds a board, with their outcomes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

SENDING = "sending credentials"
CONFIRMING = "confirming connection"
CONFIGURING = "configuring association"
VERIFYING = "verifying association"
SETTING_UP = "setting up node"
NAMES = (SENDING, CONFIRMING, CONFIGURING, VERIFYING, SETTING_UP)


class Shown(Protocol):
    def stage(self, text: str) -> None: ...
    def outcome(self, good: bool, text: str) -> None: ...


class Stages:
    """Says each stage as it begins and how it ended. They are numbered in the order in which they
    come, which depends on how the board is mapped; count: how many will come."""

    def __init__(self, screen: Shown, count: int = len(NAMES)) -> None:
        self._screen = screen
        self._count = count
        self._begun: list[str] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stages]:
        """For the work of that stage: whatever it raises ends the stage as failed."""
        if name not in self._begun:  # a second try is no other stage
            self._begun.append(name)
        number = self._begun.index(name) + 1
        self._screen.stage(f"{number}/{self._count} {name}")
        try:
            yield self
        except Exception as error:
            self._screen.outcome(False, str(error) or type(error).__name__)
            raise

    def done(self, text: str) -> None:
        self._screen.outcome(True, text)

    def failed(self, text: str) -> None:
        """The stage failed, and another try may follow."""
        self._screen.outcome(False, text)
