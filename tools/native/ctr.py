"""AES-CTR around the block cipher: counter blocks, and XOR.

Both take a time that depends on lengths and on the counter, which travels in the clear; not on
key or data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import counts
from .asm import A0, A1, A2, A3, A4, A5, S0, S1, T0, T1, T2, ZERO, Array, Function, Mem, Reg

if TYPE_CHECKING:
    from .emulator import Machine

_BLOCK_LEN = 16


def functions() -> list[Function]:
    """The asm functions of the module, in order."""
    return [_blocks(), _xor()]


def _blocks() -> Function:
    f = Function(
        "blocks",
        parameters=3,
        doc="blocks(out, counter, count): write `count` successive counter blocks of 16 bytes\n"
        "to `out`, and to `counter` the one that follows them. All pointers are aligned.",
    )
    out, counter, count = A0, A1, A2
    # The counter is big endian: its last byte is the top one of the last word here. Adding `one`
    # to that word counts up to 255 further blocks, until the byte overflows.
    words = (A3, A4, A5, T0)
    last, one, byte, place, end = T0, T1, T2, A3, A4
    value = Array(counter, 0, 4)

    def load() -> None:
        for i, word in enumerate(words):
            f.lw(word, value[i])

    def store(to: Array) -> None:
        for i, word in enumerate(words):
            f.sw(word, to[i])

    f.li(one, 1 << 24)
    load()
    f.beq(count, ZERO, "done")
    f.label("next")
    store(Array(out, 0, 4))
    f.addi(out, out, _BLOCK_LEN)
    f.addi(count, count, -1)
    f.add(last, last, one)
    f.bltu(last, one, "carry")
    f.label("go_on")
    f.bne(count, ZERO, "next")
    f.label("done")
    store(value)
    f.jump("end")

    # One in 256: the bytes before the last one count, as far as they overflow too.
    f.label("carry")
    store(value)
    f.addi(place, counter, _BLOCK_LEN - 1)
    f.mv(end, counter)
    f.label("carry_byte")
    f.beq(place, end, "carried")
    f.addi(place, place, -1)
    f.lbu(byte, Mem(place))
    f.addi(byte, byte, 1)
    f.sb(byte, Mem(place))
    f.andi(byte, byte, 255)
    f.beq(byte, ZERO, "carry_byte")
    f.label("carried")
    load()
    f.jump("go_on")
    f.label("end")
    return f


def _xor() -> Function:
    f = Function(
        "xor",
        parameters=3,
        doc="xor(data, stream, length): data ^= stream, `length` bytes. Both are aligned.",
    )
    data, stream, length = A0, A1, A2
    left, right, wide = (A3, A5), (A4, S0), S1
    with f.frame((S0, S1)):
        f.li(wide, _BLOCK_LEN)
        f.bltu(length, wide, "words")
        f.label("block")
        for i in (0, 2):  # two at a time: a load is not needed by the instruction after it
            for k in (0, 1):
                f.lw(left[k], Mem(data, 4 * (i + k)))
                f.lw(right[k], Mem(stream, 4 * (i + k)))
            for k in (0, 1):
                f.xor(left[k], left[k], right[k])
                f.sw(left[k], Mem(data, 4 * (i + k)))
        f.addi(data, data, _BLOCK_LEN)
        f.addi(stream, stream, _BLOCK_LEN)
        f.addi(length, length, -_BLOCK_LEN)
        f.bgeu(length, wide, "block")
        f.label("words")
        f.li(wide, 4)
        f.bltu(length, wide, "bytes")
        f.label("word")
        _step(f, data, stream, length, 4)
        f.bgeu(length, wide, "word")
        f.label("bytes")
        f.beq(length, ZERO, "end")
        f.label("byte")
        _step(f, data, stream, length, 1)
        f.bne(length, ZERO, "byte")
        f.label("end")
    return f


def _step(f: Function, data: Reg, stream: Reg, length: Reg, size: int) -> None:
    load, store = (f.lw, f.sw) if size == 4 else (f.lbu, f.sb)
    load(A3, Mem(data))
    load(A4, Mem(stream))
    f.xor(A3, A3, A4)
    store(A3, Mem(data))
    f.addi(data, data, size)
    f.addi(stream, stream, size)
    f.addi(length, length, -size)


def _crypt(length: int) -> Callable[[Machine], int]:
    def measure(machine: Machine) -> int:
        count = -(-length // _BLOCK_LEN)
        stream = bytearray(count * _BLOCK_LEN)
        blocks = machine.call("blocks", stream, bytearray(_BLOCK_LEN), count)
        return counts.instructions([blocks, machine.call("xor", bytearray(length), stream, length)])

    return measure


OPERATIONS = [
    counts.Operation("ctr.100", "CTR around AES, 100 bytes", _crypt(100)),
    counts.Operation("ctr.1000", "CTR around AES, 1,000 bytes", _crypt(1000)),
]
