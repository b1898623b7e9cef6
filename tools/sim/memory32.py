"""A MicroPython whose objects are as big as the chip's: Debian's build for i386, beside the system.

    python3 -m tools.sim.memory32        # fetch and unpack it; `make test-system` does

Small integers, pointers and objects of a 32-bit build take what they take on an ESP32-C3, which no
64-bit interpreter can show. It is Debian trixie's micropython 1.25 with its libraries, unpacked
into the cache directory and run through its own loader: nothing is installed, and the package lists
of the machine stay as they are. It is used to measure memory, never to prove behaviour: it is older
than the release that boot.py asks for, and has no raw REPL. Standard library only, so that it runs
before there is an environment.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from pathlib import Path

from . import debian
from .cache import cache_dir
from .debian import Unavailable

_SUITE = "trixie"
_ARCH = "i386"
_PACKAGE = "micropython"
# The files that the figures in docs/simulator.md were measured with: path in the pool without
# "_i386.deb", SHA-256.
_PINNED = {
    "main/m/micropython/micropython_1.25.0+ds-1": (
        "a72799821cb45442150f8a7f0757bc8e4f9a4b64abccbd837d694a20d6900bb5"
    ),
    "main/g/glibc/libc6_2.41-12+deb13u4": (
        "67bb4b54cf4bb6a380449dfa1852cd9135659f85360caa0e41d312f4b30e573a"
    ),
    "main/libf/libffi/libffi8_3.4.8-2": (
        "8bafefb38c320ca27796070c881595ce04d900c3b534ac142a494daf1fe1db13"
    ),
    "main/m/mbedtls/libmbedtls21_3.6.6-0.1~deb13u1": (
        "eb1b20154ce9008aca1d036698ffc12019020a54985d2c5ae3dc1c1c39c9e995"
    ),
    "main/m/mbedtls/libmbedcrypto16_3.6.6-0.1~deb13u1": (
        "aa4698ed436eebf77e3dc9f5c514073bd554109d857d887db5a367dde9a5c377"
    ),
    "main/m/mbedtls/libmbedx509-7_3.6.6-0.1~deb13u1": (
        "fe6ba192c9227d30a4cd05a3bdeccdf9ff30d55b27d8ff488126c16dcf727cce"
    ),
    "main/g/gcc-14/libgcc-s1_14.2.0-19": (
        "a4c71fd856d2a48a7505a087b4186e3cca23f94603c05e3fb7c799b27e72f761"
    ),
}
HINT = "`make test-system` fetches it (Debian, x86)"


def _root() -> Path:
    return cache_dir() / f"micropython-{_SUITE}-{_ARCH}"


def command() -> list[str] | None:
    """The interpreter as a command, or None if it has not been fetched."""
    root = _root()
    libraries = root / "usr" / "lib" / "i386-linux-gnu"
    program = root / "usr" / "bin" / "micropython"
    loader = libraries / "ld-linux.so.2"
    if not program.exists() or not loader.exists():
        return None
    return [str(loader), "--library-path", str(libraries), str(program)]


def older(path: str, text: str) -> str | None:
    """A transform for World.new_board: boot.py takes this release too. Measuring only."""
    if path.strip("/") != "boot.py":
        return None
    changed = text.replace("_MIN = (1, 29)", "_MIN = (1, 25)")
    if changed == text:
        raise ValueError("boot.py no longer says which release it needs in the known way")
    return changed


def fetch() -> list[str]:
    """Fetch, check and unpack it if it is not there; the command. Raises Unavailable."""
    found = command()
    if found:
        return found
    if platform.machine() not in ("x86_64", "i686", "i386"):
        raise Unavailable(f"this machine is a {platform.machine()}: it runs no {_ARCH} programs")
    debian.need("apt-get", "dpkg-deb")
    with tempfile.TemporaryDirectory(dir=cache_dir()) as directory:
        work = Path(directory)
        made = work / "root"
        made.mkdir()
        for package in _packages(work):
            debian.run("dpkg-deb", "--extract", str(package), str(made))
        made.chmod(0o755)
        try:
            made.rename(_root())
        except OSError:
            if not _root().exists():  # else somebody was faster
                raise
    found = command()
    if not found:
        raise Unavailable("the packages do not contain what they should")
    if debian.run(*found, "-c", "import sys; print(sys.maxsize)").strip() != str(2**31 - 1):
        raise Unavailable("what was unpacked is no 32-bit MicroPython")
    return found


def _packages(work: Path) -> list[Path]:
    """The package and all it depends on, verified; those of Debian's index if not the pinned."""
    try:
        return debian.pinned({f"{path}_{_ARCH}.deb": sha for path, sha in _PINNED.items()}, work)
    except Unavailable as pinned:
        try:
            return _download(work)
        except Unavailable as e:
            raise Unavailable(f"{pinned}\nand by the index of {_SUITE}: {e}") from None


def _download(work: Path) -> list[Path]:
    apt = debian.apt_get(
        work, "deb", _SUITE, _ARCH
    )  # libraries come along: none is installed there
    debian.run(*apt, "install", "--yes", "--no-install-recommends", "--download-only", _PACKAGE)
    packages = sorted((work / "archives").glob("*.deb"))
    if not packages:
        raise Unavailable("apt-get has downloaded nothing")
    return packages


if __name__ == "__main__":
    try:
        print("32-bit MicroPython:", fetch()[-1])
    except Unavailable as e:
        sys.exit(f"no 32-bit MicroPython: {e}")
