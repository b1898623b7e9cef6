"""What has to change on a board, from what is there and what shall be there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.sim.image import AIOBLE_PARTS

from .link import DeployError

# What is looked at. The first is ours alone: what is in there and not in the project goes away. In
# the other a maker may have parts of aioble that Homing does not need.
OWNED = ("lib/homing", "lib/aioble")
_BLOCK_LEN = 4096
# Directory entries, the list, and what littlefs wants to move around.
_SPARE_BLOCKS = 16
_DEFAULT_BOOT_MARK = "# This file is executed on every boot"  # what MicroPython itself puts there
_OUR_BOOT_MARK = "homing"

Tree = Mapping[str, tuple[int, str | None]]


@dataclass(frozen=True)
class Plan:
    """`write`: path → content. `remove`, `make`: in an order that works; `make` are directories.

    `kept`: notes for the person.
    """

    write: dict[str, bytes]
    remove: list[str]
    make: list[str]
    kept: list[str]

    @property
    def empty(self) -> bool:
        return not self.write and not self.remove

    @property
    def bytes(self) -> int:
        return sum(map(len, self.write.values()))

    @property
    def blocks(self) -> int:
        """Of 4 KB, for laying out the update beside what is there."""
        files = sum(-(-len(data) // _BLOCK_LEN) for data in self.write.values())
        return _SPARE_BLOCKS + 2 * len(self.make) + files


def make(wanted: Mapping[str, bytes], there: Tree, boot_text: str, main: bool, boot: bool) -> Plan:
    """Compare. `main`, `boot`: replace the board's own files of that name.

    Paths are relative to the root of the board. Raises DeployError.
    """
    kept = []
    wanted = dict(wanted)
    _check_shadows(there)
    if "main.py" in there and not main and _differs("main.py", wanted, there):
        del wanted["main.py"]
        kept.append("main.py on the board is another one and was kept (--main replaces it)")
    foreign = boot_text and _DEFAULT_BOOT_MARK not in boot_text and _OUR_BOOT_MARK not in boot_text
    if foreign and not boot:
        raise DeployError(
            "the board has a boot.py of its own, and Homing needs that place: move what it does "
            "to main.py, or let it be replaced with --boot"
        )
    write = {path: data for path, data in wanted.items() if _differs(path, wanted, there)}
    folders = {folder for path in write for folder in _parents(path)}
    make = sorted(f for f in folders if there.get(f, (0, ""))[1] is not None)
    return Plan(write, _leftovers(wanted, there), make, kept)


def has_aioble(there: Tree) -> bool:
    """Whether every part of aioble that Homing needs is on the board, compiled or not."""
    return all(
        any(
            there.get(f"{OWNED[1]}/{name}", (0, None))[0]
            for name in (part, part.removesuffix(".py") + ".mpy")
        )
        for part in AIOBLE_PARTS
    )


def _parents(path: str) -> Iterator[str]:
    for n in range(1, path.count("/") + 1):
        yield path.rsplit("/", n)[0]


def _differs(path: str, wanted: Mapping[str, bytes], there: Tree) -> bool:
    data = wanted.get(path)
    if data is None:
        return False
    return there.get(path) != (len(data), hashlib.sha256(data).hexdigest())


def _leftovers(wanted: Mapping[str, bytes], there: Tree) -> list[str]:
    folders = {folder for path in wanted for folder in _parents(path)}
    files, empty = [], []
    for path, (_length, digest) in there.items():
        if not path.startswith(tuple(owned + "/" for owned in OWNED)):
            continue
        if path.startswith(OWNED[1] + "/") and path.removesuffix(".py") + ".mpy" not in wanted:
            continue
        if digest is not None and path not in wanted:
            files.append(path)
        elif digest is None and path not in folders:
            empty.append(path)
    # A source wins over the .mpy beside it, and a directory over both: leftovers are not harmless.
    return sorted(files) + sorted(empty, key=lambda path: -path.count("/"))


def _check_shadows(there: Tree) -> None:
    # The root comes before /lib on the board's path.
    found = [p for p in ("homing", "homing.py", "homing.mpy", "aioble", "aioble.py", "aioble.mpy")
             if p in there]  # fmt: skip
    found += [p for p in ("lib/homing.py", "lib/homing.mpy", "lib/aioble.py", "lib/aioble.mpy")
              if p in there]  # fmt: skip
    if found:
        raise DeployError(
            f"/{found[0]} on the board would hide what is deployed; remove it first: "
            f"mpremote rm -r :/{found[0]}"
        )
