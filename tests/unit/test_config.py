# prov-config: what the client is told at each point, and what main is asked to do.

from named import NETWORK_CONFIG_PAYLOAD, decode, encode
from support import Random, raises, unhex

from homing.protocomm.errors import Refused
from homing.provisioning import config as config_module
from homing.provisioning.config import (
    APPLYING,
    CONNECTED,
    FAILED,
    STARTED,
    ConfigEndpoint,
)
from homing.provisioning.reasons import AUTH_ERROR, NETWORK_NOT_FOUND

_CONNECTING = {"wifi_sta_state": 1}


def _endpoint():
    asked = []
    return ConfigEndpoint(asked.append), asked


def _set(endpoint, **fields):
    reply = endpoint(encode(NETWORK_CONFIG_PAYLOAD, {"msg": 2, "cmd_set_wifi_config": fields}))
    reply = decode(NETWORK_CONFIG_PAYLOAD, reply)
    assert reply["msg"] == 3
    return reply["resp_set_wifi_config"].get("status", 0)


def _apply(endpoint):
    reply = decode(NETWORK_CONFIG_PAYLOAD, endpoint(b"\x08\x04"))
    assert reply["msg"] == 5
    return reply["resp_apply_wifi_config"].get("status", 0)


def _status(endpoint):
    data = endpoint(b"\x52\x00")
    reply = decode(NETWORK_CONFIG_PAYLOAD, data)
    assert reply["msg"] == 1
    reply = reply["resp_get_wifi_status"]
    # The danger: a reply without sta_state reads as Connected in every client.
    assert "wifi_sta_state" in reply or "wifi_connected" in reply
    assert "status" not in reply
    return reply


def _applied(endpoint, ssid=b"net"):
    assert _set(endpoint, ssid=ssid, passphrase=b"password") == 0
    assert _apply(endpoint) == 0
    return endpoint.apply_seq


def test_before_anything_it_is_connecting():
    endpoint, _ = _endpoint()
    assert endpoint.state == STARTED
    assert endpoint(b"\x52\x00") == unhex("08015a021001")
    assert endpoint(b"") == unhex("08015a021001")


def test_course_of_a_join():
    endpoint, asked = _endpoint()
    seq = _applied(endpoint)
    assert asked == [("apply", 1, b"net", b"password", b"", 0)]
    assert endpoint.state == APPLYING and _status(endpoint) == _CONNECTING
    endpoint.connecting(seq)
    assert endpoint.state == APPLYING and _status(endpoint) == _CONNECTING
    endpoint.attempt_failed(seq, 2)
    assert _status(endpoint) == {"wifi_sta_state": 1, "attempt_failed": {"attempts_remaining": 2}}
    endpoint.attempt_failed(seq, 0)
    assert _status(endpoint) == {"wifi_sta_state": 1, "attempt_failed": {}}
    assert endpoint.state == APPLYING and endpoint.told_connected is None
    endpoint.connected(seq, "10.0.0.1", 4, b"net", b"\1\2\3\4\5\6", 11)
    assert endpoint.state == CONNECTED and endpoint.told_connected is None
    assert _status(endpoint) == {
        "wifi_connected": {
            "ip4_addr": "10.0.0.1",
            "auth_mode": 4,
            "ssid": b"net",
            "bssid": b"\1\2\3\4\5\6",
            "channel": 11,
        }
    }
    assert endpoint.told_connected is not None


def test_told_connected_is_the_last_time():
    endpoint, _ = _endpoint()
    endpoint.connected(_applied(endpoint), "10.0.0.1", 4, b"net", b"", 11)
    for now_ms in (5, 9):
        config_module.ticks_ms = lambda now_ms=now_ms: now_ms
        _status(endpoint)
        assert endpoint.told_connected == now_ms


def test_failure_reasons_are_explicit():
    endpoint, _ = _endpoint()
    seq = _applied(endpoint)
    endpoint.failed(seq, AUTH_ERROR)
    assert endpoint(b"\x52\x00") == unhex("08015a0410035000")
    endpoint.failed(seq, NETWORK_NOT_FOUND)
    assert endpoint(b"\x52\x00") == unhex("08015a0410035001")
    assert endpoint.state == FAILED


def test_wrong_wrong_right_in_one_session():
    endpoint, asked = _endpoint()
    for n in (1, 2):
        seq = _applied(endpoint)
        assert seq == n
        endpoint.failed(seq, AUTH_ERROR)
    seq = _applied(endpoint)
    assert _status(endpoint) == _CONNECTING  # the old failure is not shown again
    endpoint.connected(seq, "10.0.0.1", 3, b"net", b"", 1)
    assert "wifi_connected" in _status(endpoint)
    assert [item[:2] for item in asked] == [("apply", 1), ("apply", 2), ("apply", 3)]


def test_late_report_of_an_older_apply_reads_as_connecting():
    endpoint, _ = _endpoint()
    first = _applied(endpoint)
    endpoint.failed(first, AUTH_ERROR)
    _applied(endpoint)
    for report in (
        lambda: endpoint.failed(first, AUTH_ERROR),
        lambda: endpoint.attempt_failed(first, 1),
        lambda: endpoint.connected(first, "10.0.0.1", 3, b"old", b"", 1),
        lambda: endpoint.connecting(first),
    ):
        report()
        assert _status(endpoint) == _CONNECTING
        assert endpoint.state == APPLYING and endpoint.told_connected is None


def test_apply_needs_a_set_and_uses_it_up():
    endpoint, asked = _endpoint()
    assert _apply(endpoint) == 5 and endpoint.state == STARTED
    seq = _applied(endpoint)
    endpoint.failed(seq, AUTH_ERROR)
    assert _apply(endpoint) == 5 and endpoint.state == FAILED
    assert len(asked) == 1


def test_apply_is_refused_while_joining_and_when_connected():
    endpoint, asked = _endpoint()
    seq = _applied(endpoint)
    assert _set(endpoint, ssid=b"other") == 0
    assert _apply(endpoint) == 5
    endpoint.connected(seq, "10.0.0.1", 3, b"net", b"", 1)
    assert _apply(endpoint) == 5
    assert "wifi_connected" in _status(endpoint)
    assert len(asked) == 1 and endpoint.apply_seq == 1


def test_set_last_wins_and_limits():
    endpoint, asked = _endpoint()
    for fields in (
        {"ssid": b""},
        {},
        {"ssid": bytes(33)},
        {"ssid": b"a", "passphrase": bytes(64)},
        {"ssid": b"a", "bssid": bytes(5)},
        {"ssid": b"a", "bssid": bytes(7)},
        {"ssid": b"a", "bssid": b"x"},
    ):
        assert _set(endpoint, **fields) == 4, fields
        assert _apply(endpoint) == 5  # nothing half-set
    assert _set(endpoint, ssid=b"first") == 0
    assert _set(endpoint, ssid=bytes(33)) == 4  # keeps the first
    assert _set(endpoint, ssid=b"\xff" * 32, passphrase=b"p" * 63, bssid=b"123456", channel=14) == 0
    assert _apply(endpoint) == 0
    assert asked == [("apply", 1, b"\xff" * 32, b"p" * 63, b"123456", 14)]


def test_channel_is_a_hint():
    endpoint, asked = _endpoint()
    for channel, expected in ((1, 1), (13, 13), (15, 0), (-1, 0), (1 << 30, 0), (-1 << 31, 0)):
        assert _set(endpoint, ssid=b"a", channel=channel) == 0
        assert _apply(endpoint) == 0
        assert asked[-1][5] == expected
        endpoint.failed(endpoint.apply_seq, AUTH_ERROR)


def test_ssid_is_bytes_end_to_end():
    random = Random(22)
    endpoint, asked = _endpoint()
    ssids = [b"'", b" ", b"a.b", b"\0a\0", b"\x80", "é\U0001f600ß".encode(), b"\xff\xfe", b"\n"]
    ssids += [random.bytes(1 + random.below(32)) for _ in range(40)]
    for ssid in ssids:
        passphrase = random.bytes(random.below(64))
        assert _set(endpoint, ssid=ssid, passphrase=passphrase) == 0
        assert _apply(endpoint) == 0
        assert asked[-1][2:4] == (ssid, passphrase)
        seq = endpoint.apply_seq
        endpoint.connected(seq, "10.0.0.1", 3, ssid, b"", 1)
        assert _status(endpoint)["wifi_connected"]["ssid"] == ssid
        endpoint.failed(seq, AUTH_ERROR)


def test_reset_allows_a_new_start_but_still_shows_the_failure():
    endpoint, _ = _endpoint()
    endpoint.failed(_applied(endpoint), AUTH_ERROR)
    endpoint.forget()
    assert endpoint.state == STARTED
    assert _status(endpoint)["wifi_sta_state"] == 3
    _applied(endpoint)
    assert endpoint.state == APPLYING and _status(endpoint) == _CONNECTING


def test_forgotten_connection_is_not_reported_as_connected():
    endpoint, _ = _endpoint()
    seq = _applied(endpoint)
    endpoint.connected(seq, "10.0.0.1", 3, b"net", b"", 1)
    _status(endpoint)
    endpoint.forget()
    assert endpoint.state == STARTED and endpoint.told_connected is None
    assert _status(endpoint) == _CONNECTING and endpoint.told_connected is None


def test_full_queue_refuses_apply_and_changes_nothing():
    def full(_item):
        raise Refused("busy")

    endpoint = ConfigEndpoint(full)
    assert _set(endpoint, ssid=b"net") == 0
    raises(Refused, endpoint, b"\x08\x04")
    assert endpoint.state == STARTED and endpoint.apply_seq == 0
    asked = []
    endpoint._post = asked.append
    assert _apply(endpoint) == 0  # the set is still there
    assert asked[0][2] == b"net"


def test_unknown_messages_are_refused():
    endpoint, asked = _endpoint()
    for msg in (1, 3, 5, 6, 7, 8, 10, 11, 12, 127, 128, 0x7FFFFFFF, -1):
        raises(Refused, endpoint, encode(NETWORK_CONFIG_PAYLOAD, {"msg": msg}))
    raises(Refused, endpoint, b"\x08\x02")  # set without its member
    raises(Refused, endpoint, b"\x08\x02\x6a\x00")  # with the member of the reply
    raises(Refused, endpoint, b"\x08")
    assert not asked


def test_auth_mode_is_one_that_clients_know():
    endpoint, _ = _endpoint()
    endpoint.connected(_applied(endpoint), "10.0.0.1", 9, b"net", b"", 1)
    # 9 is OWE, which asks for no password: open, which is 0 and so left out.
    assert _status(endpoint)["wifi_connected"].get("auth_mode", 0) == 0
