# What Security 1 and 2 have in common: two commands with an answer each (sec1.proto, sec2.proto).
# Called from the transport's interrupt, except prepare().
# pyright: reportAttributeAccessIssue=false

from micropython import const

from .errors import Refused, tell
from .protobuf import decode, encode

# Values of a payload's msg. The member of a message is field 20 + msg.
_COMMAND0 = const(0)
_COMMAND1 = const(2)
RESPONSE0 = const(1)
RESPONSE1 = const(3)

_WRONG_PROOF = const("wrong proof")

# States: INIT waits for SessionCmd0, CMD1 for SessionCmd1, DONE encrypts.
INIT = const(0)
CMD1 = const(1)
DONE = const(2)


class Handshake:
    """A scheme gives sec_ver, reset(), _command0(fields) and _command1(fields).

    schema: of SessionData. post: called with ("secured",), ("wrong-pop",) or ("bad-handshake",
    why); may be None.
    """

    def __init__(self, schema, post):
        self._schema = schema
        self._post = post
        self.reset()

    @property
    def ready(self):
        """True once the client has proven itself."""
        return self._state == DONE

    def handshake(self, data):
        """Answer SessionCmd0 or SessionCmd1. Raises Refused; the client may start over."""
        try:
            message = decode(self._schema, data)
            payload = message.get(10 + self.sec_ver)
            if message.get(2, 0) != self.sec_ver or payload is None:
                raise Refused("not Security %d" % self.sec_ver)
            kind = payload.get(1, 0)
            if kind == _COMMAND0:
                return self._command0(payload.get(20))
            if kind == _COMMAND1:
                if self._state != CMD1:
                    raise Refused("no key exchange")
                return self._command1(payload.get(22))
            raise Refused("unknown message")
        except Refused as e:
            if e.args[0] != _WRONG_PROOF:  # that one was told as such
                tell(self._post, ("bad-handshake", e.args[0]))
            raise

    def _refuse_proof(self):
        tell(self._post, ("wrong-pop",))
        raise Refused(_WRONG_PROOF)

    def _done(self):
        self._state = DONE
        tell(self._post, ("secured",))

    def _reply(self, kind, inner):
        # Inside out: nested in one call, encoding alone would take a third of the handler's stack.
        field = 10 + self.sec_ver
        payload = encode(self._schema[field], {1: kind, 20 + kind: inner})
        return encode(self._schema, {2: self.sec_ver, field: payload})
