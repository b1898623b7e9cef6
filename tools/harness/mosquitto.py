"""A real MQTT broker for tests: Debian's mosquitto on loopback, with TLS and client certificates.

It is what AWS IoT is to a node: it asks for the node's certificate, whose common name is the node
id, and lets a node use its own topics only.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.cloud.certs import _EXPIRED, _UNTIL, Authority

HOST = "a123-ats.iot.us-east-1.amazonaws.com"
PORT = 8883
CLOUD = "cloud"  # common name of whoever may use all topics
_START_S = 10.0
_ACL = """\
user cloud
topic readwrite #
topic readwrite $aws/#

pattern readwrite node/%u/#
pattern write $aws/rules/esp_node_config/node/%u/config
pattern write $aws/rules/esp_user_node_mapping/node/%u/user/mapping
pattern write $aws/rules/esp_set_params/node/%u/params/local
pattern write $aws/rules/esp_init_params/node/%u/params/local/init
"""
_CONFIG = """\
per_listener_settings false
listener {port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/server.pem
keyfile {folder}/server.key
require_certificate true
use_identity_as_username true
acl_file {folder}/acl
allow_anonymous false
persistence false
max_packet_size 65536
log_type all
user {user}
"""


def program() -> str | None:
    """The broker, or None if it is not installed (Debian: mosquitto)."""
    return shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


class Certificates(Authority):
    """An authority that issues what a broker and its clients need."""

    def issue(
        self,
        name: str,
        *,
        server: bool = False,
        expired: bool = False,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    ) -> tuple[x509.Certificate, Any]:
        """A certificate with this common name, and its key (a fresh P-256 one by default)."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        until = _EXPIRED if expired else _UNTIL
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        public: Any = key.public_key()
        builder = self._builder(subject, public, until)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if server:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()), key


def credentials(
    certificate: x509.Certificate, key: Any, host: str = HOST
) -> dict[str, bytes | str | int]:
    """The values of a board's namespace "credentials"."""
    return {
        "host": host,
        "cert": certificate.public_bytes(Encoding.DER),
        "key": key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    }


class Mosquitto:
    """`with Mosquitto(certificates) as broker:`; then broker.port, .start(), .stop()."""

    def __init__(self, certificates: Certificates, host: str = HOST) -> None:
        self.certificates = certificates
        self.host = host
        self._directory = tempfile.TemporaryDirectory(prefix="homing-mosquitto-")
        self.folder = Path(self._directory.name)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._write("ca.pem", certificates.pem)
        self.serve()
        client, key = certificates.issue(CLOUD)
        self._write("cloud.pem", client.public_bytes(Encoding.PEM))
        self._write("cloud.key", _pem(key))
        self._write("acl", _ACL.encode())
        config = _CONFIG.format(port=self.port, folder=self.folder, user=_me())
        self._write("mosquitto.conf", config.encode())

    def serve(self, host: str | None = None, expired: bool = False, by: Any = None) -> None:
        """Choose the broker's certificate, from its next start on. by: another authority."""
        certificate, key = (by or self.certificates).issue(
            host or self.host, server=True, expired=expired
        )
        self._write("server.pem", certificate.public_bytes(Encoding.PEM))
        self._write("server.key", _pem(key))

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        """Raises RuntimeError with its log if it does not come up."""
        command = program()
        if command is None:
            raise RuntimeError("mosquitto is not installed: make test-system")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [command, "-c", str(self.folder / "mosquitto.conf")],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("mosquitto did not start:\n" + self.log)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(5)

    @property
    def log(self) -> str:
        """What it has said since it was made."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""


def _pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _me() -> str:
    # Started by root it would drop to a user that cannot read these files.
    return Path.home().owner()
