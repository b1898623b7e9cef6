"""A world that is ready to be used: a home network, both clouds, and boards that know them."""

from __future__ import annotations

import secrets
from typing import Any

from tools.claim.board import store_files
from tools.cloud.broker import MQTT_HOST, MQTT_PORT
from tools.cloud.node_credentials import KeyKind
from tools.cloud.server import LocalCloud
from tools.identity import file as identity_file

from .board import SimBoard
from .node_reports import NodeReports
from .phone import Phone
from .world import World

USER = "me@example.com"


class Scene:
    """`with Scene(speed=1) as scene:` then scene.new_board(...). Everything is on loopback."""

    def __init__(self, speed: float = 1.0, ssid: str = "home", password: str | None = None) -> None:
        self.world = World(speed=speed)
        self.ssid = ssid
        self.password = password or secrets.token_urlsafe(9)
        self.user_password = secrets.token_urlsafe(12)
        clock = self.world.clock
        self.cloud = LocalCloud(utc=lambda: clock.utc().timestamp())
        self.reports = NodeReports(self.cloud.rainmaker)  # of boards without credentials

    def __enter__(self) -> Scene:
        world = self.world.__enter__()
        try:
            self.access_point = world.add_access_point(self.ssid, self.password, channel=6)
            world.run(self.cloud.start())
            self.cloud.thethings.add_user(USER, self.user_password)
            self.cloud.rainmaker.accounts.add(USER, self.user_password)
            self.reports.enable()
            for host in self.cloud.hosts:
                world.route(host, 443, "127.0.0.1", self.cloud.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self.world.run(self.cloud.stop())
        finally:
            self.world.close()

    def start_mqtt(self) -> None:
        """Put up RainMaker's MQTT host, unless it is. Raises BrokerError without mosquitto."""
        if not self.cloud.mqtt.broker.running:
            self.world.run(self.cloud.start_mqtt())
            self.world.route(MQTT_HOST, MQTT_PORT, "127.0.0.1", self.cloud.mqtt.port)

    def new_board(
        self,
        name: str,
        identity: dict[str, str | None] | None = None,
        node: KeyKind | None = None,
        **options: Any,
    ) -> SimBoard:
        """A board that trusts this scene's clouds; off. identity: fields of its identity file.

        node: it gets the credentials of the node of its identity (node-<name>, if that has none),
        with a key of this kind; the MQTT host is put up. Raises BrokerError without mosquitto.
        With `cloud=True` in place of an identity it gets a thing of its own and a node id.
        Other options go to World.new_board.
        """
        files: dict[str, str | bytes | None] = {
            f"certs/{host}.der": self.cloud.ca_der for host in self.cloud.hosts
        }
        files.update(options.pop("files", None) or {})
        if options.pop("cloud", False):
            thing = self.cloud.thethings.add_thing()
            identity = {"thing_token": thing.token, "node_id": f"node-{name}"} | (identity or {})
        if node:
            self.start_mqtt()
            fields = {k: v for k, v in (identity or {}).items() if v is not None}
            made = self.cloud.new_node(str(fields.get("node_id", f"node-{name}")), node)
            files |= store_files(made, fields)
            files[f"certs/{made.host}.der"] = self.cloud.ca_der
        elif identity:
            files["nvs/identity.dat"] = identity_file(identity)
        return self.world.new_board(name, files, **options)

    def new_phone(self, mtu: int = 517) -> Phone:
        async def make() -> Phone:
            return await Phone.on_ether(self.world.ether, mtu=mtu)

        return self.world.run(make())
