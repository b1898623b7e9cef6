"""What happened on one bench during one test, in one file: board, phone, cloud and test, in order.

Nothing secret is in it: what the leak search knows as a secret is replaced by its kind, and so is
what a board says to the person who holds it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

_UNSAFE = re.compile(r"[^\w.=-]+")
_NAME_LEN = 150
_SOURCES = ("test", "board", "phone", "cloud")
_WIDTH = max(map(len, _SOURCES))


def file_name(test: str) -> str:
    """A file name for a pytest node id."""
    name = _UNSAFE.sub("-", test.replace("::", "-").replace("/", "-")).strip("-")
    return name[-_NAME_LEN:] + ".log"


class Journal:
    """`note(source, text)` from any thread; `write(directory)` at the end."""

    def __init__(self, test: str) -> None:
        self.test = test
        self._began = time.monotonic()
        self._entries: list[tuple[float, str, str]] = []

    def note(self, source: str, text: str) -> None:
        self._entries.append((time.monotonic() - self._began, source, text.rstrip("\r\n")))

    def text(self) -> str:
        """Lines of: seconds since the test began, by the computer's clock; source; what."""
        # Only here: whoever runs no board test need not load what it takes.
        from . import leaks

        entries = sorted(self._entries, key=lambda entry: entry[0])
        lines = [f"{at:9.3f} {source:{_WIDTH}} {text}" for at, source, text in entries]
        return leaks.run().redacted("\n".join([self.test, *lines, ""]))

    def write(self, directory: Path) -> Path:
        """Raises OSError."""
        path = directory / file_name(self.test)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(), encoding="utf-8")
        return path
