# On MicroPython: answers JSON lines on stdin with our code's results, for tests on the host that
# compare them with other people's. Messages are {field number: value}, bytes are "x" + hex.

import json
import sys
from binascii import hexlify, unhexlify

from client import SESSION, Board

from homing.crypto import group3072, p256, sha512, srp6a, x25519
from homing.crypto.aes_ctr import AesCtr
from homing.crypto.gcm import AesGcm
from homing.crypto.sha512 import Sha512
from homing.protocomm import protobuf, schemes
from homing.protocomm.errors import Refused
from homing.protocomm.security1 import SESSION_DATA
from homing.provisioning import config, ctrl, scan

_SCHEMAS = {
    "SESSION_DATA": SESSION_DATA,
    "NETWORK_CONFIG_PAYLOAD": config.PAYLOAD,
    "NETWORK_SCAN_PAYLOAD": scan.PAYLOAD,
    "NETWORK_CTRL_PAYLOAD": ctrl.PAYLOAD,
}


def _out(value):
    # As JSON has it: keys are strings there, and there are no bytes.
    if isinstance(value, dict):
        return {str(number): _out(item) for number, item in value.items()}
    if isinstance(value, list):
        return [_out(item) for item in value]
    return "x" + hexlify(value).decode() if isinstance(value, bytes) else value


def _in(value):
    if isinstance(value, dict):
        return {int(number): _in(item) for number, item in value.items()}
    if isinstance(value, list):
        return [_in(item) for item in value]
    return unhexlify(value[1:]) if isinstance(value, str) and value[:1] == "x" else value


def _decode(schema, data):
    try:
        return _out(protobuf.decode(_SCHEMAS[schema], unhexlify(data)))
    except Refused as e:
        return "refused: " + e.args[0]


def _encode(schema, message):
    return hexlify(protobuf.encode(_SCHEMAS[schema], _in(message))).decode()


def _shared_secret(private, peer):
    try:
        return hexlify(x25519.shared_secret(unhexlify(private), unhexlify(peer))).decode()
    except ValueError as e:
        return "refused: " + e.args[0]


def _public_key(private):
    return hexlify(x25519.public_key(unhexlify(private))).decode()


def _aes_ctr(key, counter, parts):
    stream = AesCtr(unhexlify(key), unhexlify(counter))
    return [hexlify(stream.crypt(unhexlify(part))).decode() for part in parts]


def _sha512(parts):
    hash_ = Sha512()
    for part in parts:
        hash_.update(unhexlify(part))
    return hexlify(hash_.digest()).decode()


def _gcm_encrypt(key, iv, plain, aad):
    gcm = AesGcm(unhexlify(key))
    return hexlify(gcm.encrypt(unhexlify(iv), unhexlify(plain), unhexlify(aad))).decode()


def _gcm_decrypt(key, iv, cipher, aad):
    try:
        plain = AesGcm(unhexlify(key)).decrypt(unhexlify(iv), unhexlify(cipher), unhexlify(aad))
        return hexlify(plain).decode()
    except ValueError as e:
        return "refused: " + e.args[0]


def _p256_public_key(private):
    return hexlify(p256.public_key(unhexlify(private))).decode()


def _p256_sign(private, message):
    return hexlify(p256.sign(unhexlify(private), unhexlify(message))).decode()


def _srp(salt, verifier, username, client):
    # A handshake up to M1 with a server that has just been started: B, M1, M2, K; or a refusal.
    client = unhexlify(client)
    server = srp6a.Srp6a(unhexlify(salt), unhexlify(verifier))
    try:
        public, key, proof = server.respond(unhexlify(username), client)
    except ValueError as e:
        return "refused: " + e.args[0]
    answer = srp6a.server_proof(client, proof, key)
    return [hexlify(data).decode() for data in (public, proof, answer, key)]


def _srp_calls(salt, verifier, client):
    # What respond() calls when all is prepared: squarings, multiplications, conversions to and
    # from the form in which they are done, and blocks of SHA-512.
    server = srp6a.Srp6a(unhexlify(salt), unhexlify(verifier))
    for _ in server.prepare_tables():
        pass
    calls = []
    compress = sha512.compress
    arithmetic = srp6a.Mod3072

    class Watched:
        def __init__(self):
            self._mod = arithmetic()

        def __getattr__(self, name):
            calls.append(name)
            return getattr(self._mod, name)

    while True:  # one time in 256 B is not kept; one time in 128 a handshake is to be made again
        for _ in server.prepare():
            pass
        if not server.ready:
            continue
        calls.clear()
        sha512.compress = lambda *args: (calls.append("compress"), compress(*args))
        srp6a.Mod3072 = Watched
        try:
            server.respond(b"wifiprov", unhexlify(client))
            break
        except ValueError:
            pass
        finally:
            sha512.compress = compress
            srp6a.Mod3072 = arithmetic
    names = ("square", "multiply", "set", "bytes", "compress")
    return {name: calls.count(name) for name in names}


_board = None


def _service(which, pop, salt=None, verifier=None, username="wifiprov"):
    # A provisioning service without a radio, everything prepared; its proto-ver.
    global _board
    which = tuple(which) if isinstance(which, list) else which
    pop = None if pop is None else pop.encode()
    pair = salt and (unhexlify(salt), unhexlify(verifier))

    def make(post):
        return schemes.scheme(which, pop, pair, post, username.encode())

    _board = Board(make=make)
    _board.protocomm.open(SESSION)
    return _prepare() and _board.handle("proto-ver", b"ESP").decode()


def _prepare():
    steps = 1
    while _board.security.prepare():
        steps += 1
    return steps


def _send(name, data):
    try:
        return hexlify(_board.handle(name, unhexlify(data))).decode()
    except Refused as e:
        return "refused: " + e.args[0]


def _asked():
    # What the service told main since the last time, kinds only.
    kinds = [item[0] for item in _board.asked]
    _board.asked.clear()
    return kinds


def _zero(which):
    # From now on one result begins with a zero byte, where chance does so one time in 256: B,
    # before it is prepared, or K or M1, when the next client comes.
    real = srp6a._hash
    left = [which]

    def stand_in(*parts):
        out = real(*parts)
        kind = {1: "K", 6: "M1"}.get(len(parts)) if len(parts[0]) != len(b"wifiprov") else None
        if left and kind == left[0]:
            left.pop()
            return b"\0" + out[1:]
        return out

    srp6a._hash = stand_in


_OPS = {
    "service": _service,
    "prepare": _prepare,
    "send": _send,
    "asked": _asked,
    "zero": _zero,
    "decode": _decode,
    "encode": _encode,
    "shared_secret": _shared_secret,
    "public_key": _public_key,
    "aes_ctr": _aes_ctr,
    "sha512": _sha512,
    "gcm_encrypt": _gcm_encrypt,
    "gcm_decrypt": _gcm_decrypt,
    "p256_public_key": _p256_public_key,
    "p256_sign": _p256_sign,
    "srp": _srp,
    "srp_calls": _srp_calls,
    "srp_prime": lambda: hexlify(group3072.PRIME).decode(),
}

while True:
    line = sys.stdin.readline()
    if not line:
        break
    op, args = json.loads(line)
    print(json.dumps(_OPS[op](*args)))
