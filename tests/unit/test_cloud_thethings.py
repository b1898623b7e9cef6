# Linking, with doubles for flash, HTTPS and time.

import asyncio
import json

from cloud_double import Flash, Http, Pulled, Reports, World, answer
from support import unhex

from homing.cloud.errors import CloudError
from homing.cloud.thethings import ThethingsIo

IDENTITY = {"thing_token": "tok-1"}
DAY_S = 86400
WAITING = answer('{"status":"success","message":"waiting for app"}')
LINKED = answer('{"status":"success","message":"linked","thingId":"thing-1"}')
ASLEEP = answer('{"status":"error","message":"thing not activated"}', 403)


class Rig:
    def __init__(self, *answers, flash=None, identity=IDENTITY, **options):
        self.world = World()
        self.flash = flash or Flash()
        self.http = Http(*answers)
        self.reports = Reports()
        self.cloud = ThethingsIo(self.flash, identity, self.reports, self.http, **options)

    def start(self):
        if self.cloud.prepare():
            self.cloud.commit()

    def read(self):
        """What an app gets from cloud_link."""
        ((name, handler),) = self.cloud.endpoints()
        assert name == "cloud_link"
        reply = handler(b"\x08\x00")
        if reply == unhex("0803"):
            return None
        assert reply[:3] == unhex("0800 12") and reply[3] == len(reply) - 4
        return reply[4:].decode()

    @property
    def posted(self):
        return [json.loads(body)["linkId"] for _m, _u, body, _h in self.http.sent]


async def test_linked_at_once():
    rig = Rig(LINKED)
    rig.start()
    link_id = rig.read()
    assert len(link_id) == 32 and rig.cloud.state == "pending"
    await rig.cloud.bind()
    method, url, body, headers = rig.http.sent[0]
    assert method == "POST"
    assert url == "https://api.thethings.io/v2/things/tok-1/link-id"
    assert json.loads(body) == {"linkId": link_id}
    assert headers == {"Content-Type": "application/json"}  # the board's call has no authorization
    assert rig.reports.said == ["linked"]
    assert rig.flash.saved == {"thing_id": "thing-1"}
    await rig.cloud.bind()
    assert len(rig.http.sent) == 1


async def test_waits_with_back_off_until_the_app_comes():
    rig = Rig(*([WAITING] * 12 + [LINKED]))
    rig.start()
    await rig.cloud.bind()
    assert rig.reports.said == ["waiting", "linked"]
    pauses = rig.world.pauses
    assert 3750 <= pauses[0] <= 5000 and 225000 <= pauses[-1] <= 300000
    assert len(set(rig.posted)) == 1
    assert rig.flash.writes == 3  # id, end of the window, thing id


async def test_window_ends_then_a_fresh_id_and_window():
    rig = Rig(WAITING)
    rig.start()
    start_s = rig.world.now_s
    task = asyncio.create_task(rig.cloud.bind())
    while "expired" not in rig.reports.said:
        await asyncio.sleep_ms(0)
    while len(set(rig.posted)) < 2:
        await asyncio.sleep_ms(0)
    ids = rig.posted
    assert len(set(ids[:-1])) == 1  # all but the last, which opened the new window
    assert 0 <= rig.world.now_s - start_s - DAY_S < 11
    assert 280 < len(ids) < 420
    task.cancel()
    assert rig.reports.said == ["waiting", "expired", "waiting"]
    assert rig.flash.saved["link_id"] == ids[-1] != ids[0]
    assert rig.flash.saved["until"] >= start_s + 2 * DAY_S
    assert rig.flash.writes == 4


async def test_last_try_is_just_before_the_end():
    rig = Rig(WAITING)
    end_s = int(rig.world.now_s) + DAY_S
    rig.http.answers = [lambda *_a: LINKED if end_s - rig.world.now_s < 10 else WAITING]
    rig.start()
    await rig.cloud.bind()
    assert rig.reports.said == ["waiting", "linked"]


async def test_window_survives_reboots():
    rig = Rig(WAITING)
    rig.start()
    task = asyncio.create_task(rig.cloud.bind())
    while len(rig.http.sent) < 3:
        await asyncio.sleep_ms(0)
    task.cancel()
    end_s = rig.flash.saved["until"]
    after = Rig(LINKED, flash=Flash(rig.flash.saved))
    after.world.now_s = end_s - 10
    assert after.cloud.state == "waiting"
    await after.cloud.bind()
    assert after.posted == rig.posted[:1] and after.reports.said == ["linked"]
    late = Rig(LINKED, flash=Flash(rig.flash.saved))
    late.world.now_s = end_s
    await late.cloud.bind()
    assert late.posted != rig.posted[:1] and late.reports.said == ["expired", "linked"]


async def test_a_window_that_a_wrong_clock_began_is_over():
    flash = Flash({"link_id": "a" * 32, "until": 850000000 + 10 * DAY_S})
    rig = Rig(LINKED, flash=flash)
    await rig.cloud.bind()
    assert rig.reports.said == ["expired", "linked"] and rig.posted != ["a" * 32]


async def test_new_provisioning_session_gets_a_new_window():
    rig = Rig(LINKED)
    rig.start()
    first = rig.read()
    again = Rig(LINKED, flash=Flash(rig.flash.saved))
    again.start()
    assert again.read() == first and again.flash.writes == 0  # never posted: still good
    used = Rig(LINKED, flash=Flash(dict(rig.flash.saved, until=1)))
    used.start()
    assert used.read() != first and "until" not in used.flash.saved


async def test_linked_board_links_anew_only_if_an_app_asked():
    rig = Rig(LINKED, flash=Flash({"thing_id": "old"}))
    rig.start()
    assert rig.flash.writes == 0 and rig.cloud.state == "linked"
    assert not rig.cloud.take()
    link_id = rig.read()
    assert rig.cloud.take() and not rig.cloud.take()
    rig.cloud.commit()
    await rig.cloud.bind()
    assert rig.posted == [link_id] and rig.flash.saved == {"thing_id": "thing-1"}
    # And if that app never posts, the old link is what remains.
    rig = Rig(WAITING, flash=Flash({"thing_id": "old"}))
    rig.start()
    rig.read()
    await rig.cloud.bind()
    assert rig.reports.said == ["waiting", "expired", "linked"]
    assert rig.flash.saved == {"thing_id": "old"}


async def test_fixed_link_id():
    rig = Rig(LINKED, link_id="SN-0042")
    rig.start()
    assert rig.read() == "SN-0042"
    await rig.cloud.bind()
    assert rig.posted == ["SN-0042"]
    changed = Rig(LINKED, flash=Flash({"link_id": "a" * 32, "until": 7}), link_id="SN-0042")
    changed.start()
    assert changed.flash.saved == {"link_id": "SN-0042"}


async def test_not_activated_is_tried_slowly():
    rig = Rig(ASLEEP, ASLEEP, ASLEEP, WAITING, LINKED)
    rig.start()
    await rig.cloud.bind()
    assert rig.reports.said == ["failed(not activated)", "waiting", "linked"]
    assert rig.world.pauses[:3] == [900000] * 3


async def test_unknown_token_is_final():
    for code in (401, 403, 404):
        rig = Rig(answer('{"message":"no"}', code))
        rig.start()
        await rig.cloud.bind()
        assert rig.reports.said == ["failed(unknown thing token)"] and len(rig.http.sent) == 1
        assert rig.cloud.state == "failed(unknown thing token)"


async def test_faults_are_named_and_outlived():
    faults = [
        (answer("", 500), "http 500"),
        (answer("", 429), "http 429"),
        (CloudError("cut", "connection lost"), "cut: connection lost"),
        (CloudError("certificate", "other host name"), "certificate: other host name"),
        (answer("}"), "protocol: not a JSON object"),
        (answer('{"message":"linked"}'), "protocol: unknown answer"),
        (answer('{"message":"linked","thingId":"a/../b"}'), "protocol: unknown answer"),
        (answer('{"message":{}}'), "protocol: unknown answer"),
    ]
    rig = Rig(*([a for a, _f in faults] + [WAITING, answer("", 502), LINKED]))
    rig.start()
    await rig.cloud.bind()
    expected = []
    for _a, fault in faults:
        line = f"pending [{fault}]"
        if expected[-1:] != [line]:
            expected.append(line)
    assert rig.reports.said == expected + ["waiting", "waiting [http 502]", "linked"]
    assert rig.flash.writes == 3


async def test_window_ends_in_an_outage_too():
    rig = Rig(WAITING, answer("", 500))
    rig.start()
    task = asyncio.create_task(rig.cloud.bind())
    while "expired" not in rig.reports.said:
        await asyncio.sleep_ms(0)
    task.cancel()
    assert rig.reports.said[:2] == ["waiting", "waiting [http 500]"]


async def test_without_token_there_is_nothing():
    rig = Rig(LINKED, identity={})
    assert rig.cloud.state == "none" and not rig.cloud.endpoints() and not rig.cloud.prepare()
    await rig.cloud.bind()
    assert rig.http.sent == []


def test_link_id_is_not_for_everyone():
    rig = Rig(LINKED, allowed=False)
    rig.start()
    assert rig.read() is None
    rig = Rig(LINKED)
    assert rig.read() is None  # main has not prepared one


class Cloud:
    def __init__(self, cut_at):
        self.links = set()
        self.count = 0
        self.cut_at = cut_at

    def __call__(self, _method, _url, body):
        self.count += 1
        result = LINKED if self.count > 2 else WAITING
        if result is LINKED:
            self.links.add(json.loads(body)["linkId"])
        return Pulled() if self.count == self.cut_at else result


async def test_power_cut_at_every_step_ends_linked_once():
    cuts = [(None, None, n) for n in (1, 2, 3)]
    cuts += [(n, after, None) for n in range(3) for after in (False, True)]
    for cut_at, after, cut_answer in cuts:
        flash = Flash(cut_at=cut_at, after=bool(after))
        cloud = Cloud(cut_answer)
        for _boot in range(4):
            rig = Rig(cloud, flash=flash)
            try:
                if not flash.saved:
                    rig.start()
                await rig.cloud.bind()
                break
            except Pulled:
                flash = Flash(flash.saved)
        assert rig.cloud.state == "linked", (cut_at, after, cut_answer)
        assert len(cloud.links) == 1 and flash.saved == {"thing_id": "thing-1"}
