"""A local cloud and a browser that looks at its page, for tests."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from cloud_board import Clock
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tools.cloud import LocalCloud
from tools.cloud.app import RainMakerApp, ThethingsApp, session_for

USER = "a@example.com"
PASSWORD = "correct horse"
WAIT_S = 15
CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--window-size=1280,900",
)


class Rig:
    """A cloud in a thread of its own, with one user, an app on each side, and a browser's view."""

    def __init__(self, alone: bool = False) -> None:
        self.clock = Clock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.cloud = LocalCloud(utc=self.clock, alone=alone)
        self.driver: webdriver.Chrome
        self.run(self._start())

    def run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(WAIT_S)

    async def _start(self) -> None:
        await self.cloud.start()
        await self.cloud.start_admin()
        self.cloud.thethings.add_user(USER, PASSWORD)
        self.cloud.rainmaker.accounts.add(USER, PASSWORD)
        self.session = session_for(self.cloud.port, self.cloud.ca_pem)
        self.things = ThethingsApp(self.session)
        self.maker = RainMakerApp(self.session)

    async def _stop(self) -> None:
        await self.session.close()
        await self.cloud.stop()

    def close(self) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def log_in(self) -> None:
        self.run(self.things.log_in(USER, PASSWORD))
        self.run(self.maker.log_in(USER, PASSWORD))

    def board(self, token: str, link_id: str) -> int:
        """A board's request; returns the status."""

        async def post() -> int:
            url = f"https://{self.things.host}/v2/things/{token}/link-id"
            async with self.session.post(url, json={"linkId": link_id}) as response:
                return response.status

        return self.run(post())

    # -- the page ---------------------------------------------------------------------------

    def open(self) -> None:
        self.driver.get(f"http://127.0.0.1:{self.cloud.admin_port}/")
        self.until(lambda: self.text("#live") == "live")

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What a person can read there, on one line."""
        script = "return document.querySelector(arguments[0]).innerText"
        return " ".join(self.driver.execute_script(script, selector).split())

    def rows(self, name: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((row) => row.innerText)"
        return [" ".join(t.split()) for t in self.driver.execute_script(script, f"#{name} > li")]

    def click(self, selector: str, label: str = "") -> None:
        for element in self.driver.find_elements(By.CSS_SELECTOR, selector):
            if element.text.startswith(label):
                element.click()
                return
        raise AssertionError(f"no {label!r} at {selector}")

    def choose(self, name: str, value: str) -> None:
        Select(self.find(f"#{name}")).select_by_value(value)

    def type(self, name: str, text: str) -> None:
        self.find(f"#{name}").clear()
        self.find(f"#{name}").send_keys(text)

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, WAIT_S, 0.05).until(lambda _driver: condition())

    def until_row(self, name: str, *words: str) -> None:
        """Wait for a row that holds all these words."""
        try:
            self.until(lambda: any(all(w in row for w in words) for row in self.rows(name)))
        except Exception as e:
            raise AssertionError(f"{words} is not in {self.rows(name)}") from e

    def inject(self, what: str, place: str = "* * *", times: str = "1") -> None:
        self.choose("what", what)
        self.choose("place", place)
        self.type("times", times)
        before = len(self.cloud.faults.all())
        self.click("#fault button")
        self.until(lambda: len(self.cloud.faults.all()) == before + 1)

    def stream(self) -> str:
        """What the page is sent: everything up to the first state."""

        async def read() -> str:
            url = f"http://127.0.0.1:{self.cloud.admin_port}/page/events"
            seen = ""
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                async for line in response.content:
                    seen += line.decode()
                    if line == b"\n" and "event: state" in seen:
                        break
            return seen

        return self.run(read())

    def everything(self) -> str:
        """The page as it is now, what stands in its fields, what its scripts kept and are sent."""
        fields = "return [...document.querySelectorAll('input')].map((i) => i.value).join('\\n')"
        stored = (
            "return JSON.stringify([localStorage, sessionStorage, location.href, document.title])"
        )
        script = self.driver.execute_script
        return self.driver.page_source + script(fields) + script(stored) + self.stream()


def chromium(profile: Path, *flags: str) -> webdriver.Chrome | None:
    """Debian's Chromium with an empty profile; None if it is not installed. Quit it after use."""
    if not (CHROMIUM and DRIVER):
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, Service(DRIVER))
