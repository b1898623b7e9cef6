# The MQTT client's packets, byte by byte, against a connection that is a list; and the node's JSON.

import asyncio
import json

from homing import devices
from homing.cloud import mqtt, node_config, tls
from homing.cloud.errors import CloudError

CONNACK = b"\x20\x02\x00\x00"


class Wire:
    """What was written is in `sent`; what `come()` adds is read, in pieces as small as asked."""

    def __init__(self, *incoming, answer=None):
        self.sent = b""
        self._data = b"".join(incoming)
        self._ended = False
        self._answer = answer
        self.more = asyncio.Event()

    def come(self, data, end=False):
        self._data += data
        self._ended = end
        self.more.set()

    def write(self, part):
        self.sent += bytes(part)
        if self._answer:
            self._answer(self)

    async def drain(self):
        await asyncio.sleep_ms(0)

    def readinto(self, view):
        if not self._data:
            return 0 if self._ended else None
        count = min(len(view), len(self._data), 700)
        view[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


class Heard:
    def __init__(self):
        self.messages = []
        self.skipped = []

    def __call__(self, topic, payload):
        self.messages.append((bytes(topic), bytes(payload)))


async def opened(wire, ping_ms=60000):
    async def readable(wire):
        wire.more.clear()
        await wire.more.wait()

    tls.readable = readable
    asyncio.StreamWriter = lambda wire: wire
    heard = Heard()
    client = mqtt.Mqtt(heard, heard.skipped.append, ping_ms)
    await client.start(wire, "node-1")
    return client, heard


def publish(topic, payload, qos=0, identifier=None, dup=0):
    body = bytes((0, len(topic))) + topic
    if qos:
        body += bytes((identifier >> 8, identifier & 255))
    body += payload
    length, head = len(body), bytearray((0x30 | dup << 3 | qos << 1,))
    while True:
        head.append(length & 127 | (128 if length > 127 else 0))
        length >>= 7
        if not length:
            return bytes(head) + body


async def fails(work, kind):
    try:
        await work
    except CloudError as e:
        assert e.kind == kind, e
        return
    raise AssertionError("no CloudError")


async def test_connect():
    wire = Wire(CONNACK)
    client, _heard = await opened(wire)
    assert wire.sent == b"\x10\x12\x00\x04MQTT\x04\x02\x00\x78\x00\x06node-1"
    client.stop()


async def test_connect_refused():
    await fails(opened(Wire(b"\x20\x02\x00\x05")), "refused")
    await fails(opened(Wire(b"\x30\x02\x00\x00")), "protocol")


async def test_publish_in_pieces():
    wire = Wire(CONNACK)
    client, _heard = await opened(wire)
    wire.sent = b""
    assert await client.publish("t", (b"ab", b"cd"), 0)
    assert wire.sent == b"\x30\x07\x00\x01tabcd"
    wire.sent = b""
    text = [b"x" * 100] * 3

    def answer(wire):
        if len(wire.sent) == 308:
            wire.come(b"\x40\x02\x00\x01")

    wire._answer = answer
    assert await client.publish("t", lambda: iter(text), 1)
    assert wire.sent[:8] == b"\x32\xb1\x02\x00\x01t\x00\x01" and wire.sent[8:] == b"x" * 300
    client.stop()


async def test_no_acknowledgement_and_one_of_something_else():
    wire = Wire(CONNACK)
    client, _heard = await opened(wire)
    wire.come(b"\x40\x02\x00\x09")
    assert not await client.publish("t", (b"a",), 1, timeout_ms=50)
    client.stop()


async def test_subscribe():
    for code, fits in ((b"\x01", True), (b"\x00", True), (b"\x80", False)):
        wire = Wire(CONNACK)
        client, _heard = await opened(wire)
        wire.sent = b""
        wire._answer = lambda wire, code=code: (
            wire.come(b"\x90\x03\x00\x01" + code) if len(wire.sent) == 8 else None
        )
        if fits:
            await client.subscribe("t")
            assert wire.sent == b"\x82\x06\x00\x01\x00\x01t\x01"
        else:
            await fails(client.subscribe("t"), "refused")
        client.stop()


async def test_incoming():
    wire = Wire(CONNACK)
    client, heard = await opened(wire)
    wire.sent = b""
    wire.come(publish(b"t", b"one"))
    wire.come(publish(b"t", b"two", 1, 7))
    wire.come(publish(b"t", b"two", 1, 7, dup=1))  # repeated: acknowledged, not delivered again
    wire.come(publish(b"t", b"three", 1, 7))  # a new message that has the same number
    wire.come(publish(b"t", b"y" * 4096, 1, 8) + publish(b"t", b"z" * 9000, 1, 9))
    wire.come(publish(b"t", b""))
    while len(heard.messages) < 5:
        await asyncio.sleep_ms(1)
    got = [payload for _topic, payload in heard.messages]
    assert got == [b"one", b"two", b"three", b"y" * 4096, b""]
    assert heard.skipped == [9005]
    assert wire.sent == b"".join([b"\x40\x02\x00" + bytes((n,)) for n in (7, 7, 7, 8, 9)])
    client.stop()


async def test_what_ends_a_connection():
    bad = (
        b"\x30\xff\xff\xff\xff\x01",  # a length of more than four bytes
        b"\x30\x01\x00",  # no room for a topic's length
        b"\x30\x03\x00\x09t",  # a topic that is longer than the packet
        b"\x34\x05\x00\x01t\x00\x01",  # QoS 2
        b"\xf0\x00",
        b"\x20\x02\x00\x00",  # a second CONNACK
    )
    for packet in bad:
        wire = Wire(CONNACK)
        client, _heard = await opened(wire)
        wire.come(packet)
        await fails(client.wait(1000), "protocol")
        client.stop()
    wire = Wire(CONNACK)
    client, _heard = await opened(wire)
    wire.come(b"", end=True)
    await fails(client.publish("t", (b"a",), 1, timeout_ms=1000), "cut")
    client.stop()


async def test_ping():
    mqtt_pause = mqtt.asyncio.sleep_ms
    wire = Wire(CONNACK)
    wire._answer = lambda wire: wire.come(b"\xd0\x00") if wire.sent.endswith(b"\xc0\x00") else None

    class Fast:
        def __getattr__(self, name):
            return getattr(asyncio, name)

        async def sleep_ms(self, ms):
            await mqtt_pause(min(ms, 5))

    mqtt.asyncio = Fast()
    client, _heard = await opened(wire)
    wire.sent = b""
    while wire.sent.count(b"\xc0\x00") < 3:
        await mqtt_pause(1)
    wire._answer = None
    await fails(client.wait(10000), "timeout")
    client.stop()


class Model:
    node_id = "node-1"

    def __init__(self, groups, **info):
        self.groups = groups
        self.info = info


def config(groups, **info):
    return json.loads(b"".join(node_config.pieces(Model(groups, **info))))


def test_node_config():
    """docs/protocol.md 9.2 of the project: keys, types, what is left out."""
    light = devices.Light("Lamp", brightness=25, hue=120)
    heat = devices.TemperatureSensor("Cellar")
    mode = devices.Param("Mode", "a", choices=("a", "b"))
    own = devices.Service("Own", "my.service", (mode,))
    found = config(
        [light, heat, own], name="n", fw_version="1", readme='a "b"', attributes={"k": "v"}
    )
    assert found["node_id"] == "node-1" and found["config_version"] == "2020-03-20"
    assert found["info"] == {"name": "n", "fw_version": "1", "readme": 'a "b"'}
    assert found["attributes"] == [{"name": "k", "value": "v"}]
    lamp, cellar = found["devices"]
    assert (lamp["type"], lamp["primary"]) == ("esp.device.lightbulb", "Power")
    assert [param["type"] for param in lamp["params"]] == [
        "esp.param.name",
        "esp.param.power",
        "esp.param.brightness",
        "esp.param.hue",
    ]
    assert lamp["params"][2] == {
        "name": "Brightness",
        "type": "esp.param.brightness",
        "data_type": "int",
        "properties": ["read", "write"],
        "bounds": {"min": 0, "max": 100, "step": 1},
        "ui_type": "esp.ui.slider",
    }
    assert cellar["type"] == "esp.device.temperature-sensor"
    assert cellar["params"][1]["data_type"] == "float"
    assert cellar["params"][1]["properties"] == ["read"]
    (service,) = found["services"]
    assert service["params"] == [
        {
            "name": "Mode",
            "data_type": "string",
            "properties": ["read", "write"],
            "valid_strs": ["a", "b"],
        }
    ]
    assert config([]) == {
        "node_id": "node-1",
        "config_version": "2020-03-20",
        "info": {},
        "attributes": [],
        "devices": [],
        "services": [],
    }
