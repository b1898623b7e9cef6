# The recorded session of Security 2, byte for byte through the real endpoints; then its state
# machine. The other side by other people's code: tests/host/test_security2.py.

from binascii import hexlify

import vectors as v1
import vectors2 as v
from client import SESSION, Board
from named import Named, encode
from support import raises, unhex

from homing.crypto import srp6a
from homing.crypto.verifier import fits, make, new_salt
from homing.protocomm import security2
from homing.protocomm.errors import Refused
from homing.protocomm.schemes import scheme
from homing.protocomm.security2 import Security2
from homing.provisioning.version import version_json

_POP = b"abcd1234"
_STATUS_REQUEST = b"\x52\x00"
_STATUS_REPLY = unhex("08015a021001")


_NAMES = {
    "sec_ver": 2,
    "sec0": (10, {}),
    "sec1": (11, {}),
    "sec2": (
        12,
        {
            "msg": 1,
            "sc0": (20, {"client_username": 1, "client_pubkey": 2}),
            "sr0": (21, {"status": 1, "device_pubkey": 2, "device_salt": 3}),
            "sc1": (22, {"client_proof": 1}),
            "sr1": (23, {"status": 1, "device_proof": 2, "device_nonce": 3}),
        },
    ),
}
SESSION_DATA = Named(security2.SESSION_DATA, _NAMES)


class _Urandom:
    # Stands in for the module `os` where the scheme looks.
    def urandom(self, count):
        value = v.NONCE[:8]
        assert len(value) == count
        return value


def _board(recorded=True):
    board = Board(auto_stop=False, make=lambda post: Security2((v.SALT, v.VERIFIER), post=post))
    board.protocomm.open(SESSION)
    srp = board.security._srp
    for steps in (srp.prepare_tables(), srp.prepare(v.SECRET)) if recorded else ():
        for _ in steps:
            pass
    security2.os = _Urandom()
    return board


def _command(number, name, fields):
    return encode(SESSION_DATA, {"sec_ver": 2, "sec2": {"msg": number, name: fields}})


def _command0(username=v.USERNAME, public=v.CLIENT_PUBLIC):
    return _command(0, "sc0", {"client_username": username, "client_pubkey": public})


def _command1(proof=v.PROOF):
    return _command(2, "sc1", {"client_proof": proof})


_RESPONSE0 = encode(
    SESSION_DATA,
    {"sec_ver": 2, "sec2": {"msg": 1, "sr0": {"device_pubkey": v.PUBLIC, "device_salt": v.SALT}}},
)
_RESPONSE1 = encode(
    SESSION_DATA,
    {
        "sec_ver": 2,
        "sec2": {"msg": 3, "sr1": {"device_proof": v.SERVER_PROOF, "device_nonce": v.NONCE}},
    },
)


def _secured():
    board = _board()
    assert board.handle("prov-session", _command0()) == _RESPONSE0
    assert board.handle("prov-session", _command1()) == _RESPONSE1
    return board


def _hello(board):
    # Drawn secrets fail one time in 85, by a leading zero byte.
    while True:
        try:
            return board.handle("prov-session", _command0())
        except Refused as e:
            assert e.args[0] == "a zero byte leads; try again"
            while board.security.prepare():
                pass


def _refused(board, data, why):
    e = raises(Refused, board.handle, "prov-session", data)
    assert e.args[0] == why, e.args


def test_recorded_envelopes():
    # Begin, length and end as in the recording; the numbers between are vectors2's.
    ends = (
        (_command0(), 406, "1002629103a2018d030a087769666970726f76128003439696b4", "56d9e99d9"),
        (
            _RESPONSE0,
            416,
            "1002629b030801aa01950312800352fcdd8a",
            "1a10f0e1d2c3b4a5968778695a4b3c2d1e0f",
        ),
        (_command1(), 75, "100262470802b201420a406a7b3ffd", "8047c517f0c30"),
        (_RESPONSE1, 89, "100262550803ba01501240d1bf030f", "1a0c0123456789abcdef00000001"),
    )
    for data, size, begin, end in ends:
        assert len(data) == size
        text = hexlify(data).decode()
        assert text.startswith(begin) and text.endswith(end), text


def test_whole_traffic_table():
    board = _secured()
    assert board.security.ready
    assert board.asked == [("secured",)]
    board.asked.clear()
    before = board.publications()
    assert len(v.TRAFFIC) == 2 * len(v1.TRAFFIC)
    for i in range(len(v1.TRAFFIC)):
        step, endpoint, plain = v1.TRAFFIC[i][:3]
        (request_plain, request), (_, reply) = v.TRAFFIC[2 * i : 2 * i + 2]
        assert plain == request_plain
        if step in before:
            before[step]()
        cipher = board.handle(endpoint, unhex(request))
        assert cipher == unhex(reply), (step, hexlify(cipher))
        if step == "scan-start":
            assert b"netprov" in board.handle("proto-ver", b"---")
    assert board.asked[0] == ("apply", 1, b"myssid", b"mypassword", b"", 0)


def test_version():
    text = version_json(Security2((v.SALT, v.VERIFIER)))
    assert b'"sec_ver":2,"sec_patch_ver":1,"cap":["wifi_prov","wifi_scan"]' in text


def test_recorded_verifier():
    out = bytearray()
    for _ in make(v.SALT, v.USERNAME, _POP, out):
        pass
    assert out == v.VERIFIER


def test_proof_and_salt_without_hazards():
    assert fits(v.USERNAME, _POP)
    assert not fits(v.USERNAME, b"00000071")  # esp_prov fails with it
    assert all(new_salt()[0] for _ in range(600))


def test_without_a_verifier_it_makes_one():
    security = Security2(None, _POP)
    board = Board(make=lambda _post: security)
    board.protocomm.open(SESSION)
    _refused(board, _command0(), "no verifier yet")
    while security.prepare():
        pass
    assert _hello(board)[:2] == b"\x10\x02"


def test_each_secret_serves_one_handshake():
    board = _board(recorded=False)
    security = board.security
    steps = 1
    while security.prepare():
        steps += 1
    assert steps > 50  # bounded ones
    assert not security.prepare()
    replies = set()
    for prepared in (True, False, True):
        if prepared:
            while security.prepare():
                pass
        replies.add(_hello(board))
        assert not security._srp.ready
    assert len(replies) == 3


def test_refused_command0():
    p = srp6a.PRIME
    for fields, why in (
        ({}, "no username"),
        ({"client_username": b"", "client_pubkey": v.CLIENT_PUBLIC}, "no username"),
        ({"client_username": b"x"}, "client's public value is zero"),
        ({"client_username": b"x", "client_pubkey": bytes(384)}, "client's public value is zero"),
        ({"client_username": b"x", "client_pubkey": p}, "client's public value is zero"),
        ({"client_username": b"x", "client_pubkey": b"\1" * 385}, "more than 3072 bits"),
    ):
        board = _board()
        _refused(board, _command(0, "sc0", fields), why)
        assert board.asked == [("bad-handshake", why)]
        assert board.handle("prov-session", _command0()) == _RESPONSE0
    for data, why in (
        (_command(0, "sc1", {"client_proof": v.PROOF}), "no sc0"),
        (_command(1, "sr0", {}), "unknown message"),
        (encode(SESSION_DATA, {"sec_ver": 2}), "not Security 2"),
        (encode(SESSION_DATA, {"sec_ver": 1, "sec1": {}}), "not Security 2"),
        (encode(SESSION_DATA, {"sec0": {}}), "not Security 2"),
        (b"\xff", "bad varint"),
        (_command1(), "no key exchange"),
    ):
        board = _board()
        _refused(board, data, why)
        assert board.handle("prov-session", _command0()) == _RESPONSE0


def test_wrong_proofs_and_then_the_right_one():
    board = _board()
    board.handle("prov-session", _command0())
    wrong = bytes([v.PROOF[0] ^ 1]) + v.PROOF[1:]
    for _ in range(2):
        _refused(board, _command1(wrong), "wrong proof")
    for proof in (b"", bytes(65), v.PROOF + b"\0"):
        _refused(board, _command1(proof), "bad proof length")
    _refused(board, _command1(v.PROOF[1:]), "wrong proof")
    assert board.asked.count(("wrong-pop",)) == 3
    assert board.handle("prov-session", _command1()) == _RESPONSE1
    _refused(board, _command1(), "no key exchange")
    assert board.security.ready


def test_a_proof_that_lost_its_zero_is_taken():
    board = _board()
    board.handle("prov-session", _command0())
    board.security._proof = b"\0" + v.PROOF[1:]
    board.handle("prov-session", _command1(v.PROOF[1:]))
    assert board.security.ready


def test_a_zero_byte_fails_the_handshake_once():
    real = srp6a._hash
    for which in (1, 6):  # so many parts have the hashes that make K and M1
        board = _board()
        srp6a._hash = lambda *parts: real(*parts) if len(parts) != which else bytes(64)  # noqa: B023
        _refused(board, _command0(), "a zero byte leads; try again")
        srp6a._hash = real
        # It failed, and did not begin again: the next one needs another secret.
        assert not board.security._srp.ready
        _refused(board, _command1(), "no key exchange")
        while board.security.prepare():
            pass
        _hello(board)


def test_nothing_encrypted_before_the_handshake():
    board = _board()
    for _ in range(2):
        e = raises(Refused, board.handle, "prov-config", unhex(v.TRAFFIC[4][1]))
        assert e.args[0] == "not secured"
        _hello(board)


def test_what_fails_does_not_count():
    # A wrong tag, a replay, an answer of our own, too short: the next request still fits.
    board = _secured()
    requests = [unhex(v.TRAFFIC[i][1]) for i in (0, 2)]
    for data in (b"\0" + requests[0][1:], requests[0][:-1], requests[1], b"1", b""):
        raises(Refused, board.handle, "prov-config", data)
    first = board.handle("prov-config", requests[0])
    assert first == unhex(v.TRAFFIC[1][1])
    for data in (requests[0], first):
        assert raises(Refused, board.handle, "prov-config", data).args[0] == "wrong tag"
    assert board.handle("prov-config", requests[1]) == unhex(v.TRAFFIC[3][1])


def test_the_counter_does_not_come_round():
    board = _secured()
    security = board.security
    security._nonce = v.NONCE[:8] + b"\xff\xff\xff\xff"
    security.encrypt(b"last")
    for use in (security.encrypt, security.decrypt):
        assert raises(Refused, use, b"x" * 20).args[0] == "all nonces are used up"


def test_a_new_session_knows_nothing_of_the_old():
    board = _secured()
    board.protocomm.close()
    board.protocomm.open(SESSION)
    raises(Refused, board.handle, "prov-config", unhex(v.TRAFFIC[0][1]))
    _refused(board, _command1(), "no key exchange")


def test_command0_drops_the_keys():
    board = _secured()
    _refused(board, _command0(b""), "no username")
    raises(Refused, board.handle, "prov-config", unhex(v.TRAFFIC[0][1]))


def test_answers_leave_room_for_the_tag():
    board = _secured()
    board.protocomm.add("big", lambda _data: bytes(496))
    board.protocomm.add("bigger", lambda _data: bytes(497))
    request = unhex(v.TRAFFIC[0][1])
    assert len(board.handle("big", request)) == 512
    security = board.security
    security._nonce = v.NONCE
    assert raises(Refused, board.handle, "bigger", request).args[0] == "reply too long"


def test_schemes():
    salted = v.SALT, v.VERIFIER
    for pop, verifier, which in ((None, None, 2), (None, salted, (1, 2)), (None, None, (1, 2))):
        assert "proof" in raises(ValueError, scheme, which, pop, verifier, None).args[0]
    for which in (3, "2", (1,), (0, 1), None):
        assert "no security" in raises(ValueError, scheme, which, _POP, salted, None).args[0]
    assert scheme(2, None, salted, None).sec_ver == 2
    assert scheme(1, _POP, None, None).sec_ver == 1
    assert scheme((2, 1), _POP, None, None).patch == 1


class _Namespace(dict):
    # A namespace of the store in RAM.
    commits = 0

    def set(self, key, value):
        self[key] = value

    def commit(self):
        self.commits += 1


async def test_a_board_makes_its_verifier_once_while_the_loop_lives():
    import asyncio

    from homing.security_choice import verifier

    class Node:
        identity = _Namespace()
        pop = "abcd1234"

    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep_ms(0)

    task = asyncio.create_task(other())
    made = await verifier(Node)
    task.cancel()
    assert turns > 60
    assert Node.identity.commits == 1
    assert await verifier(Node) == made == (Node.identity["salt"], Node.identity["verifier"])
    assert Node.identity.commits == 1
    out = bytearray()
    for _ in make(made[0], v.USERNAME, _POP, out):
        pass
    assert out == made[1]


def test_choices():
    from homing.security_choice import begin, read

    for value in ("0", "1", "2", 0, 1, 2):
        assert read(value) == int(value)
    for value in ("1,2", "2,1", (1, 2), (2, 1), [1, 2]):
        assert read(value) == (1, 2)
    for wrong in ("", "12", "1,2,2", "x", 3, (0, 2), (), None):
        raises(ValueError, read, wrong)
    for value, kernels in (
        ("1,2", ("ctr", "x25519", "sha512", "ghash", "mod3072")),
        ("2", ("ctr", "sha512", "ghash", "mod3072")),
        ("0", ()),
    ):
        assert begin(value)[1] == kernels


def test_a_drawn_proof_fits():
    from homing import identity
    from homing.security_choice import begin

    fits = begin(2)[2]
    drawn = ["00000071", "abcd1234"]
    identity.draw_pop = lambda: drawn.pop(0)

    class Store:
        def open(self, _name):
            return _Namespace()

    assert identity.load(Store(), fits).get("pop") == "abcd1234"


def test_a_verifier_lasts_as_long_as_its_proof():
    from homing.security_choice import check_fields

    kept = {"security": "2", "pop": "abcd1234", "salt": v.SALT, "verifier": v.VERIFIER}
    gone = {"salt": None, "verifier": None}
    hexadecimal = {"salt": "0102", "verifier": "03"}
    for fields, expected in (
        ({"pop": "abcd1234"}, {"pop": "abcd1234"}),
        ({"node_id": "n"}, {"node_id": "n"}),
        ({"security": "1"}, {"security": "1"}),
        ({"pop": "other"}, dict(gone, pop="other")),
        ({"username": "max"}, dict(gone, username="max")),
        (gone, gone),
        (dict(hexadecimal, pop=None), {"pop": None, "salt": b"\1\2", "verifier": b"\3"}),
    ):
        assert check_fields(_Namespace(kept), fields) == expected
    for wrong in ({"verifier": None}, {"salt": "01"}, {"salt": "01", "verifier": None}):
        raises(ValueError, check_fields, _Namespace(kept), wrong)
