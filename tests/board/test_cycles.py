"""Fifty times provisioned in one boot: nothing is left behind that would add up."""

from __future__ import annotations

import re
import statistics

import pytest
from esp_protocomm.wifi import WifiState

from tools.harness.bench import POP, SimBench

CYCLES = 50
WARM_UP = 5  # the first rounds load modules and grow tables for good
NAME = "PROV_again"
# One reference to anything that is left per cycle costs 16 bytes, the smallest block there is on
# the chip; 32 on the 64-bit interpreter of the simulator.
SLOPE_MAX = 8.0

MAIN = f"""
import asyncio
import gc
import homing

async def once():
    async with homing.Provisioner({NAME!r}, pop={POP!r}, scan=scan, keep_ms=100) as p:
        async for event in p:
            if event.kind == "advertising":
                print("ready", cycle)
            elif event.kind == "credentials":
                await p.report("192.168.1.2", bssid=b"123456", channel=1)

def scan():
    return ((b"home", b"123456", 1, -50, 3),)

async def main():
    global cycle
    for cycle in range({CYCLES}):
        await once()
        gc.collect()
        print("free", cycle, gc.mem_free())
    print("finished")

asyncio.run(main())
"""


@pytest.mark.sim(identity={}, files={"main.py": MAIN}, charge=False)
def test_fifty_cycles_without_memory_drift(lab: SimBench) -> None:
    lab.scan_s = 0.5
    start = 0
    for cycle in range(CYCLES):
        lab.board.wait_text(rf"ready {cycle}\b", start=start)
        start = len(lab.board.log)
        # Now and then a client that leaves in the middle comes first, or one with a wrong password.
        if cycle % 5 == 2:
            lab.talk(lambda d: d.status(), POP, NAME)
        status = lab.talk(lambda d: d.join(b"home", b"correct horse", poll_s=0.2), POP, NAME)
        assert (status.state, status.ssid) == (WifiState.CONNECTED, b"home")
        assert status.ip == "192.168.1.2"
    lab.board.wait_text("finished")
    free = [int(n) for n in re.findall(r"free \d+ (\d+)", lab.board.log)]
    assert len(free) == CYCLES
    warm = free[WARM_UP:]
    slope = statistics.linear_regression(range(len(warm)), warm).slope
    assert abs(slope) < SLOPE_MAX, f"{slope:.1f} bytes a cycle: {free}"
    assert "ble" not in lab.sim.radios
    assert lab.sim.flash_ops.total == 0
