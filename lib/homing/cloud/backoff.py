# Growing pauses with jitter: a cloud that comes back must not be met by every board at once.

import random

from micropython import const

_RETRY_AFTER_MAX_S = const(3600)  # what a cloud may ask for; more would look like a dead board


class Backoff:
    """Pauses that double from about first_ms up to cap_ms, each shortened by up to a quarter."""

    def __init__(self, first_ms=5000, cap_ms=300000):
        self._first_ms = first_ms
        self._cap_ms = cap_ms
        self._ms = first_ms

    def next_ms(self, retry_after_s=0):
        """The next pause in ms; at least what the cloud asked for, at most an hour."""
        pause_ms = self._ms
        self._ms = min(2 * pause_ms, self._cap_ms)
        pause_ms -= random.getrandbits(8) * (pause_ms // 4) // 255
        return max(pause_ms, 1000 * min(max(retry_after_s, 0), _RETRY_AFTER_MAX_S))

    def reset(self):
        self._ms = self._first_ms
