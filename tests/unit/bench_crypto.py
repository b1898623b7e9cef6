# Not a test: time and memory of the cryptography beside the plain text of the RFC, in one run.
# MICROPYPATH=lib:tests/unit:.frozen micropython -X heapsize=16M tests/unit/bench_crypto.py

import gc
import time

import rfc7748

from homing.crypto import x25519
from homing.crypto.aes_ctr import AesCtr

_ROUNDS = 9


def _measure(function, *args):
    # Best of several, in us, and bytes taken from the heap, garbage included.
    best = None
    for _ in range(_ROUNDS):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        start = time.ticks_us()
        function(*args)
        took = time.ticks_diff(time.ticks_us(), start)
        churn = gc.mem_alloc() - before
        gc.enable()
        best = took if best is None else min(best, took)
    return best, churn


def main():
    private = bytes(range(32))
    peer = x25519.public_key(bytes(range(32, 64)))
    assert rfc7748.x25519(private, peer) == x25519.shared_secret(private, peer)
    plain_us, plain_churn = _measure(rfc7748.x25519, private, peer)
    for name, function, args in (
        ("RFC 7748 text", rfc7748.x25519, (private, peer)),
        ("shared_secret", x25519.shared_secret, (private, peer)),
        ("public_key", x25519.public_key, (private,)),
    ):
        us, churn = _measure(function, *args)
        print(f"{name:15} {us:6} us {churn:8} B  {us / plain_us:.2f} of the RFC text's time")
    for size in (4, 16, 100, 244, 512):
        stream = AesCtr(private, peer[:16])
        us, churn = _measure(stream.crypt, bytes(size))
        print(f"AES-CTR {size:3} B {us:9} us {churn:8} B")


main()
