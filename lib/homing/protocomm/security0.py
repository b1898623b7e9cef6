# Espressif's Security 0: nothing is secret and nobody proves anything (protocomm's security0.c).
# For development only.

from .errors import Refused, tell
from .protobuf import INT, decode

_REPLY = b"\x52\x05\x08\x01\xaa\x01\x00"  # sec0 {msg: response, sr {}}


class Security0:
    """post: called with ("secured",) or ("bad-handshake", why); may be None."""

    sec_ver = 0
    patch = 0
    overhead = 0
    caps = ("no_sec",)
    ready = True  # clients may leave the handshake out

    def __init__(self, post=None):
        self._post = post

    def reset(self):
        pass

    def prepare(self):
        pass

    def handshake(self, data):
        """Answer S0SessionCmd, of which sec_ver alone is looked at. Raises Refused."""
        try:
            if decode({2: INT}, data).get(2, 0):
                raise Refused("not Security 0")
        except Refused as e:
            tell(self._post, ("bad-handshake", e.args[0]))
            raise
        tell(self._post, ("secured",))
        return _REPLY

    def decrypt(self, data):
        return data

    def encrypt(self, data):
        return data
