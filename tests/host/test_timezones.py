"""The board's time zones: the table is the pinned tzdata's, the arithmetic as Python's."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import zoneinfo
from pathlib import Path

from tools import timezones

_LIB = Path(__file__).parents[2] / "lib"
_MICROPYTHON = Path(sys.executable).parent / "micropython"
# Every zone at moments around its changes and between them, for years in which its rule holds.
_SCRIPT = """
import json, sys
from homing.timezone import at, rule
zones = json.load(sys.stdin)
for zone, times in zones:
    found = rule(zone)
    print(json.dumps([found] + [at(found, now) for now in times]))
"""


def test_the_table_is_current() -> None:
    assert timezones.generate() == timezones.ZONES.read_text(), "run python -m tools.timezones"


def _moments(zone: zoneinfo.ZoneInfo) -> list[int]:
    # A moment a month, and the second before and at each change, of a year so far ahead that
    # only the rule counts (Gaza has a table until 2086). Found by halving, on UTC.
    start = int(datetime.datetime(2091, 1, 1, tzinfo=datetime.UTC).timestamp())
    moments = [start + month * 2_600_000 for month in range(13)]
    changes = []
    for low, high in zip(moments, moments[1:], strict=False):
        if _offset(zone, low) != _offset(zone, high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (
                    (middle, high) if _offset(zone, middle) == _offset(zone, low) else (low, middle)
                )
            changes += [low, high]
    return moments + changes


def _offset(zone: zoneinfo.ZoneInfo, at: int) -> datetime.timedelta | None:
    return datetime.datetime.fromtimestamp(at, zone).utcoffset()


def test_every_zone_has_the_time_that_python_gives_it(tmp_path: Path) -> None:
    zoneinfo.reset_tzpath(to=[])  # the pinned data, not this computer's
    (tmp_path / "times.py").write_text(_SCRIPT)
    rules = timezones.rules()
    assert len(rules) > 500
    asked = [(name, _moments(zoneinfo.ZoneInfo(name))) for name in sorted(rules)]
    assert sum(len(times) > 13 for _name, times in asked) > 100  # those with summer time
    done = subprocess.run(
        [str(_MICROPYTHON), "-X", "heapsize=32M", str(tmp_path / "times.py")],
        env={"MICROPYPATH": f"{_LIB}:.frozen"},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    for (name, times), (rule, *found) in zip(asked, lines, strict=True):
        assert rule == rules[name]
        zone = zoneinfo.ZoneInfo(name)
        expected = [datetime.datetime.fromtimestamp(at, zone).timetuple()[:8] for at in times]
        assert [tuple(each) for each in found] == expected, name
