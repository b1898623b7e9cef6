# Doubles for the clouds' seams: flash that survives, an http that answers from a list, no pauses.

import asyncio

from homing.cloud import rainmaker_map, talk, thethings_link


class Pulled(BaseException):
    """The plug."""


class Flash:
    """A namespace as homing.store's: changes are in RAM until commit(). `saved` is what a reboot
    finds; `writes` counts; `cut_at` pulls the plug at that commit, before or after it is made."""

    def __init__(self, saved=None, cut_at=None, after=False):
        self.saved = saved or {}
        self.now = dict(self.saved)
        self.writes = 0
        self.full = False
        self.cut_at = cut_at
        self.after = after

    def get(self, key, default=None):
        return self.now.get(key, default)

    def set(self, key, value):
        assert 0 < len(key) <= 15 and isinstance(value, (bytes, str, int))
        self.now[key] = value

    def erase(self, key):
        self.now.pop(key, None)

    def erase_all(self):
        self.now = {}
        self.saved = {}

    def commit(self):
        if self.now == self.saved:
            return False
        if self.full:
            raise OSError(28)
        cut = self.cut_at == self.writes
        if cut and not self.after:
            raise Pulled
        self.saved = dict(self.now)
        self.writes += 1
        if cut:
            raise Pulled
        return True


class Http:
    """Answers are tuples (status, headers, body), exceptions, or functions of (method, url, body)
    that return one; the last one stays. `sent` keeps (method, url, body, headers)."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    async def __call__(self, method, url, headers, body, *, timeout_ms, max_body):
        assert timeout_ms > 0 and max_body <= 4096
        self.sent.append((method, url, body, headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(method, url, body)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def answer(text, status=200, **headers):
    return status, headers, text.encode() if isinstance(text, str) else text


class World:
    """Time without waiting: every pause of the clients moves `now_s` and is kept in `pauses`."""

    def __init__(self, now_s=850000000):
        self.now_s = now_s
        self.pauses = []
        self.limit = 2000
        for module in (talk, rainmaker_map, thethings_link):
            module.asyncio = self
        thethings_link.time = self.time

    def time(self):
        return self.now_s

    async def sleep_ms(self, ms):
        assert ms > 0
        self.pauses.append(ms)
        self.limit -= 1
        assert self.limit, "never ends"
        self.now_s += ms / 1000
        await asyncio.sleep_ms(0)


class Reports:
    """Every state that was said; a fault comes after it in brackets."""

    def __init__(self):
        self.said = []

    def __call__(self, state, **fields):
        self.said.append(state + (f" [{fields['fault']}]" if "fault" in fields else ""))
