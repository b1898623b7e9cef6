# ch_resp: vectors made with Espressif's own protobuf classes; the key is RFC 6979's (A.2.5).

from cloud_double import Flash, Reports
from support import raises, unhex

from homing.cloud import chal_resp
from homing.cloud.chal_resp import ChalResp
from homing.cloud.fragments import parse
from homing.cloud.rainmaker import RainMaker
from homing.crypto import p256
from homing.protocomm.errors import Refused

KEY = unhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
ABC = unhex("52050a03616263")
DISABLED = "08011003"


def handler(held=None):
    return ChalResp("node1", KEY, (held if held is not None else []).append)


def test_reply_to_the_byte():
    real = p256.sign
    asked = []

    def stand_in(key, message):
        asked.append((key, bytes(message)))
        return unhex("3006020101020102")

    p256.sign = stand_in
    held = []
    assert handler(held)(ABC).hex() == "08015a110a08300602010102010212056e6f646531"
    p256.sign = real
    assert asked == [(KEY, b"abc")] and held == [(None, None)]


def test_signature_is_that_of_rfc_6979():
    # "sample", with the nonce that follows from it: SHA-256 over the raw challenge, DER.
    reply = handler()(unhex("52080a06") + b"sample")
    assert p256.sign(KEY, b"sample") in reply
    assert reply.hex()[:16] == "08015a510a483046" and reply.endswith(b"\x12\x05node1")


def test_longest_answer_fits():
    reply = ChalResp("n" * 64, KEY, lambda _: None)(b"\x52\x83\x01\x0a\x80\x01" + b"c" * 128)
    assert len(reply) < 160


def test_what_is_refused():
    held = []
    for request in (
        b"",  # a challenge's message without one
        unhex("5200"),
        unhex("52020a00"),  # an empty one
        unhex("08026200"),  # GetNodeID, which upstream has not made either
        unhex("0807"),
        unhex("0801"),  # an answer
        unhex("ff"),
    ):
        raises(Refused, handler(held), request)
    assert held == []


def test_disabled_until_the_next_boot():
    held = []
    one = handler(held)
    assert one(unhex("0804")).hex() == "0805"
    for each in (one, handler(held)):  # a service that is begun anew does not change it
        for request in (ABC, unhex("0804"), unhex("08026200"), unhex("0807"), b""):
            assert each(request).hex() == DISABLED
    assert held == []


class Node:
    def __init__(self, node_key="ec", scalar=KEY, saved=None, associate=False):
        identity = {"node_id": "node1"}
        if node_key:
            identity["node_key"] = node_key
        self.read = 0
        self.flash = Flash(saved)
        self.reports = Reports()
        self._scalar = scalar
        self.cloud = RainMaker(
            self.flash, identity, self.reports, associate=associate, credentials=self._credentials
        )
        self.endpoints = dict(self.cloud.endpoints())

        self.tokens = Flash({"token": "of the former user"})

    def _credentials(self):
        return self

    def open(self, name):
        if name == "tokens":
            return self.tokens
        assert name == "credentials"
        self.read += 1
        return {"scalar": self._scalar} if self._scalar else {}

    def sign(self):
        self.endpoints["ch_resp"](ABC)
        assert self.cloud.take()
        self.cloud.commit()
        return self.flash.saved

    def hand_over(self, document):
        self.cloud._held.append(parse([document]))
        assert self.cloud.take()

    def associate(self):
        self.endpoints["cloud_user_assoc"](b"\x52\x0a\x0a\x03u-1\x12\x03s-1")
        assert self.cloud.take()
        self.cloud.commit()
        if self.cloud.state == "pending":
            assert not self.tokens.saved  # whoever it is, an app hands them over anew
        return self.flash.saved


def test_which_way_is_offered():
    for node_key, scalar, associate, name in (
        ("ec", KEY, False, "ch_resp"),
        ("ec", KEY, True, "ch_resp"),
        ("ec", None, False, "cloud_user_assoc"),  # credentials written with --classic
        ("rsa", None, False, "cloud_user_assoc"),
        (None, KEY, True, "cloud_user_assoc"),
        (None, KEY, False, None),
    ):
        node = Node(node_key, scalar, associate=associate)
        # Where a signature maps, nothing else does.
        others = set() if name == "ch_resp" else {"cloud_bind"}
        assert set(node.endpoints) == others | ({name} if name else set())
        extra = {"rmaker_extra": {"ver": "1.0", "cap": ["ch_resp"]}} if name == "ch_resp" else {}
        assert node.cloud.caps == extra
        assert node.read == (node_key == "ec")  # nothing is read that is not needed


async def test_signed():
    node = Node()
    assert node.sign() == {"st": "signed"}
    await node.cloud.bind()
    assert node.reports.said == ["signed"]
    assert not node.cloud.take()


def test_a_refused_challenge_changes_nothing():
    node = Node(saved={"st": "confirmed", "user": "u-1"})
    raises(Refused, node.endpoints["ch_resp"], b"")
    node.endpoints["ch_resp"](unhex("0804"))
    node.endpoints["ch_resp"](ABC)  # disabled
    chal_resp._disabled.clear()
    assert not node.cloud.take() and node.flash.writes == 0


def test_signature_ends_what_was_there():
    # The cloud has mapped the new owner already: a report of before must not come after that.
    for saved in (
        {"st": "confirmed", "user": "u-1"},
        {"st": "pending", "user": "u-1", "secret": "s-1", "reset": 1},
        {"st": "pending", "user": "esp-rmaker", "secret": "failed", "reset": 1},
        {"st": "sent", "op": "add", "user": "u-1", "secret": "s-1", "req": "r-1", "token": "t"},
    ):
        node = Node(saved=saved)
        assert node.tokens.saved
        assert node.sign() == {"st": "signed"}
        assert not node.tokens.saved


def test_association_by_the_node_itself():
    pending = {"st": "pending", "user": "u-1", "secret": "s-1"}
    reset = dict(pending, reset=1)
    due = {"st": "pending", "user": "esp-rmaker", "secret": "failed", "reset": 1}
    for saved, expected in (
        (None, pending),
        ({"st": "confirmed", "user": "u-1"}, pending),  # the same user once more
        ({"st": "confirmed", "user": "u-0"}, reset),
        ({"st": "confirmed"}, reset),  # somebody, by cloud_bind without a user id
        ({"st": "signed"}, reset),  # somebody
        ({"st": "removed"}, pending),
        ({"st": "sent", "user": "u-0", "secret": "s-0"}, reset),  # it may have arrived
        (due, reset),  # what the cloud has not heard yet goes along
        (reset, reset),
        ({"st": "sent", "op": "add", "user": "u-1", "secret": "s", "req": "r"}, pending),
    ):
        assert Node("rsa", saved=saved).associate() == expected, saved
    assert Node("rsa").cloud.state == "none"
    node = Node("rsa")
    node.associate()
    assert node.cloud.state == "pending"  # no token is wanted


def test_without_credentials_nothing_is_reported():
    for saved in (None, {"st": "confirmed", "user": "u-0"}):
        found = Node(None, saved=saved, associate=True).associate()
        assert found == {"st": "unreported", "user": "u-1", "secret": "s-1"}


def test_a_token_of_another_user_has_the_former_one_unmapped():
    bind = b'{"secret_key":"s","access_token":"t","operation":"%s","user_id":"u-2"}'
    for operation, expected in ((b"add", 1), (b"remove", None)):
        node = Node("rsa", saved={"st": "confirmed", "user": "u-1"})
        node.hand_over(bind % operation)
        assert node.flash.get("reset") == expected
        assert (not node.tokens.saved) == bool(expected)
        assert node.cloud.state == "pending"
    node = Node(None, saved={"st": "confirmed", "user": "u-1"})
    node.hand_over(bind % b"add")
    assert node.flash.get("reset") is None
