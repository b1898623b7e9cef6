# What handlers ask main to do. A handler appends and returns; main takes them in order.

from collections import deque

from ..protocomm.errors import Refused


class Intents:
    """Bounded queue from the interrupt to main, for one consumer."""

    def __init__(self, size=8):
        self._items = deque((), size, 1)  # pyright: ignore - 1: full is an error, no loss

    def post(self, item):
        """Append one item, from an interrupt too. Raises Refused when the queue is full."""
        try:
            self._items.append(item)
        except IndexError:
            raise Refused("busy") from None

    def get_nowait(self):
        """The oldest item, or None."""
        try:
            return self._items.popleft()
        except IndexError:
            return None
