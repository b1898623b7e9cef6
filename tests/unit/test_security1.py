# The state machine: what is refused, and that the next handshake on the same connection works.

from client import SESSION, Board, Client, command
from named import SESSION_DATA, encode
from support import raises, unhex

from homing.crypto import x25519
from homing.protocomm.errors import Refused
from homing.protocomm.security1 import Security1

_KEY = x25519.public_key(bytes(range(1, 33)))
_STATUS_REQUEST = b"\x52\x00"
_STATUS_REPLY = unhex("08015a021001")


def _board(pop=b"abcd1234"):
    board = Board(pop)
    board.protocomm.open(SESSION)
    return board, Client(board.handle, pop)


def _refused(board, data, why=None):
    e = raises(Refused, board.handle, "prov-session", data)
    assert why is None or e.args[0] == why, e.args
    assert board.asked[-1][0] in ("bad-handshake", "wrong-pop"), board.asked


def _works(board, client):
    client.handshake()
    assert board.security.ready
    assert client.ask("prov-config", _STATUS_REQUEST) == _STATUS_REPLY


def _envelope(**fields):
    return encode(SESSION_DATA, fields)


_NON_CANONICAL = "non-canonical public key"
_BAD = (
    (b"\xff", "bad varint"),
    (b"\x5a\x05\x08", "truncated"),
    (b"", "not Security 1"),
    # sec_ver 0 and 2, with and without the payload of Security 1
    (_envelope(sec0=b""), "not Security 1"),
    (_envelope(sec_ver=2, sec2=b""), "not Security 1"),
    (_envelope(sec_ver=2, sec1={"msg": 0, "sc0": {"client_pubkey": _KEY}}), "not Security 1"),
    (_envelope(sec1={"msg": 0, "sc0": {"client_pubkey": _KEY}}), "not Security 1"),
    # sec_ver 1 with the wrong member, or none
    (_envelope(sec_ver=1), "not Security 1"),
    (_envelope(sec_ver=1, sec0=b""), "not Security 1"),
    (_envelope(sec_ver=1, sec2=b""), "not Security 1"),
    # a later member of the oneof undoes the first
    (command(0, "sc0", {"client_pubkey": _KEY}) + _envelope(sec2=b""), "not Security 1"),
    (command(1, "sr0", {"device_pubkey": _KEY}), "unknown message"),
    (command(3, "sr1", {}), "unknown message"),
    (command(99, "sc0", {"client_pubkey": _KEY}), "unknown message"),
    (command(0, "sc1", {"client_verify_data": _KEY}), "no sc0"),
    (command(0, "sr0", {"device_pubkey": _KEY}), "no sc0"),
    (_envelope(sec_ver=1, sec1={"msg": 0}), "no sc0"),
    (_envelope(sec_ver=1, sec1=b""), "no sc0"),
    (command(0, "sc0", {}), "bad public key length"),
    (command(0, "sc0", {"client_pubkey": _KEY[:31]}), "bad public key length"),
    (command(0, "sc0", {"client_pubkey": _KEY + b"\0"}), "bad public key length"),
    (command(0, "sc0", {"client_pubkey": bytes(32)}), "low-order public key"),
    (command(0, "sc0", {"client_pubkey": b"\x01" + bytes(31)}), "low-order public key"),
    # p, p + 9, and 9 with the top bit set
    (command(0, "sc0", {"client_pubkey": b"\xed" + b"\xff" * 30 + b"\x7f"}), _NON_CANONICAL),
    (command(0, "sc0", {"client_pubkey": b"\xf6" + b"\xff" * 30 + b"\x7f"}), _NON_CANONICAL),
    (command(0, "sc0", {"client_pubkey": b"\x09" + bytes(30) + b"\x80"}), _NON_CANONICAL),
    (command(2, "sc1", {"client_verify_data": _KEY}), "no key exchange"),
    (command(2, "sc0", {"client_pubkey": _KEY}), "no key exchange"),
)


def test_bad_messages_before_the_handshake():
    for data, why in _BAD:
        board, client = _board()
        _refused(board, data, why)
        assert not board.security.ready
        _works(board, client)


def test_bad_messages_between_the_two_commands():
    for data, why in _BAD:
        if why == "no key exchange":
            continue
        board, client = _board()
        client.command0()
        _refused(board, data, why)
        _works(board, client)


def test_bad_messages_after_the_handshake():
    for data, why in _BAD:
        board, client = _board()
        client.handshake()
        _refused(board, data, why)
        _works(board, client)


def test_undecodable_message_keeps_the_session():
    board, client = _board()
    client.handshake()
    for data in (b"\xff", b"", _envelope(sec_ver=2, sec2=b""), command(9, "sc0", {})):
        _refused(board, data)
        assert client.ask("prov-config", _STATUS_REQUEST) == _STATUS_REPLY


def test_command0_ends_the_session_even_if_it_is_bad():
    board, client = _board()
    client.handshake()
    _refused(board, command(0, "sc0", {"client_pubkey": b""}))
    assert not board.security.ready
    raises(Refused, client.ask, "prov-config", _STATUS_REQUEST)
    _works(board, client)


def test_command0_in_the_middle_starts_over():
    board, client = _board()
    client.command0()
    client.command0()
    client.command1()
    assert client.ask("prov-config", _STATUS_REQUEST) == _STATUS_REPLY
    _works(board, client)


def test_command1_out_of_order():
    board, client = _board()
    data = command(2, "sc1", {"client_verify_data": bytes(32)})
    _refused(board, data, "no key exchange")
    client.handshake()
    _refused(board, data, "no key exchange")
    # no proof was wrong, and the session goes on
    assert client.ask("prov-config", _STATUS_REQUEST) == _STATUS_REPLY


def test_command1_of_wrong_length_then_the_right_one():
    board, client = _board()
    client.command0()
    for proof in (None, b"", bytes(31), bytes(33), bytes(64)):
        fields = {} if proof is None else {"client_verify_data": proof}
        _refused(board, command(2, "sc1", fields), "bad proof length")
    _refused(board, command(2, "sc0", {"client_pubkey": _KEY}), "bad proof length")
    client.command1()
    assert board.security.ready
    assert ("wrong-pop",) not in board.asked


def test_bad_proof_then_the_right_one():
    board, client = _board()
    client.command0()
    _refused(board, command(2, "sc1", {"client_verify_data": bytes(32)}), "wrong proof")
    assert board.asked == [("wrong-pop",)]
    client.command1()
    assert client.ask("prov-config", _STATUS_REQUEST) == _STATUS_REPLY
    assert board.asked[-1] == ("secured",)


def test_wrong_pop_then_right_pop_on_one_connection():
    board, client = _board()
    for pop in (b"", b"abcd1235", b"abcd12345"):
        wrong = Client(board.handle, pop)
        wrong.command0()
        raises(Refused, wrong.command1)
    _works(board, client)
    assert board.asked == [("wrong-pop",)] * 3 + [("secured",)]


def test_nothing_encrypted_before_the_handshake():
    board, client = _board()
    for name in ("prov-config", "prov-scan", "prov-ctrl"):
        raises(Refused, board.handle, name, b"\x08\x02")
    client.command0()
    raises(Refused, board.handle, "prov-config", b"\x08\x02")
    client.command1()
    assert client.ask("prov-config", _STATUS_REQUEST) == _STATUS_REPLY


def test_key_pair_serves_one_command0():
    board, client = _board()
    security = board.security
    assert security.next_key is None
    security.prepare()
    prepared = security.next_key
    security.prepare()
    assert security.next_key is prepared  # still unused
    client.command0()
    first = client.device_public
    assert first == prepared[1] and security.next_key is None
    client.command0()  # nothing prepared: the handler makes one
    assert client.device_public != first and security.next_key is None
    security.prepare()
    assert security.next_key[1] not in (first, client.device_public)
    client.handshake()
    assert client.ask("prov-config", _STATUS_REQUEST) == _STATUS_REPLY


def test_key_pair_is_used_up_by_a_refused_command0():
    board, _client = _board()
    board.security.prepare()
    _refused(board, command(0, "sc0", {"client_pubkey": bytes(32)}), "low-order public key")
    assert board.security.next_key is None


def test_initial_counter_differs_every_time():
    board, client = _board()
    seen = set()
    for _ in range(5):
        client.command0()
        seen.add(board.security._iv)
    assert len(seen) == 5


def test_notes_do_not_matter_to_the_client():
    def full(_item):
        raise Refused("busy")

    for post in (None, full):
        board, client = _board()
        board.security._post = post
        wrong = Client(board.handle, b"wrong")
        wrong.command0()
        raises(Refused, wrong.command1)
        raises(Refused, board.handle, "prov-session", b"\xff")
        _works(board, client)


def test_pop_is_hashed_once_and_not_kept():
    security = Security1(b"topsecret")
    for value in security.__dict__.values():
        assert value != b"topsecret"
