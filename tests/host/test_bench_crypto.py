"""What cryptography costs: the machine that counts, the record, the tables, and what is claimed."""

from __future__ import annotations

import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from tools.bench import build, comparison, docs, figures, native, verb
from tools.bench.figures import Cost, Figures
from tools.bench.rv32 import BASE, MARK, UART, Fault, Machine, Program
from tools.native import counts, mpy
from tools.native.asm import A0, A1, A2, T0, T1, ZERO, Function, Mem
from tools.native.build import KERNELS, assemble, kernel
from tools.sim.debian import Unavailable

README = Path(__file__).parents[2] / "README.md"
_LINE_STATUS = 5


def _elf(*functions: Function) -> bytes:
    """A linked program with these functions, one after the other."""
    parts = [part.code for part in mpy.parse(assemble(functions, "t.py")).functions]
    code, names, symbols = b"", b"\0", bytes(16)
    for function, part in zip(functions, parts, strict=True):
        symbols += struct.pack("<IIIBBH", len(names), BASE + len(code), len(part), 0x12, 0, 1)
        names += function.name.encode() + b"\0"
        code += part + bytes(-len(part) % 4)
    start = 52 + 32
    at = [start, start + len(code), start + len(code) + len(symbols)]
    sections = struct.pack("<10I", *[0] * 10)
    sections += struct.pack("<10I", 0, 1, 6, BASE, at[0], len(code), 0, 0, 4, 0)
    sections += struct.pack("<10I", 0, 2, 0, 0, at[1], len(symbols), 3, 1, 4, 16)
    sections += struct.pack("<10I", 0, 3, 0, 0, at[2], len(names), 0, 0, 1, 0)
    tables = code + symbols + names
    head = b"\x7fELF\1\1\1" + bytes(9)
    head += struct.pack(
        "<HHIIIIIHHHHHH", 2, 243, 1, BASE, 52, start + len(tables), 0, 52, 32, 1, 40, 4, 3
    )
    segment = struct.pack("<8I", 1, start, BASE, BASE, len(code), len(code), 5, 4)
    return head + segment + tables + sections


def _sum() -> Function:
    """sum(words, count, mark): with a mark at the beginning and one at the end."""
    f = Function("sum", parameters=3)
    f.sw(ZERO, Mem(A2))
    f.li(T0, 0)
    f.label("loop")
    f.lw(T1, Mem(A0))
    f.add(T0, T0, T1)
    f.addi(A0, A0, 4)
    f.addi(A1, A1, -1)
    f.bne(A1, ZERO, "loop")
    f.li(T1, 1)
    f.sw(T1, Mem(A2))
    f.mv(A0, T0)
    return f


def _echo() -> Function:
    """echo(uart): sends back what it gets, plus one, for ever."""
    f = Function("echo", parameters=1)
    f.label("wait")
    f.lbu(T0, Mem(A0, _LINE_STATUS))
    f.andi(T0, T0, 1)
    f.beq(T0, ZERO, "wait")
    f.lbu(T1, Mem(A0))
    f.addi(T1, T1, 1)
    f.lbu(T0, Mem(A0, _LINE_STATUS))
    f.sb(T1, Mem(A0))
    f.jump("wait")
    return f


def _wild() -> Function:
    """wild(): reads where there is no memory."""
    f = Function("wild", parameters=0)
    f.lw(A0, Mem(ZERO, 64))
    return f


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.from_elf(_elf(_sum(), _echo(), _wild()))


def test_elf(program: Program) -> None:
    assert program.entry == BASE and list(program.segments) == [BASE]
    assert [symbol.name for symbol in program.symbols] == ["sum", "echo", "wild"]
    total = program.size({"sum", "echo", "absent"})
    assert 0 < program.size({"sum"}) < total < len(program.segments[BASE])
    for wrong in (b"", b"\x7fELF\2\1" + bytes(60), b"M\6\0\37" + bytes(60)):
        with pytest.raises(ValueError, match="no ELF"):
            Program.from_elf(wrong)


def test_calls_are_counted_exactly(program: Program) -> None:
    words = struct.pack("<5I", 1, 2, 3, 4, 0xFFFFFFF0)
    machine = Machine(program, watch="sum")
    assert machine.call("sum", words, 5, MARK) == -6
    # Two before the loop, five in each turn, and four behind it, with the return.
    assert machine.instructions() == 2 + 5 * 5 + 4
    assert [mark.number for mark in machine.marks] == [0, 1]
    place = machine.marks[0].entries
    assert machine.get(place, 20) == words
    assert machine.call("sum", words, 3, MARK) == 6
    assert machine.instructions() == (2 + 5 * 5 + 4) + (2 + 3 * 5 + 4)
    assert len(machine.marks) == 4 and machine.marks[2].entries > place


def test_what_is_not_counted(program: Program) -> None:
    machine = Machine(program)
    with machine.uncounted():
        assert machine.call("sum", struct.pack("<2I", 1, 2), 2, MARK) == 3
    assert machine.instructions() == 0
    machine.call("sum", bytes(8), 2, MARK)
    assert machine.instructions() > 0


def test_uart(program: Program) -> None:
    machine = Machine(program)
    with pytest.raises(Fault):
        machine.call("wild")
    machine = Machine(program)
    machine.call("echo", UART)
    assert machine.type(b"HAL") == b"IBM"
    assert machine.type(b"HAL" * 100) == b"IBM" * 100


def _costs(*instructions: int) -> dict[str, Cost]:
    names = ("x25519.base", "x25519.arbitrary", "exp_mod.256", "exp_mod.512")
    return {
        name: Cost(count, count // 1000) for name, count in zip(names, instructions, strict=False)
    }


@pytest.fixture
def made_up() -> Figures:
    c = {"-Os": _costs(8_000_000, 9_000_000, 500_000, 700_000), "-O2": _costs(4_000_000, 5_000_000)}
    c["-Os, tables"] = {"ecdsa": Cost(7_000_000)}
    handshake = {
        part: Cost(1_000 + i)
        for i, part in enumerate(("command0", "x25519", "command1", "all", "ble"))
    }
    return Figures(
        {"gcc": "9.9", "micropython": "8.8", "mbedtls": "7.7"},
        c,
        {"plain": _costs(40_000_000), "native": _costs(1_000_000, 3_000_000)},
        {"plain": handshake, "native": handshake},
    )


def _printed(*tables: object) -> str:
    console = Console(width=native.WIDTH)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return capture.get()


def test_rows(made_up: Figures) -> None:
    rows = comparison.rows(made_up)
    assert rows["x25519.base"].ratios == (8.0, 4.0)
    both = rows["x25519.both"]
    assert both.ratios == (17 / 4, 9 / 4)
    assert both.plain is None, "half of a sum is none"
    respond = rows["mod3072.respond"]
    assert respond.c and respond.c.instructions == 1_700_000 and respond.c.heap == 700
    assert respond.c_fast is None and respond.ratios is None
    assert rows["aes_gcm.1000"] == comparison.Row(None, None, None, None)


def test_printed_tables(made_up: Figures) -> None:
    text = _printed(comparison.cryptography(made_up), comparison.handshake(made_up))
    lines = text.splitlines()
    base = next(line for line in lines if "X25519, base point" in line)
    assert re.findall(r"[\w.,/– ]+", base)[1:] and "8.0 / 4.0" in base and "40.00 M" in base
    assert sum("–" in line for line in lines) >= 8
    for word in ("9.9", "8.8", "7.7", "emulation", "7.00 M", "assumed"):
        assert word in text
    assert "1,003" in next(line for line in lines if "all four" in line)
    assert max(map(len, lines)) <= native.WIDTH and "…" not in text


def test_record(made_up: Figures, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    figures.record(made_up, path)
    assert figures.recorded(path) == made_up
    content = json.loads(path.read_text())
    for wrong in (
        [],
        {**content, "python": {"plain": {"x": {"seconds": 1}}}},
        {**content, "more": 1},
        {name: part for name, part in content.items() if name != "handshakes"},
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="form"):
            figures.recorded(path)


@pytest.fixture(scope="module")
def recorded() -> Figures:
    return figures.recorded()


def test_what_is_recorded_is_whole(recorded: Figures) -> None:
    assert set(recorded.versions) == {"gcc", "mbedtls", "micropython"}
    assert set(recorded.mbedtls) == set(build.VARIANTS)
    kernels = {op.name for name in KERNELS for op in kernel(name).OPERATIONS}
    for mode in ("plain", "native"):
        assert kernels <= set(recorded.python[mode])
    for name, row in comparison.rows(recorded).items():
        assert row.c and row.c_fast, name
        assert (row.plain and row.native) or name == "exp_mod.512"
    costs = [
        cost
        for group in (recorded.mbedtls, recorded.python)
        for part in group.values()
        for cost in part.values()
    ]
    assert all(cost.instructions > 0 and cost.heap >= 0 for cost in costs)


def test_record_and_kernels_belong_together(recorded: Figures) -> None:
    """A program pays for the kernel and for a wrapper: a kernel that has changed shows here.

    Record anew with `homing bench --crypto-only --record`.
    """
    native_costs = recorded.python["native"]
    for name in ("x25519.base", "x25519.arbitrary", "mod3072.square", "mod3072.respond"):
        called, alone = native_costs[name].instructions, counts.recorded()[name]
        assert alone < called < 1.06 * alone, name
    for name, called in native_costs.items():
        plain = recorded.python["plain"][name].instructions
        assert called.instructions < plain, name


def test_handshake_costs_what_it_may(recorded: Figures) -> None:
    native_costs = recorded.handshakes["native"]
    assert native_costs["all"].instructions < native_costs["ble"].instructions <= 2_500_000
    assert native_costs["x25519"].instructions < native_costs["command0"].instructions
    assert native_costs["all"].instructions < recorded.handshakes["plain"]["all"].instructions / 10


def test_page_has_the_recorded_figures(recorded: Figures) -> None:
    """Else: `homing bench --crypto-only --record`, which writes both."""
    page = docs.PAGE.read_text(encoding="utf-8")
    assert docs.written(page, recorded) == page
    assert page.count("| X25519, arbitrary point") == 2
    with pytest.raises(ValueError, match="no place"):
        docs.written(page.replace("-->", "", 1), recorded)


def test_readme_claims_what_is_recorded(recorded: Figures) -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    claim = re.search(
        r"in ([\d.]+) M instructions per X25519 instead of (\d+) M \(mbedTLS in C: ([\d.]+) M\)",
        text,
    )
    assert claim and "counted in emulation" in text[claim.end() : claim.end() + 40]
    row = comparison.rows(recorded)["x25519.arbitrary"]
    assert row.native and row.plain and row.c
    assert claim[1] == f"{row.native.instructions / 1e6:.1f}"
    assert claim[2] == f"{row.plain.instructions / 1e6:.0f}"
    assert claim[3] == f"{row.c.instructions / 1e6:.1f}"


def test_without_a_compiler_the_record_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    build.versions.cache_clear()
    with pytest.raises(Unavailable, match="make bench-system"):
        build.versions()
    # The kernels, which are counted anew, are test_native_counts.py's.
    monkeypatch.setattr(native, "rows", lambda _figures: [])
    done = CliRunner().invoke(verb.command, ["--crypto-only"])
    assert done.exit_code == 0, done.output
    assert "X25519, arbitrary point" in done.output and "four messages" in done.output
    assert "recorded figures, for nothing could be counted here" in done.output
    refused = CliRunner().invoke(verb.command, ["--crypto-only", "--record"])
    assert refused.exit_code == 1 and "make bench-system" in refused.output
