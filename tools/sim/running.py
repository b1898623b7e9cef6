"""What a running `homing sim` tells other programs: where its boards, radio and clouds are."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .cache import cache_dir


@dataclass(frozen=True)
class RunningSim:
    """pid of the simulator; ports: board name → serial address; radio: HCI over TCP."""

    pid: int
    ports: dict[str, str]
    radio: str
    cloud_port: int
    cloud_admin_port: int
    ca_pem: str
    user: str
    password: str

    def save(self, path: Path) -> None:
        """Write the file, readable by this user only: it holds a made-up account."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(self), file, indent=2)


def default() -> Path:
    """The file when none is named: one per user, wherever programs are started."""
    return cache_dir() / "sim.json"


def find(path: Path) -> RunningSim | None:
    """The simulator that wrote `path`, if it still runs."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            return None  # what it says would be told secrets
        made = RunningSim(**json.loads(path.read_text()))
        os.kill(made.pid, 0)
        return made
    return None
