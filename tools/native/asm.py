"""Writes one `@micropython.asm_rv32` function, instruction by instruction, from Python.

    f = Function("xor", parameters=3)
    to, of, words = A0, A1, A2
    with f.frame():
        f.label("loop")
        f.lw(T0, Mem(to, 0))
        ...
        f.bne(words, ZERO, "loop")

Registers are Python variables, so a kernel names them by what they hold; words in memory are
`Mem(base, offset)` or elements of an `Array`. Compressed encodings are used wherever there is one,
which changes nothing but the size. What mpy-cross would assemble wrongly is refused here with a
ValueError: `mv` from zero (it becomes a jump to the address in the target register, in mpy-cross up
to 1.29 at least), immediates and branches out of range, labels that do not exist or exist twice.

Source of the instructions: The RISC-V Instruction Set Manual, volume I, chapters RV32I, M and C.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_NAMES = ["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"]
_NAMES += [f"a{i}" for i in range(8)] + [f"s{i}" for i in range(2, 12)]
_NAMES += ["t3", "t4", "t5", "t6"]
_BRANCH_REACH = 4096
_JUMP_REACH = 1 << 20
_MAX_PARAMETERS = 4  # what MicroPython passes to an asm_rv32 function


@dataclass(frozen=True)
class Reg:
    """One of x0 to x31."""

    number: int

    def __str__(self) -> str:
        return _NAMES[self.number]

    @property
    def compact(self) -> bool:
        """Whether all compressed instructions can name it: s0, s1, a0 to a5."""
        return 8 <= self.number <= 15


ZERO, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7 = map(Reg, range(18))
S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, T3, T4, T5, T6 = map(Reg, range(18, 32))
# A function must leave these as they were.
SAVED = (S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11)


@dataclass(frozen=True)
class Mem:
    """The memory at `base` + `offset` bytes."""

    base: Reg
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.offset}({self.base})"


@dataclass(frozen=True)
class Array:
    """`length` words of 32 bits from `base` + `offset` on; array[i] is a Mem."""

    base: Reg
    offset: int
    length: int

    def __getitem__(self, index: int) -> Mem:
        if not 0 <= index < self.length:
            raise IndexError(f"word {index} of {self.length}")
        return Mem(self.base, self.offset + 4 * index)


@dataclass
class _Line:
    text: str
    size: int = 0
    target: str = ""  # of a branch or jump
    reach: int = 0


def _check(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{what}: {value} is not in {low}..{high}")


class Function:
    """One function, written from top to bottom; `source()` is what mpy-cross compiles.

    parameters: how many of a0 to a3 it is called with: pointers to buffers, or integers. Whatever
    is in a0 at the end is returned as an integer.
    """

    def __init__(self, name: str, parameters: int, doc: str = "") -> None:
        _check("parameters", parameters, 0, _MAX_PARAMETERS)
        self.name = name
        self.doc = doc
        self.parameters = parameters
        self._lines: list[_Line] = []
        self._labels: dict[str, int] = {}  # to their line
        self._fresh = 0

    # -- structure ---------------------------------------------------------------------------

    def comment(self, text: str) -> None:
        self._lines.append(_Line(f"# {text}"))

    def label(self, name: str) -> None:
        if name in self._labels:
            raise ValueError(f"{self.name}: two labels {name}")
        self._labels[name] = len(self._lines)
        self._lines.append(_Line(f"label({name})"))

    def new_label(self, stem: str) -> str:
        """A name that is not used yet, for code that is generated more than once."""
        self._fresh += 1
        return f"{stem}_{self._fresh}"

    @contextmanager
    def frame(self, saved: tuple[Reg, ...] = (), words: int = 0) -> Iterator[Array]:
        """Save registers at the start, bring them back at the end; yields `words` of stack.

        Put RA among the saved ones if there is a `call` inside. The stack pointer stays a multiple
        of 16, as the calling convention wants.
        """
        size = (4 * (words + len(saved)) + 15) // 16 * 16
        if size:
            self.addi(SP, SP, -size)
        places = Array(SP, 4 * words, len(saved))
        for i, reg in enumerate(saved):
            self.sw(reg, places[i])
        yield Array(SP, 0, words)
        for i, reg in enumerate(saved):
            self.lw(reg, places[i])
        if size:
            self.addi(SP, SP, size)

    def source(self) -> str:
        """The function as MicroPython source. Raises ValueError, see above."""
        self._check_targets()
        arguments = ", ".join(f"a{i}" for i in range(self.parameters))
        body = [line.text for line in self._lines]
        head = [f"# {line}" for line in self.doc.splitlines()]
        head += ["@micropython.asm_rv32", f"def {self.name}({arguments}):"]
        return "\n".join(head + [f"    {text}" for text in body]) + "\n"

    @property
    def size(self) -> int:
        """Bytes of code, without the return that mpy-cross appends."""
        return sum(line.size for line in self._lines)

    def _check_targets(self) -> None:
        positions, position = [], 0
        for line in self._lines:
            positions.append(position)
            position += line.size
        for line, here in zip(self._lines, positions, strict=True):
            if not line.target:
                continue
            if line.target not in self._labels:
                raise ValueError(f"{self.name}: no label {line.target} for {line.text}")
            distance = positions[self._labels[line.target]] - here
            if not -line.reach <= distance < line.reach:
                raise ValueError(f"{self.name}: {line.text} is {distance} bytes from its label")

    def _emit(self, name: str, *operands: object, size: int = 4) -> None:
        self._lines.append(_Line(f"{name}({', '.join(map(str, operands))})", size))

    # -- registers ---------------------------------------------------------------------------

    def mv(self, rd: Reg, rs: Reg) -> None:
        if rs == ZERO:
            raise ValueError(f"mv({rd}, zero) is assembled as a jump: use li({rd}, 0)")
        if rd == ZERO:
            raise ValueError("mv to zero")
        self._emit("c_mv", rd, rs, size=2)

    def li(self, rd: Reg, value: int) -> None:
        """Any 32-bit constant, signed or not, in one or two instructions."""
        _check("li", value, -(1 << 31), (1 << 32) - 1)
        value = (value + (1 << 31)) % (1 << 32) - (1 << 31)
        if -2048 <= value < 2048:
            self.addi(rd, ZERO, value)
            return
        low = (value + 2048) % 4096 - 2048
        # mpy-cross wants the upper 20 bits as a signed number.
        self._emit("lui", rd, (value - low + (1 << 31)) % (1 << 32) - (1 << 31) >> 12)
        if low:
            self.addi(rd, rd, low)

    def addi(self, rd: Reg, rs: Reg, value: int) -> None:
        _check(f"addi({rd}, {rs})", value, -2048, 2047)
        small = -32 <= value < 32
        if rd == ZERO:
            raise ValueError("addi to zero")
        if rs == ZERO and small:
            self._emit("c_li", rd, value, size=2)
        elif value == 0 and rs != ZERO:
            self.mv(rd, rs)
        elif rd == rs and small:
            self._emit("c_addi", rd, value, size=2)
        elif rs == SP and rd.compact and 0 < value < 1024 and value % 4 == 0:
            self._emit("c_addi4spn", rd, value, size=2)
        else:
            self._emit("addi", rd, rs, value)

    def _logic_i(self, name: str, rd: Reg, rs: Reg, value: int) -> None:
        _check(name, value, -2048, 2047)
        if name == "andi" and rd == rs and rd.compact and -32 <= value < 32:
            self._emit("c_andi", rd, value, size=2)
        else:
            self._emit(name, rd, rs, value)

    def andi(self, rd: Reg, rs: Reg, value: int) -> None:
        self._logic_i("andi", rd, rs, value)

    def ori(self, rd: Reg, rs: Reg, value: int) -> None:
        self._logic_i("ori", rd, rs, value)

    def xori(self, rd: Reg, rs: Reg, value: int) -> None:
        self._logic_i("xori", rd, rs, value)

    def sltiu(self, rd: Reg, rs: Reg, value: int) -> None:
        self._logic_i("sltiu", rd, rs, value)

    def _shift(self, name: str, rd: Reg, rs: Reg, count: int) -> None:
        _check(name, count, 1, 31)
        if rd == rs and (name == "slli" or rd.compact):
            self._emit("c_" + name, rd, count, size=2)
        else:
            self._emit(name, rd, rs, count)

    def slli(self, rd: Reg, rs: Reg, count: int) -> None:
        self._shift("slli", rd, rs, count)

    def srli(self, rd: Reg, rs: Reg, count: int) -> None:
        self._shift("srli", rd, rs, count)

    def srai(self, rd: Reg, rs: Reg, count: int) -> None:
        self._shift("srai", rd, rs, count)

    def add(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        if ZERO in (rd, rs1, rs2):
            raise ValueError("add with zero: use mv or li")
        if rd == rs1:
            self._emit("c_add", rd, rs2, size=2)
        elif rd == rs2:
            self._emit("c_add", rd, rs1, size=2)
        else:
            self._emit("add", rd, rs1, rs2)

    # c.sub, c.and, c.or and c.xor are not used: mpy-cross 1.29 keeps only two of the three bits of
    # each register, so that c_xor(a3, a4) becomes c.xor s1, a0.

    def sub(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("sub", rd, rs1, rs2)

    def and_(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("and_", rd, rs1, rs2)

    def or_(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("or_", rd, rs1, rs2)

    def xor(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("xor", rd, rs1, rs2)

    def sll(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("sll", rd, rs1, rs2)

    def srl(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("srl", rd, rs1, rs2)

    def slt(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("slt", rd, rs1, rs2)

    def sltu(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("sltu", rd, rs1, rs2)

    def mul(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("mul", rd, rs1, rs2)

    def mulhu(self, rd: Reg, rs1: Reg, rs2: Reg) -> None:
        self._emit("mulhu", rd, rs1, rs2)

    # -- memory ------------------------------------------------------------------------------

    def _memory(self, name: str, reg: Reg, mem: Mem) -> None:
        offset = mem.offset
        _check(f"{name}({reg}, {mem})", offset, -2048, 2047)
        word = name in ("lw", "sw")
        if word and offset % 4:
            raise ValueError(f"{name}({reg}, {mem}): not aligned")
        # mpy-cross 1.29 takes these offsets for signed, and so half of what there is.
        if word and mem.base == SP and 0 <= offset < 128 and (name == "sw" or reg != ZERO):
            self._emit(f"c_{name}sp", reg, offset, size=2)
        elif word and reg.compact and mem.base.compact and 0 <= offset < 64:
            self._emit("c_" + name, reg, mem, size=2)
        else:
            self._emit(name, reg, mem)

    def lw(self, rd: Reg, mem: Mem) -> None:
        self._memory("lw", rd, mem)

    def sw(self, rs: Reg, mem: Mem) -> None:
        self._memory("sw", rs, mem)

    def lbu(self, rd: Reg, mem: Mem) -> None:
        self._memory("lbu", rd, mem)

    def sb(self, rs: Reg, mem: Mem) -> None:
        self._memory("sb", rs, mem)

    # -- jumps -------------------------------------------------------------------------------

    def _branch(self, name: str, rs1: Reg, rs2: Reg, target: str) -> None:
        text = f"{name}({rs1}, {rs2}, {target})"
        self._lines.append(_Line(text, 4, target, _BRANCH_REACH))

    def beq(self, rs1: Reg, rs2: Reg, target: str) -> None:
        self._branch("beq", rs1, rs2, target)

    def bne(self, rs1: Reg, rs2: Reg, target: str) -> None:
        self._branch("bne", rs1, rs2, target)

    def bltu(self, rs1: Reg, rs2: Reg, target: str) -> None:
        self._branch("bltu", rs1, rs2, target)

    def bgeu(self, rs1: Reg, rs2: Reg, target: str) -> None:
        self._branch("bgeu", rs1, rs2, target)

    def blt(self, rs1: Reg, rs2: Reg, target: str) -> None:
        self._branch("blt", rs1, rs2, target)

    def bge(self, rs1: Reg, rs2: Reg, target: str) -> None:
        self._branch("bge", rs1, rs2, target)

    def jump(self, target: str) -> None:
        self._lines.append(_Line(f"jal(zero, {target})", 4, target, _JUMP_REACH))

    def call(self, target: str, link: Reg = RA) -> None:
        """Call a subroutine of this same function; there is no way to call another one."""
        self._lines.append(_Line(f"jal({link}, {target})", 4, target, _JUMP_REACH))

    def ret(self, link: Reg = RA) -> None:
        """Return from the function, or with another link register from a subroutine.

        Only ra and t0 may hold the way back: `mpy.lint` takes any other for the bug with `mv`.
        """
        if link not in (RA, T0):
            raise ValueError(f"return by {link}")
        self._emit("c_jr", link, size=2)
