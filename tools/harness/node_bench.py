"""A RainMaker node on the bench: a real broker, a client of it that is not ours, credentials."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paho.mqtt import client as paho

from tools.cloud.broker import CLOUD_NAME, MQTT_HOST, MQTT_PORT
from tools.cloud.certs import Authority

from .bench import NODE_ID, PASSWORD, POP, SSID, SimBench
from .mosquitto import Key, Mosquitto, credentials, issue
from .stored import store_files, stored

USER = "user-of-the-test"
SECRET = "mapping-secret-of-the-test"
WIFI = {"ssid": SSID.encode(), "password": PASSWORD.encode()}
PENDING = {"st": "pending", "user": USER, "secret": SECRET}
RULES = "$aws/rules/"
CONFIG = f"{RULES}esp_node_config/node/{NODE_ID}/config"
MAPPING = f"{RULES}esp_user_node_mapping/node/{NODE_ID}/user/mapping"
PARAMS = f"{RULES}esp_set_params/node/{NODE_ID}/params/local"
INIT = f"{RULES}esp_init_params/node/{NODE_ID}/params/local/init"
REMOTE = f"node/{NODE_ID}/params/remote"
MAIN = """
import homing.devices

def switched(param, value):
    print("lamp:", param.name, value)

lamp = homing.devices.Switch("Lamp", on_write=switched)
homing.run(devices=[lamp])
"""


def _context(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.check_hostname = False  # it knows the broker by its port, not by its name
    certificate, key = issue(authority, CLOUD_NAME)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # ssl loads keys from files only
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


class Cloud:
    """Sees and sends everything, through paho-mqtt. messages: (topic, payload)."""

    def __init__(self, broker: Mosquitto) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self.client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, CLOUD_NAME)
        client.tls_set_context(_context(broker.authority))
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda *_: client.subscribe([("#", 1), ("$aws/#", 1)])
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_disconnect = lambda *_: self._subscribed.clear()
        client.on_message = lambda _c, _u, m: self.messages.append((m.topic, m.payload))
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        self.back()

    def back(self) -> None:
        """Wait until it hears what is published, for the first time or again."""
        assert self._subscribed.wait(30)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def of(self, topic: str) -> list[dict[str, Any]]:
        """What came under a topic, in order."""
        return [json.loads(payload) for at, payload in list(self.messages) if at == topic]

    def write(self, fields: Any, qos: int = 1) -> None:
        """As an app does it."""
        payload = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        self.client.publish(REMOTE, payload, qos).wait_for_publish(10)


class NodeBench:
    """A board with node credentials, its network known, its broker there; `with NodeBench()`.

    mapping: its namespace "rainmaker". store: more namespaces. on=False: the board is left off;
    else it is connected when the block begins.
    """

    def __init__(
        self,
        main: str = MAIN,
        mapping: dict[str, Any] | None = None,
        store: dict[str, dict[str, Any]] | None = None,
        key: Key | None = None,
        on: bool = True,
        **options: Any,
    ) -> None:
        self._on = on
        self.authority = Authority()
        self.broker = Mosquitto(self.authority)
        kind = "ec" if key is None else "rsa"
        self.issued = issue(self.authority, NODE_ID, key)
        kept: dict[str, dict[str, Any]] = {
            "identity": {"pop": POP, "node_id": NODE_ID, "node_key": kind},
            "wifi": WIFI,
            "credentials": credentials(*self.issued),
        }
        if mapping:
            kept["rainmaker"] = mapping
        kept |= store or {}
        files: dict[str, Any] = dict(store_files(kept))
        files |= {"main.py": main, f"certs/{MQTT_HOST}.der": self.authority.der}
        files |= options.pop("files", {})
        self.lab = SimBench(identity={}, power=False, files=files, **options)

    def __enter__(self) -> NodeBench:
        self.broker.start()
        self.cloud = Cloud(self.broker)
        self.lab.__enter__()
        self.lab.world.route(MQTT_HOST, MQTT_PORT, "127.0.0.1", self.broker.port)
        self.board, self.sim = self.lab.board, self.lab.sim
        if self._on:
            try:
                self.on()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self.lab.check()
        finally:
            self.lab.__exit__()
            self.cloud.close()
            self.broker.__exit__()

    def on(self) -> None:
        """Power on; back when it is connected to the broker."""
        self.sim.power_on()
        self.connected()

    def connected(self) -> None:
        """Wait until it says that it is connected."""
        self.board.wait_state("cloud", cloud="rainmaker", mqtt="connected")

    def until(self, condition: Callable[[], Any], timeout_s: float = 20) -> Any:
        """Wait for something outside the board, while its time goes on."""
        deadline = time.monotonic() + timeout_s
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.board.log}\n{self.cloud.messages}\n{self.broker.log}")
            self.lab.world.advance(seconds=0.2)
            time.sleep(0.01)
        return found

    def kept(self, namespace: str = "rainmaker") -> dict[str, Any]:
        """What the board has in flash."""
        return stored(self.sim, namespace)
