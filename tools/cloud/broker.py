"""RainMaker's MQTT host for the local cloud: Debian's mosquitto, as a process of its own.

TLS with client certificates of the cloud's authority; a certificate's common name is the user's
name, and a node may publish and subscribe to its own topics only, as AWS IoT's policies have it.
mosquitto cannot compare a client's id with its certificate, nor look for that in a list: it says
who has connected, and the cloud, which is one more client with a certificate, judges (mqtt.py).

Topics: esp_rmaker_mqtt_topics.h of espressif/esp-rainmaker; the `$aws/rules/…` forms are AWS's
basic ingest, which that firmware uses unless told otherwise.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

MQTT_HOST = "a123-ats.iot.us-east-1.amazonaws.com"  # of the form that the real ones have
MQTT_PORT = 8883
CLOUD_NAME = "homing-local-cloud"

# What a node publishes: the end of its topic → the rule of basic ingest.
NODE_TOPICS = {
    "config": "esp_node_config",
    "user/mapping": "esp_user_node_mapping",
    "params/local": "esp_set_params",
    "params/local/init": "esp_init_params",
}
REMOTE = "params/remote"  # what it subscribes to
LEFT = f"{CLOUD_NAME}/left"  # what the cloud says to itself

_LOOPBACK = "127.0.0.1"
_PROGRAM = "mosquitto"
_START_S = 10.0
_STOP_S = 5.0
_PORT_TRIES = 5
_LAUNCH = Path(__file__).parents[1] / "sim" / "launch.py"
_CONNECTED = re.compile(r"New client connected from \S+ as (.*) \(p\d+, c\d+, k\d+, u'(.*)'\)")
_GONE = re.compile(
    r"Client (.*) (already connected|disconnected|has exceeded timeout|closed its connection)"
)
_READ = 65536


class BrokerError(Exception):
    """The broker does not run; the text names the cure."""


def find() -> str | None:
    """The program's path; None if it is not installed. Debian puts it where only root looks."""
    return shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path="/usr/sbin:/usr/local/sbin")


MISSING = "mosquitto is not installed: `make test-system`, or `apt-get install mosquitto`"


class Broker:
    """One mosquitto on a loopback port, with its files in a directory that goes with it.

    ca_pem, server_pem: of the authority, and the server's key and certificate. on_presence is
    called with (client id, its certificate's name, whether it is connected), from a thread of this
    class or from whoever calls catch_up. log_types: of mosquitto.conf. lines_kept: of what it says.
    """

    log_types: tuple[str, ...] = ("error", "warning", "notice")
    lines_kept = 20

    def __init__(
        self, ca_pem: bytes, server_pem: bytes, on_presence: Callable[[str, str, bool], None]
    ) -> None:
        self._files = {"ca.pem": ca_pem, "server.pem": server_pem, "acl": _acl().encode()}
        self._on_presence = on_presence
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._reading = threading.Lock()
        self._output: int | None = None  # of the process, while it may say more
        self._partial = b""  # of a line
        self._users: dict[str, str] = {}  # client id → its certificate's name
        self._said: list[str] = []
        self.port = 0

    def start(self, port: int = 0) -> None:
        """Run until stop(); blocks until it listens. port: 0 for the one of the last time, or any
        free one. Raises BrokerError."""
        program = find()
        if program is None:
            raise BrokerError(MISSING)
        self._directory = tempfile.TemporaryDirectory(prefix="homing-broker-")
        folder = Path(self._directory.name)
        for name, content in self._files.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
        wanted = port or self.port
        try:
            for _ in range(1 if wanted else _PORT_TRIES):
                self.port = _free_port(wanted)
                if self._run(program, folder):
                    return
            raise BrokerError(f"mosquitto does not start: {' / '.join(self._said[-3:])}")
        except BaseException:
            self.stop()
            raise

    def _run(self, program: str, folder: Path) -> bool:
        self._said.clear()
        self._partial = b""
        config = folder / "mosquitto.conf"
        config.write_text(_config(folder, self.port, self.log_types))
        self._process = subprocess.Popen(
            # So that it ends with this process, however that ends.
            [sys.executable, "-I", "-S", str(_LAUNCH), "--", program, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._reader = threading.Thread(target=self._follow, args=(self._output,), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((_LOOPBACK, self.port), 1):
                return True
            time.sleep(0.01)
        self._end_process()
        return False

    def _follow(self, output: int) -> None:
        poll = select.poll()
        poll.register(output, select.POLLIN)
        while self._output is not None:
            poll.poll()
            self.catch_up()

    def catch_up(self) -> None:
        """Take in all that mosquitto has said by now. It says who a client is before it passes on
        what that client publishes: after this, whoever holds a message knows of its sender."""
        with self._reading:
            while self._output is not None:
                poll = select.poll()
                poll.register(self._output, select.POLLIN)
                if not poll.poll(0):
                    return
                data = os.read(self._output, _READ)
                if not data:
                    self._output = None
                *lines, self._partial = (self._partial + data).split(b"\n")
                for line in lines:
                    self._take(line.decode(errors="replace").strip())

    def _take(self, line: str) -> None:
        self._said.append(line)
        del self._said[: -self.lines_kept]
        if (match := _CONNECTED.search(line)) is not None:
            self._users[match[1]] = match[2]
            self._on_presence(match[1], match[2], True)
        elif (match := _GONE.search(line)) is not None and match[1] in self._users:
            self._on_presence(match[1], self._users.pop(match[1]), False)

    @property
    def directory(self) -> str:
        """Where its files are; "" while it is stopped."""
        return self._directory.name if self._directory else ""

    @property
    def log(self) -> str:
        """The last that it has said."""
        return "\n".join(self._said)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Every client loses its connection, and nothing is kept. Idempotent."""
        self._end_process()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None
        while self._users:
            self._on_presence(*self._users.popitem(), False)

    def _end_process(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join(_STOP_S)
        assert self._process.stdout is not None
        with self._reading:
            self._output = None
            self._process.stdout.close()
        self._process = self._reader = None


def _config(folder: Path, port: int, log_types: Sequence[str]) -> str:
    lines = [
        f"listener {port} {_LOOPBACK}",
        f"cafile {folder / 'ca.pem'}",
        f"certfile {folder / 'server.pem'}",
        f"keyfile {folder / 'server.pem'}",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {folder / 'acl'}",
        "persistence false",
        "connection_messages true",
        "log_timestamp false",
        "log_dest stderr",  # stdout is buffered
        *(f"log_type {kind}" for kind in log_types),
        "set_tcp_nodelay true",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        lines.append("user root")  # else it becomes one who may not read these files
    return "".join(f"{line}\n" for line in lines)


def _acl() -> str:
    """Own topics only: %u is the common name of the client's certificate."""
    lines = [f"user {CLOUD_NAME}", f"topic write node/+/{REMOTE}", f"topic readwrite {LEFT}"]
    for end, rule in NODE_TOPICS.items():
        lines += [f"topic read node/+/{end}", f"topic read $aws/rules/{rule}/node/+/{end}"]
    for end, rule in NODE_TOPICS.items():
        lines += [f"pattern write node/%u/{end}", f"pattern write $aws/rules/{rule}/node/%u/{end}"]
    lines.append(f"pattern read node/%u/{REMOTE}")
    return "".join(f"{line}\n" for line in lines)


def _free_port(wanted: int) -> int:
    """wanted, or any if that is 0. Raises BrokerError if somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mosquitto does
        try:
            probe.bind((_LOOPBACK, wanted))
        except OSError as error:
            raise BrokerError(f"port {wanted} is taken: choose another for MQTT") from error
        return probe.getsockname()[1]
