"""Where the simulator keeps what it made or fetched. Standard library only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_dir() -> Path:
    """The directory, made if need be; HOMING_CACHE moves it."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    default = Path(tempfile.gettempdir()) / f"homing-cache-{user}"
    path = Path(os.environ.get("HOMING_CACHE") or default)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
