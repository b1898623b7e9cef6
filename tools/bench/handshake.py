"""What the four messages of a Security 1 handshake cost a board in all, on the emulated RV32.

The other side is PyPI's esp-protocomm. What is counted is protocomm.handle(): router, protobuf,
session, X25519, AES, everything between the bytes of a request and those of its answer. Once more
all that is counted with the BLE transport around it, from the interrupt of a write to the end of
the client's read, on the stand-in for aioble. The board's key pair was made before, as main does
while nobody is connected. AES is software here, and a peripheral on the chip.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from esp_protocomm.security1 import Security1

from .figures import Cost
from .rv32_python import Rv32Python

_POP = "abcd1234"
_WRITE, _READ = 3, 4  # _IRQ_GATTS_WRITE, _IRQ_GATTS_READ_REQUEST
_BOARD = f"""
import aioble
from homing.crypto import x25519
from homing.protocomm.router import SEC, Protocomm
from homing.protocomm.security1 import Security1
from homing.provisioning import ble

told = []
security = Security1({_POP.encode()!r}, told.append)
protocomm = Protocomm(security)
protocomm.add("prov-session", security.handshake, SEC)
ble.BleTransport("PROV_bench").start(protocomm)
attributes = aioble.core.ble.attributes
handle = next(iter(ble._current._endpoints))


def connect():
    ble._irq(1, (1, 0, bytes(6)))
    security.prepare()


def x25519_alone():
    private = security.next_key[0]
    return x25519.shared_secret(private, peer)
"""


def measure(board: Rv32Python) -> dict[str, Cost]:
    """Part → cost: the answers to SessionCmd0 and SessionCmd1, both together, X25519's share, and
    all of it with the BLE handlers.

    Raises esp_protocomm's SecurityError when the board does not prove itself.
    """
    board.run(_BOARD)
    _session(board, _handle)  # what is loaded on first use is there afterwards
    first, second = _session(board, _handle)
    board.run("connect()")
    alone = board.measure("x25519_alone()")[1]
    with_ble = _session(board, _write_and_read)
    if board.run("print(told)").strip() != repr([("secured",)] * 3):
        raise RuntimeError("the board does not take the sessions for secured")
    return {
        "command0": first,
        "x25519": alone,
        "command1": second,
        "all": _sum(first, second),
        "ble": _sum(*with_ble),
    }


def _session(board: Rv32Python, ask: Callable[[Rv32Python], tuple[bytes, Cost]]) -> list[Cost]:
    client = Security1(_POP)
    # The same in each run, so that the figures are.
    client._private_key = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    client.client_public_key = client._private_key.public_key().public_bytes_raw()
    board.run(f"connect()\npeer = {client.client_public_key!r}")
    costs = []
    for request, take in (
        (client.setup0_request, client.handle_setup0_response),
        (client.setup1_request, client.handle_setup1_response),
    ):
        board.run(f"request = {request()!r}")
        reply, cost = ask(board)
        take(reply)
        costs.append(cost)
    return costs


def _handle(board: Rv32Python) -> tuple[bytes, Cost]:
    reply, cost = board.measure("bytes(protocomm.handle(1, 'prov-session', request))")
    return bytes.fromhex(reply), cost


def _write_and_read(board: Rv32Python) -> tuple[bytes, Cost]:
    board.run("attributes[handle] = request")
    costs = [board.measure(f"ble._irq({event}, (1, handle))")[1] for event in (_WRITE, _READ)]
    return bytes.fromhex(board.measure("attributes[handle]")[0]), _sum(*costs)


def _sum(*costs: Cost) -> Cost:
    return Cost(sum(cost.instructions for cost in costs), sum(cost.heap for cost in costs))
