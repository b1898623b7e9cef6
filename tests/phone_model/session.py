"""The client's side of the three security schemes, with what Espressif's clients do to numbers.

Curve, ciphers and hashes are `cryptography`'s and Python's; envelopes are Espressif's protobuf
classes as esp-protocomm carries them. security0.c, security1.c, security2.c of protocomm.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from esp_protocomm.proto import sec1_pb2, sec2_pb2, session_pb2

from tools.provision.schemes import PRIME

_USERNAME = b"wifiprov"
_GROUP_LEN = 384


class BadAnswer(Exception):
    """The other side does not hold the proof of possession, or an answer cannot be its own."""


class Session0:
    sec_ver = 0

    async def shake(self, send: Any) -> None:
        reply = session_pb2.SessionData.FromString(
            await send("prov-session", bytes.fromhex("5203a20100"))
        )
        if reply.sec_ver or not reply.HasField("sec0") or reply.sec0.sr.status:
            raise BadAnswer("no answer of Security 0")

    def encrypt(self, data: bytes) -> bytes:
        return data

    decrypt = encrypt


class Session1:
    """X25519, the hash of the proof over the shared secret, one AES-CTR stream for both sides."""

    sec_ver = 1

    def __init__(self, pop: bytes) -> None:
        self._pop = pop

    async def shake(self, send: Any) -> None:
        private = X25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        data = session_pb2.SessionData(sec_ver=session_pb2.SecScheme1)
        data.sec1.sc0.client_pubkey = public
        first = _parsed(self.sec_ver, await send("prov-session", data.SerializeToString()))
        if first.msg != sec1_pb2.Session_Response0 or first.sr0.status:
            raise BadAnswer("no Session_Response0")
        device = first.sr0.device_pubkey
        key = private.exchange(X25519PublicKey.from_public_bytes(device))
        if self._pop:
            key = bytes(a ^ b for a, b in zip(key, hashlib.sha256(self._pop).digest(), strict=True))
        stream = Cipher(algorithms.AES(key), modes.CTR(first.sr0.device_random)).encryptor()
        self.encrypt = self.decrypt = stream.update
        data = session_pb2.SessionData(sec_ver=session_pb2.SecScheme1)
        data.sec1.msg = sec1_pb2.Session_Command1
        data.sec1.sc1.client_verify_data = self.encrypt(device)
        second = _parsed(self.sec_ver, await send("prov-session", data.SerializeToString()))
        if self.decrypt(second.sr1.device_verify_data) != public:
            raise BadAnswer("its proof is wrong")


def _parsed(sec_ver: int, reply: bytes) -> Any:
    data = session_pb2.SessionData.FromString(reply)
    if data.sec_ver != sec_ver:
        raise BadAnswer(f"an answer of Security {data.sec_ver}")
    return getattr(data, f"sec{sec_ver}")


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).digest()


def _short(number: bytes | int) -> bytes:
    """Without leading zeros, as BigInteger and Python's integers lose them."""
    if isinstance(number, int):
        return number.to_bytes((number.bit_length() + 7) // 8, "big")
    return number.lstrip(b"\0")


def _pad(number: int) -> bytes:
    return number.to_bytes(_GROUP_LEN, "big")


class Session2:
    """SRP-6a of RFC 5054 with SHA-512, then AES-256-GCM with a counted nonce.

    strips: of "salt", "inner", "K", "M1", those from which this client loses leading zeros.
    counts: whether proto-ver said sec_patch_ver 1, so that the nonce counts up.
    """

    sec_ver = 2

    def __init__(
        self, pop: bytes, strips: tuple[str, ...], counts: bool, chance: random.Random
    ) -> None:
        self._pop, self._strips, self._counts, self._chance = pop, strips, counts, chance
        self._gcm: AESGCM
        self._nonce = b""

    def _lose(self, what: str, value: bytes) -> bytes:
        return _short(value) if what in self._strips else value

    async def shake(self, send: Any) -> None:
        secret = self._chance.getrandbits(256) | 1 << 255
        public = _short(pow(5, secret, PRIME))  # 383 bytes one time in 256
        data = session_pb2.SessionData(sec_ver=session_pb2.SecScheme2)
        data.sec2.sc0.client_username = _USERNAME
        data.sec2.sc0.client_pubkey = public
        first = _parsed(self.sec_ver, await send("prov-session", data.SerializeToString()))
        if first.msg != sec2_pb2.S2Session_Response0 or first.sr0.status:
            raise BadAnswer("no S2Session_Response0")
        theirs = first.sr0.device_pubkey
        salt = self._lose("salt", first.sr0.device_salt)
        number = int.from_bytes(theirs, "big")
        inner = self._lose("inner", _hash(_USERNAME, b":", self._pop))
        x = int.from_bytes(_hash(salt, inner), "big")
        k = int.from_bytes(_hash(_pad(PRIME), _pad(5)), "big")
        u = int.from_bytes(_hash(_pad(int.from_bytes(public, "big")), _pad(number)), "big")
        shared = pow(number - k * pow(5, x, PRIME), secret + u * x, PRIME)
        key = self._lose("K", _hash(_short(shared)))
        group = bytes(a ^ b for a, b in zip(_hash(_pad(PRIME)), _hash(_pad(5)), strict=True))
        proof = self._lose("M1", _hash(group, _hash(_USERNAME), salt, public, theirs, key))
        data = session_pb2.SessionData(sec_ver=session_pb2.SecScheme2)
        data.sec2.msg = sec2_pb2.S2Session_Command1
        data.sec2.sc1.client_proof = proof
        second = _parsed(self.sec_ver, await send("prov-session", data.SerializeToString()))
        if second.sr1.device_proof != _hash(public, proof, key):
            raise BadAnswer("its proof is wrong")
        self._gcm, self._nonce = AESGCM(key[:32]), second.sr1.device_nonce

    def _counted(self, data: bytes) -> bytes:
        if self._counts:
            count = int.from_bytes(self._nonce[8:], "big") + 1
            self._nonce = self._nonce[:8] + count.to_bytes(4, "big")
        return data

    def encrypt(self, data: bytes) -> bytes:
        return self._counted(self._gcm.encrypt(self._nonce, data, None))

    def decrypt(self, data: bytes) -> bytes:
        try:
            return self._counted(self._gcm.decrypt(self._nonce, data, None))
        except InvalidTag as error:
            raise BadAnswer("an answer with a wrong tag") from error
