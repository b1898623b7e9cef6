"""Memory is given back between the acts, and nothing that was let go is missed afterwards."""

from __future__ import annotations

import pytest

from tools.harness.bench import Bench, SimBench

TLS_BLOCK_LEN = 40 * 1024

# What a person does at the REPL, without one: Ctrl-C, forget, run again, in the same interpreter.
AGAIN = """
import gc, sys
import homing

async def app(me):
    gc.collect()
    print("@ok", '{"modules": %d}' % len([m for m in sys.modules if "provisioning" in m]))
    raise KeyboardInterrupt

for _ in range(2):
    try:
        homing.run(app)
    except KeyboardInterrupt:
        homing.forget_wifi()
print("@ok", '{"ended": true}')
"""


def test_enough_in_one_piece_before_tls(bench: Bench) -> None:
    """Once BLE is off, of the heap that TLS uses. (On the simulator that heap is a model.)"""
    with_ble = bench.board.wait_state("advertising")
    bench.provision()
    after = bench.board.wait_state("ble-off")
    assert after["idf_largest"] >= TLS_BLOCK_LEN
    assert after["idf_free"] > with_ble["idf_free"]
    bench.board.wait_state("online")


@pytest.mark.sim(files={"main.py": AGAIN})
def test_provision_twice_in_one_process(lab: SimBench) -> None:
    for _ in range(2):
        lab.board.wait_state("advertising")
        lab.provision()
        lab.board.wait_state("online")
        assert lab.board.wait("ok")["modules"] == 0
        lab.board.wait("ok", done="forget_wifi")
    lab.board.wait("ok", ended=True)


def test_online_has_more_free_than_advertising(lab: SimBench) -> None:
    before = lab.board.wait_state("advertising")["gc_free"]
    lab.provision()
    assert lab.board.wait_state("online")["gc_free"] > before + 40_000  # bytes, on 64 bits


@pytest.mark.sim(
    files={
        "main.py": "import gc\ngc.threshold(12800)\nimport homing\n"
        "async def app(me):\n    print('threshold', gc.threshold())\n"
        "homing.run(app)\n"
    }
)
def test_a_program_s_own_threshold_is_kept(lab: SimBench) -> None:
    lab.board.wait_state("advertising")
    lab.provision()
    assert int(lab.board.wait_text(r"threshold (-?\d+)")[1]) == 12800
