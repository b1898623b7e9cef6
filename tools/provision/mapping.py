"""How a board becomes its user's at RainMaker, from the app's side: three ways.

A board with a registered key signs a challenge, before it has Wi-Fi; another gets user and secret,
which it reports itself once it is online; one without credentials for MQTT hands the secret to the
cloud itself, with the user's token.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from typing import Any, Protocol

from tools.cloud.app import AppError, RainMakerApp

from . import association, binding
from .client import Client, ProvisionError
from .stages import CONFIGURING, VERIFYING, Stages

_POLL_S = 2.0
_CONFIRM_S = 90.0
_SECRET_BYTES = 16


class MappingError(ProvisionError):
    """The board is on the network, or could be, but not its user's."""

    exit_code = 3


class Way(Protocol):
    """One way to map. `hand_over` runs in the session with the board before it gets Wi-Fi,
    `finish` when the board is online by itself; that returns the node's id."""

    async def hand_over(self, client: Client, stages: Stages) -> None: ...
    async def finish(self, stages: Stages) -> str: ...


def choose(version: dict[str, Any], endpoints: Collection[str], app: RainMakerApp) -> Way | None:
    """By what the board advertises, as Espressif's apps do; None: it cannot be mapped."""
    if association.CHALLENGE in version.get("rmaker_extra", {}).get("cap", []):
        return ByChallenge(app)
    if association.USER_ASSOC in endpoints:
        return BySecret(app)
    if "cloud_bind" in version.get("homing", {}).get("cap", []):
        return ByBoard(app)
    return None


class ByChallenge:
    """The cloud's challenge to the board, its signature to the cloud."""

    def __init__(self, app: RainMakerApp) -> None:
        self._app = app
        self._node_id = ""

    async def hand_over(self, client: Client, stages: Stages) -> None:
        with stages.stage(CONFIGURING):
            request_id, challenge = await self._app.initiate(timeout=360)
            try:
                reply = await client.exchange(
                    association.CHALLENGE, association.challenge_request(challenge)
                )
                answer = association.answer_of(reply)
            except association.AssociationError as error:
                raise MappingError(f"no answer to the cloud's challenge: {error}") from error
            stages.done(f"node {answer.node_id} signed the cloud's challenge")
        with stages.stage(VERIFYING):
            try:
                await self._app.verify(request_id, answer.node_id, answer.signature)
            except AppError as error:
                raise MappingError(
                    f"RainMaker does not take the board's signature ({error.message}): its "
                    "credentials are not those that this cloud knows; claim it again"
                ) from error
            self._node_id = answer.node_id
            stages.done(f"node {answer.node_id} is yours")

    async def finish(self, stages: Stages) -> str:
        return self._node_id


class BySecret:
    """The classic way: board and app say the same secret to the cloud."""

    def __init__(self, app: RainMakerApp) -> None:
        self._app = app
        self._secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._node_id = ""

    async def hand_over(self, client: Client, stages: Stages) -> None:
        request = association.mapping_request(self._app.user_id, self._secret)
        try:
            self._node_id = association.node_id_of(
                await client.exchange(association.USER_ASSOC, request)
            )
        except association.AssociationError as error:
            raise MappingError(f"the board does not take its user: {error}") from error

    async def finish(self, stages: Stages) -> str:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CONFIRM_S
        with stages.stage(CONFIGURING):
            request_id = await self._ask()
            stages.done(f"RainMaker waits for node {self._node_id}")
        with stages.stage(VERIFYING):
            while (status := await self._app.mapping_status(request_id)) != "confirmed":
                if status == "discarded":
                    raise MappingError("another request of yours for this node came later")
                if loop.time() > deadline:
                    raise MappingError(
                        f"RainMaker has not heard from node {self._node_id}: the board's serial "
                        "port says why (no credentials, no MQTT, another region?), and it goes on "
                        "trying; start again when it says that it is connected"
                    )
                if status == "timedout":  # the board needed longer than the cloud waits
                    request_id = await self._ask()
                await asyncio.sleep(_POLL_S)
            stages.done(f"node {self._node_id} is yours")
        return self._node_id

    async def _ask(self) -> str:
        try:
            return await self._app.map_node(self._node_id, self._secret)
        except AppError as error:
            raise MappingError(f"RainMaker refuses the mapping: {error.message}") from error


class ByBoard:
    """The board makes the request, with the user's token."""

    def __init__(self, app: RainMakerApp) -> None:
        self._app = app
        self._before: list[str] = []

    async def hand_over(self, client: Client, stages: Stages) -> None:
        self._before = await self._app.nodes()
        try:
            await client.bind(secrets.token_urlsafe(_SECRET_BYTES), self._app.token)
        except binding.BindingError as error:
            raise MappingError(f"the board does not take its user: {error}") from error

    async def finish(self, stages: Stages) -> str:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CONFIRM_S
        with stages.stage(CONFIGURING):
            stages.done("the board has no MQTT credentials and asks RainMaker itself")
        with stages.stage(VERIFYING):
            while not (nodes := await self._app.nodes()):
                if loop.time() > deadline:
                    raise MappingError(
                        "RainMaker has not confirmed the board; its serial port says why, and it "
                        "goes on trying"
                    )
                await asyncio.sleep(_POLL_S)
            node_id = next((n for n in nodes if n not in self._before), nodes[-1])
            stages.done(f"node {node_id} is yours")
        return node_id
