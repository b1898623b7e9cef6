"""The board's HTTPS on the real MicroPython: certificates, answers of all kinds, what stays."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from cloud_board import NODE, BoardRig, in_loop

from tools import roots


@pytest.mark.parametrize(
    "kind, words",
    [("host", "other host name"), ("authority", "unknown authority"), ("expired", "expired")],
)
@in_loop
async def test_certificates_that_are_refused(tmp_path: Path, kind, words: str) -> None:
    async with BoardRig(tmp_path) as rig:
        rig.cloud.faults.add(certificate=kind)
        assert await rig.get() == ["error", "certificate", words]
        assert not rig.cloud.log  # not a byte of the request got out


@in_loop
async def test_local_authority_is_refused_without_its_file(tmp_path: Path) -> None:
    async with BoardRig(tmp_path) as rig:
        rig.board.trust(None)
        assert await rig.get() == ["error", "certificate", "unknown authority"]
        maker = "https://api.rainmaker.espressif.com/v1/x"
        assert await rig.get(maker) == ["error", "certificate", "unknown authority"]
        assert not rig.cloud.log


@in_loop
async def test_broken_root_file_is_said(tmp_path: Path) -> None:
    async with BoardRig(tmp_path) as rig:
        rig.board.trust(b"not a certificate")
        words = "a root for api.thethings.io cannot be read"
        assert await rig.get() == ["error", "certificate", words]


@in_loop
async def test_clock_not_set(tmp_path: Path) -> None:
    async with BoardRig(tmp_path) as rig:
        rig.board.prelude = "https.tls.gmtime = lambda: time.gmtime(0)\n"
        assert await rig.get() == ["error", "clock not set", ""]
        assert not rig.cloud.log


@in_loop
async def test_no_address_and_nobody_there(tmp_path: Path) -> None:
    async with BoardRig(tmp_path) as rig:
        said = await rig.get("https://nowhere.example/")
        assert said == ["error", "dns", "no address for nowhere.example"]
        await rig.cloud.stop()
        assert await rig.get() == ["error", "connect", "errno 111"]


@pytest.mark.parametrize(
    "raw, said",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ["answer", 200]),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            ["answer", 200],
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", ["answer", 204]),
        (b"HTTP/1.0 200 OK\n\nwhat is left", ["answer", 200]),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 3000 + b"\r\nContent-Length: 0\r\n\r\n",
            ["answer", 200],
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ["error", "cut", "connection lost"]),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ["error", "cut", "connection lost"]),
        (b"", ["error", "cut", "connection lost"]),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9000, ["error", "too long", "headers"]),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000, ["error", "too long", "headers"]),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n",
            ["error", "too long", "body of 4097 bytes"],
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * 4097, ["error", "too long", "body over 4096 bytes"]),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
            ["error", "too long", "body over 4096 bytes"],
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ["error", "protocol", "not a number"]),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", ["error", "protocol", "not a number"]),
        (b"SSH-2.0-OpenSSH\r\n", ["error", "protocol", "not HTTP"]),
        (b"\x00" * 300, ["error", "cut", "connection lost"]),
    ],
)
@in_loop
async def test_answers_of_all_kinds(tmp_path: Path, raw: bytes, said: list[Any]) -> None:
    """A server of the test's own, with the local cloud's certificate."""
    async with BoardRig(tmp_path) as rig:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
            writer.close()

        context = rig.cloud._authority.server_context(rig.cloud.hosts)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        rig.cloud.port, port = server.sockets[0].getsockname()[1], rig.cloud.port
        assert await rig.get() == said
        rig.cloud.port = port
        server.close()


@in_loop
async def test_one_tls_session_at_a_time(tmp_path: Path) -> None:
    async with BoardRig(tmp_path) as rig:
        now = most = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            now -= 1
            writer.close()

        context = rig.cloud._authority.server_context(rig.cloud.hosts)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        rig.cloud.port, port = server.sockets[0].getsockname()[1], rig.cloud.port
        said = await rig.board.run("""
async def main():
    jobs = [https.request("GET", "https://" + h + "/x") for h in roots.HOSTS for _ in range(3)]
    say([answer[0] for answer in await asyncio.gather(*jobs)])
asyncio.run(main())
""")
        rig.cloud.port = port
        server.close()
        assert said == [[[200] * 6]] and most == 1


@in_loop
async def test_requests_leave_nothing_behind(tmp_path: Path) -> None:
    async with BoardRig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0)
        said = await rig.board.run("""
import os
def files():
    return len(os.listdir("/proc/self/fd"))

async def main():
    for bad in ("https://api.thethings.io/v2/x", "https://nowhere.example/"):
        for _ in range(3):
            try:
                await https.request("GET", bad)
            except https.CloudError:
                pass
    before = files()
    jobs = [https.request("GET", "https://" + h + "/v2/x") for h in roots.HOSTS for _ in range(5)]
    await asyncio.gather(*jobs)
    for ms in range(1, 100, 7):
        try:
            await asyncio.wait_for_ms(https.request("GET", "https://api.thethings.io/v2/x"), ms)
        except asyncio.TimeoutError:
            pass
    await https.request("GET", "https://api.thethings.io/v2/x")
    say("files", before, files())
asyncio.run(main())
""")
        assert said[-1][1] == said[-1][2]


@in_loop
async def test_ctrl_c_in_a_request_does_not_block_the_next_run(tmp_path: Path) -> None:
    async with BoardRig(tmp_path) as rig:
        rig.cloud.faults.add(delay_s=20, times=1)
        said = await rig.board.run("""
async def interrupted():
    asyncio.create_task(https.request("GET", "https://api.thethings.io/v2/x"))
    await _sleep_ms(500)
    raise KeyboardInterrupt

try:
    asyncio.run(interrupted())
except KeyboardInterrupt:
    asyncio.new_event_loop()
say(asyncio.run(https.request("GET", "https://api.thethings.io/v2/x", timeout_ms=5000))[0])
""")
        assert said == [[404]]


def test_the_certificate_authorities_are_those_of_the_pinned_certifi() -> None:
    assert roots.differences() == []


def test_every_host_has_its_authorities() -> None:
    text = (roots.CA_DIR.parent / "roots.py").read_text()
    names = text.split("HOSTS = {")[1].split("}")[0]
    for name in roots.FINGERPRINTS:
        assert f'"{name}"' in names
    assert {w for w in names.split('"')[1::2] if "." not in w} == set(roots.FINGERPRINTS)


def test_time_of_this_machine_is_good_enough() -> None:
    assert time.gmtime().tm_year >= 2026  # or every test above says "clock not set"
