"""The station of a simulated board: what the esp32 port's status() says, and when."""

import pytest

from tools.sim.world import World

JOIN = """
import network, time
w = network.WLAN(network.WLAN.IF_STA)
w.active(True)
def join(ssid, key=None, reconnects=0, timeout=30):
    w.config(reconnects=reconnects)
    w.connect(ssid, key)
    t = time.ticks_ms()
    seen = []
    while time.ticks_diff(time.ticks_ms(), t) < timeout * 1000:
        s = w.status()
        if s not in seen:
            seen.append(s)
        if s not in (1000, 1001):  # after disconnect() a new attempt reads as idle
            break
        time.sleep_ms(50)
    print('join', seen, w.isconnected(), w.ifconfig()[0])
    return s
"""


@pytest.fixture
def world():
    with World(speed=20) as made:
        made.add_access_point(b"home", b"secret123", rssi=-40)
        yield made


def run(world, code, wanted, **kwargs):
    board = world.new_board(None, {"main.py": JOIN + code}, project=False, **kwargs)
    board.power_on()
    return board, board.wait_log(wanted)


def test_joins_with_str_and_with_bytes(world):
    run(world, "join('home', 'secret123')", r"join \[1001, 1010\] True 192\.168\.1\.\d+")
    board, _ = run(world, "join(b'home', b'secret123')", r"join \[1001, 1010\] True")
    assert world.access_points[0].joins == 2
    assert board.station.ip


@pytest.mark.parametrize(
    ("join", "statuses"),
    [
        ("join('home', 'wrong pass')", r"\[1001, 15\]"),
        ("join('nowhere', 'x' * 8)", r"\[1001, 201\]"),
        ("join('home')", r"\[1001, 210\]"),
    ],
)
def test_reasons(world, join, statuses):
    run(world, join, f"join {statuses} False 0.0.0.0")


def test_configured_reason_for_a_wrong_password(world):
    world.add_access_point(b"strict", b"secret123", wrong_password_reason=202)
    run(world, "join('strict', 'wrong pass')", r"join \[1001, 202\]")


def test_stale_reason_outlives_connect(world):
    # 201 of the first attempt is still told while the second is under way, and then it joins.
    run(
        world,
        "join('nowhere')\nw.disconnect()\nprint('idle?', w.status())\n"
        "join('home', 'secret123')\n"
        "while not w.isconnected(): time.sleep_ms(50)\nprint('at last', w.status())\n",
        r"idle\? 201\njoin \[201\] False .*\nat last 1010\n",
    )


def test_reason_15_reads_as_connecting_until_reconnects_are_used_up(world):
    board, _ = run(
        world,
        "join('home', 'wrong pass', reconnects=2)\nprint('n', w.config('reconnects'))\n",
        r"join \[1001, 15\] False .*\nn 2\n",
    )
    assert world.access_points[0].attempts == 3


def test_unlimited_reconnects_never_tell_reason_15(world):
    run(world, "join('home', 'wrong pass', reconnects=-1)", r"join \[1001\] False")


def test_scripted_reasons(world):
    world.access_points[0].reasons = [2, 2, None]
    run(world, "join('home', 'secret123', reconnects=5)", r"join \[1001, 1010\] True")
    assert world.access_points[0].attempts == 3


def test_connect_twice_is_an_internal_error_and_needs_a_started_radio(world):
    run(
        world,
        "w.connect('home', 'secret123')\n"
        "try: w.connect('home', 'secret123')\nexcept OSError as e: print('twice', e)\n"
        "w.active(False)\n"
        "try: w.connect('home', 'secret123')\nexcept OSError as e: print('off', e)\n"
        "try: w.scan()\nexcept OSError as e: print('scan', e)\n"
        "try: w.status('rssi')\nexcept OSError as e: print('rssi', e)\n",
        "twice Wifi Internal Error\noff Wifi Not Started\nscan STA must be active\n"
        "rssi Wifi Not Connected\n",
    )


def test_scan_sees_what_is_up_and_takes_its_time(world):
    world.add_access_point(b"\xff\x00\xfe", b"12345678", rssi=-70, channel=11, auth=6)
    world.add_access_point(b"secret net", b"12345678", hidden=True, rssi=-80)
    gone = world.add_access_point(b"gone", b"12345678")
    gone.up = False
    _board, match = run(
        world,
        "t = time.ticks_ms()\nfor n in w.scan(): print('ap', n)\n"
        "print('ms', time.ticks_diff(time.ticks_ms(), t))\n",
        r"ap \(b'home', b'.*', 6, -40, 3, False\)\n"
        r"ap \(b'\\xff\\x00\\xfe', b'.*', 11, -70, 6, False\)\n"
        r"ap \(b'', b'.*', 6, -80, 3, False\)\nms (\d+)\n",
    )
    assert 2400 <= int(match[1]) < 5000


def test_hidden_network_can_be_joined(world):
    world.add_access_point(b"secret net", b"12345678", hidden=True)
    run(world, "join('secret net', '12345678')", r"join \[1001, 1010\] True")


def test_weak_transmitter_is_told_from_a_wrong_password_by_power(world):
    code = (
        "join('home', 'secret123')\nw.config(txpower=8.5)\nprint('dbm', w.config('txpower'))\n"
        "join('home', 'wrong pass')\njoin('home', 'secret123')\n"
        "while not w.isconnected(): time.sleep_ms(50)\nprint('in')\n"
    )
    run(
        world,
        code,
        r"join \[1001, 2\] False .*\ndbm 8\.5\njoin \[1001, 15\] .*\n(.*\n)*in\n",
        weak_above_dbm=10,
    )
    assert world.access_points[0].joins == 1


def test_open_and_wpa3(world):
    world.add_access_point(b"cafe", b"", auth=0)
    world.add_access_point(b"new", b"12345678", auth=6)
    run(
        world,
        "join('cafe')\njoin('new', '12345678')",
        r"join \[1001, 1010\] True.*\njoin \[1000, 1010\] True",
    )


def test_access_point_gone_and_back(world):
    board, _ = run(
        world,
        "join('home', 'secret123', reconnects=-1)\n"
        "while w.isconnected(): time.sleep_ms(100)\nprint('lost', w.status())\n"
        "while w.status() != 201: time.sleep_ms(100)\nprint('not found')\n"
        "while not w.isconnected(): time.sleep_ms(100)\nprint('back', w.status())\n",
        "join .* True",
    )
    world.access_points[0].up = False
    board.wait_log(r"lost 1001\nnot found\n")
    world.access_points[0].up = True
    board.wait_log("back 1010")


def test_a_blip_shorter_than_the_beacon_timeout_is_not_noticed(world):
    board, _ = run(
        world,
        "join('home', 'secret123')\nwhile w.isconnected(): time.sleep_ms(50)\nprint('lost')",
        "join .* True",
    )
    world.access_points[0].up = False
    world.access_points[0].up = True
    world.advance(seconds=30)
    assert "lost" not in board.log


def test_reset_forgets_the_link(world):
    board, _ = run(world, "join('home', 'secret123')", "join .* True")
    assert board.station.connected
    board.reset()
    assert not board.station.connected


def test_soft_ap_does_not_lie(world):
    run(
        world,
        "a = network.WLAN(network.WLAN.IF_AP)\nprint(a.active())\na.active(True)\n"
        "a.config(ssid='PROV', channel=6)\n"
        "print(a.active(), a.config('ssid'), a.ifconfig()[0], a.isconnected(), "
        "network.WLAN(network.AP_IF) is a)\n",
        r"False\nTrue PROV 192\.168\.4\.1 False True\n",
    )
