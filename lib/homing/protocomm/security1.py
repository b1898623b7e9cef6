# Espressif's Security 1: X25519, a proof of possession mixed into the key, AES-256-CTR in both
# directions on one keystream (protocomm's security1.c, sec1.proto). Called from the transport's
# interrupt, except prepare().

import os
from hashlib import sha256

from micropython import const

from ..crypto import ct, x25519
from ..crypto.aes_ctr import AesCtr
from .errors import Refused
from .handshake import CMD1, DONE, INIT, RESPONSE0, RESPONSE1, Handshake
from .protobuf import BYTES, INT, encode

_RESP0 = {1: INT, 2: BYTES, 3: BYTES}  # status, device_pubkey, device_random
_RESP1 = {1: INT, 3: BYTES}  # status, device_verify_data
_SEC1_PAYLOAD = {
    1: INT,  # msg
    20: {1: BYTES},  # client_pubkey
    21: _RESP0,
    22: {2: BYTES},  # client_verify_data
    23: _RESP1,
}
# Security 0 and 2 are members only so that "the last member of a oneof wins" holds.
SESSION_DATA = {2: INT, 10: {}, 11: _SEC1_PAYLOAD, 12: {}}  # sec_ver, sec0, sec1, sec2

_KEY_LEN = const(32)
_IV_LEN = const(16)


class Security1(Handshake):
    """pop: bytes (b"" counts as one, but protects nothing), or None for a board without.

    post: see Handshake.
    """

    sec_ver = 1
    patch = 0
    overhead = 0  # a cipher is as long as what is in it

    def __init__(self, pop, post=None):
        self.caps = ("no_pop",) if pop is None else ()
        self.next_key = None  # (private, public) for the next SessionCmd0
        self._mask = int.from_bytes(sha256(pop).digest(), "little") if pop else 0
        super().__init__(SESSION_DATA, post)

    def reset(self):
        """Forget the session's keys."""
        self._state = INIT
        self._key = self._iv = self._public = self._peer = self._stream = None

    def prepare(self):
        """Make the next key pair if there is none. Main calls this, the radio being on."""
        if self.next_key is None:
            self.next_key = _key_pair()

    def decrypt(self, data):
        """The client's request in clear. Raises Refused before the handshake is done."""
        return self.encrypt(data)

    def encrypt(self, data):
        """Our reply in cipher; same keystream as decrypt."""
        if self._state != DONE:
            raise Refused("not secured")
        return self._stream.crypt(data)  # pyright: ignore - there is one in this state

    def _command0(self, command):
        if command is None:
            raise Refused("no sc0")
        self.reset()
        peer = command.get(1, b"")
        # RFC 7748 takes such values modulo p; here no honest client sends one, so none is served.
        if len(peer) == _KEY_LEN and int.from_bytes(peer, "little") >= x25519.P:
            raise Refused("non-canonical public key")
        key_pair = self.next_key or _key_pair()
        self.next_key = None  # one pair serves one handshake, whatever becomes of it
        try:
            key = x25519.shared_secret(key_pair[0], peer)
        except ValueError as e:
            raise Refused(e.args[0]) from None
        if self._mask:
            key = int.from_bytes(key, "little") ^ self._mask
            key = key.to_bytes(_KEY_LEN, "little")
        iv = os.urandom(_IV_LEN)
        self._key, self._iv, self._public, self._peer = key, iv, key_pair[1], peer
        self._state = CMD1
        return self._reply(RESPONSE0, encode(_RESP0, {2: key_pair[1], 3: iv}))

    def _command1(self, command):
        proof = command.get(2, b"") if command else b""
        if len(proof) != _KEY_LEN:
            raise Refused("bad proof length")
        # Every try starts the keystream anew: a refused proof costs the client no keystream.
        stream = AesCtr(self._key, self._iv)
        if not ct.equal(stream.crypt(proof), self._public):
            self._refuse_proof()
        reply = self._reply(RESPONSE1, encode(_RESP1, {3: stream.crypt(self._peer)}))
        self._key = self._iv = self._public = self._peer = None
        self._stream = stream
        self._done()
        return reply


def _key_pair():
    private = os.urandom(_KEY_LEN)
    return private, x25519.public_key(private)
