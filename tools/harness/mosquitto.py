"""The local cloud's broker for a test: it also shows certificates that a board must refuse."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tools.cloud.broker import MQTT_HOST, Broker
from tools.cloud.certs import Authority

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def issue(authority: Authority, name: str, key: Key | None = None) -> tuple[x509.Certificate, Key]:
    """A client's certificate with this common name, and its key (a fresh P-256 one by default)."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    return authority.client_certificate(name, key.public_key()), key


def credentials(
    certificate: x509.Certificate, key: Key, host: str = MQTT_HOST
) -> dict[str, bytes | str | int]:
    """The values of a board's namespace "credentials"."""
    return {
        "host": host,
        "cert": certificate.public_bytes(Encoding.DER),
        "key": key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    }


class Mosquitto(Broker):
    """`with Mosquitto(authority) as broker:`; then broker.port, .stop(), .start()."""

    log_types = ("all",)
    lines_kept = 5000

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        super().__init__(authority.pem, b"", lambda *_presence: None)
        self.serve()

    def serve(
        self, host: str = MQTT_HOST, expired: bool = False, by: Authority | None = None
    ) -> None:
        """Choose the certificate that it shows from its next start on. by: another authority."""
        self._files["server.pem"] = (by or self.authority).server_pem((host,), expired=expired)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
