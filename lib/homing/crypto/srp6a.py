# The device's side of SRP-6a as Espressif's Security 2 has it: the 3072-bit group of RFC 5054 and
# SHA-512, with the generator padded wherever it is hashed (RFC 2945 does not).

import os

from . import powers
from .group3072 import LEN, PRIME
from .mod3072 import Mod3072
from .sha512 import Sha512

_GENERATOR = b"\5"
_P = int.from_bytes(PRIME, "big")
_AGAIN = "a zero byte leads; try again"


class Srp6a:
    """Knows salt and verifier; each answer to a client takes a fresh secret, made beforehand.

    respond() may interrupt the other two between any of their steps.

    Raises ValueError for an empty salt, and for a verifier that is 0 modulo the prime or too long.
    """

    def __init__(self, salt, verifier):
        if not salt:
            raise ValueError("no salt")
        self._salt = salt
        mod = Mod3072()
        mod.set(verifier)
        self._verifier = mod.bytes()
        self._comb = None
        self._secret = None
        generator = bytes(LEN - 1) + _GENERATOR
        verifier = int.from_bytes(self._verifier, "big")
        if not verifier:
            raise ValueError("verifier is zero")
        # k * v, of B = k * v + g ** b.
        self._kv = int.from_bytes(_hash(PRIME, generator), "big") * verifier % _P
        group = _hash(PRIME), _hash(generator)
        self._group = bytes([group[0][i] ^ group[1][i] for i in range(64)])

    def prepare_tables(self):
        """Make the table of the verifier's powers, once. A generator: run it to its end."""
        mod = Mod3072()
        comb = mod.table(powers.COMBS)
        mod.set(self._verifier)
        yield from powers.comb_table(mod, comb)
        self._comb = comb

    @property
    def tables(self):
        """Whether prepare_tables() is done."""
        return self._comb is not None

    @property
    def ready(self):
        """Whether respond() finds all prepared."""
        return self._comb is not None and self._secret is not None

    def prepare(self, secret=None):
        """Draw a secret, or take it (32 bytes), and make B. A generator: run it to its end.

        One time in 256 B begins with a zero byte: then nothing is ready afterwards.
        """
        mod = Mod3072()
        table = mod.table(powers.WINDOWS)
        mod.set(_GENERATOR)
        yield from powers.window_table(mod, table)
        secret = secret or os.urandom(powers.EXPONENT_LEN)
        b = int.from_bytes(secret, "big")
        yield from powers.power(mod, table, b.to_bytes(powers.EXPONENT_LEN, "little"))
        public = (int.from_bytes(mod.bytes(), "big") + self._kv) % _P
        public = public.to_bytes(LEN, "big")
        if public[0]:
            # The table goes along: respond() has its 6 KB without asking for them.
            self._secret = b, public, table

    def respond(self, username, client):
        """Answer a client's A, as received: (B, K, M1), bytes; M1 is the proof to expect.

        What was not prepared is done now. No secret serves twice, whatever becomes of it.

        Raises ValueError for an empty username, for an A that is longer than 384 bytes or 0 modulo
        the prime, and when B, K or M1 begins with a zero byte, which some clients lose: one time in
        128 (one in 85 if nothing was prepared). Another try, with another secret, will do.
        """
        if not username:
            raise ValueError("no username")
        if not int.from_bytes(client, "big") % _P:
            raise ValueError("client's public value is zero")
        mod = Mod3072()
        mod.set(client)
        if not self._comb:
            _run(self.prepare_tables())
        if not self._secret:
            _run(self.prepare())
        secret = self._secret
        self._secret = None
        if not secret:
            raise ValueError(_AGAIN)
        b, public, table = secret
        _run(powers.window_table(mod, table))
        u = int.from_bytes(_hash(bytes(LEN - len(client)), client, public), "big")
        # S = (A * v ** u) ** b, whose squarings both powers share.
        ub = (u * b).to_bytes(powers.COMB_LEN, "little")
        b = b.to_bytes(powers.EXPONENT_LEN, "little")
        _run(powers.power(mod, table, b, self._comb, ub))
        key = _hash(mod.bytes().lstrip(b"\0"))
        proof = _hash(self._group, _hash(username), self._salt, client, public, key)
        if not (u and key[0] and proof[0]):
            raise ValueError(_AGAIN)
        return public, key, proof


def server_proof(client, proof, key):
    """M2, which shows the client that this side knows K too."""
    return _hash(client, proof, key)


def _hash(*parts):
    out = Sha512()
    for part in parts:
        out.update(part)
    return out.digest()


def _run(steps):
    for _ in steps:
        pass
