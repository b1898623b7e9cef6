# Linking at thethings.io, while online: see thethings.py for what the id is and what is stored.

import asyncio
from time import time

from micropython import const

from .backoff import Backoff
from .errors import Transient
from .talk import call, text_of, wait_out

_WINDOW_S = const(86400)
_LAST_TRY_S = const(5)  # before the end: an app that comes late is still met
_SLOW_MS = const(900000)  # a person has to act first: activate the thing


async def bind(cloud):
    """Runs until the thing is linked or the token turns out wrong. Cancel it at will."""
    if not cloud.identity.get("thing_token"):
        return
    cloud._failed = None
    waits = Backoff()
    faults = Backoff()
    while True:
        try:
            cloud.take()
            if not cloud.ns.get("link_id") and not cloud.ns.get("thing_id"):
                cloud.prepare()
            cloud.ns.commit()
            if not cloud.ns.get("link_id"):
                cloud.say("linked", thing_id=cloud.ns.get("thing_id"))
                return
            if not _left_s(cloud):
                _expire(cloud)
                waits.reset()
                continue
            if not await _post(cloud):
                if cloud._failed == "failed(unknown thing token)":
                    return
                await asyncio.sleep_ms(_SLOW_MS)
                continue
            faults.reset()
            if cloud.ns.get("link_id"):
                cloud.ns.commit()
                cloud.say("waiting")
                await asyncio.sleep_ms(_within_window(cloud, waits.next_ms()))
        except (Transient, OSError) as e:
            await wait_out(cloud, faults, e)


def _left_s(cloud):
    # Seconds of the window; 0 when it is over. None posted yet: all of it. More left than a
    # window has means that the clock was wrong when it began: over, too.
    until = cloud.ns.get("until")
    if not until:
        return _WINDOW_S
    left_s = until - int(time())
    return left_s if 0 < left_s <= _WINDOW_S + 3600 else 0


def _within_window(cloud, pause_ms):
    last_ms = 1000 * (_left_s(cloud) - _LAST_TRY_S)
    return min(pause_ms, last_ms) if last_ms > 0 else min(pause_ms, 1000 * _LAST_TRY_S)


def _expire(cloud):
    ns = cloud.ns
    ns.erase("link_id")
    ns.erase("until")
    cloud._offer = None
    if not ns.get("thing_id"):
        cloud.prepare()
    cloud.say("expired")
    cloud.ns.commit()


async def _post(cloud):
    """One attempt; False if a person has to act. Raises Transient."""
    token = cloud.identity.get("thing_token")
    status, answer = await call(
        cloud,
        "POST",
        "https://" + cloud._host + "/v2/things/" + token + "/link-id",
        {"linkId": cloud.ns.get("link_id")},
    )
    message = answer.get("message")
    if status < 300:
        cloud._failed = None
        if message == "waiting for app":
            if not cloud.ns.get("until"):
                cloud.ns.set("until", int(time()) + _WINDOW_S)
            return True
        thing_id = text_of(answer.get("thingId"), 64)
        if message != "linked" or not thing_id:
            raise Transient("protocol: unknown answer")
        cloud.ns.set("thing_id", thing_id)
        cloud.ns.erase("link_id")
        cloud.ns.erase("until")
        return True
    if isinstance(message, str) and "activat" in message:
        cloud._failed = "failed(not activated)"
    elif status in (401, 403, 404):
        cloud._failed = "failed(unknown thing token)"
    else:
        cloud._failed = "failed(http %d)" % status
    cloud.say(cloud._failed)
    return False
