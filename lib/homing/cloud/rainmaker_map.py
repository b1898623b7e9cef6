# The mapping at RainMaker, while online: see rainmaker.py for what is stored.
#
# Decisions. timedout: the node's report may just be late, so a fresh PUT follows while the token is
# there, at most _ROUNDS_MAX in all, then failed(timedout). discarded: the cloud has a newer request
# of this user for this node; ours must not fight it: failed(discarded). 401: failed(token expired);
# secret and request id are kept, so that a new token for the same secret goes on where it was.

import asyncio

from micropython import const

from .backoff import Backoff
from .errors import Transient
from .rainmaker import EXPIRED, OPEN
from .talk import call, text_of, wait_out

_POLL_MS = const(5000)
_POLLS_FAST = const(12)  # a minute, as Espressif's own clients; slower after that
_POLL_SLOW_MS = const(60000)
_ROUNDS_MAX = const(5)


async def bind(cloud):
    """Runs until the mapping is decided, or there is no token to go on with."""
    rounds = 0
    polls = 0
    fresh = False  # the stored request timed out: a new PUT replaces it
    again = False  # an earlier try may have come through, and its answer was lost
    pauses = Backoff()
    faults = Backoff()
    while True:
        try:
            cloud.take()
            cloud.ns.commit()
            if cloud.state not in OPEN or not cloud.ns.get("op"):
                cloud.say(cloud.state)
                return
            if fresh or not cloud.ns.get("req"):
                await _put(cloud, again)
                fresh = False
                polls = 0
            elif await _poll(cloud):
                polls += 1
                await asyncio.sleep_ms(_POLL_MS if polls < _POLLS_FAST else _POLL_SLOW_MS)
            elif cloud.ns.get("st") == "sent":
                rounds += 1
                if rounds >= _ROUNDS_MAX:
                    _finish(cloud, "failed(timedout)")
                    continue
                cloud.say("timedout")
                await asyncio.sleep_ms(pauses.next_ms())
                fresh = True
            faults.reset()
        except (Transient, OSError) as e:
            again = True
            await wait_out(cloud, faults, e)


async def _ask(cloud, method, query="", body=None):
    # (status, answer); a status of None says that the matter is closed.
    status, answer = await call(
        cloud,
        method,
        "https://" + cloud._host + "/v1/user/nodes/mapping" + query,
        body,
        {"Authorization": cloud._access_token()},
    )
    if status == 401:
        _finish(cloud, EXPIRED, keep=True)
        return None, answer
    return status, answer


async def _put(cloud, again):
    ns = cloud.ns
    if not cloud._said:
        cloud.say("pending")
    op = ns.get("op")
    body = {
        "node_id": cloud.identity.get("node_id"),
        "secret_key": ns.get("secret", ""),
        "operation": op,
    }
    if ns.get("user"):
        body["user_id"] = ns.get("user")
    status, answer = await _ask(cloud, "PUT", body=body)
    if status is None:
        return
    if again and op == "remove" and status == 403:  # not this user's, any more
        _done(cloud)
        return
    if status >= 300 or answer.get("status") == "failure":
        _finish(cloud, "failed(refused %d)" % status)
        return
    request_id = text_of(answer.get("request_id"), 64)
    if request_id:
        ns.set("req", request_id)
        ns.set("st", "sent")
        cloud.ns.commit()
        cloud.say("sent")
    elif op == "remove" and answer.get("status") == "success":
        _done(cloud)
    else:
        raise Transient("protocol: unknown answer")


async def _poll(cloud):
    """True while the cloud waits for the node's side."""
    status, answer = await _ask(cloud, "GET", "?request_id=" + cloud.ns.get("req"))
    if status is None:
        return False
    found = answer.get("request_status")
    if status >= 300 or found == "timedout":
        return False  # a request that the cloud has forgotten is over as well
    if found == "requested":
        cloud.say("sent")
        return True
    if found == "confirmed":
        _done(cloud)
    elif found == "discarded":
        _finish(cloud, "failed(discarded)")
    else:
        raise Transient("protocol: unknown answer")
    return False


def _done(cloud):
    _finish(cloud, "removed" if cloud.ns.get("op") == "remove" else "confirmed")


def _finish(cloud, state, keep=False):
    ns = cloud.ns
    cloud._token = None
    ns.erase("token")
    if not keep:
        for key in ("secret", "req", "op"):
            ns.erase(key)
        if state != "confirmed":
            ns.erase("user")
    ns.set("st", state)
