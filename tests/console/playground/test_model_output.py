"""Attack 5: whatever a model says is text. Nothing of it runs, and no request leaves for it."""

import json
import os
import shutil
from pathlib import Path

import pytest
from in_thread import in_thread
from tiny_upstream import TinyUpstream

from keyhall.config import Upstream

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
AT_ONCE = 12  # payloads in one answer
FEW = [
    "<script>window.ran = 1</script>",
    "<img src='https://evil.example/x.png' onerror='window.ran = 1'>",
    "![beacon](https://evil.example/beacon.png)",
    "[click](javascript:window.ran=1) and [data](data:text/html,<script>window.ran=1</script>)",
    "<svg onload=window.ran=1><style>@import 'https://evil.example/x.css'</style>",
    "```html\n<iframe src='https://evil.example'></iframe>\n```",
    "1. <b onclick=window.ran=1>x</b>\n   - **<i>y</i>**\n> `<u>z</u>`",
    "# <a href=//evil.example>h</a>",
    "\N{RIGHT-TO-LEFT OVERRIDE}<link rel=stylesheet href=//evil.example>\0 </textarea></li></ol>",
]
ALLOWED = {*("P", "UL", "OL", "LI", "PRE", "CODE", "STRONG", "EM", "SPAN", "BR", "BLOCKQUOTE")}
LOOK = """() => [...document.querySelectorAll('.turn-assistant .turn-text *')].map((each) =>
    [each.tagName, each.getAttributeNames().join(' ')])"""


def _payloads() -> list[str]:
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        return FEW
    text = (Path(folder) / "xss-payloads.json").read_text(encoding="utf-8")
    return FEW + [each["payload"] for each in json.loads(text)]


@pytest.mark.parametrize("part", [8, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: what models say was not shown to it")
def test_whatever_a_model_says_is_text_and_no_request_leaves_for_it(hall, part):
    """Of the payloads of others, one in so many."""
    payloads = FEW + _payloads()[len(FEW) :: part]
    answers = ["\n\n".join(payloads[at : at + AT_ONCE]) for at in range(0, len(payloads), AT_ONCE)]

    async def story(hall):
        from playwright.async_api import async_playwright

        async with async_playwright() as playwright:
            chromium = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox"]
            )
            try:
                await _show(hall, chromium, answers)
            finally:
                await chromium.close()

    with in_thread(TinyUpstream("tiny")) as upstream:
        upstream.says = answers[:]
        hall(story, upstream=Upstream(base_url=upstream.url, api_key="sk-1", model="tiny"))


async def _show(hall, chromium, answers):
    context = await chromium.new_context()
    cookies = hall.browser.client.cookies.jar
    await context.add_cookies(
        [{"name": each.name, "value": each.value, "url": hall.server.url} for each in cookies]
    )
    page = await context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    await page.goto(f"{hall.server.url}/playground")
    for number, answer in enumerate(answers):
        hall.server.clock.advance(61)
        await page.fill("#draft", f"Question {number}")
        await page.press("#draft", "Control+Enter")
        await page.wait_for_selector("#status:not(:empty)", state="attached")
        shown = await page.locator(".turn-assistant .turn-text").last.text_content()
        assert answer[:12].strip("`1.#![ \n") in shown
        for name, attributes in await page.evaluate(LOOK):
            assert name in ALLOWED, answer
            assert set(attributes.split()) <= {"class", "tabindex", "start"}, answer
        assert await page.evaluate("window.ran") is None, answer
        await page.click("#clear")
        await page.evaluate("document.querySelector('#status').textContent = ''")
    assert said == []
    assert [url for url in asked if not url.startswith(hall.server.url)] == []
