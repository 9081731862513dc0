"""Journeys in a real browser: Chromium from the system's packages (`make browser`), a real server.

Without Chromium they are skipped, and say so. The pictures that a test takes are kept in the
folder that SCREENSHOTS names; if it names none, none are taken.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from chromium import CHROMIUM, Open, Window, claim, open_window, set_up_link
from hall_process import Premises

WHY = "no Chromium on this machine: `make browser` installs it"
AXE = Path(__file__).parents[1] / "console" / "axe.min.js"
SHOTS = os.environ.get("SCREENSHOTS")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Its driver runs an event loop in this thread, so it may not outlive the module's tests."""
    if CHROMIUM is None:
        pytest.skip(WHY)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


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
def picture():
    """`picture(window, name)` keeps what a person would see, if a person is to look at it."""

    def take(window: Window, name: str) -> None:
        if not SHOTS:
            return
        folder = Path(SHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        window.page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


STILL = """async () => {
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    await Promise.allSettled(document.getAnimations()
      .filter((each) => each.effect.getComputedTiming().endTime !== Infinity)
      .map((each) => each.finished));
  }
}"""


@pytest.fixture
def findings():
    """`findings(window)`: what axe-core has to say of the page; empty is good."""
    source = AXE.read_text(encoding="utf-8")

    def look(window: Window) -> list[str]:
        window.page.evaluate(STILL)  # Colours on their way are nobody's.
        window.page.evaluate(source)
        found = window.page.evaluate("async () => (await axe.run()).violations")
        return [
            f"{rule['id']}: {node['target']} {node.get('failureSummary', '')[:300]}"
            for rule in found
            for node in rule["nodes"]
        ]

    return look
