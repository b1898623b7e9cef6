# Which security scheme a service has, when it is not Security 1 alone. A scheme has sec_ver, patch,
# caps, ready, and overhead, the bytes by which a cipher is longer than what is in it; prepare(),
# which main calls again and again and which takes one bounded step, true while there is more to do;
# handshake(data), decrypt(data), encrypt(data) and reset(), which the transport calls where its
# requests come in; and perhaps close(), for the end of the service. Only what is chosen is loaded.

from .errors import Refused
from .protobuf import INT, decode


def scheme(which, pop, verifier, post, username=b"wifiprov"):
    """The scheme for `which`: 0, 1, 2 or (1, 2). pop: bytes or None. verifier: (salt, verifier), or
    None to make them of pop. Raises ValueError for one that there is not, or that lacks a proof."""
    if which == 0:
        from .security0 import Security0

        return Security0(post)
    if which == 1:
        from .security1 import Security1

        return Security1(pop, post)
    both = which in ((1, 2), (2, 1))
    if which != 2 and not both:
        raise ValueError("no security %r; there are 0, 1, 2 and (1, 2)" % (which,))
    if pop is None and (both or verifier is None):
        raise ValueError("Security 2 needs a proof of possession; without one there is Security 1")
    from .security2 import Security2

    if not both:
        return Security2(verifier, pop, username, post)
    from .security1 import Security1

    return Both(Security1(pop, post), Security2(verifier, pop, username, post))


class Both:
    """Security 1 and 2 at once: the client's sec_ver says which. proto-ver tells of 2."""

    sec_ver = 2
    patch = 1
    caps = ()
    overhead = 16  # bytes, of Security 2

    def __init__(self, one, two):
        self._one, self._two = one, two
        self._current = two

    @property
    def ready(self):
        return self._current.ready

    def reset(self):
        self._one.reset()
        self._two.reset()

    def close(self):
        self._two.close()

    def prepare(self):
        self._one.prepare()
        return self._two.prepare()

    def handshake(self, data):
        try:
            sec_ver = decode({2: INT}, data).get(2, 0)
        except Refused:
            sec_ver = 2  # that one will say what is wrong
        chosen = self._one if sec_ver == 1 else self._two
        reply = chosen.handshake(data)
        if chosen is not self._current:
            self._current.reset()
            self._current = chosen
        return reply

    def decrypt(self, data):
        return self._current.decrypt(data)

    def encrypt(self, data):
        return self._current.encrypt(data)
