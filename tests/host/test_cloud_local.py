"""The local cloud's server: hosts, faults, certificates, log. The client is aiohttp's."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import stat
import urllib.parse

import aiohttp
import pytest
from cloud_apps import PASSWORD, Rig
from cloud_board import in_loop, until
from cryptography.hazmat.primitives.serialization import Encoding

from tools.cloud import LocalCloud, standalone
from tools.cloud.app import AppError, ThethingsApp, session_for


@in_loop
async def test_paths_belong_to_their_host() -> None:
    async with Rig() as rig:
        async with rig.session.get(f"https://{rig.maker.host}/v2/me/things") as response:
            assert response.status == 421
        async with rig.session.get(f"https://{rig.maker.host}/v1/nothing") as response:
            assert response.status == 404


@in_loop
async def test_listens_on_loopback_only() -> None:
    async with LocalCloud() as cloud:
        await cloud.start_admin()
        addresses = [a for r in cloud._runners for a in r.addresses]
        assert {a[0] for a in addresses} == {"127.0.0.1"}


@in_loop
async def test_rainmaker_over_plain_http_for_whoever_asks() -> None:
    """esp-rainmaker-cli's way: any host name, log-in and its renewal, and no other cloud."""
    async with Rig() as rig, aiohttp.ClientSession() as session:
        base = await rig.cloud.start_plain()

        async def call(method: str, path: str, body: object = None):
            async with session.request(method, base + path, json=body) as response:
                return response.status, await response.json()

        assert await call("GET", "/apiversions") == (200, {"supported_versions": ["v1"]})
        login = {"user_name": "a@example.com", "password": PASSWORD}
        status, first = await call("POST", "/v1/login2", login)
        assert status == 200 and first["idtoken"]
        for fields, expected in (
            ({"refreshtoken": first["refreshtoken"]}, 200),
            ({"refreshtoken": first["refreshtoken"], "user_name": "b@example.com"}, 401),
            ({"refreshtoken": "x" * 800}, 401),
            (login | {"password": "x"}, 401),
        ):
            assert (await call("POST", "/v1/login2", fields))[0] == expected, fields
        assert (await call("POST", "/v2/login", {}))[0] in (404, 421)
        assert {entry.host for entry in list(rig.cloud.log)[-6:]} == {rig.cloud.hosts[1]}


@in_loop
async def test_faults_come_as_often_as_asked() -> None:
    async with Rig() as rig:
        url = f"https://{rig.things.host}/v2/me/things"
        headers = {"Authorization": rig.things.token}
        rig.cloud.faults.add(path="/v1/*", status=500)
        rig.cloud.faults.add(path="/v2/me/*", status=503, retry_after="7", times=2)
        for status in (503, 503, 200):
            async with rig.session.get(url, headers=headers) as response:
                assert response.status == status
                assert response.headers.get("Retry-After") == ("7" if status == 503 else None)
        garbage = rig.cloud.faults.add(host="api.thethings.io", body=b"\x00<html>", times=1)
        async with rig.session.get(url, headers=headers) as response:
            assert await response.read() == b"\x00<html>"
        assert garbage.hits == 1
        rig.cloud.faults.clear()
        assert await rig.things.things() == await rig.maker.nodes() == []


@pytest.mark.parametrize("cut, made", [("before", 0), ("after", 1)])
@in_loop
async def test_cut_connection(cut, made: int) -> None:
    async with Rig() as rig:
        thing = rig.cloud.thethings.add_thing()
        rig.cloud.faults.add(cut=cut, times=1)
        with pytest.raises(aiohttp.ClientError):
            await rig.things.link_token(thing.token)
        assert len(rig.cloud.thethings.links) == made
        assert rig.cloud.log[-1].status is None


@in_loop
async def test_delay() -> None:
    async with Rig() as rig:
        rig.cloud.faults.add(delay_s=0.5, times=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rig.things.things(), 0.1)
        assert await rig.things.things() == []


@pytest.mark.parametrize(
    "kind, words",
    [
        ("host", "Hostname mismatch"),
        ("authority", "unable to get local issuer|self-signed|signature"),
        ("expired", "has expired"),
    ],
)
@in_loop
async def test_wrong_certificates(kind, words: str) -> None:
    async with Rig() as rig:
        fault = rig.cloud.faults.add(certificate=kind, host=rig.things.host)
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match=words):
            await rig.things.things()
        assert await rig.maker.nodes() == []
        assert fault.hits >= 1
        rig.cloud.faults.remove(fault)
        assert await rig.things.things() == []


@in_loop
async def test_certificate_is_not_trusted_by_default() -> None:
    async with Rig() as rig:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1", rig.cloud.port, ssl=context, server_hostname=rig.things.host
            )


@in_loop
async def test_nothing_secret_in_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Rig() as rig:
        await rig.cloud.start_admin()
        thing = rig.cloud.thethings.add_thing()
        await rig.board(thing.token, "shared-id-1")
        await rig.board(thing.token + "x", "shared-id-1")
        await rig.things.link_id("shared-id-1")
        await rig.maker.map_node("node-1", "mapping-secret")
        unknown = f"https://{rig.things.host}/v2/{thing.token}?token={rig.things.token}"
        async with rig.session.get(unknown) as response:
            assert response.status == 404
        admin = f"http://127.0.0.1:{rig.cloud.admin_port}"
        async with aiohttp.ClientSession() as plain:
            said = ""
            for path in ("/log", "/state", "/faults"):
                async with plain.get(admin + path) as response:
                    said += await response.text()
        log = caplog.text + "\n".join(map(str, rig.cloud.log)) + repr(rig.cloud.log) + said
        log += repr(rig.cloud.rainmaker.mapping.requests) + repr(thing)
        secrets = [*rig.cloud.secrets(), "shared-id-1"]
        assert len(secrets) >= 7
        for secret in secrets:
            raw = secret.encode()
            for form in (
                secret,
                raw.hex(),
                base64.b64encode(raw).decode(),
                urllib.parse.quote(secret),
            ):
                assert form not in log
        assert "POST api.thethings.io/v2/things/{token}/link-id 200" in log


@in_loop
async def test_admin_interface() -> None:
    async with Rig() as rig, aiohttp.ClientSession() as plain:
        await rig.cloud.start_admin()
        admin = f"http://127.0.0.1:{rig.cloud.admin_port}"
        fault = {"path": "/v2/*", "status": 500, "times": 1}
        async with plain.post(f"{admin}/faults", json=fault) as response:
            assert await response.json() == {"faults": 1}
        with pytest.raises(AppError, match="500"):
            await rig.things.things()
        async with plain.post(f"{admin}/faults", json={"nonsense": 1}) as response:
            assert response.status == 400
        async with plain.post(f"{admin}/things", json={"activated": False}) as response:
            token = (await response.json())["token"]
        assert (await rig.board(token, "id-1"))[0] == 403
        async with plain.post(f"{admin}/nodes", json={"node_id": "a/b"}) as response:
            assert response.status == 400
        async with plain.post(f"{admin}/nodes", json={"node_id": "node-1"}) as response:
            made = await response.json()
        certificate = rig.cloud.rainmaker.nodes.certificate("node-1")
        assert certificate and made["node.crt"] == certificate.public_bytes(Encoding.PEM).decode()
        assert made["node.key"].startswith("-----BEGIN PRIVATE KEY")
        await rig.maker.map_node("node-1", "secret-1")
        rig.cloud.rainmaker.mapping.report("node-1", "secret-1")
        async with plain.get(f"{admin}/state") as response:
            state = await response.json()
        assert state["rainmaker"]["mappings"] == [{"user": rig.user_id, "node_id": "node-1"}]
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            async with plain.get(f"{admin}/state", headers=headers) as response:
                assert response.status == 403


@in_loop
async def test_standalone(tmp_path) -> None:
    said: list[str] = []
    task = asyncio.create_task(standalone.serve(tmp_path / "cloud", say=said.append))
    await until(lambda: len(said) == 5, task)
    path = tmp_path / "cloud" / "cloud.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    facts = json.loads(path.read_text())
    ca_pem = (tmp_path / "cloud" / "ca.pem").read_bytes()
    async with session_for(facts["port"], ca_pem) as session:
        things = ThethingsApp(session)
        await things.log_in(facts["user"], facts["password"])
        await things.link_token(facts["thing_token"])
        assert len(await things.things()) == 1
    claimed = tmp_path / "cloud" / facts["nodes"][0]
    assert (claimed / "node.info").read_text() == facts["nodes"][0]
    assert (claimed / "endpoint.info").read_text() == facts["mqtt_host"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for secret in (facts["password"], facts["thing_token"]):
        assert secret not in "".join(said)
