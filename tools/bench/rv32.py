"""A bare RV32IMC machine in emulation that runs whole C programs and counts their instructions.

Programs are linked for the memory at BASE. There is a UART (16550: data and line status), and a
register to which a program writes marks. As in tools/native/emulator.py, which watches single
functions for faults, `unicorn` executes, and basic blocks entered times instructions in each make
the count, which is exact. It is no measure of time.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import unicorn
from unicorn import riscv_const

BASE = 0x80000000
RAM_LEN = 8 << 20
ROM = 0x20000000
UART = 0x10000000
MARK = 0x10001000  # a word written here is a mark
_PAGE = 0x1000
_LINE_STATUS = 5
_LSR_TX_EMPTY = 0x20
_LSR_RX_READY = 0x01
_EHDR = struct.Struct("<IIIIHHHHH")
_PHDR = struct.Struct("<8I")
_SHDR = struct.Struct("<10I")
_SYM = struct.Struct("<IIIBBH")
_PT_LOAD = 1
_SHT_SYMTAB = 2
_STT_FUNC = 2
_RETURN = 0x00100000  # where a called function returns to
_ARGS = tuple(getattr(riscv_const, f"UC_RISCV_REG_A{i}") for i in range(8))


class Fault(Exception):
    """The program did what it must not; with the place."""


@dataclass(frozen=True)
class Symbol:
    """A function or variable, or a place that the linker names; `size` in bytes."""

    name: str
    address: int
    size: int
    defined: bool


@dataclass(frozen=True)
class Program:
    """A linked program, or an object file: segments by address, and symbols."""

    segments: dict[int, bytes]
    symbols: list[Symbol]
    entry: int

    @classmethod
    def from_elf(cls, elf: bytes) -> Program:
        """An ELF file of 32 bits, little-endian. Raises ValueError for another."""
        if elf[:6] != b"\x7fELF\1\1":
            raise ValueError("this is no ELF file of 32 bits, little-endian")
        entry, ph, sh, _flags, _size, _, ph_count, _, sh_count = _EHDR.unpack_from(elf, 24)
        segments = {}
        for kind, offset, address, _, length, *_rest in _table(elf, _PHDR, ph, ph_count):
            if kind == _PT_LOAD and length:
                segments[address] = elf[offset : offset + length]
        sections = _table(elf, _SHDR, sh, sh_count)
        symbols = []
        for _, kind, _, _, offset, length, link, *_rest in sections:
            if kind == _SHT_SYMTAB:
                names = elf[sections[link][4] :]
                count = length // _SYM.size
                for name, value, size, info, _, section in _table(elf, _SYM, offset, count):
                    if info & 0xF <= _STT_FUNC and name:
                        text = names[name : names.index(0, name)].decode()
                        symbols.append(Symbol(text, value, size, section != 0))
        return cls(segments, symbols, entry)

    def size(self, names: Collection[str]) -> int:
        """Bytes of the functions and variables with these names."""
        return sum(symbol.size for symbol in self.symbols if symbol.name in names)


def _table(elf: bytes, form: struct.Struct, offset: int, count: int) -> list[tuple[int, ...]]:
    return [form.unpack_from(elf, offset + i * form.size) for i in range(count)]


@dataclass(frozen=True)
class Mark:
    """A number that the program has written to MARK, and what had been counted by then; that block
    as a whole.
    """

    number: int
    instructions: int
    entries: int  # sum of a0 at every entry of the watched function


class Machine:
    """One program in its memory. rom: what is at ROM. watch: a function of the program, whose first
    argument is added up; the size, if it is an allocator.
    """

    def __init__(self, program: Program, rom: bytes = b"", watch: str | None = None) -> None:
        self.symbols = {symbol.name: symbol.address for symbol in program.symbols}
        self.marks: list[Mark] = []
        self._entries = 0
        self.output = bytearray()
        self._input = bytearray()
        self._polled = False
        self._free = BASE + RAM_LEN // 2
        self._blocks: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._lengths: dict[tuple[int, int], int] = {}
        uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        uc.mem_map(BASE, RAM_LEN)
        for address, content in program.segments.items():
            uc.mem_write(address, content)
        if rom:
            uc.mem_map(ROM, -(-len(rom) // _PAGE) * _PAGE, unicorn.UC_PROT_READ)
            uc.mem_write(ROM, rom)
        uc.mem_map(_RETURN, _PAGE)
        uc.mmio_map(UART, 2 * _PAGE, self._read, None, self._write, None)
        if watch:
            at = self.symbols[watch]
            uc.hook_add(unicorn.UC_HOOK_CODE, self._entered, begin=at, end=at)
        self._uc = uc
        self._counter = uc.hook_add(unicorn.UC_HOOK_BLOCK, self._block)

    def _block(self, _uc, address: int, size: int, _data) -> None:
        self._blocks[address, size] += 1

    def _entered(self, uc, _address: int, _size: int, _data) -> None:
        self._entries += uc.reg_read(_ARGS[0])

    def _read(self, uc, offset: int, _size: int, _data) -> int:
        if offset == _LINE_STATUS:
            # Before each byte of output it looks once; more often only while it waits for input.
            if self._polled and not self._input:
                uc.emu_stop()
            self._polled = True
            return _LSR_TX_EMPTY | (_LSR_RX_READY if self._input else 0)
        self._polled = False
        return self._input.pop(0) if offset == 0 and self._input else 0

    def _write(self, _uc, offset: int, _size: int, value: int, _data) -> None:
        self._polled = False
        if offset == 0:
            self.output.append(value & 0xFF)
        elif offset == MARK - UART:
            self.marks.append(Mark(value, self.instructions(), self._entries))

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """What runs in here is not counted, and so is fast."""
        self._uc.hook_del(self._counter)
        self._uc.ctl_flush_tb()
        yield
        self._counter = self._uc.hook_add(unicorn.UC_HOOK_BLOCK, self._block)
        self._uc.ctl_flush_tb()

    def start(self, entry: int) -> None:
        """Run from there until the program waits for input. Raises Fault."""
        self._run(entry, _RETURN)

    def call(self, name: str, *args: int | bytes) -> int:
        """The result of a C function; bytes are put into memory for it. Raises Fault."""
        values = [arg if isinstance(arg, int) else self.put(arg) for arg in args]
        registers = dict(zip(_ARGS, values, strict=False))
        registers[riscv_const.UC_RISCV_REG_SP] = BASE + RAM_LEN
        registers[riscv_const.UC_RISCV_REG_GP] = self.symbols.get("__global_pointer$", 0)
        registers[riscv_const.UC_RISCV_REG_RA] = _RETURN
        for register, value in registers.items():
            self._uc.reg_write(register, value)
        self._run(self.symbols[name], _RETURN)
        result = self._uc.reg_read(_ARGS[0])
        return result - (1 << 32) if result >> 31 else result

    def put(self, content: bytes) -> int:
        """The address of a copy, which stays."""
        address = self._free
        self._free += -(-len(content) // 16) * 16
        self._uc.mem_write(address, content)
        return address

    def get(self, address: int, length: int) -> bytes:
        return bytes(self._uc.mem_read(address, length))

    def type(self, text: bytes) -> bytes:
        """What the program answers to that on its UART until it waits for more. Raises Fault."""
        self._input += text
        self.output.clear()
        self.start(self._uc.reg_read(riscv_const.UC_RISCV_REG_PC))
        return bytes(self.output)

    def _run(self, begin: int, until: int) -> None:
        try:
            self._uc.emu_start(begin, until)
        except unicorn.UcError as e:
            pc = self._uc.reg_read(riscv_const.UC_RISCV_REG_PC)
            raise Fault(f"{e} at 0x{pc:08x}") from None

    def instructions(self) -> int:
        return sum(times * self._length(block) for block, times in self._blocks.items())

    def _length(self, block: tuple[int, int]) -> int:
        length = self._lengths.get(block)
        if length is None:
            address, size = block
            code = self._uc.mem_read(address, size)
            length = pos = 0
            while pos < size:
                pos += 4 if code[pos] & 3 == 3 else 2
                length += 1
            self._lengths[block] = length
        return length
