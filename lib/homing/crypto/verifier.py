# What a board knows of its proof of possession in Security 2: salt and verifier (RFC 5054, 2.4).

import os

from micropython import const

from . import powers
from .mod3072 import Mod3072
from .sha512 import Sha512

_SALT_LEN = const(16)
_GENERATOR = b"\5"


def fits(username, pop):
    """Whether all of Espressif's clients can use this proof (bytes): esp_prov and its command line
    lose a zero byte at the beginning of the inner hash, one time in 256, and then always fail."""
    return _inner(username, pop)[0] != 0


def new_salt():
    """16 random bytes. The first is no zero: some clients would lose it."""
    while True:
        salt = os.urandom(_SALT_LEN)
        if salt[0]:
            return salt


def make(salt, username, pop, out):
    """Append the verifier's 384 bytes to out. A generator of 654 steps: run it to its end."""
    mod = Mod3072()
    table = mod.table(powers.WINDOWS)
    mod.set(_GENERATOR)
    yield from powers.window_table(mod, table)
    x = bytes(reversed(Sha512(salt + _inner(username, pop)).digest()))
    yield from powers.power(mod, table, x)
    out.extend(mod.bytes())


def _inner(username, pop):
    return Sha512(username + b":" + pop).digest()
