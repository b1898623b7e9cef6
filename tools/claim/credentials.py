"""A RainMaker node's id, MQTT host, certificate and private key, and what must be true of them."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any, Literal

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

MQTT_PORT = 8883
_CURVE = "secp256r1"  # OpenSSL's name of P-256
_RSA_BITS = 2048
_DER_LEN_MAX = 4096  # lib/homing/credentials.py
_SCALAR_LEN = 32
_NODE_ID = re.compile(r"[!-~]{1,64}")
_NOT_IN_TOPICS = set("/+#$")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


class ClaimError(click.ClickException):
    """There are no usable credentials; the text names the fault and the cure, and no secret."""


@dataclasses.dataclass(frozen=True)
class Credentials:
    """One node's, checked. Made by `checked()`."""

    node_id: str
    host: str
    port: int
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = dataclasses.field(repr=False)

    @property
    def kind(self) -> Literal["ec", "rsa"]:
        return "ec" if isinstance(self.key, ec.EllipticCurvePrivateKey) else "rsa"

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_der(self) -> bytes:
        """SEC 1 or PKCS #1, as mbedTLS reads it."""
        return self.key.private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )

    @property
    def scalar(self) -> bytes | None:
        """The private scalar of an EC key, 32 bytes, big-endian."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.private_numbers().private_value.to_bytes(_SCALAR_LEN, "big")
        return None

    def fields(self, classic: bool = False) -> dict[str, str | int | bytes]:
        """What lib/homing/credentials.py takes. classic: no challenge-response with an EC key."""
        made: dict[str, str | int | bytes] = {"node_id": self.node_id, "host": self.host}
        if self.port != MQTT_PORT:
            made["port"] = self.port
        made |= {"cert": self.certificate_der, "key": self.key_der}
        if self.scalar is not None and not classic:
            made["scalar"] = self.scalar
        return made


def checked(
    node_id: str,
    host: str,
    certificate: bytes,
    key: bytes,
    port: int = MQTT_PORT,
    now: datetime.datetime | None = None,
) -> Credentials:
    """Credentials of a certificate and a key, each PEM or DER. Raises ClaimError for what the cloud
    or the board would refuse; now: for the certificate's dates, by default this computer's clock.
    """
    if not _NODE_ID.fullmatch(node_id) or set(node_id) & _NOT_IN_TOPICS:
        raise ClaimError(
            "the node id must be 1 to 64 printable characters without spaces, / + # and $: "
            "claim the node again"
        )
    if not _HOST.fullmatch(host):
        raise ClaimError(
            "the MQTT host is no host name; it looks like a123-ats.iot.us-east-1.amazonaws.com"
        )
    if not 0 < port < 0x10000:
        raise ClaimError("the MQTT port must be 1 to 65535; without one it is 8883")
    made = Credentials(node_id, host, port, _certificate(certificate), _key(key))
    _check_pair(made)
    _check_dates(made.certificate, now or datetime.datetime.now(datetime.UTC))
    for what, der in (("certificate", made.certificate_der), ("key", made.key_der)):
        if len(der) > _DER_LEN_MAX:
            raise ClaimError(f"the {what} is larger than the {_DER_LEN_MAX} bytes a board takes")
    return made


def _certificate(data: bytes) -> x509.Certificate:
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificate(data)  # the first: the node's own
        return x509.load_der_x509_certificate(data)
    except ValueError:
        raise ClaimError(
            "the certificate cannot be read: it must be X.509, PEM or DER; claim the node again"
        ) from None


def _key(data: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    load: Any = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        key = load(data, None)
    except TypeError:
        raise ClaimError(
            "the private key is encrypted: decrypt it first (openssl pkey -in … -out …)"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # Without the reason, which may quote the file.
        raise ClaimError(
            "the private key cannot be read: it must be EC on P-256 or RSA of 2048 bits, PEM or DER"
        ) from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name != _CURVE:
            raise ClaimError(
                f"the private key is on the curve {key.curve.name}, RainMaker takes P-256 only: "
                "claim the node again"
            )
    elif isinstance(key, rsa.RSAPrivateKey):
        if key.key_size != _RSA_BITS:
            raise ClaimError(
                f"the private key is RSA of {key.key_size} bits, RainMaker takes {_RSA_BITS} only: "
                "claim the node again"
            )
    else:
        raise ClaimError("the private key is neither EC on P-256 nor RSA: claim the node again")
    return key


def _check_pair(made: Credentials) -> None:
    def public(key: Any) -> bytes:
        data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return data

    try:
        certified = public(made.certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        certified = b""
    if certified != public(made.key.public_key()):
        raise ClaimError(
            "the private key is not that of the certificate: take both from one claim of the node"
        )
    names = made.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [name.value for name in names] != [made.node_id]:
        who = ", ".join(str(name.value) for name in names) or "nobody"
        raise ClaimError(
            f"the certificate is that of {who}, not of node {made.node_id}: take both from one "
            "claim of the node"
        )


def _check_dates(certificate: x509.Certificate, now: datetime.datetime) -> None:
    if now > certificate.not_valid_after_utc:
        raise ClaimError(
            f"the certificate has expired on {certificate.not_valid_after_utc:%Y-%m-%d}: claim the "
            "node again"
        )
    if now < certificate.not_valid_before_utc:
        raise ClaimError(
            f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} on only: "
            "is this computer's clock right?"
        )
