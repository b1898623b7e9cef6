"""The tables of what cryptography costs a program: MicroPython plain and native, mbedTLS in C."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from tools.native.counts import CLOCK_HZ, CYCLES_PER_INSTRUCTION, milliseconds

from .figures import Cost, Figures

OPERATIONS = {
    "x25519.base": "X25519, base point",
    "x25519.arbitrary": "X25519, arbitrary point",
    "x25519.both": "both, as Security 1 needs them",
    "p256.multiply": "P-256, base point",
    "ecdsa": "ECDSA on P-256, RFC 6979",
    "exp_mod.256": "3072 bits, power of 256 bits",
    "exp_mod.512": "3072 bits, power of 512 bits",
    "mod3072.respond": "SRP-6a, from A to M1",
    "sha512.block": "SHA-512, block of 128 bytes",
    "aes_ctr.100": "AES-256-CTR, 100 bytes",
    "aes_ctr.1000": "AES-256-CTR, 1,000 bytes",
    "aes_gcm.1000": "AES-256-GCM, 1,000 bytes",
}
# What is not counted itself, as a sum. ESP-IDF's server makes g ** b, v ** u and (A * v ** u) ** b
# when A arrives (protocomm/src/crypto/srp6a/esp_srp.c).
_SUMS = {
    "x25519.both": ("x25519.base", "x25519.arbitrary"),
    "mod3072.respond": ("exp_mod.256", "exp_mod.512", "exp_mod.256"),
}
_PARTS = {
    "command0": "SessionCmd0 → SessionResp0",
    "x25519": "of it X25519",
    "command1": "SessionCmd1 → SessionResp1",
    "all": "all four messages",
    "ble": "the same with the BLE handlers",
}
_TABLES = "-Os, tables"


@dataclass(frozen=True)
class Row:
    """Costs of an operation; None where nobody has counted."""

    plain: Cost | None
    native: Cost | None
    c: Cost | None  # -Os
    c_fast: Cost | None  # -O2

    @property
    def ratios(self) -> tuple[float, float] | None:
        """Instructions of C at -Os and -O2, in parts of those of the native way."""
        if not (self.native and self.c and self.c_fast):
            return None
        own = self.native.instructions
        return self.c.instructions / own, self.c_fast.instructions / own


def rows(figures: Figures) -> dict[str, Row]:
    """By the names in OPERATIONS."""
    sources = (*(figures.python[mode] for mode in ("plain", "native")),)
    sources += (*(figures.mbedtls[variant] for variant in ("-Os", "-O2")),)
    return {name: Row(*(_cost(costs, name) for costs in sources)) for name in OPERATIONS}


def _cost(costs: dict[str, Cost], name: str) -> Cost | None:
    found = costs.get(name)
    if found is None and name in _SUMS:
        parts = [costs.get(part) for part in _SUMS[name]]
        counted = [part for part in parts if part is not None]
        if len(counted) == len(parts):
            found = Cost(
                sum(part.instructions for part in counted),
                max(part.heap for part in counted),
                max(part.code for part in counted),
            )
    return found


def cryptography(figures: Figures) -> Table:
    """The operations as a program in MicroPython calls them, beside C."""
    versions = figures.versions
    made = Table(title="Cryptography as a program calls it, RV32 instructions")
    titles = ("plain", "native", "est. ms", "heap, B", "C -Os", "C -O2", "heap, B", "code, B")
    for title in ("operation", *titles, "C ÷ native"):
        made.add_column(title, justify="left" if title == "operation" else "right", no_wrap=True)
    for name, row in rows(figures).items():
        native, c = row.native, row.c
        made.add_row(
            OPERATIONS[name],
            _instructions(row.plain),
            _instructions(native),
            f"{milliseconds(native.instructions):,.1f}" if native else "–",
            f"{native.heap:,}" if native else "–",
            _instructions(c),
            _instructions(row.c_fast),
            f"{c.heap:,}" if c else "–",
            f"{c.code:,}" if c else "–",
            " / ".join(f"{ratio:.1f}" for ratio in row.ratios) if row.ratios else "–",
        )
    tables = figures.mbedtls[_TABLES]["ecdsa"].instructions
    made.caption = (
        f"Counted in emulation; no chip has run it. MicroPython {versions['micropython']}; mbedTLS "
        f"{versions['mbedtls']} in software, set up as ESP-IDF does, by gcc {versions['gcc']}. "
        f"With fixed-point tables it signs in {_millions(tables)} (-Os). AES is software in all of "
        "them. SRP-6a in C: sum of three powers. heap: all that Python asks for; the most that C "
        f"holds. est. ms: × {CYCLES_PER_INSTRUCTION} cycles (assumed) at "
        f"{CLOCK_HZ // 1_000_000} MHz."
    )
    return made


def handshake(figures: Figures) -> Table:
    """A Security 1 handshake, from the bytes of the requests to the bytes of the answers."""
    made = Table(title="A Security 1 handshake in MicroPython, RV32 instructions")
    for title in ("part", "plain", "native", "est. ms", "heap, B"):
        made.add_column(title, justify="left" if title == "part" else "right")
    plain, native = (figures.handshakes[mode] for mode in ("plain", "native"))
    for name, text in _PARTS.items():
        made.add_row(
            text,
            f"{plain[name].instructions:,}",
            f"{native[name].instructions:,}",
            f"{milliseconds(native[name].instructions):,.1f}",
            f"{native[name].heap:,}",
        )
    made.caption = (
        "Router, protobuf, session, AES and X25519; the key pair was made before. Counted on an "
        f"emulated RV32 MicroPython {figures.versions['micropython']}, AES in software. The "
        "handlers: two writes and two reads, on the simulator's stand-in for aioble."
    )
    return made


def _instructions(cost: Cost | None) -> str:
    return "–" if cost is None else _millions(cost.instructions)


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f} M" if count >= 1_000_000 else f"{count:,}"
