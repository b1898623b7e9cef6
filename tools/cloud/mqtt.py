"""RainMaker's MQTT side: the cloud as a client of its own broker.

What nodes publish goes to the part that it is for; what users write goes out to nodes. Whatever a
node sends is checked here: only JSON objects, only about itself.

The real broker refuses a client whose id is not its certificate's name, and a certificate that it
does not know. This one takes the connection, but as long as it lasts nothing that comes from that
node counts, and nothing goes to it. A node that is connected rightly at the same time, with the
same certificate, suffers too.
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

from .broker import CLOUD_NAME, LEFT, MQTT_HOST, NODE_TOPICS, REMOTE, Broker, BrokerError
from .certs import Authority
from .node_credentials import NodeCredentials, issue
from .rainmaker import RainMaker

_LOOPBACK = "127.0.0.1"
_READY_S = 10.0
_RULES = {rule: end for end, rule in NODE_TOPICS.items()}

_ID_LEN_MAX = 64  # of a client's id, as far as it is quoted

# Method and route of the log, status, and what is wrong.
Tell = Callable[[str, str, int, str], None]


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
        # Who is connected and should not be: client id and certificate's name. And the names of
        # those of them that went, but of whom messages may be under way.
        self._refused: list[tuple[str, str]] = []
        self._leaving: list[str] = []

    @property
    def port(self) -> int:
        return self.broker.port

    async def start(self, port: int = 0) -> None:
        """Broker up, cloud connected and subscribed. Raises BrokerError."""
        self._loop = loop = asyncio.get_running_loop()
        self._refused.clear()
        self._leaving.clear()
        await loop.run_in_executor(None, self.broker.start, port)
        ready = threading.Event()
        client = connect(self._own, self.authority.pem)
        client.on_connect = _subscribe
        client.on_subscribe = lambda *_: ready.set()
        received = self._later(self._received)

        def take(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            self.broker.catch_up()
            received(message.topic, message.payload)

        client.on_message = take
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

    def _present(self, client_id: str, node_id: str, connected: bool) -> None:
        client = (client_id, node_id)
        if node_id == CLOUD_NAME:
            return
        if connected and (why := self._fault(client_id, node_id)):
            self._refused.append(client)
            self._tell("MQTT connect", f"node/{node_id}", 403, why)
        elif client in self._refused:
            self._refused.remove(client)
            if self._client is not None:
                # Comes back behind whatever the broker had from that client.
                self._leaving.append(node_id)
                self._client.publish(LEFT, node_id, qos=1)
        else:
            self._rainmaker.nodes.present(node_id, connected)

    def _fault(self, client_id: str, node_id: str) -> str:
        if client_id != node_id:
            return (
                f"RainMaker refuses the client id {client_id[:_ID_LEN_MAX]!r}, as it is not the "
                f"certificate's name: connect with the node id, {node_id}, as the client id"
            )
        if self._rainmaker.nodes.certificate(node_id) is None:
            return (
                f"RainMaker refuses a certificate that it did not register: start the cloud with "
                f"--node {node_id}, and give the node the credentials that are made then"
            )
        return ""

    def refuses(self, node_id: str) -> bool:
        """Whether somebody is connected with that node's certificate who should not be."""
        names = [name for _client_id, name in self._refused]
        return node_id in names or node_id in self._leaving

    def _publish(self, node_id: str, payload: bytes) -> None:
        topic = f"node/{node_id}/{REMOTE}"
        if self._client is None:
            return
        if self.refuses(node_id):
            self._tell("MQTT out", topic, 403, "")
            return
        self._client.publish(topic, payload, qos=1)
        self._tell("MQTT out", topic, 200, "")

    def _received(self, topic: str, payload: bytes) -> None:
        if topic == LEFT:
            with contextlib.suppress(ValueError):  # of before a restart, or twice
                self._leaving.remove(payload.decode())
            return
        parts = topic.split("/")
        if parts[:2] == ["$aws", "rules"]:
            parts = parts[3:]
        node_id, end = parts[1], "/".join(parts[2:])
        short = "/".join(parts)
        if self.refuses(node_id):
            self._tell("MQTT in", short, 403, "")
            return
        try:
            said = json.loads(payload)
            if not isinstance(said, dict):
                raise ValueError("not an object")
            self._take(node_id, end, said)
        except (ValueError, TypeError):
            self._tell("MQTT in", short, 400, "")
        else:
            self._tell("MQTT in", short, 200, "")

    def _take(self, node_id: str, end: str, said: dict[str, Any]) -> None:
        if end == "config":
            self._rainmaker.nodes.configured(node_id, said)
        elif end == "user/mapping":
            user, secret = said.get("user_id"), said.get("secret_key")
            if said.get("node_id") != node_id:
                raise ValueError("a mapping of another node")
            if not (isinstance(user, str) and user and isinstance(secret, str) and secret):
                raise ValueError("no user or no secret")
            self._rainmaker.mapping.report(node_id, secret, user, reset=said.get("reset") is True)
        else:
            self._rainmaker.nodes.reported(node_id, said)


def connect(
    credentials: NodeCredentials, ca_pem: bytes, client_id: str | None = None
) -> paho.Client:
    """A client with those credentials that trusts that authority; not connected yet. Its client id
    is the node's id, as the real cloud demands, unless another is given."""
    context = ssl.create_default_context(cadata=ca_pem.decode())
    # Reached by its address; that the certificate has the host's name is for boards to check.
    context.check_hostname = False
    with tempfile.TemporaryDirectory() as directory:
        credentials.save(Path(directory))
        context.load_cert_chain(f"{directory}/node.crt", f"{directory}/node.key")
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        credentials.node_id if client_id is None else client_id,
        protocol=paho.MQTTv311,
    )
    client.tls_set_context(context)
    client.reconnect_delay_set(1, 2)
    return client


def _subscribe(client: paho.Client, *_rest: Any) -> None:
    topics = [LEFT, *(f"node/+/{end}" for end in NODE_TOPICS)]
    topics += [f"$aws/rules/{rule}/node/+/{end}" for rule, end in _RULES.items()]
    client.subscribe([(topic, 1) for topic in topics])
