"""Runs the local cloud on its own, with one user on each cloud, one thing and its nodes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from .broker import MQTT_HOST, BrokerError
from .node_credentials import KeyKind
from .server import LocalCloud

NODE_ID = "homing-demo-node"
USER = "maker@example.com"


async def serve(
    directory: Path,
    *,
    port: int = 0,
    admin_port: int = 0,
    say: Callable[[str], None] = print,
    http_port: int | None = None,
    mqtt_port: int = 0,
    nodes: Sequence[tuple[str, KeyKind]] = ((NODE_ID, "ec"),),
) -> None:
    """Run until cancelled, SIGINT or SIGTERM.

    `directory` gets ca.pem and ca.der (new with every run) and cloud.json, which holds ports and
    made-up credentials and is readable by this user only; nothing of it is said aloud. nodes: for
    each its id and kind of key; its credentials go to `directory`/<node id>, in the form that
    `esp-rainmaker-cli claim` leaves. http_port: also offer RainMaker over plain HTTP, 0 on any free
    port. Without mosquitto there is no MQTT host, which is said. Raises OSError if a port is taken.
    """
    async with LocalCloud(port=port, alone=True) as cloud:
        await cloud.start_admin(admin_port)
        password = secrets.token_urlsafe(12)
        cloud.thethings.add_user(USER, password)
        cloud.rainmaker.accounts.add(USER, password)
        thing = cloud.thethings.add_thing()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "ca.der").write_bytes(cloud.ca_der)
        (directory / "ca.pem").write_bytes(cloud.ca_pem)
        try:
            await cloud.start_mqtt(mqtt_port)
            mqtt = f"MQTT on 127.0.0.1:{cloud.mqtt.port} for {MQTT_HOST}"
        except BrokerError as error:
            mqtt = f"no MQTT, so no node can be mapped: {error}"
        for node_id, kind in nodes:
            cloud.new_node(node_id, kind).save(directory / node_id)
        facts = {
            "port": cloud.port,
            "mqtt_port": cloud.mqtt.port,
            "mqtt_host": MQTT_HOST,
            "admin_port": cloud.admin_port,
            "hosts": list(cloud.hosts),
            "user": USER,
            "password": password,
            "thing_token": thing.token,
            "nodes": [node_id for node_id, _kind in nodes],
        }
        path = directory / "cloud.json"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
            json.dump(facts, f, indent=2)
        say(f"local cloud: https on 127.0.0.1:{cloud.port} for {', '.join(cloud.hosts)}")
        say(mqtt)
        say(f"page and admin interface: http://127.0.0.1:{cloud.admin_port}/")
        say(f"credentials, thing token and ports: {path}; authority: {directory / 'ca.der'}")
        for node_id, _kind in nodes:
            say(f"credentials of node {node_id}: {directory / node_id}")
        if http_port is not None:
            base_url = await cloud.start_plain(http_port)
            say(f"RainMaker over plain HTTP, for esp-rainmaker-cli: {base_url}")
        await _until_signal()


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()
