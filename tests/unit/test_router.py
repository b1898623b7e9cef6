# Which endpoint answers, in which session, encrypted or not; and that nothing but Refused gets out.

from client import SESSION, Board, Client
from support import raises

from homing.protocomm.errors import Refused
from homing.protocomm.router import REQ, SEC, VER, Protocomm


class _Plain:
    # A security scheme that records: encryption adds 1 to each byte.
    overhead = 0

    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1

    def decrypt(self, data):
        return bytes([byte - 1 & 255 for byte in data])

    def encrypt(self, data):
        return bytes([byte + 1 & 255 for byte in data])


def _protocomm():
    p = Protocomm(_Plain())
    p.add("echo", lambda data: data, REQ)
    p.add("hello", lambda data: b"handshake " + data, SEC)
    p.add("version", lambda data: b"version", VER)
    p.open(1)
    return p


def test_kinds():
    p = _protocomm()
    seen = []
    p.add("look", lambda data: seen.append(data) or b"ab")
    assert p.handle(1, "look", b"bcd") == b"bc"
    assert seen == [b"abc"]
    assert p.handle(1, "hello", b"x") == b"handshake x"
    assert p.handle(1, "version", b"x") == b"version"


def test_names_are_in_order_of_creation():
    p = _protocomm()
    assert p.names() == ("echo", "hello", "version")
    p.remove("hello")
    p.remove("nobody")
    assert p.names() == ("echo", "version")
    assert raises(Refused, p.handle, 1, "hello", b"").args[0] == "no endpoint"
    p.add("hello", lambda data: b"again", SEC)
    assert p.names() == ("echo", "version", "hello")
    raises(ValueError, p.add, "hello", lambda data: b"")
    assert raises(Refused, p.handle, 1, "Echo", b"").args[0] == "no endpoint"


def test_sessions():
    p = _protocomm()
    for session in (None, 0, 2):
        assert raises(Refused, p.handle, session, "echo", b"x").args[0] == "no session"
        assert raises(Refused, p.handle, session, "hello", b"x").args[0] == "no session"
        assert p.handle(session, "version", b"x") == b"version"
    p.open(2)
    raises(Refused, p.handle, 1, "echo", b"x")
    assert p.handle(2, "echo", b"x") == b"x"
    p.close()
    assert p.security.resets == 3
    for session in (None, 1, 2):
        raises(Refused, p.handle, session, "echo", b"x")
        assert p.handle(session, "version", b"x") == b"version"


def test_whatever_a_handler_raises_becomes_refused():
    p = _protocomm()
    for kind in (ValueError, KeyError, IndexError, OSError, MemoryError, RuntimeError, TypeError):

        def handler(data, kind=kind):
            raise kind("secret")

        for endpoint in (REQ, SEC, VER):
            p.remove("bad")
            p.add("bad", handler, endpoint)
            e = raises(Refused, p.handle, 1, "bad", b"x")
            assert e.args == (kind.__name__,)  # never its text
    p.remove("bad")
    for reply in (None, 5, "text"):
        p.add("bad", lambda data, reply=reply: reply)
        raises(Refused, p.handle, 1, "bad", b"x")
        p.remove("bad")


def test_stack_overflow_becomes_refused():
    p = _protocomm()

    def deep(data):
        return deep(data)

    p.add("deep", deep)
    assert raises(Refused, p.handle, 1, "deep", b"x").args == ("RuntimeError",)


def test_length_limits():
    p = _protocomm()
    assert len(p.handle(1, "echo", bytes(512))) == 512
    raises(Refused, p.handle, 1, "echo", bytes(513))
    raises(Refused, p.handle, 1, "hello", bytes(513))
    p.add("long", lambda data: bytes(513))
    raises(Refused, p.handle, 1, "long", b"x")
    assert len(p.handle(1, "long", b"x", 4096)) == 513
    assert len(p.handle(1, "echo", bytes(4096), 4096)) == 4096
    raises(Refused, p.handle, 1, "echo", bytes(4097), 4096)


def test_one_way_in_at_a_time():
    p = _protocomm()
    p.close()
    ble, http = object(), object()
    assert p.open(7, ble)
    assert not p.open(b"8", http)
    assert p.handle(7, "echo", b"x") == b"x"
    raises(Refused, p.handle, b"8", "echo", b"x")
    p.close(http)  # it has none
    assert p.open(9, ble)  # a newer one of the same way
    raises(Refused, p.handle, 7, "echo", b"x")
    p.close(ble)
    assert p.open(b"8", http)
    assert not p.open(7, ble)
    p.close()  # the whole service stops
    assert p.open(7, ble)


def test_handler_error_and_long_reply_keep_client_and_board_in_step():
    board = Board()
    p = board.protocomm

    def fault(_data):
        raise ValueError

    p.add("fault", fault)
    p.add("long", lambda data: bytes(600))
    p.open(SESSION)
    client = Client(board.handle)
    client.handshake()
    for name, plain in (("fault", b"abc"), ("long", b"defg"), ("prov-config", b"\x08\x09")):
        raises(Refused, client.ask, name, plain)
        assert client.ask("prov-config", b"\x52\x00") == b"\x08\x01\x5a\x02\x10\x01"


def test_session_ends_with_its_keys():
    board = Board()
    board.protocomm.open(SESSION)
    client = Client(board.handle)
    client.handshake()
    board.protocomm.open(SESSION)  # the same id again, as a radio may hand it out
    raises(Refused, client.ask, "prov-config", b"\x52\x00")
    client.handshake()
    board.protocomm.close()
    assert not board.security.ready
    raises(Refused, client.ask, "prov-config", b"\x52\x00")
