"""Runs the asm functions of a .mpy on an emulated RV32IMC core, counts, and watches them.

    machine = Machine(compiled("x25519"), kernel("x25519").functions())
    out = bytearray(32)
    run = machine.call("ladder", out, private, peer)
    print(run.instructions, run.stack, out.hex())

`unicorn` executes; this module gives it memory in which nothing lies beside anything else. Every
buffer has unmapped pages around it, at one end without a gap, and is read-only if it is `bytes`;
so have the code and the stack. Any access elsewhere is a Fault. What the RISC-V calling convention
promises is checked after each call: s0 to s11, sp, gp, tp and ra are as they were.

Instructions are counted exactly: basic blocks that were entered, times the instructions in each.
With `watch=True` every single access is looked at as well, which is slow: it must be aligned, and
lie in a buffer to the byte, or on the stack and not below sp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unicorn import (
    UC_ARCH_RISCV,
    UC_HOOK_BLOCK,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
    UC_MEM_WRITE,
    UC_MODE_RISCV32,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
    UcError,
)
from unicorn.riscv_const import UC_RISCV_REG_PC, UC_RISCV_REG_X0

from . import build, mpy
from .asm import A0, GP, RA, SAVED, SP, TP, Function

_PAGE = 4096
_CODE = 0x4000_0000
_RETURN = 0x4F00_0000  # the way back ends here
_STACK_TOP = 0x5000_0000
_BUFFERS = 0x6000_0000
_APART = 0x0010_0000  # from one buffer to the next
_STACK_LEN = 4096  # of the NimBLE task's 5,120 bytes, MicroPython leaves 4,096 to Python
_FILL = 0xA5
_MAX_BLOCKS = 1_000_000  # per call, a block being some ten to some hundred instructions
_TIMEOUT_US = 60_000_000
_KEPT = (*SAVED, SP, GP, TP, RA)

Argument = bytes | bytearray | int


class Fault(Exception):
    """The function did what would crash or corrupt a board."""


@dataclass(frozen=True)
class Run:
    """What a call cost: instructions executed, bytes of stack; and what was in a0 at its end."""

    instructions: int
    stack: int
    a0: int


class Machine:
    """A core with the code of one module; `call` may be used any number of times.

    functions: the generator's functions, for their names: a .mpy has the code without them, in the
    order of definition. counting: without it runs are six times faster, and all counts are 0.
    """

    def __init__(
        self, module: bytes, functions: Sequence[Function], *, counting: bool = True
    ) -> None:
        found = mpy.parse(module).functions
        if [f.parameters for f in functions] != [code.parameters for code in found]:
            raise ValueError("these are not the functions of that module")
        self._uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        self._entry: dict[str, tuple[int, int]] = {}  # name → address, parameters
        self._code: list[tuple[int, int]] = []
        self.code_len: dict[str, int] = {}  # name → bytes of machine code
        self._block_len: dict[tuple[int, int], int] = {}  # instructions of a block
        self._entered: dict[tuple[int, int], int] = {}  # how often, in this call
        self._left = 0  # blocks until it is too many
        self._lowest_sp = _STACK_TOP
        self._trace: list[tuple[bool, int, int]] = []
        self.deepest = 0  # bytes of stack of the deepest call so far
        address = _CODE
        for function, code in zip(functions, found, strict=True):
            self._entry[function.name] = (address, code.parameters)
            self.code_len[function.name] = len(code.code)
            self._code.append((address, len(code.code)))
            pages = _pages(len(code.code))
            self._uc.mem_map(address, pages, UC_PROT_READ | UC_PROT_EXEC)
            self._uc.mem_write(address, code.code)
            address += pages + _PAGE
        self._uc.mem_map(_RETURN, _PAGE, UC_PROT_EXEC)
        self._uc.mem_map(_STACK_TOP - _STACK_LEN, _STACK_LEN, UC_PROT_READ | UC_PROT_WRITE)
        self._mapped: list[tuple[int, int, int]] = []  # address, pages, protection
        if counting:
            self._uc.hook_add(UC_HOOK_BLOCK, self._on_block)

    def call(
        self,
        name: str,
        *arguments: Argument,
        gap: int = 0,
        at_start: bool = False,
        watch: bool = False,
    ) -> Run:
        """Call a function with pointers to buffers, or integers; a bytearray is written back.

        Buffers end where their page ends, if their length is a multiple of 4, and begin where it
        begins with `at_start`; `gap` moves them that many bytes away from there. Raises Fault.
        """
        address, parameters = self._entry[name]
        if len(arguments) != parameters:
            raise ValueError(f"{name} takes {parameters} arguments")
        places = self._place(arguments, gap, at_start)
        values = [places[i][0] if i in places else int(arguments[i]) for i in range(parameters)]
        before = self._set_registers(address, values)
        hooks = self._watch(places) if watch else []
        self._entered.clear()
        self._left = _MAX_BLOCKS
        self._lowest_sp = _STACK_TOP
        self._error: str | None = None
        try:
            self._uc.emu_start(address, _RETURN, timeout=_TIMEOUT_US)
        except UcError as error:
            pc = self._uc.reg_read(UC_RISCV_REG_PC)
            raise Fault(self._error or f"{name}+{pc - address:#x}: {error}") from error
        finally:
            for hook in hooks:
                self._uc.hook_del(hook)
                self._uc.ctl_flush_tb()
        if self._error:
            raise Fault(self._error)
        if self._uc.reg_read(UC_RISCV_REG_PC) != _RETURN:
            raise Fault(f"{name} does not come to an end")
        self._check_registers(name, before)
        for i, (place, length) in places.items():
            data = arguments[i]
            if isinstance(data, bytearray):
                data[:] = self._uc.mem_read(place, length)
        stack = self._stack_used()
        self.deepest = max(self.deepest, stack)
        return Run(self._instructions(), stack, self._get(A0.number))

    # -- memory ------------------------------------------------------------------------------

    def _place(
        self, arguments: Sequence[Argument], gap: int, at_start: bool
    ) -> dict[int, tuple[int, int]]:
        places: dict[int, tuple[int, int]] = {}
        for i, data in enumerate(arguments):
            if isinstance(data, int):
                continue
            base = _BUFFERS + i * _APART
            pages = _pages(len(data) + gap)
            protection = UC_PROT_READ | (UC_PROT_WRITE if isinstance(data, bytearray) else 0)
            self._map(i, base, pages, protection)
            self._uc.mem_write(base, bytes([_FILL]) * pages)
            address = base + gap if at_start else base + pages - (len(data) + 3) // 4 * 4 - gap
            self._uc.mem_write(address, bytes(data))
            places[i] = (address, len(data))
        return places

    def _map(self, index: int, base: int, pages: int, protection: int) -> None:
        while len(self._mapped) <= index:
            self._mapped.append((0, 0, 0))
        old_base, old_pages, old_protection = self._mapped[index]
        if (old_base, old_pages, old_protection) == (base, pages, protection):
            return
        if old_pages:
            self._uc.mem_unmap(old_base, old_pages)
        self._uc.mem_map(base, pages, protection)
        self._mapped[index] = (base, pages, protection)

    def _stack_used(self) -> int:
        stack = bytes(self._uc.mem_read(_STACK_TOP - _STACK_LEN, _STACK_LEN))
        return max(_STACK_TOP - self._lowest_sp, len(stack.lstrip(bytes([_FILL]))))

    # -- registers ---------------------------------------------------------------------------

    def _get(self, number: int) -> int:
        return self._uc.reg_read(UC_RISCV_REG_X0 + number) & 0xFFFF_FFFF

    def _set_registers(self, address: int, values: Sequence[int]) -> dict[int, int]:
        # Nothing useful is in any register: a function that relies on one gives itself away.
        wanted = {number: 0xDEAD_0001 + (number << 8) for number in range(1, 32)}
        wanted[SP.number], wanted[RA.number] = _STACK_TOP, _RETURN
        for i, value in enumerate(values):
            wanted[A0.number + i] = value & 0xFFFF_FFFF
        self._uc.reg_write_batch([(UC_RISCV_REG_X0 + n, value) for n, value in wanted.items()])
        self._uc.mem_write(_STACK_TOP - _STACK_LEN, bytes([_FILL]) * _STACK_LEN)
        return wanted

    def _check_registers(self, name: str, before: dict[int, int]) -> None:
        found = self._uc.reg_read_batch([UC_RISCV_REG_X0 + reg.number for reg in _KEPT])
        pairs = zip(_KEPT, found, strict=True)
        lost = [str(reg) for reg, value in pairs if value & 0xFFFF_FFFF != before[reg.number]]
        if lost:
            raise Fault(f"{name} does not keep {', '.join(lost)}")

    # -- hooks -------------------------------------------------------------------------------

    def _on_block(self, _uc: Uc, address: int, size: int, _data: Any) -> None:
        # Called some ten thousand times by a scalar multiplication: what is new is looked at.
        key = (address, size)
        entered = self._entered
        if key in entered:
            entered[key] += 1
            self._left -= 1
            if self._left < 0:
                self._stop("does not come to an end")
        elif address != _RETURN:
            if not any(start <= address < start + length for start, length in self._code):
                self._stop(f"execution at {address:#x}, outside the code")
                return
            entered[key] = 1
            self._lowest_sp = min(self._lowest_sp, self._get(SP.number))

    def _instructions(self) -> int:
        count = 0
        for key, times in self._entered.items():
            length = self._block_len.get(key)
            if length is None:
                code = bytes(self._uc.mem_read(*key))
                length = self._block_len[key] = sum(1 for _ in mpy.instructions(code))
            count += times * length
        return count

    def _stop(self, why: str) -> None:
        self._error = self._error or why
        self._uc.emu_stop()

    def _watch(self, places: dict[int, tuple[int, int]]) -> list[int]:
        self._trace = []
        self._uc.ctl_flush_tb()  # what is translated already would not call the hooks

        def accessed(
            _uc: Uc, access: int, address: int, size: int, _value: int, _data: Any
        ) -> None:
            writes = access == UC_MEM_WRITE
            self._trace.append((writes, address, size))
            if address % size:
                self._stop(f"access to {size} bytes at {address:#x}, not aligned")
            stack = self._get(SP.number)
            areas = [(stack, _STACK_TOP), *((a, a + length) for a, length in places.values())]
            if not any(start <= address and address + size <= end for start, end in areas):
                self._stop(f"access to {size} bytes at {address:#x}, outside the buffers and stack")

        return [self._uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, accessed)]

    @property
    def trace(self) -> list[tuple[bool, int, int]]:
        """Of the last call with `watch`: (is a write, address, bytes) of every access."""
        return self._trace


def assembled(*functions: Function) -> Machine:
    """A machine with these functions, for a closer look at parts of a kernel."""
    return Machine(build.assemble(functions, "t.py"), functions)


def _pages(length: int) -> int:
    return max(1, -(-length // _PAGE)) * _PAGE
