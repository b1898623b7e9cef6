"""The emulator notices what it is there to notice."""

from __future__ import annotations

import pytest

from tools.native import build, counts
from tools.native.asm import A0, A1, GP, RA, S0, S3, SP, T0, T1, TP, ZERO, Function, Mem, Reg
from tools.native.build import ARCH
from tools.native.emulator import Fault, Machine, assembled
from tools.native.mpy import FormatError, parse
from tools.sim.image import compile_mpy


def _access(offset: int, *, write: bool, size: int = 4) -> Machine:
    f = Function("f", 2)
    word, byte = (f.sw, f.sb) if write else (f.lw, f.lbu)
    (word if size == 4 else byte)(T0, Mem(A0, offset))
    return assembled(f)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("length", [4, 32, 4096, 5000])
def test_behind_a_buffer(write: bool, length: int) -> None:
    for fits, offset in ((True, length - 4), (False, length)):
        f = Function("f", 1)
        f.li(T0, offset)
        f.add(A0, A0, T0)
        (f.sw if write else f.lw)(T0, Mem(A0))
        if fits:
            assembled(f).call("f", bytearray(length))
        else:
            with pytest.raises(Fault, match="nvalid memory"):
                assembled(f).call("f", bytearray(length))


@pytest.mark.parametrize("write", [False, True])
def test_before_a_buffer(write: bool) -> None:
    _access(0, write=write).call("f", bytearray(8), 0, at_start=True)
    with pytest.raises(Fault, match="nvalid memory"):
        _access(-4, write=write).call("f", bytearray(8), 0, at_start=True)


def test_between_buffers_to_the_byte_with_watch() -> None:
    for write in (False, True):
        machine = _access(4, write=write, size=1)
        machine.call("f", bytearray(5), 0, watch=True)
        with pytest.raises(Fault, match="outside the buffers"):
            machine.call("f", bytearray(4), 0, gap=8, watch=True)


def test_watch_sees_what_ran_without_it_before() -> None:
    machine = _access(4, write=False)
    for _ in range(3):
        machine.call("f", bytearray(8), 0)
    machine.call("f", bytearray(8), 0, watch=True)
    assert [(write, size) for write, _address, size in machine.trace] == [(False, 4)]
    with pytest.raises(Fault, match="outside"):
        machine.call("f", bytearray(4), 0, gap=8, watch=True)
    machine.call("f", bytearray(4), 0, gap=8)


def test_alignment_with_watch() -> None:
    _access(0, write=False).call("f", bytearray(12), 0, gap=4, watch=True)
    with pytest.raises(Fault, match="not aligned"):
        _access(0, write=False).call("f", bytearray(12), 0, gap=2, watch=True)


def test_read_only_buffers() -> None:
    _access(0, write=False).call("f", bytes(4), 0)
    with pytest.raises(Fault, match="write"):
        _access(0, write=True).call("f", bytes(4), 0)


def test_code_is_read_only() -> None:
    f = Function("f", 0)
    f.call("here", link=T0)
    f.label("here")
    f.sw(T1, Mem(T0))
    with pytest.raises(Fault):
        assembled(f).call("f")


@pytest.mark.parametrize("reg", [S0, S3, GP, TP], ids=str)
def test_registers_that_are_not_kept(reg: Reg) -> None:
    f = Function("f", 0)
    f.li(reg, 7)
    with pytest.raises(Fault, match=f"does not keep {reg}"):
        assembled(f).call("f")


def test_stack_pointer_that_is_not_kept() -> None:
    f = Function("f", 0)
    f.addi(SP, SP, -16)
    with pytest.raises(Fault, match="does not keep sp"):
        assembled(f).call("f")


def test_stack_that_overflows() -> None:
    f = Function("f", 0)
    f.li(T0, 4096)
    f.sub(SP, SP, T0)
    f.sw(T0, Mem(SP))
    f.sw(T0, Mem(SP, -4))
    with pytest.raises(Fault, match="nvalid memory"):
        assembled(f).call("f")


def test_below_the_stack_pointer_with_watch() -> None:
    f = Function("f", 0)
    f.sw(T0, Mem(SP, -4))
    assert assembled(f).call("f").stack == 4
    with pytest.raises(Fault, match="outside"):
        assembled(f).call("f", watch=True)


def test_a_wild_jump() -> None:
    text = b"@micropython.asm_rv32\ndef f(a0):\n    mv(a0, zero)\n"
    machine = Machine(compile_mpy(text, "t.py", f"-march={ARCH}"), [Function("f", 1)])
    with pytest.raises(Fault):
        machine.call("f", 0x1234_5678)


def test_a_loop_without_an_end() -> None:
    f = Function("f", 0)
    f.label("on")
    for _ in range(500):
        f.xor(T0, T0, T1)
    f.jump("on")
    with pytest.raises(Fault, match="end"):
        assembled(f).call("f")


def test_without_counting() -> None:
    machine = Machine(build.compiled("ctr"), build.kernel("ctr").functions(), counting=False)
    data = bytearray(20)
    assert machine.call("xor", data, bytes(range(20)), 20).instructions == 0
    assert data == bytes(range(20))
    with pytest.raises(Fault, match="nvalid memory"):
        machine.call("xor", data, bytes(20), 24)


def test_the_count_is_exact() -> None:
    f = Function("f", 2)
    f.label("on")
    f.xor(A1, A1, A1)  # 32 bits
    f.addi(A0, A0, -1)  # 16 bits
    f.bne(A0, ZERO, "on")
    machine = assembled(f)
    for times in (1, 2, 3, 1000):
        assert machine.call("f", times, 5).instructions == 3 * times + 1


def test_long_straight_code_is_counted_exactly() -> None:
    f = Function("f", 1)
    for i in range(3000):  # more than one page, more than one translation block
        f.xor(A0, A0, A0) if i % 3 else f.addi(A0, A0, 1)
    assert assembled(f).call("f", 1).instructions == 3001


def test_nothing_is_left_of_the_call_before() -> None:
    f = Function("f", 2)
    with f.frame((RA,), words=4) as local:
        f.lw(T0, local[1])
        f.sw(A1, local[1])
        f.mv(A0, T0)
    machine = assembled(f)
    assert machine.call("f", 0, 7).a0 == machine.call("f", 0, 8).a0


def test_functions_by_name_and_their_parameters() -> None:
    one, two = Function("one", 1), Function("two", 2)
    one.li(A0, 1)
    two.li(A0, 2)
    machine = assembled(one, two)
    assert (machine.call("two", 0, 0).a0, machine.call("one", 0).a0) == (2, 1)
    with pytest.raises(ValueError):
        machine.call("one", 0, 0)
    with pytest.raises(ValueError):
        Machine(build.compiled("ctr"), [one, two])


def test_what_is_no_native_module() -> None:
    with pytest.raises(FormatError):
        parse(b"no")
    with pytest.raises(FormatError):
        parse(build.compiled("ctr")[:-1])
    with pytest.raises(FormatError):
        parse(build.compiled("ctr") + b"\0")
    viper = b"@micropython.viper\ndef f(a: int) -> int:\n    return a\n"
    with pytest.raises(FormatError):
        parse(compile_mpy(viper, "t.py", f"-march={ARCH}"))


def test_milliseconds_are_an_estimate_by_the_assumed_cycles() -> None:
    assert counts.milliseconds(1_000_000) == pytest.approx(8.125)
