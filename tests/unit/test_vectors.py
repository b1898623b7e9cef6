# The recorded session of Espressif's client, byte for byte, through the real endpoints.

from binascii import hexlify

import vectors as v
from client import SESSION, Board
from support import unhex

from homing.crypto import x25519
from homing.protocomm import security1


class _Urandom:
    # Stands in for the module `os` where security1 looks: returns what was recorded.
    def __init__(self, *values):
        self._values = list(values)

    def urandom(self, count):
        value = self._values.pop(0)
        assert len(value) == count
        return value


def _recorded_board(pop, auto_stop=False):
    board = Board(pop, auto_stop)
    board.protocomm.open(SESSION)
    security1.os = _Urandom(v.DEVICE_PRIVATE, v.DEVICE_RANDOM)
    return board


def test_keys():
    assert x25519.public_key(v.CLIENT_PRIVATE) == v.CLIENT_PUBLIC
    assert x25519.public_key(v.DEVICE_PRIVATE) == v.DEVICE_PUBLIC
    assert x25519.shared_secret(v.CLIENT_PRIVATE, v.DEVICE_PUBLIC) == v.SHARED
    assert x25519.shared_secret(v.DEVICE_PRIVATE, v.CLIENT_PUBLIC) == v.SHARED


def test_handshake_with_pop():
    board = _recorded_board(v.POP)
    assert board.handle("prov-session", v.COMMAND0) == v.RESPONSE0
    assert board.security._key == v.AES_KEY
    assert board.handle("prov-session", v.COMMAND1) == v.RESPONSE1
    assert board.security.ready
    assert board.asked == [("secured",)]


def test_handshake_without_pop_and_with_an_empty_one():
    for pop in (None, b""):
        board = _recorded_board(pop)
        assert board.handle("prov-session", v.COMMAND0) == v.RESPONSE0
        assert board.security._key == v.SHARED
        assert board.handle("prov-session", v.COMMAND1_NO_POP) == v.RESPONSE1_NO_POP
        assert board.security.caps == (("no_pop",) if pop is None else ())


def test_whole_traffic_table():
    board = _recorded_board(v.POP)
    board.handle("prov-session", v.COMMAND0)
    board.handle("prov-session", v.COMMAND1)
    board.asked.clear()
    config = board.config
    before = board.publications()
    for step, endpoint, request, request_cipher, reply, reply_cipher in v.TRAFFIC:
        if step in before:
            before[step]()
        # The plain texts through a second, unencrypted path: the endpoint itself, on a copy of
        # nothing; so only for requests that change nothing.
        if step.startswith("status") or step in ("scan-status", "scan-result"):
            plain = {"prov-config": config, "prov-scan": board.scan}[endpoint](unhex(request))
            assert plain == unhex(reply), (step, hexlify(plain))
        cipher = board.handle(endpoint, unhex(request_cipher))
        assert cipher == unhex(reply_cipher), (step, hexlify(cipher))
        if step == "scan-start":
            # Mid-session the version is asked for too, in clear; the keystream stays where it is.
            assert b"netprov" in board.handle("proto-ver", b"---")
    assert board.asked == [
        ("apply", 1, b"myssid", b"mypassword", b"", 0),
        ("scan",),
        ("reset",),
        ("reprov",),
    ]
