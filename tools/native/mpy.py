"""Reads the .mpy files of native modules: header, and the machine code of each function.

Format: MicroPython, py/persistentcode.c of release 1.29 (`mp_raw_code_load`), version 6.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

VERSION = 6
SUB_VERSION = 3  # native code is taken by that sub-version alone
ARCH_RV32IMC = 11
_ARCH_FLAGS = 0x40  # in the feature byte: one more number follows the header
_HAS_CHILDREN = 4
_BYTECODE, _NATIVE, _VIPER, _ASM = range(4)


class FormatError(Exception):
    """This is not a .mpy that can be read here."""


@dataclass(frozen=True)
class Code:
    """An asm function: machine code and number of parameters."""

    code: bytes
    parameters: int


@dataclass(frozen=True)
class Mpy:
    """What a board checks before it loads the file, and its asm functions in order."""

    version: int
    sub_version: int
    arch: int
    arch_flags: int
    small_int_bits: int
    functions: tuple[Code, ...]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    def take(self, length: int) -> bytes:
        if self._pos + length > len(self._data):
            raise FormatError("the file ends too early")
        self._pos += length
        return self._data[self._pos - length : self._pos]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        value = 0
        while True:
            byte = self.byte()
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value

    @property
    def at_end(self) -> bool:
        return self._pos == len(self._data)


def parse(data: bytes) -> Mpy:
    """The parts of a .mpy with asm functions and plain byte code. Raises FormatError."""
    reader = _Reader(data)
    if reader.take(1) != b"M":
        raise FormatError("no .mpy")
    version, features, small_int_bits = reader.byte(), reader.byte(), reader.byte()
    flags = reader.number() if features & _ARCH_FLAGS else 0
    strings, objects = reader.number(), reader.number()
    for _ in range(strings):
        length = reader.number()
        if not length & 1:  # an odd number is one of MicroPython's own strings
            reader.take((length >> 1) + 1)
    if objects:
        raise FormatError("constant objects are not read here")
    functions = tuple(_raw_code(reader))
    if not reader.at_end:
        raise FormatError("there is more than one module in the file")
    arch = features >> 2 & 0xF
    return Mpy(version, features & 3, arch, flags, small_int_bits, functions)


def _raw_code(reader: _Reader) -> Iterator[Code]:
    head = reader.number()
    kind, length = head & 3, head >> 3
    code = reader.take(length)
    if kind == _ASM:
        reader.number()  # flags of the scope
        parameters = reader.number()
        reader.number()  # type of what is returned
        yield Code(code, parameters)
    elif kind != _BYTECODE:
        raise FormatError("native and viper functions cannot be run here")
    if head & _HAS_CHILDREN:
        for _ in range(reader.number()):
            yield from _raw_code(reader)


def instructions(code: bytes) -> Iterator[tuple[int, int, int]]:
    """(offset, length, encoding) of each instruction: two low bits set mean 32 bits, else 16."""
    pos = 0
    while pos < len(code):
        length = 4 if code[pos] & 3 == 3 else 2
        if pos + length > len(code):
            return  # mpy-cross may pad the end
        yield pos, length, int.from_bytes(code[pos : pos + length], "little")
        pos += length


def lint(code: bytes) -> list[str]:
    """What must not be in a kernel, as sentences: jumps to an address in a register, except
    returns by ra or t0. mpy-cross 1.29 makes one of `mv(rd, zero)`.
    """
    faults = []
    for offset, length, encoding in instructions(code):
        if length == 2 and encoding & 0xE003 == 0x8002 and not encoding >> 2 & 0x1F:
            register, links = encoding >> 7 & 0x1F, encoding >> 12 & 1
            if links or register not in (1, 5):
                faults.append(f"offset {offset}: jump to the address in x{register}")
        elif length == 4 and encoding & 0x7F == 0x67:
            faults.append(f"offset {offset}: jalr")
        elif length == 4 and encoding & 0x7F == 0x73:
            faults.append(f"offset {offset}: system instruction")
    return faults
