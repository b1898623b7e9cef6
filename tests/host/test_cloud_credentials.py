"""The credentials that the local cloud makes for a node, read by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.cloud.certs import Authority
from tools.cloud.node_credentials import KeyKind, issue


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_credentials_are_what_claiming_leaves(kind: KeyKind, tmp_path: Path) -> None:
    authority = Authority()
    made = issue(authority, "node-1", "mqtt.example", kind)
    made.save(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    assert (tmp_path / "node.info").read_text() == "node-1"
    assert (tmp_path / "endpoint.info").read_text() == "mqtt.example"
    assert (tmp_path / "node.key").stat().st_mode & 0o77 == 0

    def openssl(*arguments: str) -> str:
        done = subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "node.crt: OK" in openssl("verify", "-CAfile", "ca.pem", "node.crt")
    assert "CN = node-1" in openssl("x509", "-in", "node.crt", "-noout", "-subject")
    public = openssl("pkey", "-in", "node.key", "-pubout")
    assert public == openssl("x509", "-in", "node.crt", "-noout", "-pubkey")
    (tmp_path / "node.der").write_bytes(made.key_der)
    assert public == openssl("pkey", "-inform", "DER", "-in", "node.der", "-pubout")
    table = (tmp_path / "node_info.csv").read_text().splitlines()
    assert table[:2] == ["key,type,encoding,value", "rmaker_creds,namespace,,"]
    assert all(Path(line.split(",")[3]).is_file() for line in table[2:])
    assert (made.scalar is None) == (kind == "rsa")


@pytest.mark.parametrize("node_id", ["", "a/b", "a+", "#", "$aws", "a b", "x" * 65, "kö"])
def test_node_ids_that_cannot_be(node_id: str) -> None:
    with pytest.raises(ValueError, match="node id"):
        issue(Authority(), node_id, "mqtt.example")
