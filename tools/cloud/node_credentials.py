"""What makes a board a node of a RainMaker cloud: its id, a certificate and key for MQTT, the host.

`esp-rainmaker-cli claim` leaves them as a folder of files; `save` makes the same folder. File names
and contents: rmaker_tools/rmaker_claim/claim.py of esp-rainmaker-cli 1.14.1.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tools.claim.credentials import MQTT_PORT, Credentials

from .certs import Authority

KeyKind = Literal["ec", "rsa"]
_RSA_BITS = 2048
_NODE_ID_LEN_MAX = 64  # of a certificate's common name, and of a board's identity


class NodeCredentials(Credentials):
    """One node's. The private key is nowhere else: the cloud keeps the certificate only."""

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """As claiming writes it: PKCS#8 for EC, PKCS#1 for RSA."""
        form = PrivateFormat.PKCS8 if self.kind == "ec" else PrivateFormat.TraditionalOpenSSL
        return self.key.private_bytes(Encoding.PEM, form, NoEncryption())

    def save(self, folder: Path) -> None:
        """Write the folder: node.info, node.crt, node.key, endpoint.info and the table of them that
        the NVS partition tool reads. The key is readable by this user only."""
        folder.mkdir(parents=True, exist_ok=True)
        contents = {
            "node.info": self.node_id.encode(),
            "node.crt": self.certificate_pem,
            "node.key": self.key_pem,
            "endpoint.info": self.host.encode(),
        }
        where = f"{folder.absolute()}{os.sep}"
        lines = ["key,type,encoding,value", "rmaker_creds,namespace,,"]
        for key, name in (
            ("node_id", "node.info"),
            ("mqtt_host", "endpoint.info"),
            ("client_cert", "node.crt"),
            ("client_key", "node.key"),
        ):
            lines.append(f"{key},file,binary,{where}{name}")
        contents["node_info.csv"] = "".join(f"{line}\n" for line in lines).encode()
        for name, content in contents.items():
            path = folder / name
            path.unlink(missing_ok=True)
            mode = 0o600 if name == "node.key" else 0o644
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as f:
                f.write(content)


def issue(
    authority: Authority,
    node_id: str,
    mqtt_host: str,
    kind: KeyKind = "ec",
    *,
    expired: bool = False,
) -> NodeCredentials:
    """Draw a key, P-256 or RSA-2048, and have it certified for this node.

    Raises ValueError for a node id that is no MQTT topic level, or a kind that is neither.
    """
    if (
        not 0 < len(node_id) <= _NODE_ID_LEN_MAX
        or set(node_id) & set("/+#$ ")
        or (not (node_id.isascii() and node_id.isprintable()))
    ):
        raise ValueError("a node id is 1 to 64 printable ASCII characters without / + # $ or space")
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if kind == "ec":
        key = ec.generate_private_key(ec.SECP256R1())
    elif kind == "rsa":
        key = rsa.generate_private_key(65537, _RSA_BITS)
    else:
        raise ValueError("a node's key is ec or rsa")
    certificate = authority.client_certificate(node_id, key.public_key(), expired=expired)
    return NodeCredentials(node_id, mqtt_host, MQTT_PORT, certificate, key)
