"""Generates the board's time zones, lib/homing/zones.txt, from the pinned tzdata.

`python -m tools.timezones` writes it, `--check` compares. Each rule, a POSIX one as the footer of a
zone's file has it (RFC 8536), stands on a line that begins with "="; the zones that go by it
follow, one a line. All names are there, old ones too: phones send what they know.
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
from collections import defaultdict
from pathlib import Path

ZONES = Path(__file__).parent.parent / "lib" / "homing" / "zones.txt"
_UNKNOWN = "Factory"  # stands for "not set"


def rules() -> dict[str, str]:
    """Zone → rule, of the tzdata that is installed."""
    root = importlib.resources.files("tzdata")
    found = {}
    for name in root.joinpath("zones").read_text().split():
        if name == _UNKNOWN:
            continue
        blob = root.joinpath("zoneinfo", *name.split("/")).read_bytes()
        # The footer: a rule between two line ends, after all else.
        found[name] = blob[:-1].rpartition(b"\n")[2].decode()
    return found


def generate() -> str:
    """The file's content."""
    by_rule = defaultdict(list)
    for name, rule in rules().items():
        by_rule[rule].append(name)
    lines = []
    for rule in sorted(by_rule):
        lines += [f"={rule}", *sorted(by_rule[rule])]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    text = generate()
    if parser.parse_args().check:
        return 0 if ZONES.read_text() == text else 1
    ZONES.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
