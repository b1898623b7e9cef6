"""A board's flash as the world sees it: an image file, its counters, and when the power fails."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from . import image

_COUNTERS = struct.Struct("<QQ")


@dataclass(frozen=True)
class FlashOps:
    """Block operations since the board was made."""

    programs: int
    erases: int

    @property
    def total(self) -> int:
        return self.programs + self.erases


class Flash:
    """An image file and a counter file in a board's directory."""

    def __init__(self, directory: Path, content: bytes) -> None:
        self.image_path = directory / "flash.img"
        self.ops_path = directory / "flash.ops"
        self.image_path.write_bytes(content)
        self.ops_path.write_bytes(_COUNTERS.pack(0, 0))
        self.cut_at: int | None = None  # the operation, counted from 1, that the power fails in
        self.torn: float = 1.0

    @property
    def ops(self) -> FlashOps:
        """The counters, right even while the board runs or after it was killed."""
        return FlashOps(*_COUNTERS.unpack(self.ops_path.read_bytes()))

    def cut_after(self, block_ops: int, torn: float) -> None:
        """Fail in the operation after `block_ops` more; `torn` of that one still happens (0..1)."""
        if not 0 <= torn <= 1:
            raise ValueError("torn is a part of the operation, from 0 to 1")
        self.cut_at = self.ops.total + block_ops + 1
        self.torn = torn

    def write(self, content: bytes) -> None:
        """Flash another image; the board must be off."""
        self.image_path.write_bytes(content)

    def files(self) -> dict[str, bytes]:
        """What a reader finds there now."""
        return image.image_files(self.image_path)
