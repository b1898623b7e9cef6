"""Node credentials are read from what Espressif's tools write, and refused with a cure."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tools.claim import nvs, nvs_csv, source
from tools.claim.credentials import ClaimError
from tools.claim.verb import command
from tools.harness import claim_data
from tools.harness.claim_data import HOST, NODE

KEYS = {kind: claim_data.key(kind) for kind in ("ec", "rsa")}
kinds = pytest.mark.parametrize("kind", list(KEYS))


def is_right(found: Any, kind: str) -> None:
    assert (found.node_id, found.host, found.port, found.kind) == (NODE, HOST, 8883, kind)
    assert found.key.private_numbers() == KEYS[kind].private_numbers()
    assert ("scalar" in found.fields()) == (kind == "ec")
    assert "scalar" not in found.fields(classic=True)


@kinds
def test_folder_of_a_claim(tmp_path: Path, kind: str) -> None:
    made = claim_data.folder(tmp_path / "user" / "A1B2C3D4E5F6", KEYS[kind])
    is_right(source.read(made), kind)
    is_right(source.read(tmp_path / "user"), kind)
    is_right(source.read(tmp_path), kind)
    claim_data.folder(tmp_path / "user" / "A1B2C3D4E5F7", KEYS[kind])
    with pytest.raises(ClaimError, match=r"several nodes .*A1B2C3D4E5F6, .*A1B2C3D4E5F7"):
        source.read(tmp_path)


@kinds
def test_table_of_a_claim(tmp_path: Path, kind: str) -> None:
    made = claim_data.folder(tmp_path / "mac", KEYS[kind])
    is_right(source.read(made / "node_info.csv"), kind)
    moved = made.rename(tmp_path / "moved")  # its table has the old paths
    is_right(source.read(moved / "node_info.csv"), kind)


@kinds
@pytest.mark.parametrize("version", [1, 2])
def test_partition_of_a_claim(tmp_path: Path, kind: str, version: int) -> None:
    """Made by Espressif's own tool; in version 2 a blob may lie in several pages."""
    made = claim_data.folder(tmp_path, KEYS[kind])
    table = made / "node_info.csv"
    # Something before it, so that in version 2 the certificate crosses the border of a page.
    filler = "other,namespace,,\nnumber,data,i16,-5\n"
    filler += "".join(f"fill{n},data,binary,{1664 * 'x'}\n" for n in range(2))
    first, _, rest = table.read_text().partition("\n")
    table.write_text(f"{first}\n{filler}{rest}")
    is_right(source.read(claim_data.partition(table, version)), kind)
    binary = (made / "fctry.bin").read_bytes()
    assert ((made / "node.crt").read_bytes() in binary) == (version == 1)
    values = nvs.read(binary)
    assert values["other"] == {"number": -5, "fill0": 1664 * b"x", "fill1": 1664 * b"x"}
    assert len(values["rmaker_creds"]["random"]) == 64  # type: ignore[arg-type]


def test_every_kind_of_value(tmp_path: Path) -> None:
    """Table and binary say the same."""
    table = tmp_path / "all.csv"
    (tmp_path / "digits").write_text("c0ffee")
    table.write_text(
        "# a remark\nkey,type,encoding,value\na,namespace,,\n"
        "u8,data,u8,255\ni8,data,i8,-128\nu16,data,u16,65535\nu32,data,u32,4294967295\n"
        "i32,data,i32,-2147483648\ni64,data,i64,-9\nu64,data,u64,18446744073709551615\n"
        'text,data,string,"a, b"\nb64,data,base64,aGVsbG8=\nhex,data,hex2bin,00ff\n'
        "b,namespace,,\nblob,data,binary,raw\nfile,file,hex2bin,"
        f"{tmp_path}/digits\n"
    )
    expected = {
        "a": {
            "u8": 255,
            "i8": -128,
            "u16": 65535,
            "u32": 2**32 - 1,
            "i32": -(2**31),
            "i64": -9,
            "u64": 2**64 - 1,
            "text": "a, b",
            "b64": b"hello",
            "hex": b"\0\xff",
        },
        "b": {"blob": b"raw", "file": b"\xc0\xff\xee"},
    }
    assert nvs_csv.read(table) == expected
    for version in (1, 2):
        assert nvs.read(claim_data.partition(table, version).read_bytes()) == expected


@kinds
def test_values_in_the_table_itself(tmp_path: Path, kind: str) -> None:
    made = claim_data.folder(tmp_path, KEYS[kind])
    coded = base64.b64encode((made / "node.crt").read_bytes()).decode()
    table = tmp_path / "fctry.csv"
    table.write_text(
        "key,type,encoding,value\nrmaker_creds,namespace,,\n"
        f"node_id,data,string,{NODE}\nmqtt_host,data,binary,{HOST}\n"
        f"client_cert,data,base64,{coded}\n"
        f"client_key,data,hex2bin,{(made / 'node.key').read_bytes().hex()}\n"
    )
    is_right(source.read(table), kind)
    is_right(source.read(claim_data.partition(table)), kind)


@kinds
def test_factory_data_of_ours(tmp_path: Path, kind: str) -> None:
    made = claim_data.folder(tmp_path, KEYS[kind])
    told = {"node_id": NODE, "mqtt_host": HOST}
    (made / "node.json").write_text(json.dumps(told))
    (made / "node.info").unlink()
    is_right(source.read(made), kind)
    (made / "node.json").write_text(json.dumps(told | {"mqtt_port": 443}))
    assert source.read(made).fields()["port"] == 443
    for wrong in ("{", "[]", '{"node_id": 1, "mqtt_host": "h"}', '{"node_id": "n"}'):
        (made / "node.json").write_text(wrong)
        with pytest.raises(ClaimError, match=r"node\.json must be"):
            source.read(made)


# -- what is refused ---------------------------------------------------------------------------


def _another_key(made: Path) -> None:
    (made / "node.key").write_bytes(claim_data.pem(claim_data.key()))


def _another_name(made: Path) -> None:
    (made / "node.info").write_text("somebody-else")


def _expired(made: Path) -> None:
    claim_data.folder(
        made, KEYS["ec"], claim_data.certificate(KEYS["ec"], until=claim_data.EXPIRED)
    )


def _not_yet(made: Path) -> None:
    later = datetime.datetime(2045, 1, 1, tzinfo=datetime.UTC)
    claim_data.folder(made, KEYS["ec"], claim_data.certificate(KEYS["ec"], since=later))


def _curve(made: Path) -> None:
    claim_data.folder(made, ec.generate_private_key(ec.SECP384R1()))


def _small(made: Path) -> None:
    claim_data.folder(made, claim_data.rsa_key(3072))


def _edwards(made: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (made / "node.key").write_bytes(secret)


def _encrypted(made: Path) -> None:
    secret = KEYS["ec"].private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    (made / "node.key").write_bytes(secret)


def _garbage_key(made: Path) -> None:
    (made / "node.key").write_bytes(
        b"-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n"
    )


def _garbage_certificate(made: Path) -> None:
    (made / "node.crt").write_text("oops")


def _url(made: Path) -> None:
    (made / "endpoint.info").write_text(f"https://{HOST}/")


def _level(made: Path) -> None:
    (made / "node.info").write_text("a/b")


def _incomplete(made: Path) -> None:
    (made / "node.crt").unlink()


FAULTS: dict[Callable[[Path], None], str] = {
    _another_key: "private key is not that of the certificate: take both from one claim",
    _another_name: f"certificate is that of {NODE}, not of node somebody-else: take both",
    _expired: "has expired on 2021-01-01: claim the node again",
    _not_yet: "valid from 2045-01-01 on only: is this computer's clock right",
    _curve: "on the curve secp384r1, RainMaker takes P-256 only: claim",
    _small: "RSA of 3072 bits, RainMaker takes 2048 only: claim",
    _edwards: "neither EC on P-256 nor RSA: claim",
    _encrypted: "private key is encrypted: decrypt it first",
    _garbage_key: "private key cannot be read: it must be",
    _garbage_certificate: "certificate cannot be read: it must be X.509",
    _url: "MQTT host is no host name; it looks like",
    _level: "node id must be 1 to 64 printable characters",
    _incomplete: "there is no node.crt in",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda f: f.__name__.strip("_"))
def test_fault_and_cure(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    made = claim_data.folder(tmp_path, KEYS["ec"])
    spoil(made)
    result = CliRunner().invoke(command, [str(made)])
    assert result.exit_code == 1 and FAULTS[spoil] in result.output.replace("\n", " ")
    for line in (made / "node.key").read_text().splitlines():
        assert line.startswith("-----") or line not in result.output


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_no_partition(tmp_path: Path) -> None:
    made = claim_data.folder(tmp_path, KEYS["ec"])
    path = claim_data.partition(made / "node_info.csv")
    good = path.read_bytes()
    key_at = good.index(b"-----BEGIN PRIVATE")
    for data, why in (
        (b"", "multiple of 4096"),
        (good[:-1], "multiple of 4096"),
        (bytes(4096), "does not begin as"),
        (b"\xff" * 4096, "nothing is written"),
        (_flip(good, 5), "page 0 has a damaged header"),
        (_flip(good, 70), "entry 0 of page 0 is damaged"),
        (_flip(good, key_at), "the data of entry"),
    ):
        path.write_bytes(data)
        with pytest.raises(ClaimError, match=why):
            source.read(path)
    table = made / "node_info.csv"
    for text, why in (
        ("a,data,u8,1\n", "line 1: a key before any namespace"),
        ("n,namespace,,\na,data,u8,PRIVATE\n", "line 2: the value is not u8"),
        ("n,namespace,,\na,data,float,1\n", "line 2: unknown encoding 'float'"),
        ("n,namespace,,\na,file,binary,/nowhere/x\n", "line 2: there is no file /nowhere/x"),
        ("n,namespace,,\na,thing,binary,x\n", "line 2: the type must be"),
        ("n,namespace,,\n", "has no node_id, mqtt_host, client_cert, client_key"),
    ):
        table.write_text(text)
        with pytest.raises(ClaimError, match=why) as caught:
            source.read(table)
        assert "PRIVATE" not in str(caught.value)
    with pytest.raises(ClaimError, match="there is no"):
        source.read(tmp_path / "nowhere")
    with pytest.raises(ClaimError, match="neither node.info nor node.json"):
        (tmp_path / "empty").mkdir()
        source.read(tmp_path / "empty")


def test_what_the_verb_says_has_no_secret(tmp_path: Path) -> None:
    made = claim_data.folder(tmp_path, KEYS["ec"])
    result = CliRunner().invoke(command, [str(made)])
    assert result.exit_code == 0
    assert result.output == (
        f"node {NODE} at {HOST}, key EC on P-256, certificate until 2049-12-31\n"
    )
    assert str(KEYS["ec"].private_numbers().private_value) not in repr(source.read(made))
