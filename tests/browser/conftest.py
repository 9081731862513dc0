"""Journeys in a real browser: Chromium from the system's packages (`make browser`), a real server.

Without Chromium they are skipped, and say so. Every picture that a test takes is kept in the
folder that KEYHALL_SCREENSHOTS names, else in the test's own.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from browsing import PASSWORD
from hall_process import Premises, Process

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
WHY = "no Chromium on this machine: `make browser` installs it"
AXE = Path(__file__).parents[1] / "console" / "axe.min.js"
SHOTS = os.environ.get("KEYHALL_SCREENSHOTS")
STEP_MS_MAX = 10_000


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(WHY)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


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
    page.set_default_timeout(STEP_MS_MAX)
    window = Window(page, [])

    def heard(message) -> None:
        expected = re.search(r"status of 4\d\d", message.text)  # The browser repeats refusals.
        if message.type in ("error", "warning") and not expected:
            window.complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: window.complaints.append(str(error)))
    return window


@pytest.fixture(scope="module")
def opened(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """One server for a module's tests, with Ada as its operator."""
    premises = Premises(tmp_path_factory.mktemp("hall"))
    process = premises.start()
    context = chromium.new_context(base_url=process.url)
    window = open_window(context)
    claim(window, set_up_link(process))
    cookies = context.cookies()
    context.close()
    yield Open(process, premises, cookies)
    process.end()


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


@pytest.fixture
def window(chromium: Browser, opened: Open, request) -> Iterator[Window]:
    """The operator's window. At its end nothing may have been complained of."""
    options = getattr(request, "param", {})
    context = chromium.new_context(base_url=opened.url, **options)
    context.add_cookies(opened.cookies)
    made = open_window(context)
    yield made
    context.close()
    assert made.complaints == []


@pytest.fixture
def stranger(chromium: Browser, opened: Open) -> Iterator[Window]:
    """A window of somebody who is not signed in."""
    context = chromium.new_context(base_url=opened.url)
    made = open_window(context)
    yield made
    context.close()
    assert made.complaints == []


@pytest.fixture
def picture(tmp_path: Path):
    """`picture(window, name)` keeps what a person would see, for a person to look at."""

    def take(window: Window, name: str) -> None:
        folder = Path(SHOTS) if SHOTS else tmp_path
        folder.mkdir(parents=True, exist_ok=True)
        window.page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


@pytest.fixture
def findings():
    """`findings(window)`: what axe-core has to say of the page; empty is good."""
    source = AXE.read_text(encoding="utf-8")

    def look(window: Window) -> list[str]:
        window.page.evaluate(source)
        found = window.page.evaluate("async () => (await axe.run()).violations")
        return [
            f"{rule['id']}: {node['target']} {node.get('failureSummary', '')[:300]}"
            for rule in found
            for node in rule["nodes"]
        ]

    return look
