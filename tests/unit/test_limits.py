# When provisioning stops for good, with a way in that the test calls itself.

import asyncio

from client import SESSION, Client
from support import raises

from homing.protocomm.errors import Refused
from homing.provisioning.provisioner import Provisioner

POP = "abcd1234"


class _Way:
    """A transport that the test speaks through; requests come in whether main runs or not."""

    def __init__(self):
        self.up = False

    def start(self, protocomm, _post):
        self.up = True
        self._protocomm = protocomm

    async def run(self):
        await asyncio.sleep(1000)

    async def stop(self):
        self.up = False

    def hang_up(self):
        pass

    def client(self, pop=POP):
        assert self._protocomm.open(SESSION, self)
        return Client(self.handle, pop.encode())

    def handle(self, name, data):
        return self._protocomm.handle(SESSION, name, data)

    def guess(self, times):
        for _ in range(times):
            client = self.client("wrong")
            client.command0()
            raises(Refused, client.command1)


def _service(**options):
    way = _Way()
    return way, Provisioner("PROV_test", pop=POP, transports=(way,), **options)


async def _kinds(service):
    kinds = []
    async for event in service:
        if event.kind == "wrong_pop":
            kinds.append(event.count)
        else:
            kinds.append(event.why if event.kind == "stopped" else event.kind)
    return kinds


async def test_no_handshake_after_the_limit_even_before_main_has_run():
    way, service = _service()
    async with service:
        way.guess(4)
        way.client().handshake()  # a right one in between: counted anew
        way.guess(5)
        why = raises(Refused, way.client().command0)
        assert "stopped" in why.args[0]
        assert b"netprov" in way.handle("proto-ver", b"ESP")
        assert await _kinds(service) == (
            ["advertising", 1, 2, 3, 4, "secured", 1, 2, 3, 4, 5, "wrong proofs"]
        )
        raises(Refused, way.client().command0)
    assert not way.up


async def test_the_limit_counts_with_a_full_queue():
    way, service = _service(wrong_proofs=100)
    async with service:
        way.guess(100)
        raises(Refused, way.client().command0)
        kinds = await _kinds(service)
    assert kinds[-1] == "wrong proofs" and len(kinds) < 100


async def test_no_limit():
    way, service = _service(wrong_proofs=0, timeout_ms=0)
    async with service:
        way.guess(20)
        await asyncio.sleep_ms(200)
        way.client().handshake()


async def test_timeout():
    way, service = _service(timeout_ms=300)
    async with service:
        way.guess(1)
        assert await _kinds(service) == ["advertising", 1, "timeout"]
        raises(Refused, way.client().command0)


async def test_a_join_under_way_is_not_in_vain():
    for ok, last in ((True, "done"), (False, "timeout")):
        way, service = _service(timeout_ms=1200, keep_ms=0, unread_ms=0)
        async with service:
            client = way.client()
            client.handshake()
            client.ask("prov-config", b"\x08\x02\x62\x03\x0a\x01A")
            client.ask("prov-config", b"\x08\x04")
            kinds = []
            async for event in service:
                kinds.append(event.kind if event.kind != "stopped" else event.why)
                if event.kind == "credentials":
                    await asyncio.sleep_ms(600)
                    await service.report(ok)
            assert kinds == ["advertising", "secured", "credentials", last], kinds


async def test_what_was_counted_goes_on_in_the_next_service():
    """One that a fault has ended must not give an attacker five more proofs."""
    way, service = _service()
    async with service:
        way.guess(3)
    way, again = _service()
    again.wrong = service.wrong
    async with again:
        way.guess(2)
        raises(Refused, way.client().command0)
