"""Our SHA-512, AES-GCM, ECDSA and SRP-6a, on MicroPython, against implementations of others:
hashlib, OpenSSL through `cryptography`, and the SRP client of the PyPI package `srp`."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest
import srp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from peer import Peer

AGAIN = "refused: a zero byte leads; try again"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def test_sha512(peer: Peer) -> None:
    rng = random.Random(1)
    for _ in range(200):
        parts = [rng.randbytes(rng.randrange(200)) for _ in range(rng.randrange(4))]
        expected = hashlib.sha512(b"".join(parts)).hexdigest()
        assert peer.ask("sha512", [part.hex() for part in parts]) == expected


def test_gcm(peer: Peer) -> None:
    rng = random.Random(2)
    for i in range(150):
        key = rng.randbytes(32)
        # OpenSSL's AEAD takes from 8 bytes on; 12 is the usual one.
        iv = rng.randbytes(12 if i % 2 else rng.randint(8, 80))
        plain = rng.randbytes(rng.randrange(100))
        aad = rng.randbytes(rng.choice((0, 0, rng.randrange(50))))
        cipher = AESGCM(key).encrypt(iv, plain, aad)
        arguments = key.hex(), iv.hex()
        assert peer.ask("gcm_encrypt", *arguments, plain.hex(), aad.hex()) == cipher.hex()
        assert peer.ask("gcm_decrypt", *arguments, cipher.hex(), aad.hex()) == plain.hex()
        broken = bytearray(cipher)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        reply = peer.ask("gcm_decrypt", *arguments, broken.hex(), aad.hex())
        assert reply == "refused: wrong tag"


def test_p256(peer: Peer) -> None:
    rng = random.Random(3)
    keys = [1, 2, _P256_ORDER - 1, 1 << 255, (1 << 64) - 1]
    keys += [rng.randrange(1, _P256_ORDER) for _ in range(60)]
    for number in keys:
        private = number.to_bytes(32, "big").hex()
        message = rng.randbytes(rng.randrange(100))
        key = ec.derive_private_key(number, ec.SECP256R1())
        public = key.public_key()
        expected = public.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        assert peer.ask("p256_public_key", private) == expected.hex()
        signature = bytes.fromhex(peer.ask("p256_sign", private, message.hex()))
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        # OpenSSL makes the nonces of RFC 6979 too, so it must make the very same signature.
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        assert key.sign(message, algorithm) == signature


def _client(peer: Peer, username: str, password: str, typed: str) -> tuple[srp.User, list[bytes]]:
    """A client that was given the typed password and A's answer: B, M1, M2 and K."""
    srp.rfc5054_enable()  # u, k and M1 take padded values
    group = {
        "hash_alg": srp.SHA512,
        "ng_type": srp.NG_CUSTOM,
        "n_hex": peer.ask("srp_prime").encode(),
        "g_hex": b"5",
    }
    salt, verifier = srp.create_salted_verification_key(username, password, **group)
    answer = AGAIN
    while answer == AGAIN:  # one time in 100, and every client has to
        user = srp.User(username, typed, **group)
        _, client = user.start_authentication()
        answer = peer.ask("srp", salt.hex(), verifier.hex(), username.encode().hex(), client.hex())
    public, proof, server_proof, key = (bytes.fromhex(part) for part in answer)
    own_proof = user.process_challenge(salt, public)
    user.verify_session(server_proof)
    return user, [own_proof, proof, key]


def test_srp(peer: Peer) -> None:
    for i in range(12):
        password = f"secret {i}"
        user, (own_proof, proof, key) = _client(peer, "wifiprov" * (i + 1), password, password)
        assert own_proof == proof
        assert user.authenticated()
        assert user.get_session_key() == key


def test_srp_wrong_password(peer: Peer) -> None:
    user, (own_proof, proof, _) = _client(peer, "wifiprov", "right", "wrong")
    assert own_proof != proof
    assert not user.authenticated()
