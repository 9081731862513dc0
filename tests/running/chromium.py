"""Chromium in tests: where it is, a window with what it complains of, and the first steps in it."""

import re
import shutil
from dataclasses import dataclass

from browsing import PASSWORD
from hall_process import Premises, Process
from patience import PATIENCE_SECONDS
from playwright.sync_api import BrowserContext, Page

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)


@dataclass(slots=True)
class Open:
    """A server whose first account was made."""

    process: Process
    premises: Premises
    cookies: list[dict]  # of its operator

    @property
    def url(self) -> str:
        return self.process.url


@dataclass(slots=True)
class Window:
    """A page, and everything that it complained of."""

    page: Page
    complaints: list[str]

    def go(self, path: str) -> None:
        self.page.goto(path)

    @property
    def title(self) -> str:
        return self.page.locator("h1").first.inner_text()


def open_window(context: BrowserContext) -> Window:
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE_SECONDS)
    window = Window(page, [])

    def heard(message) -> None:
        expected = re.search(r"status of 4\d\d", message.text)  # The browser repeats refusals.
        if message.type in ("error", "warning") and not expected:
            window.complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: window.complaints.append(str(error)))
    return window


def set_up_link(process: Process) -> str:
    found = re.search(r"http://\S+/set-up/\S+", process.log.read_text())
    assert found, process.log.read_text()
    return found[0]


def claim(window: Window, link: str) -> None:
    window.go(link)
    window.page.fill("#f-name", "Ada")
    window.page.fill("#f-email", "ada@example.org")
    window.page.fill("#f-password", PASSWORD)
    window.page.click("button.wide")
    window.page.wait_for_url("**/first-run")
