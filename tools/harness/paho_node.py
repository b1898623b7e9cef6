"""A RainMaker node that is no board: paho-mqtt with a node's credentials. For tests of the cloud,
and of whoever is on the other side of it."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

from tools.cloud.broker import NODE_TOPICS, REMOTE
from tools.cloud.mqtt import connect
from tools.cloud.node_credentials import NodeCredentials

_WAIT_S = 10.0


def lamp_config(node_id: str) -> dict[str, Any]:
    """A node's configuration: a switch named Lamp, and the services that the Home app sets up."""
    name = {"name": "Name", "type": "esp.param.name", "data_type": "string"}
    power = {"name": "Power", "type": "esp.param.power", "data_type": "bool"}
    zone = {"name": "TZ", "type": "esp.param.tz", "data_type": "string"}
    posix = {"name": "TZ-POSIX", "type": "esp.param.tz_posix", "data_type": "string"}
    token = {"name": "UserToken", "type": "esp.param.user-token", "data_type": "string"}
    base = {"name": "BaseURL", "type": "esp.param.base-url", "data_type": "string"}
    both = {"properties": ["read", "write"]}
    return {
        "node_id": node_id,
        "config_version": "2020-03-20",
        "info": {"name": "Lamp", "fw_version": "1.0", "type": "Switch", "model": "homing"},
        "attributes": [],
        "devices": [
            {
                "name": "Lamp",
                "type": "esp.device.switch",
                "primary": "Power",
                "params": [name | both, power | both | {"ui_type": "esp.ui.toggle"}],
            }
        ],
        "services": [
            {"name": "Time", "type": "esp.service.time", "params": [zone | both, posix | both]},
            {
                "name": "RMUserAuth",
                "type": "esp.service.rmaker-user-auth",
                "params": [token | {"properties": ["write"]}, base | both],
            },
        ],
    }


class PahoNode:
    """Connected from the beginning; use as a context manager. Calls block, in the caller's thread:
    not on the cloud's loop.

    on_write: called in paho's thread with what a user wrote, {device: {param: value}}; what it
    returns is reported as it is. Without one, everything is accepted but tokens are kept quiet.
    client_id: another than the node id, which the real cloud refuses.
    """

    def __init__(
        self,
        credentials: NodeCredentials,
        ca_pem: bytes,
        port: int,
        on_write: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        wait_s: float = _WAIT_S,
        client_id: str | None = None,
    ) -> None:
        self.node_id = credentials.node_id
        self.written: queue.Queue[dict[str, Any]] = queue.Queue()
        self._on_write = on_write or _accept
        self._subscribed = threading.Event()
        self._client = connect(credentials, ca_pem, client_id)
        self._client.on_connect = self._connected
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait_subscribed(wait_s)

    def __enter__(self) -> PahoNode:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait_subscribed(self, wait_s: float = _WAIT_S) -> None:
        """Until what is written reaches this node. Raises ConnectionError, and closes."""
        if not self._subscribed.wait(wait_s):
            self.close()
            raise ConnectionError("the broker does not take this node")

    def _connected(self, client: paho.Client, *_rest: Any) -> None:
        client.subscribe(f"node/{self.node_id}/{REMOTE}", 1)

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        params = json.loads(message.payload)
        self.written.put(params)
        answer = self._on_write(params)
        if answer:
            self.publish("params/local", answer, wait=False)

    def publish(
        self,
        end: str,
        document: Any,
        *,
        ingest: bool = True,
        wait: bool = True,
        node_id: str | None = None,
    ) -> None:
        """Publish to this node's topic (or, to see it refused, another's); waits for the PUBACK."""
        topic = f"node/{node_id or self.node_id}/{end}"
        if ingest:
            topic = f"$aws/rules/{NODE_TOPICS[end]}/{topic}"
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        sent = self._client.publish(topic, payload, qos=1)
        if wait:
            sent.wait_for_publish(_WAIT_S)

    def introduce(self, params: dict[str, Any] | None = None) -> None:
        """The first messages of a node: what it is, and how it is."""
        self.publish("config", lamp_config(self.node_id))
        self.publish(
            "params/local/init",
            params or {"Lamp": {"Name": "Lamp", "Power": False}, "Time": {"TZ": ""}},
        )

    def map(self, user_id: str, secret: str, *, reset: bool = False) -> None:
        """The mapping message."""
        said: dict[str, Any] = {"node_id": self.node_id, "user_id": user_id, "secret_key": secret}
        self.publish("user/mapping", said | ({"reset": True} if reset else {}))


def _accept(params: dict[str, Any]) -> dict[str, Any]:
    """Report what was written, but no token."""
    return {
        device: {k: v for k, v in values.items() if "Token" not in k}
        for device, values in params.items()
    }
