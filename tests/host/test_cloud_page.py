"""The local cloud's page in Debian's Chromium."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web
from cloud_page import USER, Rig, chromium
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from selenium import webdriver

from tools.cloud import LocalCloud, broker
from tools.cloud.app import AppError
from tools.harness.paho_node import PahoNode, lamp_config


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    made = chromium(tmp_path_factory.mktemp("chromium"))
    if made is None:
        pytest.skip("chromium and chromium-driver are not installed (make test-system)")
    yield made
    made.quit()


@pytest.fixture
def rig(driver: webdriver.Chrome) -> Iterator[Rig]:
    made = Rig()
    made.driver = driver
    try:
        made.open()
        yield made
        # Slips of its script and of its policy are told here, as are refused actions.
        told = [entry["message"] for entry in driver.get_log("browser")]
        faults = [message for message in told if "Failed to load resource" not in message]
        assert faults == []
    finally:
        driver.get("about:blank")
        driver.get_log("browser")
        made.close()


# -- what is seen ----------------------------------------------------------------------------


def test_shows_live_what_a_board_and_an_app_do(rig: Rig) -> None:
    assert "No thing yet" in rig.text("main") and "No request yet" in rig.text("main")
    assert rig.text("#address") == f"127.0.0.1:{rig.cloud.port}"
    rig.log_in()
    rig.until_row("log", "POST", "/v2/login", "200")
    rig.until_row("thethings-users", USER, "0 things, 1 session")
    thing = rig.cloud.thethings.add_thing()
    rig.until_row("things", thing.thing_id, "activated")
    assert rig.board(thing.token, "shared-id-1") == 200
    rig.until_row("links", thing.thing_id, "waits for the app", "24 h left")
    rig.clock.now += 3600
    rig.until_row("links", "waits for the app", "23 h left")
    rig.run(rig.things.link_id("shared-id-1"))
    rig.until_row("links", USER, thing.thing_id, "linked by shared id", "now")
    rig.clock.now += 125
    rig.until_row("links", "2 min ago")
    assert len(rig.rows("links")) == 1
    for _ in range(3):
        rig.board(thing.token, "shared-id-1")
    rig.until_row("log", "/v2/things/{token}/link-id", "thethings.io", "×3", "200")
    rig.log_in()  # RainMaker's token has expired
    rig.run(rig.maker.map_node("node-1", "mapping-secret"))
    rig.until_row("requests", "node-1", "add to", USER, "requested", "30 s left")
    rig.until_row("nodes", "node-1", "not mapped")
    rig.clock.now += 31
    rig.until_row("requests", "node-1", "timedout")


@pytest.mark.skipif(broker.find() is None, reason=broker.MISSING)
def test_says_why_a_node_is_not_taken(rig: Rig) -> None:
    rig.run(rig.cloud.start_mqtt())
    made = rig.cloud.new_node("node-1")
    with PahoNode(made, rig.cloud.ca_pem, rig.cloud.mqtt.port, client_id="<b>foreign</b>") as node:
        cure = "connect with the node id, node-1, as the client id"
        rig.until_row("log", "MQTT connect", "/node/node-1", "'<b>foreign</b>'", cure, "403")
        node.publish("config", lamp_config("node-1"))
        rig.until_row("log", "MQTT in", "/node/node-1/config", "403")


def test_says_where_boards_are(rig: Rig, driver: webdriver.Chrome) -> None:
    text = rig.text("main")
    assert "homing provision lets a board and its owner meet" in text
    assert "No board uses this cloud" not in text
    alone = Rig(alone=True)
    try:
        alone.driver = driver
        alone.open()
        text = alone.text("main")
        assert "No board uses this cloud" in text
        assert "homing provision" not in text
        assert "No request yet. Your own programs find both hosts" in text
    finally:
        alone.close()


def test_focus_and_rows_outlive_what_happens_meanwhile(rig: Rig) -> None:
    thing = rig.cloud.thethings.add_thing()
    rig.until_row("things", thing.thing_id)
    button = rig.find("#things [data-do=Deactivate]")
    rig.driver.execute_script("arguments[0].focus()", button)
    other = rig.cloud.thethings.add_thing(activated=False)
    rig.until_row("things", other.thing_id)
    assert rig.driver.switch_to.active_element == button
    thing.activated = False
    rig.until(lambda: button.text == "Activate")
    assert rig.driver.switch_to.active_element == button


def test_text_from_outside_stays_text(rig: Rig) -> None:
    rig.log_in()
    markup = "<img src=x onerror=document.title='broken'>"
    rig.run(rig.maker.map_node(markup, "mapping-secret"))
    rig.until_row("requests", markup)
    assert rig.driver.title == "Homing · local cloud"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_fits_narrow_screens_and_names_its_fields(rig: Rig, theme: str) -> None:
    rig.log_in()
    thing = rig.cloud.thethings.add_thing()
    rig.run(rig.things.link_token(thing.token))
    rig.run(rig.maker.map_node("node-" + 60 * "long", "mapping-secret"))
    rig.cloud.faults.add(path="/v2/things/*/link-id", cut="after")
    run = rig.driver.execute_cdp_cmd
    features = [{"name": "prefers-color-scheme", "value": theme}]
    run("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    run("Emulation.setDeviceMetricsOverride", metrics)
    try:
        rig.until_row("requests", "node-long")
        rig.until_row("faults", "cut after handling")
        script = rig.driver.execute_script
        assert script("return document.documentElement.scrollWidth") <= 360
        ground = script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground.strip("rgb()").split(","))) > 380) == (theme == "light")
        nameless = (
            "return [...document.querySelectorAll('input, select, button')]"
            ".filter((e) => !(e.labels?.length || e.ariaLabel || e.innerText || e.textContent))"
            ".map((e) => e.outerHTML)"
        )
        assert script(nameless) == []
    finally:
        run("Emulation.clearDeviceMetricsOverride", {})
        run("Emulation.setEmulatedMedia", {"features": []})


# -- what can be done ------------------------------------------------------------------------


def test_activate_and_deactivate(rig: Rig) -> None:
    thing = rig.cloud.thethings.add_thing(activated=False)
    rig.until_row("things", thing.thing_id, "not activated")
    assert rig.board(thing.token, "id-1") == 403
    rig.click("#things button", "Activate")
    rig.until_row("things", thing.thing_id, "Deactivate")
    assert rig.board(thing.token, "id-1") == 200
    rig.click("#things button", "Deactivate")
    rig.until_row("things", "not activated")
    assert rig.board(thing.token, "id-1") == 403


def test_link_by_id_and_by_token_and_unlink(rig: Rig) -> None:
    rig.log_in()
    first, second = rig.cloud.thethings.add_thing(), rig.cloud.thethings.add_thing()
    asleep = rig.cloud.thethings.add_thing(activated=False)
    rig.until_row("things", asleep.thing_id)
    rig.click("#things button", "Link")
    assert not rig.find("#link-token").is_displayed()
    rig.click("#link [type=submit]")
    rig.until_row("links", USER, first.thing_id, "linked by token")
    rig.click("#open-link")
    for token, answer in (("no-such-token", "thing not found"), (asleep.token, "not activated")):
        rig.type("link-token", token)
        rig.click("#link [type=submit]")
        rig.until(lambda answer=answer: answer in rig.text("#said"))
    rig.type("link-token", second.token)
    rig.click("#link [type=submit]")
    rig.until_row("links", second.thing_id, "linked by token")
    assert rig.run(rig.things.things()) == [first.thing_id, second.thing_id]
    assert rig.find("#link-token").get_property("value") == ""
    rig.click(f"#links li[data-key$='{first.thing_id}'] button", "Unlink")
    rig.until(lambda: len(rig.rows("links")) == 1)
    assert rig.run(rig.things.things()) == [second.thing_id]


def test_add_a_thing_whose_token_only_the_clipboard_learns(rig: Rig) -> None:
    rig.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    rig.click("#open-add")
    rig.click("#add [type=submit]")
    rig.until(lambda: len(rig.rows("things")) == 1)
    read = "navigator.clipboard.readText().then(arguments[0], (e) => arguments[0](String(e)))"
    drawn = rig.cloud.thethings.things[0]
    assert rig.driver.execute_async_script(read) == drawn.token
    assert drawn.activated and len(drawn.token) == 43
    rig.click("#open-add")
    rig.click("#add [value=given]")
    rig.click("#add-activated")
    rig.type("add-token", drawn.token)
    rig.click("#add [type=submit]")
    rig.until(lambda: "in use" in rig.text("#said"))
    rig.type("add-token", "a-token-of-my-own")
    rig.click("#add [type=submit]")
    rig.until_row("things", "not activated")
    assert rig.board("a-token-of-my-own", "id-1") == 403
    assert_no_secret(rig)


@pytest.fixture
def lamp(rig: Rig) -> Iterator[PahoNode]:
    """A node with a lamp, mapped to the user; its reports are let through one by one."""
    if broker.find() is None:
        pytest.skip(broker.MISSING)
    rig.log_in()
    rig.run(rig.cloud.start_mqtt())
    made = rig.cloud.new_node("node-1")
    with PahoNode(made, rig.cloud.ca_pem, rig.cloud.mqtt.port, lambda _params: {}) as node:
        node.introduce()
        yield node


def test_toggle_a_lamp_and_see_what_it_reports(rig: Rig, lamp: PahoNode) -> None:
    rig.until_row("nodes", "node-1", "Switch", "connected", "not mapped")
    rig.until_row("nodes", "Lamp", "Power", "off")
    switch = rig.find("#nodes .toggle")
    assert not switch.is_enabled() and "map it first" in str(switch.get_attribute("title"))
    request = rig.run(rig.maker.map_node("node-1", "mapping-secret"))
    rig.until_row("requests", "node-1", "by secret", "requested")
    lamp.map(rig.maker.user_id, "mapping-secret")
    rig.until_row("nodes", "node-1", USER, "mapped")
    rig.until_row("requests", "node-1", "confirmed")
    assert rig.run(rig.maker.mapping_status(request)) == "confirmed"
    for value, word in ((True, "on"), (False, "off")):
        rig.until(switch.is_enabled)
        switch.click()
        assert lamp.written.get(timeout=10) == {"Lamp": {"Power": value}}
        # It shows what the node says, not what was clicked.
        rig.until_row("nodes", "Lamp", "Power", "waiting for the node")
        assert switch.get_attribute("aria-checked") == str(not value).lower()
        lamp.publish("params/local", {"Lamp": {"Power": value}})
        rig.until_row("nodes", "Lamp", "Power", word)
        rig.until(lambda: "waiting" not in rig.text("#nodes"))
        assert switch.get_attribute("aria-checked") == str(value).lower()
    # A token that a faulty node reports, and a long text.
    secret = rig.maker.refresh_token
    lamp.publish(
        "params/local", {"RMUserAuth": {"BaseURL": secret}, "Time": {"TZ": "Asia/Kolkata"}}
    )
    rig.until_row("nodes", "TZ", "Asia/Kolkata")
    assert_no_secret(rig)
    lamp.close()
    rig.until_row("nodes", "node-1", "not connected")
    rig.until(lambda: not switch.is_enabled())
    rig.click("#nodes button", "Remove")
    rig.until_row("nodes", "node-1", "not mapped")
    assert rig.run(rig.maker.nodes()) == []


def test_challenge_and_groups_are_shown(rig: Rig) -> None:
    rig.log_in()
    made = rig.cloud.new_node("node-1")
    request, challenge = rig.run(rig.maker.initiate(timeout=60))
    rig.until_row("requests", "a node", "by challenge", "requested", "1 min left")
    assert isinstance(made.key, ec.EllipticCurvePrivateKey)
    signature = made.key.sign(challenge.encode(), ec.ECDSA(hashes.SHA256()))
    group = rig.run(rig.maker.create_group("Home"))
    rig.run(rig.maker.verify(request, "node-1", signature, group))
    rig.until_row("requests", "node-1", "by challenge", "confirmed")
    rig.until_row("groups", "Home", USER, "node-1", "1 node")
    rig.run(rig.maker.initiate(timeout=60))
    rig.clock.now += 61
    rig.until_row("requests", "a node", "by challenge", "timedout")


def test_inject_faults_and_see_them_hit(rig: Rig) -> None:
    rig.log_in()
    place = "api.thethings.io GET /v2/me/things"
    rig.type("retry-after", "7")
    rig.inject("status", place)
    rig.until_row("faults", "status 503, Retry-After 7", "GET /v2/me/things", "armed", "hit 0 of 1")
    assert rig.run(rig.maker.nodes()) == []
    with pytest.raises(AppError, match="503"):
        rig.run(rig.things.things())
    rig.until_row("faults", "spent", "hit 1 of 1")
    rig.until_row("log", "GET", "/v2/me/things", "fault", "503")
    assert rig.run(rig.things.things()) == []

    rig.inject("cut:after", "api.thethings.io POST /v2/me/things/link-id", "2")
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            rig.run(rig.things.link_id("shared-id-1"))
    rig.until_row("faults", "cut after handling", "spent", "hit 2 of 2")
    rig.until_row("log", "cut after handling", "cut", "×2")

    rig.choose("what", "delay_s")
    rig.type("delay", "0.2")
    rig.inject("delay_s", "api.rainmaker.espressif.com * *")
    assert rig.run(rig.maker.nodes()) == []
    rig.until_row("faults", "wait 0.2 s", "spent")
    rig.until_row("log", "/v1/user/nodes", "delayed", "200")

    rig.inject("certificate:authority", "api.rainmaker.espressif.com * *", "")
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        rig.run(rig.maker.nodes())
    rig.until_row("faults", "certificate: authority", "armed", "hit 1×")
    rig.click("#faults li:first-child button", "Remove")
    rig.until(lambda: len(rig.rows("faults")) == 3)
    assert rig.run(rig.maker.nodes()) == []
    rig.inject("status", "* * *", "")
    rig.click("#clear")
    rig.until(lambda: "both clouds behave" in rig.text("main"))
    assert rig.run(rig.things.things()) == []
    assert rig.cloud.faults.all() == []


def test_finds_a_cloud_that_was_started_again(rig: Rig) -> None:
    thing = rig.cloud.thethings.add_thing()
    rig.until_row("things", thing.thing_id)
    port = rig.cloud.admin_port
    rig.run(rig.cloud.stop())
    rig.until(lambda: rig.text("#live") == "no connection")
    rig.cloud = LocalCloud(utc=rig.clock)
    rig.run(rig.cloud.start_admin(port))
    rig.until(lambda: rig.text("#live") == "live")
    assert rig.rows("things") == []
    rig.inject("status")  # with the new key


# -- what is never seen, and who may not ---------------------------------------------------------


def assert_no_secret(rig: Rig) -> None:
    seen = rig.everything()
    assert len(seen) > 5000
    for secret in rig.cloud.secrets():
        raw = secret.encode()
        forms = (secret, raw.hex(), base64.b64encode(raw).decode(), urllib.parse.quote(secret))
        for form in forms:
            assert form not in seen


def test_no_secret_in_the_page(rig: Rig) -> None:
    rig.log_in()
    thing = rig.cloud.thethings.add_thing()
    rig.board(thing.token, "shared-id-1")
    rig.run(rig.things.link_id("shared-id-1"))
    rig.board(thing.token, "shared-id-2")
    rig.run(rig.maker.map_node("node-1", "mapping-secret"))
    rig.cloud.faults.add(path=f"/v2/things/{thing.token}/*", status=500)
    rig.board(thing.token, "shared-id-2")
    rig.until_row("log", "/v2/things/{token}/link-id", "fault", "500")
    rig.until_row("faults", "/v2/things/…/*", "hit 1×")
    rig.until_row("requests", "node-1", "requested")
    assert len(rig.cloud.secrets()) >= 6
    assert_no_secret(rig)
    assert "shared-id" not in rig.everything()


async def _elsewhere(_request: web.Request) -> web.Response:
    return web.Response(text="<title>elsewhere</title>", content_type="text/html")


def test_another_pages_requests_change_nothing(rig: Rig) -> None:
    fault = rig.cloud.faults.add(status=500)
    target = f"http://127.0.0.1:{rig.cloud.admin_port}"
    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/", _elsewhere)

    async def serve() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    rig.run(serve())
    # Another port of this computer: another origin, but so near that no browser refuses by itself.
    rig.driver.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    script = """
        const done = arguments[arguments.length - 1];
        const all = [];
        for (const [path, body] of Object.entries(arguments[1])) {
            for (const mode of ["no-cors", "cors"]) {
                const options = { method: "POST", mode, body };
                all.push(fetch(arguments[0] + path, options));
            }
        }
        all.push(fetch(arguments[0] + "/faults", { method: "DELETE" }));
        all.push(fetch(arguments[0] + "/page/events"));
        Promise.allSettled(all).then((ends) => done(ends.map((e) => e.value?.type ?? "failed")));
    """
    posts = {"/page/clear-faults": "{}", "/faults": '{"status": 404}', "/things": "{}"}
    ends = rig.driver.execute_async_script(script, target, posts)
    assert ends == 3 * ["opaque", "failed"] + 2 * ["failed"]
    assert rig.driver.get_log("browser") != []
    rig.run(runner.cleanup())
    assert rig.cloud.faults.all() == [fault]
    assert rig.cloud.thethings.things == []
