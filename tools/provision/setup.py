"""The last stage, as the RainMaker Home app has it: put the node into a home, set its time zone,
give it what it needs to talk to the cloud for its user.

What a board lacks of this is said. Without a Time service the Home app stays in this stage for
ever, so that is a failure here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from tools.cloud.app import AppError, RainMakerApp

from .client import ProvisionError
from .stages import SETTING_UP, Stages

_T = TypeVar("_T")
_HOME = "Home"
_TRIES, _PAUSE_S = 5, 2.0  # the app's own, for the configuration
_ONLINE_TRIES, _ONLINE_PAUSE_S = 5, 5.0  # and for being connected
_ZONES = "zoneinfo/"


class SetupError(ProvisionError):
    """The node is its user's, but an app would not get to the end."""

    exit_code = 4


async def set_up(app: RainMakerApp, node_id: str, zone: str, stages: Stages) -> None:
    """All of it. zone: name of the user's time zone, as `Europe/Berlin`. Raises SetupError."""
    with stages.stage(SETTING_UP):
        config = await _until(
            lambda: _config(app, node_id),
            (_TRIES, _PAUSE_S),
            f"node {node_id} has not told RainMaker what it is: does its serial port say that it "
            "is connected?",
        )
        devices = [str(device.get("name")) for device in config.get("devices", [])]
        stages.done(f"it is: {', '.join(devices) or 'a node without devices'}")
        stages.done(f"in the group {await _group(app, node_id)}")
        services = {str(s.get("type")): s for s in config.get("services", [])}
        await _time_zone(app, node_id, services.get("esp.service.time"), zone, stages)
        await _user_auth(app, node_id, services, stages)


async def _config(app: RainMakerApp, node_id: str) -> dict[str, Any] | None:
    with contextlib.suppress(AppError):
        return await app.config(node_id)
    return None


async def _group(app: RainMakerApp, node_id: str) -> str:
    groups = await app.groups()
    if not groups:
        await app.create_group(_HOME, [node_id])
        return _HOME
    if not any(node_id in group.get("nodes", []) for group in groups):
        await app.add_to_group(groups[0]["group_id"], [node_id])
    return str(groups[0]["group_name"])


async def _time_zone(
    app: RainMakerApp, node_id: str, service: dict[str, Any] | None, zone: str, stages: Stages
) -> None:
    name = service and _param(service, "esp.param.tz")
    if not (service and name):
        raise SetupError(
            "the board has no Time service, without which the Home app stays in this stage"
        )
    await _until(
        lambda: app.connected(node_id),
        (_ONLINE_TRIES, _ONLINE_PAUSE_S),
        f"node {node_id} is not connected to RainMaker",
    )

    async def taken() -> bool:
        if (await app.params(node_id)).get(service["name"], {}).get(name) == zone:
            return True
        # Each time: what is written before the node has subscribed is lost.
        await app.set_params(node_id, {service["name"]: {name: zone}})
        return False

    await _until(
        taken,
        (_TRIES, _PAUSE_S),
        f"the board does not report the time zone {zone}; perhaps it does not know it",
    )
    stages.done(f"its time zone is {zone}")


async def _user_auth(
    app: RainMakerApp, node_id: str, services: dict[str, dict[str, Any]], stages: Stages
) -> None:
    for kind, token_type in (
        ("esp.service.rmaker-user-auth", "esp.param.user-token"),
        ("esp.service.agent-auth", "esp.param.refresh-token"),
    ):
        service = services.get(kind)
        token = service and _param(service, token_type)
        if not (service and token):
            continue
        values = {token: app.refresh_token}
        base = _param(service, "esp.param.base-url")
        if base:
            values[base] = app.base_url
        await app.set_params(node_id, {service["name"]: values})
        stages.done(f"its service {service['name']} has your token")


def _param(service: dict[str, Any], kind: str) -> str | None:
    """The name of the service's parameter of that type."""
    params = service.get("params", [])
    return next((str(p["name"]) for p in params if p.get("type") == kind), None)


async def _until(ask: Callable[[], Awaitable[_T]], times: tuple[int, float], otherwise: str) -> _T:
    """The first answer that is something. Raises SetupError with `otherwise`."""
    tries, pause_s = times
    for attempt in range(tries):
        if answer := await ask():
            return answer
        if attempt < tries - 1:
            await asyncio.sleep(pause_s)
    raise SetupError(otherwise)


def local_zone() -> str:
    """The name of this computer's time zone; Etc/UTC if it has no name here."""
    with contextlib.suppress(OSError):
        given = os.environ.get("TZ", "").removeprefix(":")
        path = str(Path("/etc/localtime").resolve(strict=True))
        name = given if "/" in given else path.rpartition(_ZONES)[2]
        if "/" in name and not name.startswith("/"):
            return name
    return "Etc/UTC"
