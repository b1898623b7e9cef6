# AES-256-CTR on what cryptolib has: ECB on the stock board, CTR itself where it was built in.

from cryptolib import aes
from micropython import const

from . import native

_ECB = const(1)
_CTR = const(6)
_BLOCK_LEN = const(16)
_KEY_LEN = const(32)

_kernel = native.load("ctr")
if _kernel is None:
    from .aes_ctr_plain import counter_blocks, xor
else:

    def counter_blocks(counter, count):
        following = native.target(bytearray(counter), _BLOCK_LEN)
        blocks = bytearray(_BLOCK_LEN * count)
        _kernel.blocks(blocks, following, count)  # pyright: ignore - there is one
        return blocks, bytes(following)

    def xor(data, stream):
        size = len(data)
        if len(stream) < size:
            raise ValueError("the stream is too short")
        out = bytearray(data)
        _kernel.xor(out, native.source(stream, len(stream)), size)  # pyright: ignore - as above
        return bytes(out)


def _has_ctr():
    try:
        aes(bytes(_KEY_LEN), _CTR, bytes(_BLOCK_LEN))
        return True
    except ValueError:
        return False


_BUILT_IN = _has_ctr()


class AesCtr:
    """One continuous keystream: NIST SP 800-38A CTR, 128-bit big-endian counter.

    crypt() goes on where the last one stopped, inside a block too. Raises ValueError for a wrong
    length of key (32) or iv (16).
    """

    def __init__(self, key, iv):
        if len(key) != _KEY_LEN or len(iv) != _BLOCK_LEN:
            raise ValueError("AES-256-CTR wants 32 and 16 bytes")
        if _BUILT_IN:
            self.crypt = aes(key, _CTR, iv).encrypt  # pyright: ignore - same signature
            return
        self._ecb = aes(key, _ECB)
        self._counter = bytes(iv)
        self._rest = b""  # keystream that the last call did not use

    def crypt(self, data):
        """Encrypt or decrypt, which is the same."""
        size = len(data)
        rest = self._rest
        counter = self._counter
        missing = size - len(rest)
        if missing > 0:
            stream, counter = counter_blocks(counter, (missing + 15) >> 4)
            self._ecb.encrypt(stream, stream)
            if rest:
                stream = rest + stream
        else:
            stream = rest
        view = memoryview(stream)
        out = xor(data, view)
        # Last, so that running out of memory above leaves the stream where it was.
        self._rest = bytes(view[size:])
        self._counter = counter
        return out
