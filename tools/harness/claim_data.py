"""Node credentials for tests, in the shapes in which claiming leaves them."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tools.claim.credentials import Credentials, checked

NODE = "Xr3nGdWZ5s8GgTHFf7hB2Y"
HOST = "a123-ats.iot.us-east-1.amazonaws.com"
_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_UNTIL = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)
EXPIRED = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)


def key(kind: str = "ec") -> Any:
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa_key(2048)


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def certificate(
    of: Any,
    name: str = NODE,
    until: datetime.datetime = _UNTIL,
    since: datetime.datetime = _FROM,
) -> x509.Certificate:
    """Signed by an authority of its own; name: the common name."""
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(of.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )


def pem(of: Any) -> bytes:
    """As claim.py writes them: PKCS #8 for EC, PKCS #1 for RSA."""
    is_ec = isinstance(of, ec.EllipticCurvePrivateKey)
    form = PrivateFormat.PKCS8 if is_ec else PrivateFormat.TraditionalOpenSSL
    data: bytes = of.private_bytes(Encoding.PEM, form, NoEncryption())
    return data


def credentials(kind: str = "ec", name: str = NODE) -> Credentials:
    """Of a node with a fresh key."""
    made = key(kind)
    return checked(name, HOST, certificate(made, name).public_bytes(Encoding.PEM), pem(made))


def folder(where: Path, of: Any, signed: x509.Certificate | None = None, name: str = NODE) -> Path:
    """What `esp-rainmaker-cli claim` leaves, 1.14.1."""
    where.mkdir(parents=True, exist_ok=True)
    signed = signed or certificate(of, name)
    (where / "node.info").write_text(name)
    (where / "node.key").write_bytes(pem(of))
    (where / "node.crt").write_bytes(signed.public_bytes(Encoding.PEM))
    (where / "endpoint.info").write_text(HOST)
    (where / "random.info").write_text("00112233445566778899aabbccddeeff" * 4)
    table = ["key,type,encoding,value", "rmaker_creds,namespace,,"]
    for row in (
        *("node_id,file,binary,{}node.info", "mqtt_host,file,binary,{}endpoint.info"),
        *("client_cert,file,binary,{}node.crt", "client_key,file,binary,{}node.key"),
        "random,file,hex2bin,{}random.info",
    ):
        table.append(row.format(f"{where.absolute()}/"))
    (where / "node_info.csv").write_text("\n".join(table) + "\n")
    return where


def partition(table: Path, version: int = 2, size: str = "0x6000") -> Path:
    """The binary, made by Espressif's own tool as claim.py does it."""
    from esp_idf_nvs_partition_gen import nvs_partition_gen

    nvs_partition_gen.generate(
        SimpleNamespace(
            input=str(table),
            output="fctry.bin",
            size=size,
            outdir=str(table.parent),
            version=version,
        )
    )
    return table.parent / "fctry.bin"
