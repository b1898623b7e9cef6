"""RainMaker's MQTT side: the cloud as a client of its own broker.

What nodes publish goes to the part that it is for; what users write goes out to nodes. Whatever a
node sends is checked here: only JSON objects, only about itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from .broker import CLOUD_NAME, MQTT_HOST, NODE_TOPICS, REMOTE, Broker, BrokerError
from .certs import Authority
from .node_credentials import NodeCredentials, issue
from .rainmaker import RainMaker

_LOOPBACK = "127.0.0.1"
_READY_S = 10.0
_RULES = {rule: end for end, rule in NODE_TOPICS.items()}

Tell = Callable[[str, str, bool], None]  # direction, topic, whether it was good


class Mqtt:
    """Broker and client together; start and stop on the loop that the cloud runs on."""

    def __init__(self, authority: Authority, rainmaker: RainMaker, tell: Tell) -> None:
        self._rainmaker = rainmaker
        self._tell = tell
        self.authority = authority
        self._own = issue(authority, CLOUD_NAME, MQTT_HOST)
        self.broker = Broker(
            authority.pem, authority.server_pem((MQTT_HOST,)), self._later(self._present)
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: paho.Client | None = None

    @property
    def port(self) -> int:
        return self.broker.port

    async def start(self, port: int = 0) -> None:
        """Broker up, cloud connected and subscribed. Raises BrokerError."""
        self._loop = loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.broker.start, port)
        ready = threading.Event()
        client = connect(self._own, self.authority.pem)
        client.on_connect = _subscribe
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = self._later(lambda _c, _u, m: self._received(m.topic, m.payload))
        client.connect_async(_LOOPBACK, self.broker.port)
        client.loop_start()
        self._client = client
        try:
            if not await loop.run_in_executor(None, ready.wait, _READY_S):
                raise BrokerError("the broker does not answer its own cloud")
        except BaseException:
            await self.stop()
            raise
        self._rainmaker.nodes.publish = self._publish

    async def stop(self) -> None:
        """Idempotent."""
        self._rainmaker.nodes.publish = None
        loop = asyncio.get_running_loop()
        if self._client is not None:
            self._client.disconnect()
            await loop.run_in_executor(None, self._client.loop_stop)
            self._client = None
        await loop.run_in_executor(None, self.broker.stop)

    def _later(self, do: Callable[..., None]) -> Callable[..., None]:
        """For callbacks from threads: `do` is called on the loop."""

        def call(*args: Any) -> None:
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested
                    self._loop.call_soon_threadsafe(do, *args)

        return call

    def _present(self, node_id: str, connected: bool) -> None:
        if node_id != CLOUD_NAME:
            self._rainmaker.nodes.present(node_id, connected)

    def _publish(self, node_id: str, payload: bytes) -> None:
        topic = f"node/{node_id}/{REMOTE}"
        if self._client is not None:
            self._client.publish(topic, payload, qos=1)
            self._tell("out", topic, True)

    def _received(self, topic: str, payload: bytes) -> None:
        parts = topic.split("/")
        if parts[:2] == ["$aws", "rules"]:
            parts = parts[3:]
        node_id, end = parts[1], "/".join(parts[2:])
        short = "/".join(parts)
        try:
            said = json.loads(payload)
            if not isinstance(said, dict):
                raise ValueError("not an object")
            self._take(node_id, end, said)
        except (ValueError, TypeError):
            self._tell("in", short, False)
        else:
            self._tell("in", short, True)

    def _take(self, node_id: str, end: str, said: dict[str, Any]) -> None:
        if end == "config":
            self._rainmaker.nodes.configured(node_id, said)
        elif end == "user/mapping":
            user, secret = said.get("user_id"), said.get("secret_key")
            if said.get("node_id") != node_id:
                raise ValueError("a mapping of another node")
            if not (isinstance(user, str) and user and isinstance(secret, str) and secret):
                raise ValueError("no user or no secret")
            self._rainmaker.report(node_id, secret, user, reset=said.get("reset") is True)
        else:
            self._rainmaker.nodes.reported(node_id, said)


def connect(credentials: NodeCredentials, ca_pem: bytes) -> paho.Client:
    """A client with those credentials that trusts that authority; not connected yet. Its client id
    is the node's id, as the real cloud demands."""
    context = ssl.create_default_context(cadata=ca_pem.decode())
    # Reached by its address; that the certificate has the host's name is for boards to check.
    context.check_hostname = False
    with tempfile.TemporaryDirectory() as directory:
        credentials.save(Path(directory))
        context.load_cert_chain(f"{directory}/node.crt", f"{directory}/node.key")
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2, credentials.node_id, protocol=paho.MQTTv311
    )
    client.tls_set_context(context)
    client.reconnect_delay_set(1, 2)
    return client


def _subscribe(client: paho.Client, *_rest: Any) -> None:
    topics = [f"node/+/{end}" for end in NODE_TOPICS]
    topics += [f"$aws/rules/{rule}/node/+/{end}" for rule, end in _RULES.items()]
    client.subscribe([(topic, 1) for topic in topics])
