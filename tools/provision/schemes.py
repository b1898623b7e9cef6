"""The client's side of Security 0 and 2, in the shape of esp-protocomm's Security1, so that its
`establish_session`, `set_config` and so on run on them.

SRP-6a is PyPI's `srp`, AES-GCM is `cryptography`'s, the messages are Espressif's own as
esp-protocomm carries them. Security 2: protocomm's security2.c, sec2.proto.
"""

from __future__ import annotations

from typing import Any

import srp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from esp_protocomm.proto import sec0_pb2, sec2_pb2, session_pb2
from esp_protocomm.security1 import SecurityError

USERNAME = "wifiprov"  # what Espressif's apps send unless told otherwise
# RFC 5054, appendix A, the 3072-bit group; its generator is 5.
PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E34"
    "04DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6"
    "F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A6916"
    "3FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C"
    "32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA95"
    "6AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA7157"
    "5D060C7DB3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D876"
    "02733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E"
    "4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    16,
)
GENERATOR = 5
_KEY_LEN = 32
_NONCE_RANDOM_LEN = 8
_GROUP: dict[str, Any] = {
    "hash_alg": srp.SHA512,
    "ng_type": srp.NG_CUSTOM,
    "n_hex": f"{PRIME:X}".encode(),
    "g_hex": b"5",
}


class Security0:
    """Nothing is secret. One message and its answer; then everything in clear."""

    def setup_request(self) -> bytes:
        request = session_pb2.SessionData(sec_ver=session_pb2.SecScheme0)
        request.sec0.sc.SetInParent()
        return request.SerializeToString()

    def handle_setup_response(self, data: bytes) -> None:
        reply = session_pb2.SessionData.FromString(data)
        if reply.sec_ver != session_pb2.SecScheme0 or not reply.HasField("sec0"):
            raise SecurityError("the device does not answer with Security 0")
        if reply.sec0.msg != sec0_pb2.S0_Session_Response or reply.sec0.sr.status:
            raise SecurityError(f"the device refused Security 0: status {reply.sec0.sr.status}")

    def encrypt(self, data: bytes) -> bytes:
        return data

    def decrypt(self, data: bytes) -> bytes:
        return data


class Security2:
    """SRP-6a, then AES-256-GCM. patch: sec_patch_ver of proto-ver; 1 counts the nonce up."""

    def __init__(self, pop: str, username: str = USERNAME, patch: int = 1) -> None:
        srp.rfc5054_enable()  # Espressif pads in u, k and M1, as the RFC does
        self._user = srp.User(username, pop, **_GROUP)
        self._username = username
        self._patch = patch
        self._proof: bytes | None = None
        self._gcm: AESGCM | None = None
        self._nonce = b""

    def setup0_request(self) -> bytes:
        request = session_pb2.SessionData(sec_ver=session_pb2.SecScheme2)
        _, public = self._user.start_authentication()
        request.sec2.msg = sec2_pb2.S2Session_Command0
        request.sec2.sc0.client_username = self._username.encode()
        request.sec2.sc0.client_pubkey = public
        return request.SerializeToString()

    def handle_setup0_response(self, data: bytes) -> None:
        reply = self._reply(data, sec2_pb2.S2Session_Response0).sr0
        self._proof = self._user.process_challenge(reply.device_salt, reply.device_pubkey)
        if self._proof is None:
            raise SecurityError("the device's public key cannot be one")

    def setup1_request(self) -> bytes:
        if self._proof is None:
            raise SecurityError("setup0 must complete before setup1")
        request = session_pb2.SessionData(sec_ver=session_pb2.SecScheme2)
        request.sec2.msg = sec2_pb2.S2Session_Command1
        request.sec2.sc1.client_proof = self._proof
        return request.SerializeToString()

    def handle_setup1_response(self, data: bytes) -> None:
        reply = self._reply(data, sec2_pb2.S2Session_Response1).sr1
        self._user.verify_session(reply.device_proof)
        key = self._user.get_session_key()
        if key is None:
            raise SecurityError("the device's proof is wrong: it does not know the verifier")
        self._gcm = AESGCM(key[:_KEY_LEN])
        self._nonce = reply.device_nonce

    def encrypt(self, data: bytes) -> bytes:
        return self._counted(self._cipher().encrypt(self._nonce, data, None))

    def decrypt(self, data: bytes) -> bytes:
        try:
            return self._counted(self._cipher().decrypt(self._nonce, data, None))
        except InvalidTag as error:
            raise SecurityError(
                "the answer was changed on its way, or messages got lost"
            ) from error

    def _cipher(self) -> AESGCM:
        if self._gcm is None:
            raise SecurityError("no session established")
        return self._gcm

    def _counted(self, data: bytes) -> bytes:
        if self._patch == 1:
            count = int.from_bytes(self._nonce[_NONCE_RANDOM_LEN:], "big") + 1
            self._nonce = self._nonce[:_NONCE_RANDOM_LEN] + count.to_bytes(4, "big")
        return data

    @staticmethod
    def _reply(data: bytes, kind: int) -> Any:
        reply = session_pb2.SessionData.FromString(data)
        if reply.sec_ver != session_pb2.SecScheme2 or reply.sec2.msg != kind:
            raise SecurityError(f"the device answers with Security {reply.sec_ver}, not 2")
        return reply.sec2


async def establish(transport: Any, scheme: Security0) -> Security0:
    """The handshake of Security 0; for 1 and 2 esp-protocomm's establish_session serves."""
    scheme.handle_setup_response(await transport.send("prov-session", scheme.setup_request()))
    return scheme
