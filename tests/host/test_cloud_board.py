"""The board's clients on the real MicroPython, over real TLS, against the local cloud."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cloud_board import NODE, SECRET, USER, BoardRig, in_loop, states, until
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

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
    from homing.cloud.fragments import parse

    cloud._held.append(parse([DOCUMENT]))
    cloud.take()
    cloud.commit()

async def main():
    await cloud.bind()
    say("end", cloud.state)

asyncio.run(main())
"""


class Rig(BoardRig):
    """What binds a board, one boot each."""

    async def things(self, **options: Any) -> list[Any]:
        return await self.board.run(BIND_THINGS, **options)

    async def map(self, *, hand: bool = True, persist: bool = False, **options: Any) -> list[Any]:
        document = {"secret_key": SECRET, "access_token": self.maker.token, "operation": "add"}
        script = f"DOCUMENT = {json.dumps(document).encode() if hand else None!r}\n"
        script += f"PERSIST = {persist}\n" + BIND_MAKER
        return await self.board.run(script, **options)


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


@in_loop
async def test_heap_of_a_bind(tmp_path: Path) -> None:
    """A mapping in a heap of 100 KB, which is 50 KB on the chip's 32 bits."""
    async with Rig(tmp_path) as rig:
        rig.reports.enable(NODE, after_s=0)
        rig.board.options = ("-X", "heapsize=100K")
        assert states(await rig.map())[-1] == "confirmed"


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
