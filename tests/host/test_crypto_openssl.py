"""Our X25519 and AES-CTR, on MicroPython, against OpenSSL through the PyPI package cryptography."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from peer import Peer


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def test_x25519(peer: Peer) -> None:
    rng = random.Random(1)
    for i in range(100):
        private = rng.randbytes(32)
        # Every other one is any 32 bytes: points of the twist, top bit set.
        u = rng.randbytes(32)
        if i % 2:
            u = X25519PrivateKey.from_private_bytes(u).public_key().public_bytes_raw()
        key = X25519PrivateKey.from_private_bytes(private)
        expected = key.exchange(X25519PublicKey.from_public_bytes(u)).hex()
        assert peer.ask("shared_secret", private.hex(), u.hex()) == expected
        assert peer.ask("public_key", private.hex()) == key.public_key().public_bytes_raw().hex()


def test_x25519_refuses_what_openssl_refuses(peer: Peer) -> None:
    p = (1 << 255) - 19
    low = (0, 1, p - 1, p, p + 1)
    private = bytes(range(32))
    for u in (*low, *(value | 1 << 255 for value in low)):
        data = u.to_bytes(32, "little")
        with pytest.raises(ValueError):
            X25519PrivateKey.from_private_bytes(private).exchange(
                X25519PublicKey.from_public_bytes(data)
            )
        reply = peer.ask("shared_secret", private.hex(), data.hex())
        assert reply == "refused: low-order public key"


def test_aes_ctr_in_random_pieces(peer: Peer) -> None:
    rng = random.Random(2)
    for i in range(150):
        key = rng.randbytes(32)
        # Half of them are about to carry, through a random number of bytes.
        counter = rng.randbytes(16)
        if i % 2:
            ones = rng.randint(1, 16)
            counter = counter[: 16 - ones] + b"\xff" * (ones - 1) + bytes([rng.randint(240, 255)])
        parts = [rng.randbytes(rng.randrange(80)) for _ in range(rng.randint(1, 10))]
        other = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
        expected = [other.update(part).hex() for part in parts]
        assert peer.ask("aes_ctr", key.hex(), counter.hex(), [p.hex() for p in parts]) == expected
