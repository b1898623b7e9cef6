"""Runs the local cloud on its own, with one user on each cloud, one thing and one node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

from .server import LocalCloud

NODE_ID = "homing-demo-node"
USER = "maker@example.com"


async def serve(
    directory: Path,
    *,
    port: int = 0,
    admin_port: int = 0,
    say: Callable[[str], None] = print,
    standin: bool = True,
    http_port: int | None = None,
) -> None:
    """Run until cancelled, SIGINT or SIGTERM.

    `directory` gets ca.pem and ca.der (new with every run) and cloud.json, which holds ports and
    made-up credentials and is readable by this user only; nothing of it is said aloud. standin:
    play the node's own report of a mapping (see standin.py). http_port: also offer RainMaker over
    plain HTTP, 0 on any free port. Raises OSError if a port is taken.
    """
    async with LocalCloud(port=port, alone=True) as cloud:
        await cloud.start_admin(admin_port)
        password = secrets.token_urlsafe(12)
        cloud.thethings.add_user(USER, password)
        cloud.rainmaker.add_user(USER, password)
        thing = cloud.thethings.add_thing()
        if standin:
            cloud.rainmaker.standin.enable()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "ca.der").write_bytes(cloud.ca_der)
        (directory / "ca.pem").write_bytes(cloud.ca_pem)
        facts = {
            "port": cloud.port,
            "admin_port": cloud.admin_port,
            "hosts": list(cloud.hosts),
            "user": USER,
            "password": password,
            "thing_token": thing.token,
            "node_id": NODE_ID,
        }
        path = directory / "cloud.json"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
            json.dump(facts, f, indent=2)
        say(f"local cloud: https on 127.0.0.1:{cloud.port} for {', '.join(cloud.hosts)}")
        say(f"page and admin interface: http://127.0.0.1:{cloud.admin_port}/")
        say(f"credentials, thing token and ports: {path}; authority: {directory / 'ca.der'}")
        if http_port is not None:
            base_url = await cloud.start_plain(http_port)
            say(f"RainMaker over plain HTTP, for esp-rainmaker-cli: {base_url}")
        if standin:
            say("the node's own mapping report is played by a stand-in")
        await _until_signal()


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()
