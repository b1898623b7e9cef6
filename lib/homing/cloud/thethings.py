# thethings.io, the board's side of linking by a shared id.
#
# The board posts an id that the app posts as well; either may be first; the cloud keeps the first
# for 24 hours. By default the id is 128 random bits per window, which the app reads through the
# encrypted endpoint cloud_link. A window begins with the first "waiting for app" and the board
# gives it up at its end: state "expired", then a fresh id and a fresh window.
#
# Stored: "link_id" while linking, "until" (time() at which the window ends), then "thing_id".
# A thing token in the path is this board's password: no URL may reach a log.

import os
from binascii import hexlify

from micropython import const

from .base import Cloud

HOST = "api.thethings.io"

_LINK_ID_LEN = const(16)


class ThethingsIo(Cloud):
    """Links this board's thing. States: "none" (no thing token), "pending" (not posted yet),
    "waiting" (for the app), "linked", "expired", "failed(not activated)" (tried again every 15
    minutes), "failed(unknown thing token)" (final until the next start), "failed(http N)" (every 15
    minutes)."""

    name = "thethings"

    def __init__(self, ns, identity, report, http=None, *, link_id=None, allowed=True, host=HOST):
        """link_id: a fixed shared id instead of random ones, such as a serial that is part of the
        BLE name. Whoever guesses it links your board. allowed: False answers cloud_link with
        InvalidState, for boards that have no proof of possession."""
        super().__init__(ns, identity, report, http)
        self._fixed = link_id
        self._allowed = allowed
        self._host = host
        self._offer = None  # the id that cloud_link hands out
        self._asked = False
        self._failed = None

    @property
    def state(self):
        if not self.identity.get("thing_token"):
            return "none"
        if self._failed:
            return self._failed
        if not self.ns.get("link_id"):
            return "linked" if self.ns.get("thing_id") else "pending"
        return "waiting" if self.ns.get("until") else "pending"

    def endpoints(self):
        """What the provisioning service offers for this cloud: (name, handler)."""
        if not self.identity.get("thing_token"):
            return ()
        # Imported here, where files may be opened: the handler may not.
        from .messages import INVALID_STATE, SUCCESS, link_reply

        def cloud_link(_request):
            # In the BLE handler. Reading the id says that an app is about to link.
            if not self._allowed or not self._offer:
                return link_reply(INVALID_STATE, None)
            self._asked = True
            return link_reply(SUCCESS, self._offer)

        return (("cloud_link", cloud_link),)

    def prepare(self):
        """Have an id for this provisioning session; True if there is something to commit."""
        ns = self.ns
        if not self.identity.get("thing_token"):
            return False
        pending = ns.get("link_id")
        # An id that was posted before may be near its end: a new session gets a new window.
        stale = ns.get("until") or (self._fixed and pending != self._fixed)
        if pending and not stale:
            self._offer = pending
            return False
        self._offer = self._fixed or hexlify(os.urandom(_LINK_ID_LEN)).decode()
        if ns.get("thing_id") and not pending:
            return False  # linked: the new id counts only once an app has asked for it
        ns.set("link_id", self._offer)
        ns.erase("until")
        return True

    def take(self):
        """Move what the handler noted into the store; True if there is something to commit."""
        if not self._asked:
            return False
        self._asked = False
        if self.ns.get("link_id"):
            return False
        self.ns.set("link_id", self._offer)
        return True

    async def bind(self):
        """Runs until the thing is linked or the token turns out wrong. Cancel it at will."""
        from .thethings_link import bind

        await bind(self)
