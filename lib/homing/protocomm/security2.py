# Espressif's Security 2: SRP-6a, then AES-256-GCM with a nonce that counts messages, which is patch
# version 1 (protocomm's security2.c, esp_srp.c, sec2.proto). Called from the transport's interrupt,
# except prepare().
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import os

from micropython import const

from ..crypto import ct
from ..crypto.gcm import AesGcm
from ..crypto.srp6a import Srp6a, server_proof
from .errors import Refused
from .handshake import CMD1, DONE, INIT, RESPONSE0, RESPONSE1, Handshake
from .protobuf import BYTES, INT, encode

_RESP0 = {1: INT, 2: BYTES, 3: BYTES}  # status, device_pubkey, device_salt
_RESP1 = {1: INT, 2: BYTES, 3: BYTES}  # status, device_proof, device_nonce
_SEC2_PAYLOAD = {
    1: INT,  # msg
    20: {1: BYTES, 2: BYTES},  # client_username, client_pubkey
    21: _RESP0,
    22: {1: BYTES},  # client_proof
    23: _RESP1,
}
SESSION_DATA = {2: INT, 10: {}, 11: {}, 12: _SEC2_PAYLOAD}  # sec_ver, sec0, sec1, sec2

_KEY_LEN = const(32)
_PROOF_LEN = const(64)
_IV_RANDOM_LEN = const(8)
_STEPS = const(8)  # multiplications of 3072 bits at once: 10 ms with native code, 100 without


class Security2(Handshake):
    """verifier: (salt, verifier), bytes; or None, and prepare() makes them of pop and username.

    post: see Handshake. Raises ValueError for a verifier that cannot be one.
    """

    sec_ver = 2
    patch = 1
    caps = ()
    overhead = 16  # bytes: the tag

    def __init__(self, verifier, pop=None, username=b"wifiprov", post=None):
        self._source = username, pop
        self._srp = None
        self._steps = None
        if verifier is not None:
            self._take(verifier)
        super().__init__(SESSION_DATA, post)

    def reset(self):
        """Forget the session's keys."""
        self._state = INIT
        self._peer = self._proof = self._key = self._gcm = self._nonce = None

    def close(self):
        """Let go of the tables, 18 KB: the service ends."""
        self._srp = self._steps = None

    def prepare(self):
        """Take a step towards the next handshake's secret; true while there is more to do. Main
        calls this, the radio being on."""
        if self._steps is None:
            # While a client is at it, nobody needs another secret, and others need the memory.
            if self._state != INIT or self._srp is not None and self._srp.ready:
                return False
            self._steps = self._preparation()
        try:
            for _ in range(_STEPS):
                next(self._steps)
        except StopIteration:
            self._steps = None
            return not self._srp.ready
        return True

    def decrypt(self, data):
        """The client's request in clear. Raises Refused before the handshake is done, and for a
        wrong tag, which does not count."""
        try:
            data = self._cipher().decrypt(self._nonce, data)
        except ValueError as e:
            raise Refused(e.args[0]) from None
        self._count()
        return data

    def encrypt(self, data):
        """Our reply in cipher, and the tag."""
        data = self._cipher().encrypt(self._nonce, data)
        self._count()
        return data

    def _take(self, verifier):
        self._salt = verifier[0]
        self._srp = Srp6a(self._salt, verifier[1])

    def _preparation(self):
        if self._srp is None:
            from ..crypto.verifier import make, new_salt

            salt = new_salt()
            verifier = bytearray()
            yield from make(salt, *self._source, verifier)
            self._take((salt, bytes(verifier)))
        if not self._srp.tables:
            yield from self._srp.prepare_tables()
        yield from self._srp.prepare()

    def _command0(self, command):
        if command is None:
            raise Refused("no sc0")
        self.reset()
        if self._srp is None:
            raise Refused("no verifier yet")
        peer = command.get(2, b"")
        try:
            public, self._key, self._proof = self._srp.respond(command.get(1, b""), peer)
        except ValueError as e:
            raise Refused(e.args[0]) from None
        self._peer = peer
        self._state = CMD1
        return self._reply(RESPONSE0, encode(_RESP0, {2: public, 3: self._salt}))

    def _command1(self, command):
        proof = command.get(1, b"") if command else b""
        missing = _PROOF_LEN - len(proof)
        if not 0 <= missing < _PROOF_LEN:
            raise Refused("bad proof length")
        if not ct.equal(bytes(missing) + proof, self._proof):  # some clients lose a leading zero
            self._refuse_proof()
        self._nonce = os.urandom(_IV_RANDOM_LEN) + b"\0\0\0\1"
        self._gcm = AesGcm(self._key[:_KEY_LEN])
        answer = server_proof(self._peer, self._proof, self._key)
        reply = self._reply(RESPONSE1, encode(_RESP1, {2: answer, 3: self._nonce}))
        self._peer = self._proof = self._key = None
        self._done()
        return reply

    def _cipher(self):
        if self._state != DONE:
            raise Refused("not secured")
        if self._nonce is None:
            raise Refused("all nonces are used up")
        return self._gcm

    def _count(self):
        # An iv serves one message: after 2 ** 32 - 1 of them there is none.
        nonce = self._nonce
        count = int.from_bytes(nonce[_IV_RANDOM_LEN:], "big") + 1 & 0xFFFFFFFF
        self._nonce = nonce[:_IV_RANDOM_LEN] + count.to_bytes(4, "big") if count else None
