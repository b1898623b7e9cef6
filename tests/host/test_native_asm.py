"""The generator's instructions: what mpy-cross makes of each is run and compared."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tools.native import asm, mpy
from tools.native.asm import A0, A1, A3, A4, RA, S0, S1, S2, SP, T0, T1, T2, T6, ZERO, Function, Mem
from tools.native.build import ARCH
from tools.native.emulator import assembled
from tools.sim.image import compile_mpy

_MASK = 0xFFFF_FFFF
# Every register that a kernel may use, except the two that hold the buffer and the stack.
_USABLE = [asm.Reg(n) for n in range(5, 32)]


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


_THREE: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "and_": lambda a, b: a & b,
    "or_": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "sll": lambda a, b: a << (b & 31),
    "srl": lambda a, b: a >> (b & 31),
    "slt": lambda a, b: _signed(a) < _signed(b),
    "sltu": lambda a, b: a < b,
    "mul": lambda a, b: a * b,
    "mulhu": lambda a, b: a * b >> 32,
}
_IMMEDIATE: dict[str, tuple[Callable[[int, int], int], range]] = {
    "addi": (lambda a, i: a + i, range(-2048, 2048)),
    "andi": (lambda a, i: a & i, range(-2048, 2048)),
    "ori": (lambda a, i: a | i, range(-2048, 2048)),
    "xori": (lambda a, i: a ^ i, range(-2048, 2048)),
    "sltiu": (lambda a, i: a < i & _MASK, range(-2048, 2048)),
    "slli": (lambda a, i: a << i, range(1, 32)),
    "srli": (lambda a, i: a >> i, range(1, 32)),
    "srai": (lambda a, i: _signed(a) >> i, range(1, 32)),
}


class _Bank:
    """A function that works on all registers at once, and what they must be in the end.

    They are loaded from a buffer and stored to it again, around the instructions under test.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.f = Function("bank", parameters=1)
        self.values = {reg: self.rng.getrandbits(32) for reg in _USABLE}
        self.start = b"".join(self.values[reg].to_bytes(4, "little") for reg in _USABLE)
        self._base = self.rng.choice(_USABLE)  # the last one loaded, the first one stored
        f = self.f
        f.addi(SP, SP, -80)
        for i, reg in enumerate((*asm.SAVED, RA)):
            f.sw(reg, Mem(SP, 4 * i))
        f.sw(A0, Mem(SP, 64))
        if self._base != A0:
            f.mv(self._base, A0)
        for i, reg in enumerate(_USABLE):
            if reg != self._base:
                f.lw(reg, Mem(self._base, 4 * i))
        f.lw(self._base, Mem(self._base, 4 * _USABLE.index(self._base)))

    def result(self) -> dict[asm.Reg, int]:
        f = self.f
        f.sw(self._base, Mem(SP, 68))
        f.lw(self._base, Mem(SP, 64))
        for i, reg in enumerate(_USABLE):
            if reg != self._base:
                f.sw(reg, Mem(self._base, 4 * i))
        f.lw(T0 if self._base != T0 else T1, Mem(SP, 68))
        f.sw(T0 if self._base != T0 else T1, Mem(self._base, 4 * _USABLE.index(self._base)))
        for i, reg in enumerate((*asm.SAVED, RA)):
            f.lw(reg, Mem(SP, 4 * i))
        f.addi(SP, SP, 80)
        memory = bytearray(self.start)
        assembled(f).call("bank", memory)
        words = [int.from_bytes(memory[i : i + 4], "little") for i in range(0, len(memory), 4)]
        return dict(zip(_USABLE, words, strict=True))

    def check(self) -> None:
        expected = {reg: value & _MASK for reg, value in self.values.items()}
        assert self.result() == expected


@pytest.mark.parametrize("name", list(_THREE))
def test_three_registers(name: str) -> None:
    bank = _Bank(len(name))
    for _ in range(300):
        rd, rs1, rs2 = (bank.rng.choice(_USABLE) for _ in range(3))
        if bank.rng.random() < 0.4:  # what has a compressed encoding
            rd = bank.rng.choice((rs1, rs2))
        getattr(bank.f, name)(rd, rs1, rs2)
        bank.values[rd] = int(_THREE[name](bank.values[rs1], bank.values[rs2])) & _MASK
        # Fresh values now and then: what is shifted or compared for long comes to nothing.
        reg, value = bank.rng.choice(_USABLE), bank.rng.getrandbits(32)
        bank.f.li(reg, value)
        bank.values[reg] = value
    bank.check()


@pytest.mark.parametrize("name", list(_IMMEDIATE))
def test_immediates(name: str) -> None:
    meaning, values = _IMMEDIATE[name]
    bank = _Bank(len(name))
    for _ in range(300):
        rd, rs = bank.rng.choice(_USABLE), bank.rng.choice(_USABLE)
        if bank.rng.random() < 0.5:
            rd = rs
        value = bank.rng.choice((*values[:2], *values[-2:], *bank.rng.choices(values, k=4)))
        if bank.rng.random() < 0.5 and -32 in values:
            value = bank.rng.randrange(-33, 33)
        getattr(bank.f, name)(rd, rs, value)
        bank.values[rd] = int(meaning(bank.values[rs], value)) & _MASK
        reg, fresh = bank.rng.choice(_USABLE), bank.rng.getrandbits(32)
        bank.f.li(reg, fresh)
        bank.values[reg] = fresh
    bank.check()


def test_constants_and_moves() -> None:
    bank = _Bank(3)
    edges = [0, 1, 31, 32, 2047, 2048, 4095, 4096, 1 << 31, _MASK, _MASK - 2047, _MASK - 2048]
    edges += [0x7FFF_F7FF, 0x7FFF_F800, 0x7FFF_FFFF, 0x8000_0800, -1, -32, -33, -(1 << 31)]
    for value in edges + [bank.rng.getrandbits(32) for _ in range(100)]:
        reg, other = bank.rng.choice(_USABLE), bank.rng.choice(_USABLE)
        bank.f.li(reg, value)
        bank.values[reg] = value & _MASK
        bank.f.mv(other, reg)
        bank.values[other] = value & _MASK
    bank.check()


@pytest.mark.parametrize("base", [A1, S0, T2, SP], ids=str)
def test_memory(base: asm.Reg) -> None:
    """Every offset that is encoded differently, with registers of both kinds."""
    rng = random.Random(4)
    f = Function("memory", parameters=2)
    length = 1024
    with f.frame((S0, S1, S2), words=length // 4) as stack:
        if base == SP:
            assert stack[0] == Mem(SP, 0)
        elif base != A1:
            f.mv(base, A1)
        at, here = 0, bytearray(length)
        for offset in [*range(0, 300, 4), *range(300, length, 52)]:
            reg = rng.choice((T6, A3, S1, S2, A4))
            value = rng.getrandbits(32)
            f.li(reg, value)
            f.sw(reg, Mem(base, offset))
            here[offset : offset + 4] = value.to_bytes(4, "little")
        out = []
        for offset in [*range(0, 300, 4), *range(300, length, 52)]:
            reg = rng.choice((T6, A3, S1, S2, A4))
            f.lw(reg, Mem(base, offset))
            f.sw(reg, Mem(A0, at))
            out.append(int.from_bytes(here[offset : offset + 4], "little"))
            at += 4
        f.lbu(T1, Mem(base, 7))
        f.sb(T1, Mem(A0, at))
        out.append(here[7])
    memory, buffer = bytearray(4 * len(out)), bytearray(length)
    assembled(f).call("memory", memory, buffer)
    found = [int.from_bytes(memory[i : i + 4], "little") for i in range(0, len(memory), 4)]
    assert found == out
    assert base == SP or buffer == here


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("beq", lambda a, b: a == b),
        ("bne", lambda a, b: a != b),
        ("bltu", lambda a, b: a < b),
        ("bgeu", lambda a, b: a >= b),
        ("blt", lambda a, b: _signed(a) < _signed(b)),
        ("bge", lambda a, b: _signed(a) >= _signed(b)),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_branches(name: str, meaning: Callable[[int, int], bool], backwards: bool) -> None:
    f = Function("branch", parameters=2)
    if backwards:
        f.jump("start")
        f.label("yes")
        f.li(A0, 1)
        f.ret()
        f.label("start")
    getattr(f, name)(A0, A1, "yes")
    f.li(A0, 0)
    f.ret()
    if not backwards:
        f.label("yes")
        f.li(A0, 1)
    machine = assembled(f)
    for a in (0, 1, 5, _MASK, 1 << 31, (1 << 31) - 1):
        for b in (0, 1, 5, _MASK, 1 << 31, (1 << 31) - 1):
            assert machine.call("branch", a, b).a0 == meaning(a, b)


def test_a_call_and_its_cost() -> None:
    f = Function("calls", parameters=1)
    with f.frame((S0, RA), words=3) as local:
        f.sw(A0, local[2])
        f.call("double")
        f.call("double")
        f.lw(S0, local[2])
        f.add(A0, A0, S0)
        f.jump("end")
        f.label("double")
        f.add(A0, A0, A0)
        f.ret()
        f.label("end")
    run = assembled(f).call("calls", 7)
    assert (run.a0, run.instructions, run.stack) == (35, 3 + 1 + 2 * 3 + 2 + 1 + 3 + 1, 32)


def test_size_is_what_mpy_cross_makes_of_it() -> None:
    bank = _Bank(9)
    for value in range(-40, 40):
        bank.f.addi(S1, S1, value)
        bank.f.addi(T6, S0, value)
        bank.f.lw(A3, Mem(A4, 4 * (value + 40)))
    machine = assembled(bank.f)
    assert machine.code_len["bank"] == bank.f.size + 2


# -- what is refused -----------------------------------------------------------------------------


def test_the_assembler_bug_with_mv_is_refused() -> None:
    """mv(rd, zero) in mpy-cross is a jump to rd; in the generator an error, in a .mpy a finding."""
    with pytest.raises(ValueError, match="jump"):
        Function("f", 0).mv(T0, ZERO)
    text = b"@micropython.asm_rv32\ndef f(a0):\n    mv(a0, zero)\n"
    code = mpy.parse(compile_mpy(text, "t.py", f"-march={ARCH}")).functions[0].code
    assert mpy.lint(code) == ["offset 0: jump to the address in x10"]


@pytest.mark.parametrize("line", ["c_jr(a0)", "c_jalr(ra)", "jalr(zero, t1, 0)", "ecall()"])
def test_other_jumps_are_found(line: str) -> None:
    text = f"@micropython.asm_rv32\ndef f(a0):\n    add(a0, a0, a0)\n    {line}\n".encode()
    code = mpy.parse(compile_mpy(text, "t.py", f"-march={ARCH}")).functions[0].code
    assert len(mpy.lint(code)) == 1


def test_li_zero_is_no_jump() -> None:
    f = Function("f", 1)
    f.li(A0, 0)
    f.addi(A1, ZERO, 0)
    assert assembled(f).call("f", 9).a0 == 0


@pytest.mark.parametrize(
    ("filling", "fits"), [(1022, True), (1023, False)]
)  # beq itself and 4-byte instructions: 4,092 or 4,096 bytes
def test_branches_out_of_range_are_refused(filling: int, fits: bool) -> None:
    f = Function("f", 2)
    f.beq(A0, A1, "end")
    for _ in range(filling):
        f.xor(A0, A0, A1)
    f.label("end")
    if fits:
        assert assembled(f).call("f", 1, 1).a0 == 1
    else:
        with pytest.raises(ValueError, match="4096 bytes from its label"):
            f.source()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f: f.addi(A0, A0, 2048),
        lambda f: f.addi(A0, A0, -2049),
        lambda f: f.andi(A0, A0, 4095),
        lambda f: f.slli(A0, A0, 32),
        lambda f: f.srli(A0, A0, 0),
        lambda f: f.li(A0, 1 << 32),
        lambda f: f.lw(A0, Mem(A1, 2048)),
        lambda f: f.lw(A0, Mem(A1, 2)),
        lambda f: f.add(A0, ZERO, A1),
        lambda f: f.addi(ZERO, A0, 1),
        lambda f: f.ret(A3),
        lambda f: f.label("a") or f.label("a"),
        lambda f: f.jump("nowhere") or f.source(),
        lambda f: asm.Array(A0, 0, 4)[4],
        lambda f: Function("g", 5),
    ],
)
def test_mistakes_are_refused(wrong: Callable[[Function], object]) -> None:
    with pytest.raises((ValueError, IndexError)):
        wrong(Function("f", 2))
