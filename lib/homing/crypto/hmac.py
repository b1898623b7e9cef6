# HMAC (RFC 2104) with SHA-256.

from hashlib import sha256

from micropython import const

_BLOCK_LEN = const(64)
_ONES = int.from_bytes(b"\1" * _BLOCK_LEN, "big")


def hmac_sha256(key, message):
    """The code of the message, 32 bytes. Raises ValueError for a key of more than 64 bytes."""
    if len(key) > _BLOCK_LEN:
        raise ValueError("HMAC key longer than 64 bytes")
    pad = int.from_bytes(key, "big") << 8 * (_BLOCK_LEN - len(key))
    inner = sha256((pad ^ 0x36 * _ONES).to_bytes(_BLOCK_LEN, "big"))
    inner.update(message)
    outer = sha256((pad ^ 0x5C * _ONES).to_bytes(_BLOCK_LEN, "big"))
    outer.update(inner.digest())
    return outer.digest()
