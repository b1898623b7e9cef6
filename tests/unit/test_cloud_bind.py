# cloud_bind: pieces in, one document out.

import json

from support import raises, unhex

from homing.cloud.fragments import Fragments
from homing.cloud.rainmaker import RainMaker
from homing.protocomm.errors import Refused

OK = unhex("0801 5a00")
INVALID_PARAM = unhex("0801 5a02 0802")
INVALID_STATE = unhex("0801 5a02 0803")


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def piece(offset, payload, total):
    # By hand, not by our codec: proto3 leaves zeros out.
    inner = b""
    if offset:
        inner += b"\x08" + varint(offset)
    if payload:
        inner += b"\x12" + varint(len(payload)) + payload
    if total:
        inner += b"\x18" + varint(total)
    return b"\x52" + varint(len(inner)) + inner


def send(handler, document, size=200):
    for at in range(0, len(document), size):
        status = handler(piece(at, document[at : at + size], len(document)))
        if status != OK:
            return status
    return OK


class Taker:
    def __init__(self):
        self.got = []

    def __call__(self, pieces):
        self.got.append(b"".join(pieces))


def test_order():
    for length in (1, 199, 200, 201, 1500, 4096):
        taker = Taker()
        document = bytes([i & 255 for i in range(length)])
        assert send(Fragments(taker), document) == OK
        assert taker.got == [document]


def test_vectors():
    # "ab" of 5, then "cde": worked by hand from rmaker_claim.proto.
    taker = Taker()
    handler = Fragments(taker)
    assert handler(unhex("5206 1202 6162 1805")) == OK
    assert handler(unhex("5209 0802 1203 636465 1805")) == OK
    assert taker.got == [b"abcde"]


def test_gap_overlap_and_repeat_drop_everything():
    for bad in (201, 399, 150, 0x7FFFFFFF):
        taker = Taker()
        handler = Fragments(taker)
        assert handler(piece(0, b"a" * 200, 600)) == OK
        assert handler(piece(bad, b"b" * 200, 600)) == INVALID_PARAM
        assert handler(piece(200, b"b" * 200, 600)) == INVALID_PARAM  # it was dropped
        assert taker.got == []
        assert send(handler, b"c" * 300) == OK


def test_too_long():
    taker = Taker()
    handler = Fragments(taker)
    assert handler(piece(0, b"a" * 201, 600)) == INVALID_PARAM
    assert handler(piece(0, b"a" * 200, 4097)) == INVALID_PARAM
    assert handler(piece(0, b"a" * 200, 0xFFFFFFFF)) == INVALID_PARAM
    assert handler(piece(0, b"a" * 200, 100)) == INVALID_PARAM
    assert handler(piece(0, b"", 100)) == INVALID_PARAM
    assert handler(piece(0, b"a", 0)) == INVALID_PARAM
    assert taker.got == []


def test_total_must_not_change():
    handler = Fragments(Taker())
    assert handler(piece(0, b"a" * 200, 600)) == OK
    assert handler(piece(200, b"a" * 200, 601)) == INVALID_PARAM


def test_offset_0_starts_anew():
    taker = Taker()
    handler = Fragments(taker)
    assert handler(piece(0, b"a" * 200, 600)) == OK
    assert send(handler, b"b" * 300) == OK
    assert send(handler, b"d" * 10) == OK
    assert taker.got == [b"b" * 300, b"d" * 10]


def test_other_messages_are_refused():
    handler = Fragments(Taker())
    for bad in (b"", b"\xff", unhex("0801"), unhex("0802 5200"), unhex("5a00"), unhex("5205 12")):
        raises(Refused, handler, bad)


def test_not_allowed():
    taker = Taker()
    handler = Fragments(taker, allowed=False)
    assert send(handler, b"a" * 10) == INVALID_STATE
    assert taker.got == []


def test_what_rainmaker_accepts():
    identity = {"node_id": "n1"}
    good = '{"secret_key":"s","access_token":"%s","operation":"add"}' % ("t" * 1200)
    for document, status in (
        (good, OK),
        ('{"access_token":"t","operation":"remove","user_id":"u"}', OK),
        ('{"secret_key":"","access_token":"t","operation":"add"}', INVALID_PARAM),
        ('{"secret_key":"s","operation":"add"}', INVALID_PARAM),
        ('{"secret_key":"s","access_token":"t"}', INVALID_PARAM),
        ('{"secret_key":"s","access_token":"t","operation":"steal"}', INVALID_PARAM),
        ('{"secret_key":"s","access_token":"t\\r\\nX: y","operation":"add"}', INVALID_PARAM),
        ('{"secret_key":"s","access_token":7,"operation":"add"}', INVALID_PARAM),
        ('{"secret_key":"%s","access_token":"t","operation":"add"}' % ("s" * 129), INVALID_PARAM),
        ('{"secret_key":"s","access_token":"t","operation":{}}', INVALID_PARAM),
        ("[]", INVALID_PARAM),
        ("{", INVALID_PARAM),
        ("[" * 4000, INVALID_PARAM),
        ('{"secret_key":"a\\"b\\\\","access_token":"%s","operation":"add"}' % ("t" * 1200), OK),
        ('{"secret_key":"s","access_token":"*","operation":"add"}', OK),
        (good.replace("ttt", "t t", 1), INVALID_PARAM),
        (good.replace("ttt", "t\\/t", 1), INVALID_PARAM),
        (good.replace('"s"', '"*"'), OK),
        ('{"secret_key":"%s","access_token":"t","operation":"add"}' % ("s" * 300), INVALID_PARAM),
        (good[:-1] + ',"user_id":"%s"}' % ("u" * 300), INVALID_PARAM),
        (good[:-2], INVALID_PARAM),
        ('{"access_token":"%s","operation":"remove"}' % ("t" * 3073), INVALID_PARAM),
        ('{"access_token":"%s","operation":"remove"}' % ("t" * 3072), OK),
        ("\xff\xfe", INVALID_PARAM),
    ):
        cloud = RainMaker(None, identity, None)
        handler = dict(cloud.endpoints())["cloud_bind"]
        for size in (200, 7, 1):
            assert send(handler, document.encode(), size) == status, document[:60]
        assert bool(cloud._held) == (status == OK), document[:60]
        if status == OK:
            _op, secret, _user, token = cloud._held.popleft()
            fields = json.loads(document)
            assert b"".join(token).decode() == fields["access_token"]
            assert secret == fields.get("secret_key", "")
            assert max([len(part) for part in token]) <= 200


def test_no_node_id_no_endpoint():
    assert not RainMaker(None, {}, None).endpoints()
