"""The whole of a deployment: look, compare, lay out, commit, restart, listen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.board_boot import MIN_MICROPYTHON

from . import plan as planning
from . import update
from .aioble import Unfetched
from .link import BoardFault, DeployError, Link, LinkLost
from .plan import Plan

_MPY_VERSION = 6  # what mpy-cross writes
_BOOT_S = 20.0
_UPDATED = re.compile(r'@ok \{.*"updated"')
_BOOT = re.compile(r"@boot \{.*\}")
_NEEDED = ("bluetooth", "esp32", "network")


@dataclass(frozen=True)
class Result:
    """What was done, and the board's `@boot` line."""

    plan: Plan
    boot: str


@dataclass
class Progress:
    """Callbacks for whoever shows it."""

    planned: Callable[[Plan], None] = lambda _plan: None
    wrote: Callable[[int], None] = lambda _count: None


def deploy(
    address: str,
    wanted: Mapping[str, bytes],
    *,
    main: bool = False,
    boot: bool = False,
    dry_run: bool = False,
    standin: bool = False,
    no_aioble: Unfetched | None = None,
    progress: Progress | None = None,
) -> Result:
    """Bring the board at `address` to `wanted`: path → content. Raises DeployError or PortError.

    main, boot: replace a main.py or boot.py that is another one. dry_run: plan only. standin: the
    aioble among the files is the simulator's, which a chip must not get. no_aioble: why none is
    among the files; raised unless the board has one, which then stays.
    """
    progress = progress or Progress()
    with Link(address) as link:
        _check_interpreter(link, standin)
        there = _look(link)
        made = planning.make(wanted, there, _text(link, "/boot.py"), main, boot)
        if no_aioble is not None:
            if not planning.has_aioble(there):
                raise no_aioble
            made.kept.append(
                f"lib/aioble on the board was kept ({no_aioble.reason}), whatever release it is"
            )
        progress.planned(made)
        if dry_run:
            return Result(made, "")
        if set(update.TRACES) & set(link.value("os.listdir('/')")):
            update.clear(link)
        if not made.empty:
            update.apply(link, made, progress.wrote)
        return Result(made, _restart(link, made))


def _look(link: Link) -> dict[str, tuple[int, str | None]]:
    roots = set(link.value("os.listdir('/')"))
    # Of what is not ours, the names are enough.
    there: dict[str, tuple[int, str | None]] = dict.fromkeys(roots, (0, ""))
    asked = [name for name in ("boot.py", "main.py") if name in roots]
    if "lib" in roots:
        names = link.value("os.listdir('/lib')")
        there["lib"] = (0, None)
        there.update(dict.fromkeys((f"lib/{name}" for name in names), (0, "")))
        asked += [path for path in planning.OWNED if path in there]
    found = link.tree(*("/" + path for path in asked))
    there.update({path.lstrip("/"): entry for path, entry in found.items()})
    return there


def _text(link: Link, path: str) -> str:
    try:
        return str(link.value(f"open({path!r}).read(2048)"))
    except BoardFault:
        return ""


def _check_interpreter(link: Link, standin: bool) -> None:
    link.run("import sys")
    version = link.value("tuple(sys.implementation.version)")
    platform = link.value("sys.platform")
    if version[:2] < MIN_MICROPYTHON:
        wanted, found = (".".join(map(str, v[:2])) for v in (MIN_MICROPYTHON, version))
        raise DeployError(
            f"the board runs MicroPython {found}; Homing needs {wanted} or newer: "
            "flash a newer image first (make flash)"
        )
    if link.value("getattr(sys.implementation, '_mpy', 0)") & 0xFF != _MPY_VERSION:
        raise DeployError("the board's MicroPython does not load .mpy files of this compiler")
    try:
        link.run("import " + ", ".join(_NEEDED))
    except BoardFault as error:
        raise DeployError(
            f"this board cannot run Homing ({error.line}): "
            "it takes an ESP32-C3 with the image ESP32_GENERIC_C3"
        ) from error
    if standin and platform == "esp32":
        raise DeployError("the simulator's aioble is of no use on a chip; give the real one")
    if "VfsLfs" not in link.run("import vfs\nprint([m for m, p in vfs.mount() if p == '/'])"):
        raise DeployError(
            "the board's file system is not littlefs, which alone outlives a power failure; "
            "format it, or flash the image ESP32_GENERIC_C3 with --erase"
        )


def _restart(link: Link, made: Plan) -> str:
    try:
        said = link.restart(_BOOT_S)
    except LinkLost as error:
        state = "" if made.empty else "; the update is complete and is used from the next reset on"
        raise LinkLost(error.message + state) from error
    boot = _BOOT.search(said)
    if boot is None or (not made.empty and not _UPDATED.search(said)):
        lines = [line for line in said.splitlines() if line.strip() and not line.startswith(">>>")]
        raise DeployError(
            "the update is on the board, but it does not start:\n" + "\n".join(lines[-12:])
        )
    return boot[0]
