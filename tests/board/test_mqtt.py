"""A RainMaker node on a real broker: what it tells, what it takes, and what it makes of trouble."""

from __future__ import annotations

import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tools.cloud.broker import MISSING, MQTT_HOST, MQTT_PORT, find
from tools.cloud.certs import Authority
from tools.harness import leaks
from tools.harness.bench import NODE_ID
from tools.harness.mosquitto import credentials, issue
from tools.harness.node_bench import (
    CONFIG,
    INIT,
    MAPPING,
    PARAMS,
    PENDING,
    REMOTE,
    SECRET,
    USER,
    NodeBench,
)

pytestmark = pytest.mark.skipif(find() is None, reason=MISSING)

CONFIRMED = {"st": "confirmed", "user": USER}
REPORT = {"node_id": NODE_ID, "user_id": USER, "secret_key": SECRET}


def fault(node: NodeBench, text: str) -> None:
    """Wait until it says what is wrong."""
    node.board.wait_text(f'"cloud": "rainmaker", "fault": "{text}')


def test_tells_what_it_is_and_takes_what_an_app_writes() -> None:
    with NodeBench(mapping=PENDING) as node:
        topics = [topic for topic, _payload in node.cloud.messages]
        assert topics == [CONFIG, MAPPING, INIT]
        assert node.cloud.of(MAPPING) == [REPORT]
        zone = {"TZ": "", "TZ-POSIX": ""}
        system = {"Reboot": False, "Factory-Reset": False, "Wi-Fi-Reset": False}
        lamp = {"Name": "Lamp", "Power": False}
        assert node.cloud.of(INIT) == [{"Lamp": lamp, "Time": zone, "System": system}]
        states = [s["is"] for s in node.board.states() if s["state"] == "cloud"]
        assert states == ["sent", "confirmed", "confirmed"]
        node.cloud.write({"Lamp": {"Power": True}})
        node.board.wait_text("lamp: Power True")
        node.until(lambda: node.cloud.of(PARAMS) == [{"Lamp": {"Power": True}}])
        assert node.kept() == CONFIRMED
        for secret in (SECRET, SECRET.encode().hex()):
            assert secret not in node.board.log
        assert not any(SECRET.encode() in content for content in node.sim.files().values())


def test_what_is_refused_is_answered_with_what_stays() -> None:
    main = """
import homing.devices

def turned(param, value):
    if value == 13:
        raise ValueError
    if value == 14:
        1 / 0
    print("light:", param.name, value)

light = homing.devices.Light("Light", turned, brightness=50)
homing.run(devices=[light])
"""
    stays = [{"Light": {"Brightness": 50}}]
    with NodeBench(main) as node:
        for refused in (101, -1, "full", True, 50.5, None, 13, 14):
            before = len(node.cloud.of(PARAMS))
            node.cloud.write({"Light": {"Brightness": refused}})
            node.until(lambda n=before: node.cloud.of(PARAMS)[n:] == stays)
        for nonsense in (b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b"null", b"[" * 500):
            node.cloud.write(nonsense)
        for unknown in ({"Nobody": {"Power": True}}, {"Light": {"Shade": 1}}, {"Light": 7}, {}):
            node.cloud.write(unknown)
        node.cloud.write({"Light": {"Brightness": 80, "Power": False}, "Nobody": {}})
        after = {"Light": {"Brightness": 80, "Power": False}}
        node.until(lambda: node.cloud.of(PARAMS)[-1] == after)
        assert len(node.cloud.of(PARAMS)) == 9
        assert node.board.log.count("light: ") == 2


def test_the_board_changes_it_too() -> None:
    main = """
import asyncio, homing.devices
lamp = homing.devices.Switch("Lamp")
thermometer = homing.devices.TemperatureSensor("Cellar")

async def app(me):
    while not me.clouds["rainmaker"] == "confirmed":
        await asyncio.sleep_ms(100)
    await asyncio.sleep(2)
    lamp.power = True
    thermometer.temperature = 21.5
    for bad in (1, "on"):
        try:
            lamp.power = bad
        except ValueError:
            print("not", bad)

homing.run(app, devices=[lamp, thermometer])
"""
    with NodeBench(main, mapping=PENDING) as node:
        both = {"Lamp": {"Power": True}, "Cellar": {"Temperature": 21.5}}
        node.until(lambda: node.cloud.of(PARAMS) == [both])
        node.board.wait_text("not on")


def test_a_name_survives_a_power_cut_and_so_does_what_is_flagged() -> None:
    main = """
import homing.devices
from homing.devices import Param

def written(param, value):
    print("given:", param.name, value)

mood = Param("Mood", "calm", persist=True, choices=("calm", "wild"))
lamp = homing.devices.Switch("Lamp", written, params=[mood])
homing.run(devices=[lamp])
"""
    with NodeBench(main) as node:
        node.cloud.write({"Lamp": {"Name": "Küche", "Mood": "wild", "Power": True}})
        node.until(lambda: node.cloud.of(PARAMS))
        assert "given: Name" not in node.board.log
        start = len(node.board.log)
        node.sim.power_off()
        node.board.skip_to_now()
        node.on()
        lamp = node.cloud.of(INIT)[-1]["Lamp"]
        assert lamp == {"Name": "Küche", "Mood": "wild", "Power": False}
        assert re.findall("given: .*[^\r\n]", node.board.log[start:]) == ["given: Mood wild"]


def test_time_zone() -> None:
    main = """
import asyncio, homing

async def app(me):
    while True:
        print("local", me.local_time()[3:5], "utc", __import__("time").gmtime()[3:5])
        await asyncio.sleep(1)

homing.run(app, services=("time",))
"""
    with NodeBench(main) as node:
        node.cloud.write({"Time": {"TZ": "Asia/Kolkata"}})
        told = {"Time": {"TZ": "Asia/Kolkata", "TZ-POSIX": "IST-5:30"}}
        node.until(lambda: node.cloud.of(PARAMS) == [told])
        start = len(node.board.log)
        found = node.board.wait_text(r"local \((\d+), (\d+)\) utc \((\d+), (\d+)\)", start=start)
        local, utc = 60 * int(found[1]) + int(found[2]), 60 * int(found[3]) + int(found[4])
        assert (local - utc) % 1440 == 330
        node.cloud.write({"Time": {"TZ": "Atlantis/Capital"}})
        node.until(lambda: node.cloud.of(PARAMS)[1:] == [{"Time": {"TZ": "Asia/Kolkata"}}])
        node.cloud.write({"Time": {"TZ-POSIX": "CET-1CEST,M3.5.0,M10.5.0/3"}})
        told = {"Time": {"TZ": "", "TZ-POSIX": "CET-1CEST,M3.5.0,M10.5.0/3"}}
        node.until(lambda: node.cloud.of(PARAMS)[2:] == [told])
        node.sim.power_off()
        node.board.skip_to_now()
        node.on()
        assert node.cloud.of(INIT)[-1] == told


def test_tokens_are_taken_kept_and_never_told() -> None:
    main = """
import homing
from homing.services import UserAuth
user = UserAuth()
async def app(me):
    print("its token has", len(user["UserToken"].value))
homing.run(app, services=(user, "agent-auth"), info={"readme": "Feed it."})
"""
    token = "a-refresh-token-" + "x" * 1800
    leaks.run().secret(token[:32], leaks.TOKEN)
    with NodeBench(main) as node:
        config = node.cloud.of(CONFIG)[0]
        assert config["info"]["readme"] == "Feed it."
        params = {p["name"]: p for p in config["services"][0]["params"]}
        assert params["UserToken"]["properties"] == ["write"]
        assert params["UserTokenStatus"]["properties"] == ["read"]
        node.board.wait_text("its token has 0")
        api = "https://api.rainmaker.espressif.com/"
        node.cloud.write({"RMUserAuth": {"UserToken": token, "BaseURL": api}})
        told = {"RMUserAuth": {"BaseURL": api, "UserTokenStatus": 1}}
        node.until(lambda: node.cloud.of(PARAMS) == [told])
        refused = {"RMUserAuth": {"UserTokenStatus": 2}}
        node.cloud.write(refused)
        still = {"RMUserAuth": {"UserTokenStatus": 1}}
        node.until(lambda: node.cloud.of(PARAMS)[1:] == [still])
        agent = config["services"][1]["params"][0]["name"]
        node.cloud.write({"Agent-Auth": {agent: token}})
        node.until(lambda: str(node.kept("tokens").values()).count(token) == 2)
        node.sim.power_off()
        node.on()
        node.board.wait_text(f"its token has {len(token)}")
        assert node.cloud.of(INIT)[-1] == told
        sent = b"".join(p for topic, p in node.cloud.messages if topic != REMOTE)
        assert token[:16] not in node.board.log and token[:16].encode() not in sent
        node.board.mpremote("exec", "import homing; homing.factory_reset()")
        assert node.kept("tokens") == {}


@pytest.mark.parametrize("what", ["Reboot", "Wi-Fi-Reset", "Factory-Reset"])
def test_system_service(what: str) -> None:
    with NodeBench(mapping=PENDING) as node:
        node.cloud.write({"System": {what: False}})
        node.until(lambda: node.cloud.of(PARAMS))
        start = len(node.board.log)
        node.cloud.write({"System": {what: True}})
        node.until(lambda: {"System": {what: True}} in node.cloud.of(PARAMS))
        node.board.wait_text("@boot", start=start)
        if what == "Reboot":
            node.connected()
            assert node.kept() == CONFIRMED and node.kept("wifi")
            return
        node.board.wait_text('"unprovisioned"', start=start)
        assert node.kept("wifi") == {}
        assert node.kept("credentials") and node.kept("identity")
        reports = node.cloud.of(MAPPING)[1:]
        if what == "Wi-Fi-Reset":
            assert reports == [] and node.kept() == CONFIRMED
        else:  # while there was a connection the cloud heard of it at once
            told = {"node_id": NODE_ID, "user_id": "esp-rmaker", "secret_key": "failed"}
            assert reports == [told | {"reset": True}]
            assert "secret" not in node.kept()


def test_broker_away_and_back() -> None:
    """For minutes, with a change meanwhile: the last state is told once the broker is back."""
    main = """
import homing.devices
from machine import Pin

lamp = homing.devices.Switch("Lamp", lambda param, value: print("lamp:", value))
button = Pin(4, Pin.IN, Pin.PULL_UP)

async def app(me):
    import asyncio
    while True:
        if button.value() == 0:
            lamp.power = True
        await asyncio.sleep_ms(100)

homing.run(app, devices=[lamp])
"""
    with NodeBench(main) as node:
        node.broker.stop()
        fault(node, "(cut|connect|tls)")
        node.lab.world.advance(seconds=60)
        node.sim.set_pin(4, 0)
        node.lab.world.advance(seconds=60)
        node.sim.set_pin(4, None)
        node.board.skip_to_now()
        node.lab.world.unroute(MQTT_HOST, MQTT_PORT)  # until the cloud listens again
        node.broker.start()
        node.cloud.back()
        node.lab.world.route(MQTT_HOST, MQTT_PORT, "127.0.0.1", node.broker.port)
        node.connected()
        node.until(lambda: node.cloud.of(PARAMS))
        last = node.cloud.of(PARAMS)[0]["Lamp"]
        assert last == {"Name": "Lamp", "Power": True}
        node.cloud.write({"Lamp": {"Power": False}})
        node.board.wait_text("lamp: False")
        # A day of outage is one line, not one per attempt.
        assert node.board.log.count('"fault"') <= 3


def test_duplicates_and_what_comes_in_another_order() -> None:
    """The last that has come counts, however often; each report is what the board has then."""
    with NodeBench() as node:
        for value in (True, True, False, True, False, False):
            node.cloud.write({"Lamp": {"Power": value}})
        node.cloud.write({"Lamp": {"Power": False, "Name": "Attic"}}, qos=0)
        node.until(lambda: any("Name" in told["Lamp"] for told in node.cloud.of(PARAMS)))
        now: dict[str, object] = {}
        for told in node.cloud.of(PARAMS):
            now |= told["Lamp"]
        assert now == {"Power": False, "Name": "Attic"}
        assert '"fault"' not in node.board.log


def test_no_connection_before_the_clock_is_set() -> None:
    with NodeBench(on=False, mapping=PENDING) as node:
        node.lab.world.ntp.up = False
        node.sim.power_on()
        node.board.wait_text("clock not set: no time server answers")
        node.lab.world.advance(seconds=60)
        assert not node.cloud.messages and node.kept() == PENDING
        node.lab.world.ntp.up = True
        node.lab.world.advance(seconds=30)
        node.connected()
        assert node.cloud.of(MAPPING) == [REPORT]


def test_silent_network_is_noticed() -> None:
    """Keep-alive: nothing is broken, nothing comes either."""
    with NodeBench() as node:
        node.lab.world.advance(seconds=400)
        assert len(re.findall("Received PINGREQ from " + NODE_ID, node.broker.log)) >= 3
        node.board.skip_to_now()
        node.sim.network.flowing.clear()
        fault(node, "timeout: no answer")
        node.sim.network.flowing.set()
        node.connected()


def test_large_messages() -> None:
    """4 KB are taken; what is larger is skipped, said, and does no harm."""
    main = """
import homing.devices
from homing.devices import Param

note = Param("Note", "")
lamp = homing.devices.Switch("Lamp", lambda param, value: print("note:", len(value)), params=[note])
homing.run(devices=[lamp])
"""
    with NodeBench(main) as node:
        frame = len(json.dumps({"Lamp": {"Note": ""}}))
        for length, taken in ((4096, True), (30000, False), (5000, False), (4096, True)):
            text = chr(ord("a") + length % 26) * (length - frame)
            start, before = len(node.board.log), len(node.cloud.of(PARAMS))
            node.cloud.write({"Lamp": {"Note": text}})
            if taken:
                node.board.wait_text(f"note: {len(text)}", start=start)
                report = [{"Lamp": {"Note": text}}]
                node.until(lambda n=before, r=report: node.cloud.of(PARAMS)[n:] == r)
            else:
                node.board.wait_text("write: 3?5?[0-9]+ bytes are too long", start=start)


@pytest.mark.parametrize("kind", ["expired", "host", "authority"])
def test_wrong_certificate_of_the_broker(kind: str) -> None:
    said = {
        "expired": "certificate: expired",
        "host": "certificate: other host name",
        "authority": "certificate: unknown authority",
    }
    with NodeBench(on=False, mapping=PENDING) as node:
        node.broker.stop()
        if kind == "expired":
            node.broker.serve(expired=True)
        elif kind == "host":
            node.broker.serve("a124-ats.iot.us-east-1.amazonaws.com")
        else:
            node.broker.serve(by=Authority("Some other authority"))
        node.broker.start()
        node.sim.power_on()
        fault(node, said[kind])
        assert node.cloud.of(CONFIG) == [] and node.kept() == PENDING
        node.broker.stop()
        node.broker.serve()
        node.broker.start()
        node.connected()
        assert node.kept() == CONFIRMED


@pytest.mark.parametrize("kind", ["stranger", "garbage", "none"])
def test_wrong_certificate_of_the_node(kind: str) -> None:
    """Of another authority, none that can be read, none at all."""
    stranger = Authority("Some other authority")
    wrong: dict[str, dict[str, bytes | str | int]] = {
        "stranger": credentials(*issue(stranger, NODE_ID)),
        "garbage": {"host": MQTT_HOST, "cert": b"no certificate", "key": b"no key"},
        "none": {"host": MQTT_HOST},
    }
    said = {
        "stranger": "(tls|cut)",
        "garbage": "certificate: of this node cannot be read",
        "none": "no node credentials",
    }
    with NodeBench(on=False, mapping=PENDING, store={"credentials": wrong[kind]}) as node:
        node.sim.power_on()
        fault(node, said[kind])
        node.lab.world.advance(seconds=60)
        assert node.cloud.messages == [] and node.kept() == PENDING
        assert "Traceback" not in node.board.log


def test_rsa() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with NodeBench(key=key, mapping=PENDING) as node:
        assert node.kept() == CONFIRMED


def test_mapping_once_across_reboots() -> None:
    """Not acknowledged while the broker is away; then once, and never again."""
    with NodeBench(on=False, mapping=PENDING | {"reset": 1}) as node:
        node.broker.stop()
        for _ in range(2):
            node.sim.power_on()
            fault(node, "(cut|connect)")
            node.sim.power_off()
            node.board.skip_to_now()
            assert node.kept() == PENDING | {"reset": 1}
        node.broker.start()
        node.cloud.back()
        for _ in range(3):
            node.on()
            node.sim.power_off()
            node.board.skip_to_now()
        assert node.cloud.of(MAPPING) == [REPORT | {"reset": True}]
        assert node.kept() == CONFIRMED
        assert len(node.cloud.of(CONFIG)) == 3


def test_devices_without_credentials() -> None:
    """They work, and a sentence says why no app sees them."""
    main = """
import asyncio, homing.devices
lamp = homing.devices.Switch("Lamp")

async def app(me):
    lamp.power = True
    print("lamp", lamp.power)

homing.run(app, devices=[lamp])
"""
    identity = {"pop": "K7QM2X9ADRT4", "node_id": NODE_ID}
    with NodeBench(main, on=False, store={"identity": identity}) as node:
        node.sim.power_on()
        node.board.wait_text("lamp True")
        node.board.wait_text("devices are not in any cloud: this board has no node credentials")
        assert node.cloud.messages == []
