"""What cryptography costs a program in MicroPython, on the emulated RV32; results checked.

Each operation is called as the firmware calls it, so wrappers, buffers and checks are counted, and
so is AES, which is software here and a peripheral on the chip. Names that tools/native counts, too,
are the same work there, without what surrounds a kernel.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tools.native.build import KERNELS
from tools.sim.image import board_files

from .figures import Cost
from .mbedtls import PRIME
from .rv32_python import Rv32Python

_KEY, _IV = bytes(range(32)), bytes(range(16))
_DATA = bytes(range(250)) * 4
_K, _D, _Z = 3 << 250, 5 << 249, 7 << 248  # nonce, private key and hash
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # order of P-256
_START = f"""
from homing.crypto import aes_ctr, gcm, ghash, mod3072, p256, powers, sha512, srp6a, x25519
key, iv, data = bytes(range(32)), bytes(range(16)), bytes(range(250)) * 4
k, d, z = {_K}, {_D}, {_Z}


def around_aes(size):
    blocks, _ = aes_ctr.counter_blocks(iv, size + 15 >> 4)
    return aes_ctr.xor(memoryview(data)[:size], blocks)


def power(base, exponent):
    mod = mod3072.Mod3072()
    table = mod.table(powers.WINDOWS)
    mod.set(base)
    for _ in powers.window_table(mod, table):
        pass
    for _ in powers.power(mod, table, exponent):
        pass
    return mod.bytes()


def value(number):
    mod = mod3072.Mod3072()
    table = mod.table(2)
    mod.set(number)
    mod.store(table, 1)
    return mod, table
"""
_SRP = """
srp = srp6a.Srp6a(iv, data[:384])
for steps in (srp.prepare(key), srp.prepare_tables()):
    for _ in steps:
        pass
"""


class WrongResult(Exception):
    """The board has computed something else than the reference."""


@dataclass(frozen=True)
class _Operation:
    """expected: what the board must print: of bytes, hexadecimal."""

    expression: str
    expected: str
    before: str = ""  # is run first, and not counted
    less: str = ""  # another expression, whose cost is subtracted
    result: str = ""  # what is checked instead of the expression's value


def fresh_board(mode: str) -> Rv32Python:
    """A fresh one that uses the "plain" modules only, or the "native" ones.

    Raises tools.sim.debian.Unavailable.
    """
    made = Rv32Python(board_files())
    kernels = KERNELS if mode == "native" else ()
    made.run(f"from homing.crypto import native\nnative.allowed = {kernels!r}")
    return made


def measure(board: Rv32Python) -> dict[str, Cost]:
    """Operation → cost. Raises WrongResult."""
    board.run(_START)
    found = {}
    for name, operation in {**_symmetric(), **_curves(), **_group()}.items():
        if operation.before:
            board.prepare(operation.before)
        result, cost = board.measure(operation.expression)
        if operation.result:
            result = board.measure(operation.result)[0]
        if result != operation.expected:
            raise WrongResult(f"{name}: {result} instead of {operation.expected}")
        if operation.less:
            less = board.measure(operation.less)[1]
            # One of them may have had to copy what was not aligned.
            heap = max(cost.heap - less.heap, 0)
            cost = Cost(cost.instructions - less.instructions, heap)
        found[name] = cost
    return found


def _symmetric() -> dict[str, _Operation]:
    made = {}
    for size in (100, 1000):
        stream = Cipher(algorithms.AES(_KEY), modes.CTR(_IV)).encryptor()
        counters = b"".join(
            (int.from_bytes(_IV, "big") + i).to_bytes(16, "big") for i in range(size + 15 >> 4)
        )
        mixed = bytes(a ^ b for a, b in zip(_DATA[:size], counters, strict=False))
        made[f"ctr.{size}"] = _Operation(f"around_aes({size})", mixed.hex())
        made[f"aes_ctr.{size}"] = _Operation(
            f"aes_ctr.AesCtr(key, iv).crypt(data[:{size}])", stream.update(_DATA[:size]).hex()
        )
    block = Cipher(algorithms.AES(_KEY), modes.ECB()).encryptor()
    subkey = block.update(bytes(16))
    mask = block.update(_IV[:12] + (1).to_bytes(4, "big"))
    tag = AESGCM(_KEY).encrypt(_IV[:12], b"", _DATA[:32])  # GHASH ^ mask, SP 800-38D, 7.1
    digest = bytes(a ^ b for a, b in zip(tag, mask, strict=True))
    sealed = AESGCM(_KEY).encrypt(_IV[:12], _DATA, None)
    return made | {
        "aes_gcm.1000": _Operation("gcm.AesGcm(key).encrypt(iv[:12], data)", sealed.hex()),
        "ghash.table": _Operation(
            f"ghash.table({subkey!r})", digest.hex(), result="ghash.ghash(_result, data[:32], b'')"
        ),
        "ghash.block": _Operation(
            "ghash.ghash(table, data[:32], b'')",
            digest.hex(),
            f"table = ghash.table({subkey!r})",
            less="ghash.ghash(table, data[:16], b'')",
        ),
        "sha512.block": _Operation(
            "sha512.Sha512(data[:256]).digest()",
            hashlib.sha512(_DATA[:256]).hexdigest(),
            less="sha512.Sha512(data[:128]).digest()",
        ),
    }


def _curves() -> dict[str, _Operation]:
    private = X25519PrivateKey.from_private_bytes(_KEY)
    public = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    node = ec.derive_private_key(int.from_bytes(_KEY, "big"), ec.SECP256R1())
    point = node.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    signature = node.sign(_DATA, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    x = ec.derive_private_key(_K, ec.SECP256R1()).public_key().public_numbers().x
    pair = x, pow(_K, -1, _N) * (_Z + x * _D) % _N
    return {
        "x25519.base": _Operation("x25519.public_key(key)", public.hex()),
        "x25519.arbitrary": _Operation(
            "x25519.shared_secret(key, peer)", shared.hex(), "peer = x25519.public_key(key)"
        ),
        "p256.multiply": _Operation("p256.public_key(key)", point.hex()),
        "p256.sign": _Operation("p256.multiply_and_sign(k, d, z)", str(pair)),
        "ecdsa": _Operation("p256.sign(key, data)", signature.hex()),
    }


def _group() -> dict[str, _Operation]:
    base = int.from_bytes(_DATA[:384], "big")
    square = (base**2 % PRIME).to_bytes(384, "big").hex()
    exponent = int.from_bytes(_KEY, "little")
    power = pow(base, exponent, PRIME).to_bytes(384, "big").hex()
    before = "mod, table = value(data[:384])"
    return {
        "mod3072.multiply": _Operation(
            "mod.multiply(table, 1)", square, before, result="mod.bytes()"
        ),
        "mod3072.square": _Operation("mod.square()", square, before, result="mod.bytes()"),
        "exp_mod.256": _Operation("power(data[:384], key)", power),
        "mod3072.respond": _Operation(
            "srp.respond(b'wifiprov', data[-384:])[1]", _srp6a_key().hex(), _SRP
        ),
    }


def _srp6a_key() -> bytes:
    """RFC 5054 with SHA-512, and Security 2's padding: K of verifier, A and b as given above."""

    def number(*parts: bytes) -> int:
        return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "big")

    v, a_public, b = int.from_bytes(_DATA[:384], "big"), _DATA[-384:], int.from_bytes(_KEY, "big")
    k = number(PRIME.to_bytes(384, "big"), (5).to_bytes(384, "big"))
    b_public = ((k * v + pow(5, b, PRIME)) % PRIME).to_bytes(384, "big")
    u = number(a_public, b_public)
    s = pow(int.from_bytes(a_public, "big") * pow(v, u, PRIME), b, PRIME)
    return hashlib.sha512(s.to_bytes(384, "big").lstrip(b"\0")).digest()
