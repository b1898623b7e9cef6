"""Put a plan into effect so that at every instant the board has the old program or the new one.

1. The whole update is laid out in /update, under names that nothing imports, and read back.
2. Its list appears as /update.json, by one rename. From here on boot.py finishes the update, at
   this boot or at any later one, before it imports anything (see _finish_update there).
3. If boot.py itself changes, its rename comes right after, within one directory: an old one that
   knows nothing of updates runs the old program, whose files are all still there.
4. A soft reset.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable

from .link import BoardFault, DeployError, Link
from .plan import Plan

FOLDER = "/update"
_LIST, _PART, _BOOT = "/update.json", "/update.part", "/boot.part"
TRACES = tuple(path.strip("/") for path in (FOLDER, _LIST, _PART, _BOOT))


def staged(path: str) -> str:
    """Where a file of the update waits."""
    if path == "boot.py":
        return _BOOT
    return f"{FOLDER}/{path.replace('/', '+')}"


def apply(link: Link, plan: Plan, progress: Callable[[int], None]) -> None:
    """Steps 1 to 3; the caller resets the board. Raises DeployError; then nothing has changed.

    After LinkLost the board has the old program or the new one.
    """
    # A full littlefs may count more blocks in use than there are (lfs_fs_size), and so fewer than 0
    # as free, without a sign.
    free = link.value("(lambda s: s[0] * s[3] if s[3] <= s[2] else 0)(os.statvfs('/'))")
    if plan.blocks * 4096 > free:
        raise DeployError(
            f"not enough room on the board: {plan.blocks * 4} KB needed, {free // 1024} KB free; "
            "remove files of yours (mpremote df; mpremote rm)"
        )
    try:
        _lay_out(link, plan, progress)
        _check(link, plan)
    except BoardFault as error:
        with contextlib.suppress(DeployError):
            clear(link)
        if error.full:
            raise DeployError("the board's file system is full; nothing was changed") from error
        raise DeployError(f"{error.message}; nothing was changed") from error
    except (DeployError, KeyboardInterrupt):
        with contextlib.suppress(DeployError):
            clear(link)
        raise
    link.run(f"os.rename({_PART!r}, {_LIST!r})")
    if "boot.py" in plan.write:
        link.run(f"os.rename({staged('boot.py')!r}, '/boot.py')")


def clear(link: Link) -> None:
    """Remove what an earlier, interrupted update left; one that was complete has been finished.

    The list first: without it the rest means nothing.
    """
    link.run(
        "def _rm(step, path):\n"
        "    try:\n"
        "        step(path)\n"
        "    except OSError as e:\n"
        "        if e.errno != 2:\n"
        "            raise\n"
        f"for p in {(_LIST, _PART, _BOOT)!r}:\n"
        "    _rm(os.remove, p)\n"
        f"if {FOLDER[1:]!r} in os.listdir('/'):\n"
        f"    for n in os.listdir({FOLDER!r}):\n"
        f"        _rm(os.remove, {FOLDER + '/'!r} + n)\n"
        f"    os.rmdir({FOLDER!r})"
    )


def _lay_out(link: Link, plan: Plan, progress: Callable[[int], None]) -> None:
    link.run(f"os.mkdir({FOLDER!r})")
    for path, data in plan.write.items():
        link.write(staged(path), data, progress)
    todo = {
        "remove": ["/" + path for path in plan.remove],
        # Directories are made by boot.py, too: one named like an old module would hide it at once.
        "make": ["/" + path for path in plan.make],
        "move": [(staged(path), "/" + path) for path in plan.write],
    }
    link.write(_PART, json.dumps(todo).encode(), lambda _n: None)


def _check(link: Link, plan: Plan) -> None:
    there = link.tree(*map(staged, plan.write))
    for path, data in plan.write.items():
        if there.get(staged(path)) != (len(data), hashlib.sha256(data).hexdigest()):
            raise DeployError(f"{path} arrived damaged; nothing was changed, try again")
