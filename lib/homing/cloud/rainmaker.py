# ESP RainMaker, user-node mapping by the board: PUT with the user's access token, then polling the
# request until the cloud has confirmed it. The cloud does so when the node has reported the same
# secret itself, over MQTT (rainmaker_mqtt.py), for which it needs a node's credentials.
#
# Stored: "st" (state), and until it is decided "op", "secret", "user", "req" (the cloud's request
# id); "token" only with persist_token. After confirmation "user" alone stays beside "st". Written
# when something is decided, never per retry.
#
# Espressif's clients map in their own way: they leave a user id and a secret here
# (cloud_user_assoc), make the request themselves, and expect the node to report the two over MQTT.
# They are kept for that report, as "user" and "secret", with the state "pending"; "reset" 1 has the
# report unmap former users. A board without node credentials reports nothing: "unreported". With an
# EC key a node is mapped by a signature instead (ch_resp): "signed", whose user it does not know.

from collections import deque

from .base import Cloud

HOST = "api.rainmaker.espressif.com"

OPEN = ("pending", "sent")
EXPIRED = "failed(token expired)"


class RainMaker(Cloud):
    """Maps this node to a user. States: "none", "pending" (held, not sent), "sent" (the cloud has
    it), "confirmed", "removed", "needs token" (after a reboot), "timedout" (trying again),
    "failed(token expired)", "failed(timedout)", "failed(discarded)", "failed(refused N)";
    "unreported": the app maps, and waits for a report that this board cannot make; "signed": the
    cloud maps by a signature of this node."""

    name = "rainmaker"

    def __init__(
        self,
        ns,
        identity,
        report,
        http=None,
        *,
        allowed=True,
        persist_token=False,
        associate=False,
        host=HOST,
        credentials=None,
    ):
        """allowed: False refuses cloud_bind, for boards without a proof of possession.
        persist_token: keep the access token in flash, readable by whoever holds the board.
        associate: offer cloud_user_assoc without node credentials too, for esp-rainmaker-cli, which
        over HTTP does not go on without. credentials: makes a Store;
        the node's are in its namespace "credentials"."""
        super().__init__(ns, identity, report, http)
        self._allowed = allowed
        self._persist = persist_token
        self._host = host
        # From the handler: (op, secret, user, token in pieces); the last one wins.
        self._held: deque = deque((), 1)
        self._associate = associate
        self.credentials = credentials
        self._assoc: deque = deque((), 1)  # (user id, secret) from the handler; None, None: signed
        self._token = None  # bytes in pieces: no hole of the heap may have room for the whole

    @property
    def state(self):
        state = self.ns.get("st") or "none"
        if state in OPEN and self.ns.get("op") and not (self._token or self.ns.get("token")):
            return "needs token"
        return state

    def _access_token(self):
        # As https.request takes it: bytes in pieces, or a str.
        return self._token or self.ns.get("token")

    def endpoints(self):
        """What the provisioning service offers for this cloud: (name, handler)."""
        if not self.identity.get("node_id"):
            return ()
        reports = self.identity.get("node_key")
        theirs = ()
        if reports or self._associate:
            from .association import endpoints

            theirs = endpoints(self)
            if self.caps:  # a node that signs is mapped by that alone
                return theirs
        from .fragments import Fragments, parse

        def hold(pieces):
            held = parse(pieces)
            if reports and held[0] == "add" and not held[2]:
                raise ValueError("user")  # the report names its user
            self._held.append(held)

        return (("cloud_bind", Fragments(hold, self._allowed)),) + theirs

    def take(self):
        """Move what the handlers hold into the store; True if there is something to commit."""
        ns = self.ns
        associated = bool(self._assoc)
        if associated:
            from .association import take

            self._token = None
            user, secret = self._assoc.popleft()
            take(self, user, secret)
        try:
            op, secret, user, self._token = self._held.popleft()
        except IndexError:
            return associated
        if op == "add" and self.identity.get("node_key"):
            from .association import reset

            reset(self, user)
        state = ns.get("st")
        same = ns.get("op") == op and ns.get("secret") == secret and ns.get("user", "") == user
        if not (same and (state in OPEN or state == EXPIRED)):
            ns.erase("req")
            ns.set("op", op)
            ns.set("secret", secret)
            if user:
                ns.set("user", user)
            else:
                ns.erase("user")
        ns.set("st", "sent" if ns.get("req") else "pending")
        if self._persist:
            ns.set("token", b"".join(self._token).decode())
        else:
            ns.erase("token")
        return True

    async def bind(self):
        """Runs until the mapping is decided, or there is no token to go on with."""
        from .rainmaker_map import bind

        await bind(self)
