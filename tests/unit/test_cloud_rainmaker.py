# The mapping, with doubles for flash, HTTPS and time.

import json

from cloud_double import Flash, Http, Pulled, Reports, World, answer

from homing.cloud.errors import CloudError
from homing.cloud.fragments import parse
from homing.cloud.rainmaker import RainMaker

IDENTITY = {"node_id": "node-1"}
TOKEN = "t" * 1200
SENT = answer('{"status":"success","request_id":"r-1"}')


def status(text):
    return answer(json.dumps({"request_status": text}))


class Rig:
    def __init__(self, *answers, flash=None, persist=False, associate=False):
        self.world = World()
        self.flash = flash or Flash()
        self.http = Http(*answers)
        self.reports = Reports()
        self.cloud = RainMaker(
            self.flash,
            IDENTITY,
            self.reports,
            self.http,
            persist_token=persist,
            associate=associate,
        )

    def hand(self, secret="s-1", token=TOKEN, operation="add", user="u-1"):
        fields = {"secret_key": secret, "access_token": token, "operation": operation}
        if user:
            fields["user_id"] = user
        self.cloud._held.append(parse([json.dumps(fields).encode()]))
        assert self.cloud.take()
        self.cloud.commit()

    @property
    def requests(self):
        return [(m, u[u.find("/v1") :]) for m, u, _b, _h in self.http.sent]


PUT = ("PUT", "/v1/user/nodes/mapping")
GET = ("GET", "/v1/user/nodes/mapping?request_id=r-1")


async def test_confirmed():
    rig = Rig(SENT, status("requested"), status("requested"), status("confirmed"))
    assert rig.cloud.state == "none"
    rig.hand()
    assert rig.cloud.state == "pending"
    await rig.cloud.bind()
    assert rig.requests == [PUT, GET, GET, GET]
    assert rig.reports.said == ["pending", "sent", "confirmed"]
    assert rig.cloud.state == "confirmed"
    method, url, body, headers = rig.http.sent[0]
    assert url == "https://api.rainmaker.espressif.com/v1/user/nodes/mapping"
    assert json.loads(body) == {
        "node_id": "node-1",
        "secret_key": "s-1",
        "operation": "add",
        "user_id": "u-1",
    }
    assert headers == {"Authorization": [TOKEN.encode()], "Content-Type": "application/json"}
    assert rig.http.sent[1][3] == {"Authorization": [TOKEN.encode()]}
    assert rig.flash.saved == {"st": "confirmed", "user": "u-1"}
    assert rig.flash.writes == 3
    assert rig.world.pauses == [5000, 5000]


async def test_remove():
    rig = Rig(answer('{"status":"success"}'))
    rig.hand(secret="", operation="remove")
    await rig.cloud.bind()
    assert rig.cloud.state == "removed" and rig.flash.saved == {"st": "removed"}
    rig = Rig(SENT, status("confirmed"))
    rig.hand(secret="", operation="remove")
    await rig.cloud.bind()
    assert rig.reports.said == ["pending", "sent", "removed"]


async def test_remove_whose_answer_was_lost():
    refused = answer('{"status":"failure"}', 403)
    lost = CloudError("timeout", "no answer in 20000 ms")
    for answers, state in (((lost, refused), "removed"), ((refused,), "failed(refused 403)")):
        rig = Rig(*answers)
        rig.hand(secret="", operation="remove")
        await rig.cloud.bind()
        assert rig.cloud.state == state


async def test_nothing_to_do():
    rig = Rig(SENT)
    await rig.cloud.bind()
    assert rig.http.sent == [] and rig.reports.said == ["none"]


async def test_token_expired_is_final_and_resumes_with_a_new_one():
    expired = answer('{"message":"expired"}', 401)
    rig = Rig(SENT, status("requested"), expired)
    rig.hand()
    await rig.cloud.bind()
    assert rig.reports.said[-1] == "failed(token expired)"
    assert rig.requests == [PUT, GET, GET]
    await rig.cloud.bind()  # no retry
    assert len(rig.http.sent) == 3
    assert "token" not in rig.flash.saved
    again = Rig(status("confirmed"), flash=Flash(rig.flash.saved))
    assert again.cloud.state == "failed(token expired)"
    again.hand(token="t2")
    await again.cloud.bind()
    assert again.requests == [GET]  # not a second PUT for the same secret
    assert again.cloud.state == "confirmed"


async def test_new_secret_starts_anew():
    rig = Rig(SENT, answer("{}", 401))
    rig.hand()
    await rig.cloud.bind()
    again = Rig(SENT, status("confirmed"), flash=Flash(rig.flash.saved))
    again.hand(secret="s-2")
    await again.cloud.bind()
    assert again.requests == [PUT, GET]


async def test_needs_token_after_reboot():
    rig = Rig(SENT)
    rig.hand()
    for saved in (rig.flash.saved, dict(rig.flash.saved, st="sent", req="r-1")):
        after = Rig(SENT, flash=Flash(saved))
        assert after.cloud.state == "needs token"
        await after.cloud.bind()
        assert after.http.sent == [] and after.reports.said == ["needs token"]
        assert after.flash.writes == 0


async def test_persisted_token_goes_on_after_reboot_and_is_erased_at_the_end():
    rig = Rig(SENT, persist=True)
    rig.hand()
    after = Rig(SENT, status("confirmed"), flash=Flash(rig.flash.saved), persist=True)
    assert after.cloud.state == "pending"
    await after.cloud.bind()
    assert after.cloud.state == "confirmed"
    assert after.flash.saved == {"st": "confirmed", "user": "u-1"}


async def test_timedout_gets_fresh_requests_then_fails():
    rig = Rig(SENT, status("timedout"), SENT, status("confirmed"))
    rig.hand()
    await rig.cloud.bind()
    assert rig.reports.said == ["pending", "sent", "timedout", "sent", "confirmed"]
    assert rig.requests == [PUT, GET, PUT, GET]
    rig = Rig(lambda method, _url, _body: SENT if method == "PUT" else status("timedout"))
    rig.hand()
    await rig.cloud.bind()
    assert rig.requests == [PUT, GET] * 5
    assert rig.reports.said[-1] == "failed(timedout)"
    assert rig.flash.saved == {"st": "failed(timedout)"}
    assert rig.flash.writes <= 3  # the same request id every time here: nothing to write


async def test_fault_in_the_fresh_request():
    rig = Rig(SENT, status("timedout"), answer("", 500), SENT, status("confirmed"))
    rig.hand()
    await rig.cloud.bind()
    assert rig.requests == [PUT, GET, PUT, PUT, GET] and rig.cloud.state == "confirmed"


async def test_forgotten_request_is_sent_again():
    rig = Rig(SENT, answer("{}", 404), SENT, status("confirmed"))
    rig.hand()
    await rig.cloud.bind()
    assert rig.requests == [PUT, GET, PUT, GET] and rig.cloud.state == "confirmed"


async def test_discarded_and_refused_are_final():
    rig = Rig(SENT, status("discarded"))
    rig.hand()
    await rig.cloud.bind()
    assert rig.cloud.state == "failed(discarded)" and len(rig.http.sent) == 2
    for code in (400, 403, 404, 409):
        rig = Rig(answer('{"description":"no"}', code))
        rig.hand()
        await rig.cloud.bind()
        assert rig.cloud.state == f"failed(refused {code})" and len(rig.http.sent) == 1
        assert rig.flash.saved == {"st": f"failed(refused {code})"}


async def test_transient_faults_are_named_and_outlived():
    faults = [
        (answer("no", 500), "http 500"),
        (answer("{}", 429), "http 429"),
        (answer("{}", 302), "http 302"),
        (answer("<html>"), "protocol: not a JSON object"),
        (answer(b"\xff\xfe"), "protocol: not a JSON object"),
        (answer("[]"), "protocol: not a JSON object"),
        (answer("{}"), "protocol: unknown answer"),
        (answer('{"request_id":"../../x"}'), "protocol: unknown answer"),
        (CloudError("timeout", "no answer in 20000 ms"), "timeout: no answer in 20000 ms"),
        (CloudError("certificate", "expired"), "certificate: expired"),
        (CloudError("clock not set"), "clock not set"),
        (MemoryError(), "memory"),
    ]
    rig = Rig(*([a for a, _f in faults] + [SENT, answer("", 503), status("confirmed")]))
    rig.hand()
    await rig.cloud.bind()
    expected = ["pending"]
    for _a, fault in faults:
        line = f"pending [{fault}]"
        if expected[-1] != line:
            expected.append(line)
    assert rig.reports.said == expected + ["sent", "sent [http 503]", "confirmed"], rig.reports.said
    assert rig.flash.writes == 3  # no write per retry


async def test_retry_after():
    rig = Rig(
        (429, {"retry-after": b"120"}, b""),
        (503, {"retry-after": b"999999"}, b""),
        (503, {"retry-after": b"99999"}, b""),
        (503, {"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT"}, b""),
        SENT,
        status("confirmed"),
    )
    rig.hand()
    await rig.cloud.bind()
    assert rig.world.pauses[0] == 120000
    assert rig.world.pauses[1] <= 10000  # not a number that we read
    assert rig.world.pauses[2] == 3600000
    assert rig.world.pauses[3] <= 40000


async def test_full_flash_is_a_fault_not_an_end():
    rig = Rig(SENT, status("confirmed"))
    rig.hand()
    rig.flash.full = True
    pause = rig.world.sleep_ms

    async def make_room(ms):
        rig.flash.full = len(rig.world.pauses) < 3
        await pause(ms)

    rig.world.sleep_ms = make_room
    await rig.cloud.bind()
    assert "sent [store: cannot write]" in rig.reports.said
    assert rig.flash.saved["st"] == "confirmed"


async def test_last_one_handed_over_wins():
    rig = Rig(SENT, status("confirmed"))
    rig.cloud._held.append(parse([b'{"secret_key":"old","access_token":"t","operation":"add"}']))
    rig.hand(secret="new")
    assert not rig.cloud.take()
    await rig.cloud.bind()
    assert b'"new"' in rig.http.sent[0][2]


class Cloud:
    """A cloud with a memory: maps once, however often it is asked."""

    def __init__(self, cut_at=None):
        self.made = 0
        self.requests = 0
        self.count = 0
        self.cut_at = cut_at

    def __call__(self, method, _url, _body):
        self.count += 1
        if method == "PUT":
            self.requests += 1
            result = answer(json.dumps({"request_id": f"r-{self.requests}"}))
        else:
            self.made = 1
            result = status("confirmed")
        if self.count == self.cut_at:
            return Pulled()
        return result


async def test_power_cut_at_every_step_ends_confirmed_once():
    cuts = [(None, None, n) for n in (1, 2)]
    cuts += [(n, after, None) for n in range(4) for after in (False, True)]
    for cut_at, after, cut_answer in cuts:
        flash = Flash(cut_at=cut_at, after=bool(after))
        cloud = Cloud(cut_answer)
        for _boot in range(6):
            rig = Rig(cloud, flash=flash, persist=True)
            try:
                if rig.cloud.state == "none":  # the app's session was cut: it starts over
                    rig.hand()
                await rig.cloud.bind()
                break
            except Pulled:
                flash = Flash(flash.saved)  # the next boot
        assert rig.cloud.state == "confirmed", (cut_at, after, cut_answer)
        assert cloud.made == 1 and cloud.requests <= 2, (cut_at, after, cut_answer)
        assert flash.saved == {"st": "confirmed", "user": "u-1"}


# -- cloud_user_assoc: vectors made with Espressif's own protobuf classes --------------------------

ASSOC = bytes.fromhex("520a0a03752d311203732d31")  # u-1, s-1


async def test_user_association_is_offered_where_it_is_asked_for():
    assert [name for name, _handler in Rig().cloud.endpoints()] == ["cloud_bind"]


async def test_user_association():
    rig = Rig(associate=True)
    rig.cloud.identity = {"node_id": "node1"}
    handler = dict(rig.cloud.endpoints())["cloud_user_assoc"]
    assert handler(ASSOC).hex() == "08015a0712056e6f646531"
    assert rig.flash.writes == 0  # it runs in the interrupt
    assert rig.cloud.take()
    rig.cloud.commit()
    assert rig.flash.saved == {"st": "unreported", "user": "u-1", "secret": "s-1"}
    await rig.cloud.bind()
    assert rig.reports.said == ["unreported"] and not rig.http.sent
    assert not rig.cloud.take()


async def test_user_association_refuses_what_it_cannot_keep():
    rig = Rig(associate=True)
    handler = dict(rig.cloud.endpoints())["cloud_user_assoc"]
    for request in (
        b"",  # no member
        bytes.fromhex("5200"),  # neither text
        bytes.fromhex("52050a03752d31"),  # no secret
        b"\x52\x87\x01\x0a\x81\x01" + b"u" * 129 + b"\x12\x01s",
    ):
        assert handler(request).hex() == "08015a020801"
    assert handler(bytes.fromhex("0801")) == b""  # no request: an empty answer, as upstream
    assert not rig.cloud.take()


async def test_user_association_replaces_what_was_under_way():
    rig = Rig(SENT, status("requested"), associate=True)
    rig.hand()
    dict(rig.cloud.endpoints())["cloud_user_assoc"](ASSOC)
    assert rig.cloud.take()
    rig.cloud.commit()
    assert rig.flash.saved == {"st": "unreported", "user": "u-1", "secret": "s-1"}
    assert rig.cloud._access_token() is None
    rig.hand()  # and a token that came in the same session has the last word
    assert rig.cloud.state == "pending"
