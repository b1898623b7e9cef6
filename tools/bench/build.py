"""C programs for the emulated RV32IMC: MicroPython and mbedTLS, from Debian's source packages.

The sources are fetched by version into the cache directory and compiled there with Debian's
gcc-riscv64-unknown-elf and picolibc, which `make bench-system` installs. MicroPython is the qemu
port's board VIRT_RV32, set up as the firmware of an ESP32-C3 is (ports/esp32/mpconfigport.h,
boards/sdkconfig.base): -O2, computed goto, setjmp, AES and SHA-256 by mbedTLS; those are software
here and peripherals on the chip. Its stack limit and heap are the port's.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.sim import debian
from tools.sim.cache import cache_dir
from tools.sim.debian import Unavailable

from .rv32 import Program

_SUITE = "trixie"
# Path in the pool, SHA-256: what the recorded figures were counted with.
_PINNED = {
    "main/m/micropython/micropython_1.25.0+ds.orig.tar.xz": (
        "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
    ),
    "main/m/mbedtls/mbedtls_3.6.6.orig.tar.bz2": (
        "8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a"
    ),
}
_PACKAGES = ("micropython", "mbedtls")
_GLUE = Path(__file__).with_name("glue")
_PREFIX = "riscv64-unknown-elf-"
# The 2.2 of the ISA has the CSR instructions in it: gcc has no libraries for the newer name.
_ARCH = "rv32imc -misa-spec=2.2"
_TARGET = ("--specs=picolibc.specs", *f"-march={_ARCH}".split(), "-mabi=ilp32")
_MBEDTLS = (
    *("aes", "asn1parse", "asn1write", "bignum", "bignum_core", "bignum_mod", "bignum_mod_raw"),
    *("block_cipher", "constant_time", "ecdsa", "ecp", "ecp_curves", "gcm", "hmac_drbg", "md"),
    *("platform", "platform_util", "sha256", "sha512"),
)
_NEEDED = ("aes", "sha256", "platform_util", "constant_time")  # by MicroPython
# Where picolibc's linker script puts a program.
_PLACES = ("flash=0x80000000", "flash_size=0x100000", "ram=0x80100000", "ram_size=0x100000")
HEAP_LEN = 128 * 1024  # of the emulated MicroPython
HINT = "`make bench-system` installs it (Debian)"

# Name of a build of mbedTLS → its flags.
VARIANTS = {
    "-Os": ("-Os",),
    "-O2": ("-O2",),
    "-Os, tables": ("-Os", "-DMBEDTLS_ECP_FIXED_POINT_OPTIM=1"),
}


@functools.cache
def versions() -> dict[str, str]:
    """Of the compiler and the two sources. Raises Unavailable, with what is missing."""
    if not shutil.which(f"{_PREFIX}gcc"):
        raise Unavailable(f"there is no {_PREFIX}gcc: {HINT}")
    if "/" not in debian.run(f"{_PREFIX}gcc", "--print-file-name=picolibc.specs"):
        raise Unavailable(f"there is no picolibc for {_PREFIX}gcc: {HINT}")
    found = {name: tree.name.split("_")[1] for name, tree in _sources().items()}
    return {"gcc": debian.run(f"{_PREFIX}gcc", "-dumpversion").strip(), **found}


@functools.cache
def mbedtls(variant: str) -> tuple[dict[str, Program], set[str]]:
    """One program per function of glue/driver.c, with what that function needs of mbedTLS; and the
    names that are mbedTLS's. Raises Unavailable.
    """
    objects = _objects(VARIANTS[variant])
    driver = (_GLUE / "driver.c").read_text(encoding="utf-8")
    entries = [
        line.removeprefix("int ").partition("(")[0]
        for line in driver.splitlines()
        if line.startswith("int bench_")
    ]
    programs = {entry: Program.from_elf(_linked(objects, entry).read_bytes()) for entry in entries}
    own = [Program.from_elf((objects / f"{name}.o").read_bytes()) for name in _MBEDTLS]
    return programs, {s.name for each in own for s in each.symbols if s.defined and s.size}


@functools.cache
def micropython() -> Program:
    """The interpreter, with the REPL on its UART. Raises Unavailable."""
    flags = [
        f"-DMBEDTLS_CONFIG_FILE='\"{_GLUE}/mbedtls_config.h\"'",
        f"-I{_sources()['mbedtls']}/include",
        *("-DMICROPY_OPT_COMPUTED_GOTO=1", "-DMICROPY_NLR_SETJMP=1"),
        *("-DMICROPY_SSL_MBEDTLS=1", "-DMICROPY_PY_CRYPTOLIB=1"),
    ]
    objects = _objects(("-O2",))
    variables = {
        "BOARD": "VIRT_RV32",
        "FROZEN_MANIFEST": "",
        "MICROPY_HEAP_SIZE": str(HEAP_LEN),
        "RV32_ARCH": _ARCH,
        "COPT": "-O2 -DNDEBUG",
        "CFLAGS_EXTRA": " ".join(flags),
        "LIBS": " ".join(f"{objects}/{name}.o" for name in _NEEDED),
    }
    port = _sources()["micropython"] / "ports" / "qemu"

    def make(directory: Path) -> None:
        settings = [f"{name}={value}" for name, value in variables.items()]
        debian.run("make", "-j2", f"BUILD={directory}", *settings, cwd=port)

    return Program.from_elf((_made(make, repr(variables)) / "firmware.elf").read_bytes())


@functools.cache
def _sources() -> dict[str, Path]:
    """The unpacked trees by package, fetched if they are not in the cache."""
    trees = [cache_dir() / Path(path).name.split(".orig")[0] for path in _PINNED]
    if not all(tree.is_dir() for tree in trees):
        debian.need("apt-get", "tar")
        with tempfile.TemporaryDirectory(dir=cache_dir()) as directory:
            trees = [_unpacked(path) for path in _archives(Path(directory))]
    return dict(zip(_PACKAGES, trees, strict=True))


def _archives(work: Path) -> list[Path]:
    try:
        return debian.pinned(_PINNED, work)
    except Unavailable as pinned:
        try:
            apt = debian.apt_get(work, "deb-src", _SUITE)
            debian.run(*apt, "source", "--download-only", *_PACKAGES, cwd=work)
            return [next(work.glob(f"{name}_*.orig.tar.*")) for name in _PACKAGES]
        except Unavailable as e:
            raise Unavailable(f"{pinned}\nand by the index of {_SUITE}: {e}") from None


def _unpacked(archive: Path) -> Path:
    tree = cache_dir() / archive.name.split(".orig")[0]
    if not tree.is_dir():
        made = archive.parent / tree.name
        made.mkdir()
        debian.run(
            "tar", "--extract", "--strip-components=1", f"--file={archive}", f"--directory={made}"
        )
        made.rename(tree)
    return tree


def _made(make: Callable[[Path], None], what: str) -> Path:
    """A directory that make(directory) has filled, kept by the hash of all that goes into it."""
    ours = [Path(__file__), *sorted(_GLUE.iterdir())]
    text = "".join(path.read_text(encoding="utf-8") for path in ours)
    key = hashlib.sha256(repr((versions(), text, what)).encode()).hexdigest()[:40]
    target = cache_dir() / f"rv32-{key}"
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=cache_dir()) as directory:
            made = Path(directory) / "made"
            made.mkdir()
            make(made)
            made.rename(target)
    return target


def _objects(flags: tuple[str, ...]) -> Path:
    """The directory of mbedTLS and the driver, compiled."""
    tree = _sources()["mbedtls"]

    def make(directory: Path) -> None:
        files = [*(tree / "library" / f"{name}.c" for name in _MBEDTLS), _GLUE / "driver.c"]
        config = f'-DMBEDTLS_CONFIG_FILE="{_GLUE}/mbedtls_config.h"'
        options = [*_TARGET, *flags, "-ffunction-sections", "-fdata-sections", config]
        include = f"-I{tree}/include"
        debian.run(f"{_PREFIX}gcc", *options, include, "-c", *map(str, files), cwd=directory)

    return _made(make, repr(flags))


def _linked(objects: Path, entry: str) -> Path:
    program = objects / f"{entry}.elf"
    if not program.exists():
        places = ",".join(f"--defsym=__{place}" for place in _PLACES)
        options = ["-nostartfiles", f"-Wl,--gc-sections,-e,{entry},{places}", "-o", str(program)]
        files = sorted(str(path) for path in objects.glob("*.o"))
        debian.run(f"{_PREFIX}gcc", *_TARGET, *options, *files)
    return program
