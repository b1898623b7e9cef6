"""What mbedTLS in C takes for the same work, compiled for RV32IMC, in software; results checked."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import build
from .figures import Cost
from .rv32 import Machine

# RFC 7748, 5.2.
_SCALAR = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
_POINT = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
_PRODUCT = bytes.fromhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
_BASE_POINT = (9).to_bytes(32, "little")
_PUBLIC = X25519PrivateKey.from_private_bytes(_SCALAR).public_key().public_bytes_raw()
# RFC 6979, A.2.5: private key, and with SHA-256 the signature of "sample".
_PRIVATE = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
_SIGNATURE = (
    0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
    0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
)
_BASE = random.Random(3072).getrandbits(3071)
_KEY, _IV = bytes(range(32)), bytes(range(16))


def _arctan(x: int, bits: int) -> int:
    """Of 1 / x, times 2 ** bits."""
    total, term, n = 0, (1 << bits) // x, 1
    while term:
        total += term // n if n % 4 == 1 else -(term // n)
        term //= x * x
        n += 2
    return total


# RFC 3526, group 15, with the definition's pi by Machin's formula; RFC 5054 has the same.
_PI = 4 * (4 * _arctan(5, 3000) - _arctan(239, 3000)) >> 3000 - 2942
PRIME = 2**3072 - 2**3008 - 1 + 2**64 * (_PI + 1690314)


class WrongResult(Exception):
    """mbedTLS, or what runs it here, has computed something else than the reference."""


def measure(variant: str) -> dict[str, Cost]:
    """Operation → cost, of one of build.VARIANTS. Raises build.Unavailable, WrongResult."""
    programs, names = build.mbedtls(variant)
    found = {}
    for name, operation in _OPERATIONS.items():
        if variant not in operation.variants:
            continue
        program = programs[operation.function]
        counts, heap = [], 0
        for expected, arguments in operation.calls:
            machine = Machine(program)
            out = machine.put(bytes(_OUT_LEN))
            status = machine.call(operation.function, out, *arguments)
            result = operation.read(machine.get(out, _OUT_LEN))
            if status or result[: len(expected)] != expected:
                raise WrongResult(f"{name} by {variant}: status {status}, {result.hex()}")
            counts.append(machine.instructions())
            if "bench_heap_peak" in machine.symbols:
                place = machine.get(machine.symbols["bench_heap_peak"], 4)
                heap = max(heap, int.from_bytes(place, "little"))
        found[name] = Cost(operation.count(*counts), heap, program.size(names))
    return found


_OUT_LEN = 1024


@dataclass(frozen=True)
class _Operation:
    """Calls of a function of glue/driver.c, each as (what it must compute, arguments)."""

    function: str
    calls: list[tuple[bytes, tuple[int | bytes, ...]]]
    read: Callable[[bytes], bytes] = lambda out: out
    count: Callable[..., int] = lambda *counts: sum(counts)
    variants: Collection[str] = ("-Os", "-O2")


def _x25519(point: bytes, product: bytes) -> _Operation:
    return _Operation("bench_x25519", [(product, (_SCALAR, point))])


def _exp_mod(exponent_len: int) -> _Operation:
    exponent = random.Random(exponent_len).getrandbits(8 * exponent_len) | 1 << 8 * exponent_len - 1
    base, power, modulus = (
        value.to_bytes(384, "big") for value in (_BASE, pow(_BASE, exponent, PRIME), PRIME)
    )
    given = exponent.to_bytes(exponent_len, "big")
    return _Operation("bench_exp_mod", [(power, (base, given, exponent_len, modulus))])


def _sha512_block() -> _Operation:
    calls = []
    for length in (128, 256):
        data = bytes(length)
        calls.append((hashlib.sha512(data).digest(), (data, length)))
    return _Operation("bench_sha512", calls, count=lambda two, three: three - two)


def _ctr(length: int) -> _Operation:
    data = bytes(length)
    expected = Cipher(algorithms.AES(_KEY), modes.CTR(_IV)).encryptor().update(data)
    return _Operation("bench_aes_ctr", [(expected, (data, length, _KEY, _IV))])


def _gcm(length: int) -> _Operation:
    data, iv = bytes(length), _IV[:12]
    expected = AESGCM(_KEY).encrypt(iv, data, None)
    return _Operation("bench_aes_gcm", [(expected, (data, length, _KEY, iv))])


def _p256_public() -> _Operation:
    key = ec.derive_private_key(int.from_bytes(_PRIVATE, "big"), ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return _Operation("bench_p256_public", [(point, (_PRIVATE,))], variants=build.VARIANTS)


def _p256_sign() -> _Operation:
    def read(out: bytes) -> bytes:
        r, s = decode_dss_signature(out[1 : 1 + out[0]])
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    expected = b"".join(value.to_bytes(32, "big") for value in _SIGNATURE)
    digest = hashlib.sha256(b"sample").digest()
    return _Operation(
        "bench_p256_sign", [(expected, (_PRIVATE, digest))], read, variants=build.VARIANTS
    )


_OPERATIONS = {
    "x25519.base": _x25519(_BASE_POINT, _PUBLIC),
    "x25519.arbitrary": _x25519(_POINT, _PRODUCT),
    "p256.multiply": _p256_public(),
    "ecdsa": _p256_sign(),
    "exp_mod.256": _exp_mod(32),
    "exp_mod.512": _exp_mod(64),
    "sha512.block": _sha512_block(),
    "aes_ctr.100": _ctr(100),
    "aes_ctr.1000": _ctr(1000),
    "aes_gcm.1000": _gcm(1000),
}
