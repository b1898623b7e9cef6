"""Generates the board's certificate authorities, lib/homing/cloud/ca, from the pinned certifi.

`python -m tools.roots` writes them, `--check` compares. Which host trusts which file is the table
in lib/homing/cloud/roots.py. Every root is pinned here by its SHA-256 fingerprint as well, so that
a new certifi can drop one (an error) but never slip in another.

Why these, and so few: each root costs 2 to 3 KB of the chip's memory during TLS.

* api.rainmaker.espressif.com is an Amazon API Gateway name. Amazon Trust Services issues from its
  four roots and Starfield Services G2, and asks clients to trust all five.
* api.thethings.io does not publish whom it buys from. ISRG (Let's Encrypt), Amazon (certificate
  manager), DigiCert and USERTrust (Sectigo) are the authorities that a service like it uses. If it
  moves on, the board says "certificate: unknown authority", and a file /certs/api.thethings.io.der
  on the board is the cure.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

CA_DIR = Path(__file__).parent.parent / "lib" / "homing" / "cloud" / "ca"

# SHA-256 of the DER form.
FINGERPRINTS = {
    "amazon-1": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "amazon-2": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "amazon-3": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "amazon-4": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "starfield-g2": "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    "isrg-x1": "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6",
    "isrg-x2": "69729b8e15a86efc177a57afb7171dfc64add28c2fca8cf1507e34453ccb1470",
    "digicert-g2": "cb3ccbb76031e5e0138f8dd39a23f9de47ffc35e43c1144cea27d46a5ab1cb5f",
    "usertrust-rsa": "e793c9b02fd8aa13e21c31228accb08119643b749c898964b1746d46c3d4cbd2",
}

_NOTICE = """\
The *.der files in this directory are certificates of public certificate authorities. They were
extracted, unchanged, from certifi {version} by tools/roots.py, which says why each was chosen.

certifi's bundle is taken from Mozilla's list of root certificates, certdata.txt. That list is
subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not distributed
with this file, you can obtain one at https://mozilla.org/MPL/2.0/. The bundle in its source form:
https://github.com/certifi/python-certifi

"""


def generate() -> dict[str, bytes]:
    """File name → content of everything in CA_DIR. Raises LookupError if certifi lacks a root."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old root's serial number; not one of ours
        certificates = x509.load_pem_x509_certificates(Path(certifi.where()).read_bytes())
        found = {c.fingerprint(hashes.SHA256()).hex(): c for c in certificates}
    files: dict[str, bytes] = {}
    notice = _NOTICE.format(version=certifi.__version__)
    for name, fingerprint in FINGERPRINTS.items():
        if fingerprint not in found:
            raise LookupError(f"certifi {certifi.__version__} has no {name} ({fingerprint})")
        certificate = found[fingerprint]
        files[f"{name}.der"] = certificate.public_bytes(Encoding.DER)
        until = certificate.not_valid_after_utc.date()
        notice += f"{name}.der  until {until}  {certificate.subject.rfc4514_string()}\n"
    files["NOTICE"] = notice.encode()
    return files


def differences() -> list[str]:
    """Names of files in CA_DIR that are missing, superfluous or not what generate() makes."""
    wanted = generate()
    present = {p.name: p.read_bytes() for p in CA_DIR.iterdir()} if CA_DIR.is_dir() else {}
    return sorted(n for n in wanted.keys() | present.keys() if wanted.get(n) != present.get(n))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    if parser.parse_args().check:
        wrong = differences()
        for name in wrong:
            print(f"{CA_DIR / name} differs: run `python -m tools.roots`", file=sys.stderr)
        return 1 if wrong else 0
    CA_DIR.mkdir(parents=True, exist_ok=True)
    wanted = generate()
    for path in CA_DIR.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (CA_DIR / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
