"""The board's page for a phone without an app, in Debian's Chromium at the size of a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from cloud_page import chromium
from fake_board import FakeBoard
from portal_page import PASSWORD, POP, Portal, Relay
from selenium import webdriver

SCREEN = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
Make = Callable[..., Portal]


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    made = Relay()
    yield made
    made.close()


@pytest.fixture(scope="module")
def driver(relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    rule = f"--host-resolver-rules=MAP 192.168.4.1:80 127.0.0.1:{relay.port}"
    made = chromium(tmp_path_factory.mktemp("chromium"), rule)
    if made is None:
        pytest.skip("chromium and chromium-driver are not installed (make test-system)")
    made.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SCREEN)
    yield made
    made.quit()


@pytest.fixture
def portal(driver: webdriver.Chrome, relay: Relay) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(board: FakeBoard | None = None, **options: object) -> Portal:
            made = Portal(driver, relay, board, **options)
            stack.callback(made.close)
            made.open()
            return made

        yield make
        # Slips of the script and of its policy are told here, as are answers like "403".
        told = [entry["message"] for entry in driver.get_log("browser")]
        assert [text for text in told if "Failed to load resource" not in text] == []
        driver.get("about:blank")
        driver.get_log("browser")


def test_the_whole_way(portal: Make) -> None:
    p = portal()
    script = p.driver.execute_script
    assert script("return [isSecureContext, typeof crypto.subtle]") == [False, "undefined"]
    p.until_view("code")
    p.shot("code")
    p.give_code()
    found = p.networks()
    assert found[0] == "home" and len(found) == 7
    assert "Café ☕ guests" in found and "no utf8 \\xff\\xfe" in found
    p.shot("networks")
    p.choose("home")
    p.until_view("enter")
    p.type("password", PASSWORD)
    p.shot("password")
    assert p.find("#password").get_attribute("type") == "password"
    p.click("#reveal")
    assert p.find("#password").get_attribute("type") == "text"
    p.click("#enter-form [type=submit]")
    p.until_view("joining")
    p.shot("joining")
    p.until_view("done")
    p.shot("done")
    ip = p.board.station.ip
    assert "home" in p.text() and ip in p.text() and "goes away now" in p.text()
    p.board.wait_log('"provisioned".*"told": true')
    p.board.wait_log('"online"')
    assert not p.board.soft_ap.on
    # Everything that went over the air, both ways.
    assert b"Homing-Page" in p.relay.seen and b"prov-config" in p.relay.seen
    for secret in (PASSWORD, POP):
        assert secret.encode() not in p.relay.seen
    assert script("return localStorage.length + sessionStorage.length") == 0


def test_a_wrong_code_and_then_the_right_one(portal: Make) -> None:
    p = portal()
    p.give_code("K7QM2X9ADRT5")
    p.until_text("did not accept this code")
    p.board.wait_log('"wrong-pop"')
    # A browser that sends a refused request again would make it two.
    assert p.board.log.count('"wrong-pop"') == 1
    p.shot("wrong-code")
    p.give_code(f" {POP[:4]} {POP[4:]} ")
    assert "home" in p.networks()


def test_a_wrong_password_is_corrected_at_once(portal: Make) -> None:
    p = portal(attempts=2)
    p.give_code()
    p.choose("home")
    p.give_password("short")
    p.until_text("at least 8 characters", "#password-error")
    assert '"joining"' not in p.board.log
    p.give_password("not that one")
    p.until_text("1 attempt left", "#joining")
    p.until_text("was not accepted", "#password-error")
    p.shot("wrong-password")
    assert p.find("#password").get_property("value") == "not that one"
    p.give_password(PASSWORD)
    p.until_view("done")
    p.board.wait_log('"online"')


def test_hidden_networks_and_those_that_are_not_there(portal: Make) -> None:
    p = portal(attempts=1, transports=("ble", "softap"))  # the other way in is no hindrance
    p.give_code()
    assert "attic" not in p.networks()
    p.click("#other")
    p.until_view("enter")
    p.shot("other")
    p.type("ssid", "attik")
    p.give_password("under the roof")
    p.until_text("2.4 GHz", "#enter-form-error")
    p.shot("not-found")
    p.type("ssid", "attic")
    p.click("#enter-form [type=submit]")
    p.until_view("done")
    assert "attic" in p.text()


def test_a_name_that_is_no_text_and_a_phone_that_is_lost_in_the_join(portal: Make) -> None:
    p = portal()
    p.give_code()
    p.choose("no utf8 \\xff\\xfe")
    p.give_password("raw bytes")
    p.until_view("joining")
    p.phone.vanish()
    p.board.wait_log('"saved"')
    p.phone.rejoin()
    p.until_view("done")
    p.board.wait_log('"provisioned".*"told": true')
    assert p.board.station.ap and p.board.station.ap.ssid == b"no utf8 \xff\xfe"


def test_loading_the_page_anew_and_leaving_the_network_do_no_harm(portal: Make) -> None:
    p = portal()
    p.give_code()
    p.choose("home")
    p.scene.access_point.reasons.extend([205, 205])  # two attempts fail: time to reload
    p.give_password(PASSWORD)
    p.until_view("joining")
    p.driver.refresh()
    p.until_view("code")
    p.phone.vanish()
    p.give_code()
    p.until(lambda: p.find("#away").is_displayed())
    p.shot("away")
    p.phone.rejoin()
    p.until_view("done")
    assert not p.find("#away").is_displayed()
    assert "home" in p.text()


def test_a_board_without_a_code(portal: Make) -> None:
    p = portal(no_pop=True)
    p.choose("Café ☕ guests")
    p.until_view("enter")
    assert "asks for no code" in p.text("body") and not p.find("#password").is_displayed()
    p.click("#enter-form [type=submit]")
    p.until_view("done")
    assert "Café ☕ guests" in p.text()


def test_answers_that_get_lost_are_asked_for_again(portal: Make) -> None:
    p = portal(keep_ms=30000)  # the page lives at another pace than this board
    p.give_code()
    p.choose("home")
    p.until_view("enter")
    # Of the credentials, of apply, and of the state: the browser repeats each by itself, which is
    # refused, for the keystream has moved on; then the page does, with new keys.
    p.relay.swallow.update((2, 5, 8))
    p.give_password(PASSWORD)
    p.until_view("done")
    assert p.relay.swallowed == 3
    assert p.scene.access_point.joins == 1
    p.board.wait_log('"online"')


def test_somebody_else_without_the_code_gets_nothing(portal: Make) -> None:
    fake = FakeBoard(sec_ver=1, cap=["wifi_prov", "wifi_scan"])
    p = portal(fake)
    p.give_code()
    p.until_text("did not accept this code")
    assert fake.asked == ["proto-ver", "prov-session", "prov-session"]


def test_a_board_with_security_2_alone_needs_an_app(portal: Make) -> None:
    p = portal(FakeBoard(sec_ver=2, sec_patch_ver=1, cap=["wifi_prov", "wifi_scan"]))
    p.give_code()
    p.until_text("needs an app")
    assert "Security 2" in p.text()


def test_a_board_without_security_says_so(portal: Make) -> None:
    p = portal(security=0)
    p.choose("home")
    p.until_view("enter")
    assert "Not protected" in p.text("body") and "leaves this phone encrypted" not in p.text("body")
    p.shot("not-protected")
    p.give_password(PASSWORD)
    p.until_view("done")
    assert PASSWORD.encode() in p.relay.seen  # the search that finds nothing elsewhere can find it


def test_a_browser_that_is_too_old_is_told(driver: webdriver.Chrome, relay: Relay) -> None:
    source = {"source": "delete window.BigInt"}
    made = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    p = Portal(driver, relay, FakeBoard(sec_ver=1, cap=["wifi_prov"]))
    try:
        p.open()
        assert "too old" in p.text("body") and not p.view()
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
        driver.get_log("browser")  # the script's own complaint
        p.close()


def test_fits_dark_and_narrow_screens_and_names_its_fields(portal: Make) -> None:
    p = portal(security=(1, 2))  # of which proto-ver tells 2, and the page takes 1
    p.give_code()
    p.networks()
    run, script = p.driver.execute_cdp_cmd, p.driver.execute_script
    try:
        for theme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": theme}]
            run("Emulation.setEmulatedMedia", {"features": features})
            ground = script("return getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, ground.strip("rgb()").split(","))) > 380) == (theme == "light")
        p.shot("networks-dark")
        run("Emulation.setDeviceMetricsOverride", SCREEN | {"width": 320, "height": 568})
        assert script("return document.documentElement.scrollWidth") <= 320
    finally:
        run("Emulation.setEmulatedMedia", {"features": []})
        run("Emulation.setDeviceMetricsOverride", SCREEN)
    nameless = (
        "return [...document.querySelectorAll('input, button')]"
        ".filter((e) => !(e.labels?.length || e.textContent)).map((e) => e.outerHTML)"
    )
    assert script(nameless) == []
    # The heading of a new view is where a screen reader goes on.
    assert script("return document.activeElement.innerText") == "Choose a network"
