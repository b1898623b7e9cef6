# AES-256-GCM (NIST SP 800-38D) on what cryptolib has, with tags of 16 bytes.

from cryptolib import aes
from micropython import const

from . import ct
from .aes_ctr import AesCtr
from .ghash import ghash, table

_ECB = const(1)
_BLOCK_LEN = const(16)
_KEY_LEN = const(32)
_TAG_LEN = const(16)
_IV_LEN = const(12)  # another length is hashed to the first counter block


class AesGcm:
    """Encrypts and authenticates with one key of 32 bytes; ValueError for another length.

    An iv must never serve two messages under one key. It may have any length but 0.
    """

    def __init__(self, key):
        if len(key) != _KEY_LEN:
            raise ValueError("AES-256-GCM wants a key of 32 bytes")
        self._key = bytes(key)
        self._ecb = aes(self._key, _ECB)
        self._table = table(self._ecb.encrypt(bytes(_BLOCK_LEN)))

    def encrypt(self, iv, data, aad=b""):
        """The ciphertext of data and after it the tag; aad is authenticated only."""
        first = self._first(iv)
        out = self._ctr(first, data)
        return out + self._tag(first, out, aad)

    def decrypt(self, iv, data, aad=b""):
        """What encrypt() was given. Raises ValueError, and tells nothing, for a wrong tag."""
        size = len(data) - _TAG_LEN
        if size < 0:
            raise ValueError("shorter than a tag")
        data = memoryview(data)
        first = self._first(iv)
        if not ct.equal(self._tag(first, data[:size], aad), data[size:]):
            raise ValueError("wrong tag")
        return self._ctr(first, data[:size])

    def _first(self, iv):
        # The counter block before the one of the first data (J0 in the standard).
        if not len(iv):
            raise ValueError("no iv")
        if len(iv) == _IV_LEN:
            return bytes(iv) + b"\0\0\0\1"
        return ghash(self._table, b"", iv)

    def _tag(self, first, data, aad):
        digest = ghash(self._table, aad, data)
        mask = self._ecb.encrypt(first)
        return bytes([digest[i] ^ mask[i] for i in range(_TAG_LEN)])

    def _ctr(self, first, data):
        # Here only the last 32 bits count; AesCtr's carry would go on.
        low = int.from_bytes(first[12:], "big") + 1 & 0xFFFFFFFF
        room = (1 << 32) - low << 4
        stream = AesCtr(self._key, first[:12] + low.to_bytes(4, "big"))
        if len(data) <= room:
            return stream.crypt(data)
        data = memoryview(data)
        out = stream.crypt(data[:room])
        return out + AesCtr(self._key, first[:12] + b"\0\0\0\0").crypt(data[room:])
