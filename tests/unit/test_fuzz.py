# Whatever bytes arrive: an answer that its schema can read, or Refused; and the board goes on.

from client import SESSION, Board, Client, command
from named import (
    NETWORK_CONFIG_PAYLOAD,
    NETWORK_CTRL_PAYLOAD,
    NETWORK_SCAN_PAYLOAD,
    SESSION_DATA,
    decode,
)
from support import Random, unhex

from homing.protocomm.errors import Refused

_ROUNDS = 1500

_SEEDS = {
    "prov-config": [
        unhex("080262140a066d7973736964120a6d7970617373776f7264"),
        unhex("5200"),
        unhex("0804"),
        unhex("08026212 0a0161 12086162636465666768 1a03010203"),
    ],
    "prov-scan": [unhex("5206080118052078"), unhex("0802"), unhex("080472021002")],
    "prov-ctrl": [unhex("0801"), unhex("0803"), unhex("08015a00")],
}
_SCHEMAS = {
    "prov-config": NETWORK_CONFIG_PAYLOAD,
    "prov-scan": NETWORK_SCAN_PAYLOAD,
    "prov-ctrl": NETWORK_CTRL_PAYLOAD,
}


def _mutate(random, data):
    data = bytearray(data)
    for _ in range(1 + random.below(4)):
        what = random.below(6)
        pos = random.below(len(data) + 1)
        if what == 0:
            data[pos:pos] = random.bytes(1 + random.below(4))
        elif what == 1:
            del_to = min(len(data), pos + 1 + random.below(4))
            data = data[:pos] + data[del_to:]
        elif what == 2 and data:
            data[pos % len(data)] ^= 1 << random.below(8)
        elif what == 3 and data:
            data[pos % len(data)] = random.below(256)
        elif what == 4:
            data = data[:pos]
        else:
            data = data + data[pos:]
    return bytes(data)


def _fuzz(random, name, endpoint, config):
    answered = 0
    for i in range(_ROUNDS):
        if i % 4:
            seeds = _SEEDS[name]
            data = _mutate(random, seeds[random.below(len(seeds))])
        else:
            data = random.bytes(random.below(60))
        # Wherever main may be by now.
        seq = config.apply_seq - random.below(2)
        what = random.below(8)
        if what == 0:
            config.failed(seq, random.below(2))
        elif what == 1:
            config.connected(seq, "10.0.0.1", 3, b"a", b"", 1)
        elif what == 2:
            config.attempt_failed(seq, random.below(3))
        try:
            reply = endpoint(data)
        except Refused:
            continue
        answered += 1
        message = decode(_SCHEMAS[name], reply)
        sent = decode(_SCHEMAS[name], data).get("msg", 0)
        assert message["msg"] == sent + 1
        if name == "prov-config" and sent == 0:
            status = message["resp_get_wifi_status"]
            assert "wifi_sta_state" in status or "wifi_connected" in status
    assert 50 < answered < _ROUNDS  # neither everything nor nothing got through


def _check_intents(asked):
    for item in asked:
        if item[0] == "apply":
            _, seq, ssid, passphrase, bssid, channel = item
            assert 0 < len(ssid) <= 32 and len(passphrase) <= 63
            assert len(bssid) in (0, 6) and 0 <= channel <= 14
        else:
            assert item in (("scan",), ("reset",), ("reprov",))


def test_endpoints():
    for seed, name in enumerate(sorted(_SEEDS)):
        board = Board(auto_stop=False)
        board.scan.publish([(b"net", b"\1" * 6, 1, -50, 3)] * 3)
        endpoint = {"prov-config": board.config, "prov-scan": board.scan, "prov-ctrl": board.ctrl}
        _fuzz(Random(seed + 1), name, endpoint[name], board.config)
        _check_intents(board.asked)


def test_handshake():
    random = Random(11)
    board = Board()
    board.protocomm.open(SESSION)
    good = command(0, "sc0", {"client_pubkey": bytes(range(1, 33))})
    proof = command(2, "sc1", {"client_verify_data": bytes(range(32))})
    refused = 0
    for i in range(600):
        seed = good if i % 3 else proof
        data = _mutate(random, seed) if i % 4 else random.bytes(random.below(50))
        if i % 100 == 0:
            board.security._wrong = 0  # not the rate limit's test
            board.security._lock = None
        try:
            reply = decode(SESSION_DATA, board.handle("prov-session", data))
            assert reply["sec_ver"] == 1 and reply["sec1"]["msg"] == 1
        except Refused:
            refused += 1
        assert not board.security.ready
    assert 200 < refused < 600
    board.security._lock = None
    Client(board.handle).handshake()
    assert board.security.ready


def test_encrypted_garbage_keeps_the_session():
    random = Random(12)
    board = Board()
    board.protocomm.open(SESSION)
    client = Client(board.handle)
    client.handshake()
    names = sorted(_SEEDS)
    for _ in range(300):
        name = names[random.below(3)]
        data = random.bytes(random.below(40))
        try:
            reply = client.ask(name, data)
            decode(_SCHEMAS[name], reply)
        except Refused:
            pass  # the request was consumed on both sides
    assert client.ask("prov-scan", b"\x08\x02")[:2] == b"\x08\x03"
    _check_intents([item for item in board.asked if item != ("secured",)])
