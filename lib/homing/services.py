# The services that phone apps look for in a node: time zone, system, user-auth, agent-auth. Types
# and names are Espressif's (esp_rmaker_standard_services.h).

import asyncio

from micropython import const

from . import board, timezone
from .devices import READ, WRITE, Param, Service

_RESTART_MS = const(2000)  # the app hears that it is done before the board is gone
_LEAVE_MS = const(10000)  # for the cloud to hear of a factory reset
_NAMES = ("time", "system", "user-auth", "agent-auth")


def make(name, node):
    """A service by its short name. Raises ValueError."""
    if name == "time":
        return _time()
    if name == "system":
        return _system(node)
    if name == "user-auth":
        return UserAuth()
    if name == "agent-auth":
        return AgentAuth()
    raise ValueError("no service %r; there are %s" % (name, ", ".join(_NAMES)))


def _time():
    zone = Param("TZ", "", "esp.param.tz", persist=True)
    rule = Param("TZ-POSIX", "", "esp.param.tz_posix", persist=True)

    def on_write(param, value):
        # The one follows from the other; both are reported.
        if param is zone:
            rule.put(timezone.rule(value))
        else:
            timezone.check(value)
            if value != rule.value:
                zone.put("")
        zone.changed = rule.changed = True

    return Service("Time", "esp.service.time", (zone, rule), on_write)


def _system(node):
    def on_write(param, value):
        if value:
            node.model.later(_act(node, param.name))

    return Service(
        "System",
        "esp.service.system",
        [
            Param(name, False, "esp.param." + name.lower())
            for name in ("Reboot", "Factory-Reset", "Wi-Fi-Reset")
        ],
        on_write,
    )


async def _act(node, what):
    from . import factory_reset, forget_wifi

    await asyncio.sleep_ms(_RESTART_MS)
    if what == "Factory-Reset":
        factory_reset()
        await node.model.leave(_LEAVE_MS)
    elif what == "Wi-Fi-Reset":
        forget_wifi()
    board.reset()


class UserAuth(Service):
    """Takes a user's refresh token and the address of the API that it is for, as phone apps hand
    them over after each association: service["UserToken"].value and service["BaseURL"].value.

    A token stands for the whole account of its user: it is never told to anybody, and forgotten
    when the board gets another user. In flash it can be read by whoever holds the board;
    persist=False keeps it in RAM. on_write(param, value): called for both. What your program finds
    out about the token it says with service["UserTokenStatus"].set(2): 0 none, 1 not verified,
    2 verified, 3 expired or invalid.
    """

    def __init__(self, on_write=None, persist=True):
        def taken(param, value):
            if on_write:
                on_write(param, value)
            if param.name == "UserToken":
                self["UserTokenStatus"].put(1 if value else 0)

        super().__init__(
            "RMUserAuth",
            "esp.service.rmaker-user-auth",
            (
                Param("UserToken", "", "esp.param.user-token", (WRITE,), persist=persist),
                Param("BaseURL", "", "esp.param.base-url", persist=persist),
                Param(
                    "UserTokenStatus", 0, "esp.param.user-token-status", (READ,), persist=persist
                ),
            ),
            taken,
        )


class AgentAuth(Service):
    """Takes a refresh token for an agent on this board; as UserAuth. Apps find both by their types;
    the names are ours."""

    def __init__(self, on_write=None, persist=True):
        token = Param("RefreshToken", "", "esp.param.refresh-token", (WRITE,), persist=persist)
        super().__init__("Agent-Auth", "esp.service.agent-auth", (token,), on_write)
