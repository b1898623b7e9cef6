# prov-scan: paging exactly as upstream, on lists that main published.

from named import NETWORK_SCAN_PAYLOAD, decode, encode
from support import raises, unhex

from homing.protocomm.errors import Refused
from homing.provisioning.config import ConfigEndpoint
from homing.provisioning.scan import ScanEndpoint

_START = unhex("5206080118052078")
_STATUS = b"\x08\x02"


def _endpoint(networks=None):
    asked = []
    config = ConfigEndpoint(asked.append)
    endpoint = ScanEndpoint(asked.append, config)
    if networks is not None:
        endpoint.publish(networks)
    return endpoint, config, asked


def _network(i, rssi=-50, auth=3):
    return (b"net %d" % i, bytes((i,)) * 6, 1 + i % 13, rssi, auth)


def _start(endpoint):
    reply = decode(NETWORK_SCAN_PAYLOAD, endpoint(_START))
    assert reply["msg"] == 1 and reply["resp_scan_wifi_start"] == {}
    return reply.get("status", 0)


def _count(endpoint):
    reply = decode(NETWORK_SCAN_PAYLOAD, endpoint(_STATUS))
    assert reply["msg"] == 3 and "status" not in reply
    assert reply["resp_scan_wifi_status"]["scan_finished"] is True
    return reply["resp_scan_wifi_status"].get("result_count", 0)


def _page(endpoint, start, count):
    command = {"msg": 4, "cmd_scan_wifi_result": {"start_index": start, "count": count}}
    reply = decode(NETWORK_SCAN_PAYLOAD, endpoint(encode(NETWORK_SCAN_PAYLOAD, command)))
    assert reply["msg"] == 5 and "status" not in reply
    return reply["resp_scan_wifi_result"].get("entries", [])


def _all(endpoint):
    assert _start(endpoint) == 0
    return [_page(endpoint, i, 1)[0] for i in range(_count(endpoint))]


def test_nothing_published_yet():
    endpoint, _, asked = _endpoint()
    assert _start(endpoint) == 5
    assert _count(endpoint) == 0
    assert not asked


def test_sizes():
    for seen, expected in ((0, 0), (1, 1), (15, 15), (16, 16), (17, 16), (60, 16)):
        endpoint, _, _ = _endpoint([_network(i) for i in range(seen)])
        assert len(_all(endpoint)) == expected
        assert _page(endpoint, 0, 0) == []


def test_pages_of_four():
    endpoint, _, _ = _endpoint([_network(i, -i) for i in range(10)])
    assert _start(endpoint) == 0
    got = []
    for start, count in ((0, 4), (4, 4), (8, 2)):
        got += _page(endpoint, start, count)
    assert [entry["ssid"] for entry in got] == [b"net %d" % i for i in range(10)]


def test_long_names_fit_a_page():
    networks = [(bytes((65 + i,)) * 32, b"\xff" * 6, 13, -100, 7) for i in range(16)]
    endpoint, _, _ = _endpoint(networks)
    assert _start(endpoint) == 0
    command = {"msg": 4, "cmd_scan_wifi_result": {"start_index": 12, "count": 4}}
    reply = endpoint(encode(NETWORK_SCAN_PAYLOAD, command))
    assert len(reply) <= 265
    assert len(_page(endpoint, 0, 16)) == 16  # over HTTP esp_prov asks for all at once


def test_index_errors():
    endpoint, _, _ = _endpoint([_network(i) for i in range(5)])
    assert _start(endpoint) == 0
    for start, count in (
        (16, 0),
        (16, 1),
        (0, 17),
        (12, 5),
        (0xFFFFFFFF, 1),
        (1, 0xFFFFFFFF),
        (5, 1),  # past the last result
        (4, 2),
        (0, 6),
    ):
        raises(Refused, _page, endpoint, start, count)
    assert len(_page(endpoint, 4, 1)) == 1
    assert _page(endpoint, 15, 0) == []


def test_strongest_of_each_name_strongest_first_hidden_dropped():
    endpoint, _, _ = _endpoint(
        [
            (b"a", b"\1" * 6, 1, -70, 3),
            (b"", b"\2" * 6, 2, -10, 3),
            (b"b", b"\3" * 6, 3, -60, 0),
            (b"a", b"\4" * 6, 4, -40, 4),
            (b"a", b"\5" * 6, 5, -90, 3),
        ]
    )
    entries = _all(endpoint)
    assert [entry["ssid"] for entry in entries] == [b"a", b"b"]
    assert entries[0] == {
        "ssid": b"a",
        "bssid": b"\4" * 6,
        "channel": 4,
        "rssi": -40,
        "auth": 4,
    }
    assert "auth" not in entries[1]


def test_no_auth_mode_above_seven():
    modes = list(range(-1, 20)) + [255]
    endpoint, _, _ = _endpoint([_network(i, -i, mode) for i, mode in enumerate(modes)][:16])
    shown = [entry.get("auth", 0) for entry in _all(endpoint)]
    assert shown[1:9] == list(range(8))
    # OWE has no password, so it is shown as open; enterprise stays enterprise.
    assert shown[10] == 0 and shown[11] == 5
    endpoint.publish([_network(i, -i, mode) for i, mode in enumerate(modes[9:])])
    assert max([entry.get("auth", 0) for entry in _all(endpoint)]) <= 7


def test_start_pins_the_list_and_asks_for_a_new_one():
    endpoint, _, asked = _endpoint([_network(1), _network(2)])
    assert _start(endpoint) == 0
    assert asked == [("scan",)]
    endpoint.publish([_network(9)])
    assert _count(endpoint) == 2 and _page(endpoint, 1, 1)[0]["ssid"] in (b"net 1", b"net 2")
    assert _start(endpoint) == 0
    assert _count(endpoint) == 1 and _page(endpoint, 0, 1)[0]["ssid"] == b"net 9"
    endpoint.publish([])
    assert _start(endpoint) == 0 and _count(endpoint) == 0


def test_not_while_joining():
    endpoint, config, asked = _endpoint([_network(1)])
    config(unhex("080262030a0141"))
    config(b"\x08\x04")
    asked.clear()
    assert _start(endpoint) == 5 and not asked
    config.failed(1, 0)
    assert _start(endpoint) == 0


def test_full_queue_does_not_matter():
    def full(_item):
        raise Refused("busy")

    endpoint = ScanEndpoint(full)
    endpoint.publish([_network(1)])
    assert _start(endpoint) == 0 and _count(endpoint) == 1


def test_unknown_messages_are_refused():
    endpoint, _, _ = _endpoint([_network(1)])
    for msg in (1, 3, 5, 6, 8, 10, 11, 12, -1):
        raises(Refused, endpoint, encode(NETWORK_SCAN_PAYLOAD, {"msg": msg}))
    raises(Refused, endpoint, b"")  # start without its member
    raises(Refused, endpoint, b"\x08\x04")
    raises(Refused, endpoint, b"\x08\x04\x7a\x00")
    raises(Refused, endpoint, b"\x08\x04\x72\x05")
