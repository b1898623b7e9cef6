# The rules of the wire format. Google's own encoder and parser are compared in
# tests/host/test_protobuf_google.py.

from named import (
    NETWORK_CONFIG_PAYLOAD,
    NETWORK_CTRL_PAYLOAD,
    NETWORK_SCAN_PAYLOAD,
    SESSION_DATA,
    WIFI_SCAN_RESULT,
    decode,
    encode,
)
from support import raises, unhex

from homing.protocomm import protobuf
from homing.protocomm.errors import Refused
from homing.provisioning import scan

_ALL = (NETWORK_CONFIG_PAYLOAD, NETWORK_CTRL_PAYLOAD, NETWORK_SCAN_PAYLOAD, SESSION_DATA)


def test_defaults_are_omitted():
    assert encode(WIFI_SCAN_RESULT, {"ssid": b"", "channel": 0, "rssi": 0, "bssid": b""}) == b""
    assert encode(WIFI_SCAN_RESULT, {}) == b""
    assert encode(NETWORK_CTRL_PAYLOAD, {"msg": 0, "status": None}) == b""


def test_empty_member_and_zero_in_a_oneof_are_sent():
    assert encode(NETWORK_CTRL_PAYLOAD, {"msg": 2, "resp_ctrl_wifi_reset": {}}) == unhex("08026200")
    reply = {"wifi_sta_state": 3, "wifi_fail_reason": 0}
    assert encode(NETWORK_CONFIG_PAYLOAD, {"msg": 1, "resp_get_wifi_status": reply}) == unhex(
        "08015a0410035000"
    )


def _shuffled(schema):
    # As MicroPython's dicts are: in no order.
    return {number: schema[number] for number in sorted(schema, reverse=True)}


def test_fields_are_in_ascending_order():
    values = {1: b"A", 2: 5, 3: -1, 4: b"B", 5: 3}
    schema = scan.WIFI_SCAN_RESULT
    expected = unhex("0a0141 1005 18ffffffffffffffffff01 220142 2803")
    assert protobuf.encode(schema, values) == expected
    assert protobuf.encode(_shuffled(schema), _shuffled(values)) == expected


def _depth(kind):
    if isinstance(kind, tuple):
        kind = kind[0]
    if not isinstance(kind, dict):
        return 0
    return 1 + max([_depth(inner) for inner in kind.values()] or [0])


def test_tables_bound_the_recursion():
    assert max([_depth(named.schema) for named in _ALL]) == 3


def test_negative_int32_takes_ten_bytes():
    data = encode(WIFI_SCAN_RESULT, {"rssi": -47})
    assert data == unhex("18d1ffffffffffffffff01")
    assert decode(WIFI_SCAN_RESULT, data) == {"rssi": -47}
    # Truncated to 32 bits like every parser does: five bytes, and what is above.
    assert decode(WIFI_SCAN_RESULT, unhex("18d1ffffff0f")) == {"rssi": -47}
    assert decode(WIFI_SCAN_RESULT, unhex("1880808080808080808001")) == {"rssi": 0}
    assert decode(WIFI_SCAN_RESULT, unhex("1080808080808080808001")) == {"channel": 0}


def test_unknown_fields_are_skipped():
    known = unhex("0a0141")
    for unknown in (
        "3001",  # 6, varint
        "30ffffffffffffffffff01",
        "310102030405060708",  # 6, fixed64
        "3501020304",  # 6, fixed32
        "3203aabbcc",  # 6, length-delimited
        "a20600",  # 100, empty
    ):
        for data in (known + unhex(unknown), unhex(unknown) + known):
            assert decode(WIFI_SCAN_RESULT, data) == {"ssid": b"A"}, unknown


def test_known_field_of_another_wire_type_is_unknown():
    assert decode(WIFI_SCAN_RESULT, unhex("0805 120141 1d01020304 0a0141")) == {"ssid": b"A"}


def test_last_wins_and_order_does_not_matter():
    assert decode(WIFI_SCAN_RESULT, unhex("1005 0a0141 0a0142 1006")) == {
        "ssid": b"B",
        "channel": 6,
    }


def test_last_member_of_a_oneof_wins():
    data = encode(NETWORK_CONFIG_PAYLOAD, {"cmd_set_wifi_config": {"ssid": b"A"}})
    data += encode(NETWORK_CONFIG_PAYLOAD, {"cmd_apply_wifi_config": {}})
    assert decode(NETWORK_CONFIG_PAYLOAD, data) == {"cmd_apply_wifi_config": {}}


def test_member_in_pieces_is_merged():
    data = encode(NETWORK_CONFIG_PAYLOAD, {"cmd_set_wifi_config": {"ssid": b"A"}})
    data += encode(NETWORK_CONFIG_PAYLOAD, {"cmd_set_wifi_config": {"passphrase": b"B"}})
    assert decode(NETWORK_CONFIG_PAYLOAD, data) == {
        "cmd_set_wifi_config": {"ssid": b"A", "passphrase": b"B"}
    }


def test_repeated():
    entries = [{"ssid": b"a", "rssi": -1}, {"ssid": b"b"}]
    data = encode(NETWORK_SCAN_PAYLOAD, {"resp_scan_wifi_result": {"entries": entries}})
    assert decode(NETWORK_SCAN_PAYLOAD, data)["resp_scan_wifi_result"]["entries"] == entries
    encoded = [encode(WIFI_SCAN_RESULT, entry) for entry in entries]
    assert data == encode(NETWORK_SCAN_PAYLOAD, {"resp_scan_wifi_result": {"entries": encoded}})


def test_what_is_no_protobuf_is_refused():
    for text in (
        "08",  # varint missing
        "0880",  # unfinished
        "08ffffffffffffffffff02",  # over 64 bits
        "0880808080808080808080 01",  # eleven bytes
        "0a",  # length missing
        "0a01",  # bytes missing
        "0a02ff",
        "0affffffffffffffffff01",  # length of 2**64 - 1
        "0affffffff0f",
        "3101020304050607",  # fixed64 cut short
        "35010203",  # fixed32 cut short
        "0001",  # field number 0
        "0700",  # wire type 7
        "0e00",  # wire type 6
        "0b0c",  # a group
        "8080808010 00",  # a tag of more than 32 bits
        "5a020a05",  # a member that ends inside a field
    ):
        raises(Refused, decode, NETWORK_SCAN_PAYLOAD, unhex(text))


def test_every_truncation_of_a_message():
    data = encode(
        SESSION_DATA, {"sec_ver": 1, "sec1": {"msg": 0, "sc0": {"client_pubkey": bytes(32)}}}
    )
    for size in range(len(data)):
        if size > 2:  # the first field is whole after two bytes, the second never is
            raises(Refused, decode, SESSION_DATA, data[:size])


def test_buffers_of_all_kinds():
    data = unhex("0a0141")
    for buf in (data, bytearray(data), memoryview(data)):
        out = decode(WIFI_SCAN_RESULT, buf)
        assert out == {"ssid": b"A"} and isinstance(out["ssid"], bytes)


def test_text_must_be_utf8():
    schema = {1: protobuf.STR}
    assert protobuf.decode(schema, protobuf.encode(schema, {1: "é"})) == {1: "é"}
    raises(Refused, protobuf.decode, schema, unhex("0a01ff"))


def test_unknown_field_to_encode_is_a_mistake():
    raises(KeyError, protobuf.encode, {1: protobuf.INT}, {2: 5})
