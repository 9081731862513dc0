"""What people and programs write is text, wherever it is shown (attack 5): names of everything that
has one are payloads, every page is opened, and nothing runs and nothing is fetched from elsewhere.
"""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chromium import open_window

from keyhall.console.routes import ROUTES
from keyhall.flows.manage import organizations
from keyhall.flows.manage.checks import Refused
from keyhall.ports.records import Actor
from keyhall.stores.opening import open_database

TESTER = Actor("<img src=x onerror=window.ran=1>", "tests")
NAME_MAX = 100
BUILT_IN = [
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    '"><svg onload=window.ran=1>',
    "'-window.ran=1-'",
    "javascript:window.ran=1",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "<a href=javascript:window.ran=1>x</a>",
    "</title><script>window.ran=1</script>",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "![x](https://evil.example/x.png) [x](javascript:window.ran=1)",
]
PAYLOADS_MAX = 60


def payloads() -> list[str]:
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        return BUILT_IN
    texts: list[str] = []

    def collect(value) -> None:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(json.loads((Path(folder) / "xss-payloads.json").read_text(encoding="utf-8")))
    short = [each for each in texts if each.strip() and len(each) <= NAME_MAX and "<" in each]
    return BUILT_IN + short[:PAYLOADS_MAX]


@pytest.fixture(scope="module")
def named(opened):
    """Projects of these names; as many as may be called so."""

    async def fill() -> int:
        made = 0
        store = await open_database("", opened.premises.data)
        async with store:
            for payload in payloads():
                try:
                    await organizations.create_project(
                        store,
                        payload,
                        organization=None,
                        entropy=os.urandom(128),
                        actor=TESTER,
                        now_us=1_800_000_000_000_000 + made,
                    )
                    made += 1
                except Refused:
                    pass
        return made

    with ThreadPoolExecutor(1) as pool:  # Playwright has a loop of its own in this thread.
        made = pool.submit(asyncio.run, fill()).result()
    assert made >= len(BUILT_IN)
    return made


def test_names_are_text_on_every_page(chromium, opened, named) -> None:
    context = chromium.new_context(base_url=opened.url)
    context.add_cookies(opened.cookies)
    window = open_window(context)
    elsewhere: list[str] = []
    window.page.on(
        "request",
        lambda request: None
        if request.url.startswith((opened.url, "data:", "blob:"))
        else elsewhere.append(request.url),
    )
    window.page.on("dialog", lambda dialog: elsewhere.append(f"dialog {dialog.message}"))
    for page in ROUTES:
        is_file = any(each in page.path for each in (".", "export", "/data", "live"))
        if page.method == "GET" and "{" not in page.path and not is_file:
            window.go(page.path)
            assert window.page.evaluate("window.ran") is None, page.path
    assert elsewhere == []
    assert [each for each in window.complaints if "Content Security Policy" in each] == []
    context.close()
