"""A simulated board's access point, a phone in it, and a browser on that phone; for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_board import FakeBoard
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tools.sim.board import SimBoard
from tools.sim.scene import Scene
from tools.sim.wifi import OPEN

POP = "K7QM2X9ADRT4"
PASSWORD = "correct horse"
URL = "http://192.168.4.1/"
WAIT_S = 30
SPEED = 5
JOIN_MS = 6000  # of the world: slow enough for a browser to see that it takes a while
SHOTS = Path(__file__).parents[2] / "build"
_CHUNK_LEN = 65536


class Relay:
    """Where the browser finds 192.168.4.1: passes bytes on to `target` and keeps a copy.

    swallow: the numbers, from 1, of requests to prov-config whose answers get lost on the way.
    """

    def __init__(self) -> None:
        self.target: tuple[str, int] | None = None
        self.seen = bytearray()
        self.swallow: set[int] = set()
        self.swallowed = 0
        self._asked = 0
        self._open: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            if self.target is None:
                raise ConnectionRefusedError
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        self._open |= {near, far}
        lost = threading.Event()
        threading.Thread(target=self._pump, args=(far, near, lost, False), daemon=True).start()
        self._pump(near, far, lost, True)

    def _pump(
        self, source: socket.socket, sink: socket.socket, lost: threading.Event, outward: bool
    ) -> None:
        try:
            while data := source.recv(_CHUNK_LEN):
                self.seen += data
                if outward and b"POST /prov-config" in data:
                    self._asked += 1
                    if self._asked in self.swallow:
                        lost.set()
                if not outward and lost.is_set():
                    self.swallowed += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for each in (source, sink):
                _end(each)
            self._open -= {source, sink}

    def reset(self, target: tuple[str, int] | None) -> None:
        self.target = target
        for each in list(self._open):
            _end(each)
        self.seen.clear()
        self.swallow.clear()
        self.swallowed = self._asked = 0

    def close(self) -> None:
        self._server.close()


def _end(sock: socket.socket) -> None:
    # For both directions, and for whoever waits on it.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


class Portal:
    """One board that offers the page, and its page as a person on the phone sees it."""

    board: SimBoard

    def __init__(
        self, driver: webdriver.Chrome, relay: Relay, fake: FakeBoard | None, **options: Any
    ) -> None:
        """options: of homing.run. fake: in place of a board."""
        self.driver, self.relay = driver, relay
        self._stack = contextlib.ExitStack()
        driver.delete_all_cookies()
        if fake is not None:
            self._stack.callback(fake.close)
            relay.reset(fake.address)
            return
        options = {"transports": ("softap",), "portal": True} | options
        main = f"import homing\nhoming.run(**{options!r})\n"
        self.scene = self._stack.enter_context(Scene(SPEED, "home", PASSWORD))
        try:
            self.world = self.scene.world
            self.scene.access_point.dhcp_ms = JOIN_MS
            self.world.add_access_point(b"Caf\xc3\xa9 \xe2\x98\x95 guests", auth=OPEN, rssi=-71)
            self.world.add_access_point(
                b"no utf8 \xff\xfe", b"raw bytes", rssi=-60, dhcp_ms=JOIN_MS
            )
            for n in range(4):  # more than one page of results
                self.world.add_access_point(
                    b"neighbour %d" % n, b"next door only", rssi=-75 - 3 * n
                )
            self.world.add_access_point(b"attic", b"under the roof", hidden=True)
            self.board = self.scene.new_board(
                "a", {"pop": POP}, files={"main.py": main}, charge=False
            )
            self.board.power_on()
            self.board.wait_log('"advertising"')
            self.phone = self.board.soft_ap.join(self.board.soft_ap.ssid)
            relay.reset(self.phone.address(80))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.relay.reset(None)
        self._stack.close()

    # -- the page ----------------------------------------------------------------------------

    def open(self) -> None:
        self.driver.get(URL)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def view(self) -> str:
        """The one section that is shown."""
        script = "return [...document.querySelectorAll('main > section:not([hidden])')]"
        return self.driver.execute_script(script + ".map((s) => s.id).join(' ')")

    def until_view(self, name: str) -> None:
        self.until(lambda: self.view() == name)

    def text(self, selector: str = "main") -> str:
        """What a person can read there, on one line."""
        script = "return document.querySelector(arguments[0]).innerText"
        return " ".join(self.driver.execute_script(script, selector).split())

    def until(self, condition: Callable[[], Any]) -> None:
        try:
            WebDriverWait(self.driver, WAIT_S, 0.05).until(lambda _driver: condition())
        except Exception as e:
            log = self.board.log if hasattr(self, "board") else ""
            raise AssertionError(f"the page shows: {self.text('body')}\n{log}") from e

    def until_text(self, text: str, selector: str = "main") -> None:
        self.until(lambda: text in self.text(selector))

    def type(self, name: str, text: str) -> None:
        self.find(f"#{name}").clear()
        self.find(f"#{name}").send_keys(text)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def give_code(self, code: str = POP) -> None:
        self.until_view("code")
        self.type("pop", code)
        self.click("#code-form [type=submit]")

    def networks(self) -> list[str]:
        self.until_view("choose")
        found = self.driver.find_elements(By.CSS_SELECTOR, "#networks .name")
        return [each.text for each in found]

    def choose(self, name: str) -> None:
        self.until_view("choose")
        for each in self.driver.find_elements(By.CSS_SELECTOR, "#networks button"):
            if each.find_element(By.CSS_SELECTOR, ".name").text == name:
                each.click()
                return
        raise AssertionError(f"no {name!r} in {self.networks()}")

    def give_password(self, password: str) -> None:
        self.until_view("enter")
        self.type("password", password)
        self.click("#enter-form [type=submit]")

    def shot(self, name: str) -> None:
        """For people to look at."""
        SHOTS.mkdir(exist_ok=True)
        self.driver.save_screenshot(str(SHOTS / f"portal-{name}.png"))
