# GHASH (NIST SP 800-38D, 6.4), which authenticates in AES-GCM.

from micropython import const

from . import native

_BLOCK_LEN = const(16)
_TABLE_LEN = const(256)

_kernel = native.load("ghash")
if _kernel is None:
    from .ghash_plain import table, update  # pyright: ignore - what a table is, only they know
else:

    def table(key):
        out = bytearray(_TABLE_LEN)
        _kernel.table(out, native.source(key, _BLOCK_LEN))  # pyright: ignore - there is one
        return out

    def update(digest, table, data):
        count = len(data) // _BLOCK_LEN
        digest = native.target(digest, _BLOCK_LEN)
        table = native.source(table, _TABLE_LEN)
        data = native.source(data, count * _BLOCK_LEN)
        _kernel.update(digest, table, data, count)  # pyright: ignore - as above


def ghash(table, aad, data):
    """Of both, each filled up with zeros, and of their lengths: 16 bytes.

    table: what table() makes of a key of 16 bytes.
    """
    digest = bytearray(_BLOCK_LEN)
    for part in (aad, data):
        whole = len(part) & -_BLOCK_LEN
        part = memoryview(part)
        update(digest, table, part[:whole])
        if whole < len(part):
            block = bytearray(_BLOCK_LEN)
            block[: len(part) - whole] = part[whole:]
            update(digest, table, block)
    lengths = len(aad) << 67 | len(data) << 3  # in bits, 64 bits each
    update(digest, table, lengths.to_bytes(_BLOCK_LEN, "big"))
    return bytes(digest)
