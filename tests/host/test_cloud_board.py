"""The board's clients on the real MicroPython, over real TLS, against the local cloud."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cloud_board import Board, in_loop, states, until
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tools import roots
from tools.cloud import LocalCloud
from tools.cloud.app import RainMakerApp, ThethingsApp, session_for
from tools.sim.node_reports import NodeReports

NODE = "node-1"
SECRET = "mapping-secret-1"
USER = "a@example.com"

BIND_THINGS = """
cloud = ThethingsIo(store.open("thethings"), identity, report)

async def main():
    if cloud.prepare():
        cloud.commit()
    say("link_id", cloud.ns.get("link_id"))
    await cloud.bind()
    say("end", cloud.state)

asyncio.run(main())
"""

BIND_MAKER = """
cloud = RainMaker(store.open("rainmaker"), identity, report, persist_token=PERSIST)
if DOCUMENT:
    cloud._hold([DOCUMENT])
    cloud.take()
    cloud.commit()

async def main():
    await cloud.bind()
    say("end", cloud.state)

asyncio.run(main())
"""


class Rig:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.cloud = LocalCloud()
        self.reports = NodeReports(self.cloud.rainmaker)

    async def __aenter__(self) -> Rig:
        await self.cloud.start()
        self.thing = self.cloud.thethings.add_thing()
        self.cloud.thethings.add_user(USER, "correct horse")
        self.cloud.rainmaker.accounts.add(USER, "correct horse")
        self.session = session_for(self.cloud.port, self.cloud.ca_pem)
        self.app = ThethingsApp(self.session)
        self.app.token = self.cloud.thethings.log_in(USER)
        self.maker = RainMakerApp(self.session)
        self.maker.token = self.cloud.rainmaker.accounts.log_in(USER)
        identity = {"thing_token": self.thing.token, "node_id": NODE}
        self.board = Board(self._directory / "board", self.cloud, identity)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.session.close()
        await self.cloud.stop()
        self.check_output()

    def check_output(self) -> None:
        """What the board printed holds no secret (the link id is printed by the tests)."""
        for secret in [*self.cloud.secrets(), SECRET]:
            raw = secret.encode()
            for form in (secret, raw.hex(), base64.b64encode(raw).decode()):
                assert form not in self.board.output

    async def things(self, **options: Any) -> list[Any]:
        return await self.board.run(BIND_THINGS, **options)

    async def map(self, *, hand: bool = True, persist: bool = False, **options: Any) -> list[Any]:
        document = {"secret_key": SECRET, "access_token": self.maker.token, "operation": "add"}
        script = f"DOCUMENT = {json.dumps(document).encode() if hand else None!r}\n"
        script += f"PERSIST = {persist}\n" + BIND_MAKER
        return await self.board.run(script, **options)

    async def get(self, url: str = "https://api.thethings.io/v2/x", **options: Any) -> list[Any]:
        """One plain request of the board; ["answer", status] or ["error", kind, detail]."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in options.items())
        said = await self.board.run(f"""
async def main():
    try:
        status, _headers, _body = await https.request("GET", {url!r}, {arguments})
        say("answer", status)
    except https.CloudError as e:
        say("error", e.kind, e.detail)
asyncio.run(main())
""")
        return said[-1]


# -- thethings.io ----------------------------------------------------------------------------


@in_loop
async def test_board_first(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.board.pause_ms = 100
        boot = asyncio.create_task(rig.things())
        await until(lambda: rig.cloud.thethings.waiting() == (0, 1), boot)
        link_id = next(iter(rig.cloud.thethings._boards))
        assert (await rig.app.link_id(link_id))["message"] == "linked"
        said = await boot
        assert states(said) == ["waiting", "linked"] and said[-1] == ["end", "linked"]
        assert [k.thing_id for k in rig.cloud.thethings.history] == [rig.thing.thing_id]


@in_loop
async def test_app_first_and_reboots_change_nothing(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        said = await rig.board.run(
            'cloud = ThethingsIo(store.open("thethings"), identity, report)\n'
            "cloud.prepare(); cloud.commit()\n"
            'say("link_id", cloud.ns.get("link_id"))\n'
        )
        link_id = said[-1][1]
        assert (await rig.app.link_id(link_id))["message"] == "waiting for thing"
        assert states(await rig.things()) == ["linked"]
        posts = len(rig.cloud.log)
        for _ in range(2):
            assert states(await rig.things()) == ["linked"]
        assert len(rig.cloud.log) == posts and len(rig.cloud.thethings.history) == 1


@in_loop
async def test_expired_window_then_a_fresh_one(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.board.pause_ms = 1
        script = BIND_THINGS.replace("cloud.prepare()", "False").replace(
            "asyncio.run(main())",
            'ns = store.open("thethings")\n'
            'ns.set("link_id", "a" * 32)\n'
            'ns.set("until", int(now()) + 400)\n'
            "ns.commit()\n"
            "def report_and_stop(state, **fields):\n"
            "    report(state, **fields)\n"
            '    if state == "expired":\n'
            '        say("fresh", ns.get("link_id") != "a" * 32, ns.get("until"))\n'
            "cloud._report = report_and_stop\n"
            "async def until_fresh():\n"
            "    task = asyncio.create_task(cloud.bind())\n"
            '    while ns.get("link_id") == "a" * 32 or not ns.get("until"):\n'
            "        await _sleep_ms(1)\n"
            "    task.cancel()\n"
            "asyncio.run(until_fresh())\n",
        )
        said = await rig.board.run(script)
        assert states(said)[:2] == ["waiting", "expired"]
        assert rig.cloud.thethings.waiting() == (0, 2)  # the old id's and the new one's


@in_loop
async def test_not_activated_then_activated(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.thing.activated = False
        rig.board.pause_ms = 300
        boot = asyncio.create_task(rig.things())
        await until(lambda: rig.cloud.log, boot)
        rig.thing.activated = True
        await until(lambda: rig.cloud.thethings.waiting() == (0, 1), boot)
        await rig.app.link_id(next(iter(rig.cloud.thethings._boards)))
        said = await boot
        assert states(said) == ["failed(not activated)", "waiting", "linked"]
        assert ["sleep", 900000] in said


@in_loop
async def test_unknown_thing_token(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.cloud.thethings._things.clear()
        said = await rig.things()
        assert said[-1] == ["end", "failed(unknown thing token)"] and len(rig.cloud.log) == 1


FAULTS = [
    ({"status": 500}, "http 500"),
    ({"status": 429, "retry_after": "77"}, "http 429"),
    ({"cut": "before"}, "cut: connection lost"),
    ({"cut": "after"}, "cut: connection lost"),
    ({"body": b"\x00\xff{"}, "protocol: not a JSON object"),
    ({"body": b"{}"}, "protocol: unknown answer"),
    ({"body": b"x" * 5000}, "too long: body of 5000 bytes"),
    ({"certificate": "host"}, "certificate: other host name"),
    ({"certificate": "authority"}, "certificate: unknown authority"),
    ({"certificate": "expired"}, "certificate: expired"),
]


@pytest.mark.parametrize("fault, words", FAULTS, ids=[w for _f, w in FAULTS])
@in_loop
async def test_thethings_outlives_faults(tmp_path: Path, fault, words: str) -> None:
    async with Rig(tmp_path) as rig:
        used = rig.cloud.faults.add(times=2, **fault)
        await rig.board.run(
            'store.open("thethings").set("link_id", "x" * 32)\nstore.open("thethings").commit()'
        )
        rig.cloud.faults.remove(used)
        await rig.app.link_id("x" * 32)
        rig.cloud.faults.add(used)
        said = await rig.board.run(BIND_THINGS)
        assert states(said) == [f"pending [{words}]", "linked"]
        assert used.hits == 2 and len(rig.cloud.thethings.history) == 1
        if "retry_after" in fault:
            assert ["sleep", 77000] in said


# -- RainMaker -------------------------------------------------------------------------------


@in_loop
async def test_mapping_confirmed(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0.1)
        rig.board.pause_ms = 200
        said = await rig.map()
        assert states(said) == ["pending", "sent", "confirmed"]
        assert await rig.maker.nodes() == [NODE]
        assert states(await rig.map(hand=False)) == ["confirmed"]
        mapping = rig.cloud.rainmaker.mapping
        assert len(mapping.history) == len(mapping.requests) == 1
        flash = b"".join(p.read_bytes() for p in rig.board.store.iterdir())
        assert SECRET.encode() not in flash and rig.maker.token.encode() not in flash


@pytest.mark.parametrize("fault, words", FAULTS, ids=[w for _f, w in FAULTS])
@in_loop
async def test_rainmaker_outlives_faults(tmp_path: Path, fault, words: str) -> None:
    async with Rig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0)
        rig.cloud.faults.add(times=2, **fault)
        said = await rig.map()
        assert states(said) == ["pending", f"pending [{words}]", "sent", "confirmed"]
        assert len(rig.cloud.rainmaker.mapping.history) == 1


@in_loop
async def test_answer_too_late(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.cloud.faults.add(delay_s=30, times=1)
        assert await rig.get(timeout_ms=300) == ["error", "timeout", "no answer in 300 ms"]
        assert await rig.get() == ["answer", 404]


@in_loop
async def test_needs_token_after_reboot_then_goes_on(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        # The plug is pulled while the cloud waits for the node's side.
        kill = (
            'say = lambda *w: sys.exit(3) if w[0] == "sleep" else print("\\x01" + json.dumps(w))\n'
        )
        document = {"secret_key": SECRET, "access_token": rig.maker.token, "operation": "add"}
        script = (
            f"DOCUMENT = {json.dumps(document).encode()!r}\nPERSIST = False\n{kill}{BIND_MAKER}"
        )
        assert states(await rig.board.run(script, code=3)) == ["pending", "sent"]
        assert states(await rig.map(hand=False)) == ["needs token"]
        rig.cloud.rainmaker.mapping.report(NODE, SECRET)
        rig.maker.token = rig.cloud.rainmaker.accounts.log_in(USER)
        assert states(await rig.map()) == ["confirmed"]
        assert rig.cloud.count("PUT", "/v1/user/nodes/mapping") == 1
        assert len(rig.cloud.rainmaker.mapping.history) == 1


@in_loop
async def test_token_expired(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.cloud.rainmaker.accounts.expire_tokens()
        said = await rig.map()
        assert states(said) == ["pending", "failed(token expired)"] and len(rig.cloud.log) == 1
        assert states(await rig.map(hand=False)) == ["failed(token expired)"]
        assert len(rig.cloud.log) == 1


@in_loop
async def test_node_side_that_never_reports(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.cloud.rainmaker.mapping.timeout_s = 0.01
        said = await rig.map()
        assert states(said)[-1] == "failed(timedout)"
        assert rig.cloud.count("PUT", "/v1/user/nodes/mapping") == 5
        assert not rig.cloud.rainmaker.mapping.all


@in_loop
async def test_remove(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0)
        await rig.map()
        document = {"access_token": rig.maker.token, "operation": "remove"}
        script = f"DOCUMENT = {json.dumps(document).encode()!r}\nPERSIST = False\n{BIND_MAKER}"
        assert states(await rig.board.run(script))[-1] == "removed"
        assert not rig.cloud.rainmaker.mapping.all
        assert [c.operation for c in rig.cloud.rainmaker.mapping.history] == ["add", "remove"]


@pytest.mark.parametrize("step", range(1, 9))
@in_loop
async def test_reset_at_each_step_maps_once(tmp_path: Path, step: int) -> None:
    """The process dies at the n-th store write or HTTPS answer, then boots again and again."""
    async with Rig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0)
        die = f"""
import homing.store
left = {step}
def tick():
    global left
    left -= 1
    if not left:
        sys.exit(3)
commit = homing.store.Namespace.commit
def dying_commit(self):
    tick()
    written = commit(self)
    tick()
    return written
homing.store.Namespace.commit = dying_commit
request = https.request
async def dying_request(*args, **options):
    answer = await request(*args, **options)
    tick()
    return answer
https.request = dying_request
"""
        document = {"secret_key": SECRET, "access_token": rig.maker.token, "operation": "add"}
        head = f"DOCUMENT = {json.dumps(document).encode()!r}\nPERSIST = True\n"
        await rig.board.run(die + head + BIND_MAKER, code=3)
        said = await rig.map(hand=False, persist=True)
        if said[-1] == ["end", "none"]:  # cut before the app got its answer: it tries again
            said = await rig.map(persist=True)
        assert said[-1] == ["end", "confirmed"]
        assert len(rig.cloud.rainmaker.mapping.history) == 1
        assert rig.cloud.count("PUT", "/v1/user/nodes/mapping") <= 2


# -- https and roots -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, words",
    [("host", "other host name"), ("authority", "unknown authority"), ("expired", "expired")],
)
@in_loop
async def test_certificates_that_are_refused(tmp_path: Path, kind, words: str) -> None:
    async with Rig(tmp_path) as rig:
        rig.cloud.faults.add(certificate=kind)
        assert await rig.get() == ["error", "certificate", words]
        assert not rig.cloud.log  # not a byte of the request got out


@in_loop
async def test_local_authority_is_refused_without_its_file(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.board.trust(None)
        assert await rig.get() == ["error", "certificate", "unknown authority"]
        maker = "https://api.rainmaker.espressif.com/v1/x"
        assert await rig.get(maker) == ["error", "certificate", "unknown authority"]
        assert not rig.cloud.log


@in_loop
async def test_broken_root_file_is_said(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.board.trust(b"not a certificate")
        words = "a root for api.thethings.io cannot be read"
        assert await rig.get() == ["error", "certificate", words]


@in_loop
async def test_clock_not_set(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.board.prelude = "https.tls.gmtime = lambda: time.gmtime(0)\n"
        assert await rig.get() == ["error", "clock not set", ""]
        assert not rig.cloud.log


@in_loop
async def test_no_address_and_nobody_there(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
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
    async with Rig(tmp_path) as rig:

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
    async with Rig(tmp_path) as rig:
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
    async with Rig(tmp_path) as rig:
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
    async with Rig(tmp_path) as rig:
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


@in_loop
async def test_heap_of_a_bind(tmp_path: Path) -> None:
    """A mapping in a heap of 100 KB, which is 50 KB on the chip's 32 bits."""
    async with Rig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0)
        rig.board.options = ("-X", "heapsize=100K")
        assert states(await rig.map())[-1] == "confirmed"


def test_the_certificate_authorities_are_those_of_the_pinned_certifi() -> None:
    assert roots.differences() == []


def test_every_host_has_its_authorities() -> None:
    text = (roots.CA_DIR.parent / "roots.py").read_text()
    names = text.split("HOSTS = {")[1].split("}")[0]
    for name in roots.FINGERPRINTS:
        assert f'"{name}"' in names
    assert {w for w in names.split('"')[1::2] if "." not in w} == set(roots.FINGERPRINTS)


# -- the endpoints, with Google's protobuf as the other side ---------------------------------


def bind_message() -> Any:
    """esp_rmaker_claim.proto's payload, as far as cloud_bind uses it."""
    file = descriptor_pb2.FileDescriptorProto(name="bind.proto", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in {
        "Buf": [
            ("offset", 1, kinds.TYPE_UINT32),
            ("payload", 2, kinds.TYPE_BYTES),
            ("total_len", 3, kinds.TYPE_UINT32),
        ],
        "Resp": [("status", 1, kinds.TYPE_INT32), ("buf", 2, ".Buf")],
        "Payload": [
            ("msg", 1, kinds.TYPE_INT32),
            ("cmd_payload", 10, ".Buf"),
            ("resp_payload", 11, ".Resp"),
        ],
    }.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            made = message.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
            if isinstance(kind, str):
                made.type, made.type_name = kinds.TYPE_MESSAGE, kind
            else:
                made.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Payload"))


@in_loop
async def test_cloud_bind_with_a_real_token(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0)
        fields = {"secret_key": SECRET, "access_token": rig.maker.token, "operation": "add"}
        document = json.dumps(fields).encode()
        payload = bind_message()
        pieces = []
        for at in range(0, len(document), 200):
            piece = payload()
            piece.cmd_payload.offset = at
            piece.cmd_payload.payload = document[at : at + 200]
            piece.cmd_payload.total_len = len(document)
            pieces.append(piece.SerializeToString())
        assert len(pieces) > 6 and max(map(len, pieces)) < 230
        said = await rig.board.run(f"""
cloud = RainMaker(store.open("rainmaker"), identity, report)
((name, handler),) = cloud.endpoints()
for piece in {pieces!r}:
    say("reply", handler(piece).hex())
cloud.take()
cloud.commit()
asyncio.run(cloud.bind())
""")
        replies = [payload.FromString(bytes.fromhex(s[1])) for s in said if s[0] == "reply"]
        assert all(r.msg == 1 and r.resp_payload.status == 0 for r in replies)
        assert states(said)[-1] == "confirmed" and await rig.maker.nodes() == [NODE]


def test_time_of_this_machine_is_good_enough() -> None:
    assert time.gmtime().tm_year >= 2026  # or every test above says "clock not set"
