"""An app finds the board: by its name and service, soon, and again after every client."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from bleak import BleakScanner
from bleak.backends.device import BLEDevice

from tools.harness.bench import Bench

SERVICE = "021a9004-0382-4aea-bff4-6b3f1c5adfb4"
VISIBLE_S = 5


async def look(name: str) -> BLEDevice | None:
    """As apps do: by the service, then by the name."""
    return await BleakScanner.find_device_by_filter(
        lambda _device, heard: heard.local_name == name and SERVICE in heard.service_uuids,
        timeout=VISIBLE_S,
    )


def test_visible_when_it_says_so(bench: Bench) -> None:
    said = bench.board.wait_state("advertising")
    name = bench.name()
    assert said["name"] == name
    assert re.fullmatch(r"PROV_[0-9a-f]{6}", name)
    bench.board.wait_text(rf"advertising as {name}, waiting for an app")
    bench.real_time()
    assert bench.run(look(name)) is not None


@pytest.mark.timeout(3600)
def test_visible_again_after_every_client(
    bench: Bench, rounds: Callable[[int, int], range]
) -> None:
    bench.board.wait_state("advertising")
    name, pop = bench.name(), bench.pop()

    async def work() -> None:
        for turn in rounds(4, 50):
            async with bench.dialogue(name) as d:
                if turn % 2:
                    await d.secure(pop)
            assert await look(name) is not None, turn

    bench.run(work(), timeout_s=3000)
