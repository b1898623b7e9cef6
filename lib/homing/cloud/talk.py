# How a cloud talks to its server: one request, its answer sorted into "decided" and "try again".

import asyncio
import json

from micropython import const

from .errors import CloudError, Transient

_TIMEOUT_MS = const(20000)
_BODY_MAX = const(4096)
# Request timeout, too early, too many requests; with every 5xx they mean "not now".
_NOT_NOW = (408, 425, 429)
_ID_BYTES = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_."


async def call(cloud, method, url, body=None, headers=None):
    """(status, answer as a dict) when the cloud has decided something; raises Transient."""
    headers = dict(headers or {})
    data = b""
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    try:
        http = cloud._http
        if http is None:
            from .https import request as http
        status, kept, data = await http(
            method, url, headers, data, timeout_ms=_TIMEOUT_MS, max_body=_BODY_MAX
        )
    except CloudError as e:
        raise Transient(str(e)) from None
    except MemoryError:
        raise Transient("memory") from None
    if status in _NOT_NOW or not 200 <= status < 500 or 300 <= status < 400:
        raise Transient("http %d" % status, _seconds(kept.get("retry-after", b"")))
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        if status < 300:
            raise Transient("protocol: not a JSON object")
        answer = {}
    return status, answer


async def wait_out(cloud, faults, e):
    # A full flash (OSError) is a fault like an outage: said, and tried again.
    fault = e.fault if isinstance(e, Transient) else "store: cannot write"
    cloud.say(cloud.state, fault)
    await asyncio.sleep_ms(faults.next_ms(getattr(e, "retry_after_s", 0)))


def _seconds(text):
    # Retry-After as a date is not worth a parser: the back-off decides then.
    return int(text) if 0 < len(text) < 6 and text.isdigit() else 0


def text_of(value, length_max):
    """A cloud's id if it is one: a str of 1 to length_max letters, digits, "-", "_" or "."; None
    otherwise. Such an id can go into a URL, a file and a log as it is."""
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        return None
    for byte in value.encode():  # not by characters: each would become an interned string
        if byte not in _ID_BYTES:
            return None
    return value
