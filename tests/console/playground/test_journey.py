"""The playground in a real browser: what it asks, shows, keeps and forgets."""

import json
import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: the playground was not tried in a browser"
)


@pytest.fixture
def page_of(hall):
    """`page_of(story)` runs `await story(hall, page)` with the playground open."""

    def run(story):
        async def opened(hall):
            from playwright.async_api import async_playwright

            async with async_playwright() as playwright:
                chromium = await playwright.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox"]
                )
                try:
                    context = await chromium.new_context()
                    await context.add_cookies(
                        [
                            {"name": each.name, "value": each.value, "url": hall.server.url}
                            for each in hall.browser.client.cookies.jar
                        ]
                    )
                    page = await context.new_page()
                    broken = []
                    page.on("pageerror", lambda error: broken.append(str(error)))
                    await page.goto(f"{hall.server.url}/playground")
                    await story(hall, page)
                    assert broken == []
                finally:
                    await chromium.close()

        hall(opened)

    return run


async def answered(page):
    """Wait for the end of what was asked."""
    await page.wait_for_selector("#status:not(:empty)", state="attached")
    await page.evaluate("document.querySelector('#status').textContent = ''")


async def send(page, words):
    await page.fill("#draft", words)
    await page.press("#draft", "Control+Enter")
    await answered(page)


def texts(page):
    return page.locator(".turn-text").all_text_contents()


def test_an_edited_turn_is_a_branch_and_the_old_one_can_be_had_back(page_of):
    async def story(hall, page):
        await send(page, "First words")
        first = await texts(page)
        await page.focus("#draft")
        await page.keyboard.press("ArrowUp")
        await page.fill(".turn-editor textarea", "Other words")
        await page.press(".turn-editor textarea", "Control+Enter")
        await answered(page)
        second = await texts(page)
        assert second[0] == "Other words"
        assert "Other words" in second[1]
        await page.get_by_label("The branch before").click()
        assert await texts(page) == first

    page_of(story)


def test_two_versions_answer_the_same_and_one_is_gone_on_with(page_of):
    async def story(hall, page):
        await page.select_option("#other", "v1.1")
        await send(page, "Both of you")
        heads = await page.locator(".turn-pair .turn-head strong").all_text_contents()
        assert heads == ["v1-sandbox-1", "v1.1-sandbox-1"]
        both = await page.locator(".turn-pair .turn-text").all_text_contents()
        await page.locator("text=Go on with this").nth(1).click()
        assert (await texts(page))[1] == both[1]

    page_of(story)


def test_escape_stops_and_what_came_stays(page_of):
    async def story(hall, page):
        await page.select_option("#model", "sandbox/slow")
        await page.fill("#draft", "Slowly")
        await page.press("#draft", "Control+Enter")
        await page.wait_for_selector(".turn-assistant .turn-text:not(:has(.soft)):has-text('This')")
        await page.keyboard.press("Escape")
        await answered(page)
        assert "stopped by you" in await page.locator(".turn-facts").text_content()
        await hall.server.until_open(0)

    page_of(story)


def test_what_would_go_is_shown_before_it_is_sent(page_of):
    async def story(hall, page):
        await send(page, "word " * 2_000)
        await page.fill("#draft", "word " * 2_200)
        await page.press("#draft", "Control+Enter")
        await page.wait_for_selector("#fit-dialog[open]")
        assert await page.locator("#fit-list li").count() == 1
        before = len(await hall.server.usage())
        await page.click("#fit-send")
        await answered(page)
        rows = await hall.server.usage()
        assert len(rows) == before + 1
        assert rows[-1]["input_tokens"] <= 4096
        assert "oldest turns left out" in await page.locator(".turn-head").last.text_content()

    page_of(story)


def test_the_key_is_in_the_page_s_memory_and_nowhere_else(page_of):
    async def story(hall, page):
        async with page.expect_response("**/playground/key") as made:
            await send(page, "Hello")
        key = (await (await made.value).json())["key"]
        kept = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        assert key not in kept
        assert key not in await page.content()
        assert key not in json.dumps(await page.context.cookies())

    page_of(story)


def test_code_and_export_are_the_request(page_of):
    async def story(hall, page):
        await page.click(".parameters > summary")
        await page.fill("#p-temperature", "0.5")
        await page.fill("#p-stop", "END\nstop")
        await send(page, "It's me")
        await page.click("#view-code")
        for language in ("curl", "Python", "JavaScript"):
            await page.click(f"#code-tab-{language}")
            code = await page.text_content("#code-text")
            assert hall.server.url in code
            assert "0.5" in code
            assert "sk-kh_" not in code
        await page.keyboard.press("Escape")
        async with page.expect_download() as download:
            await page.click("#export")
        with open(await (await download.value).path(), encoding="utf-8") as file:
            body = json.load(file)
        assert body["messages"][0] == {"role": "user", "content": "It's me"}
        assert (body["temperature"], body["stop"]) == (0.5, ["END", "stop"])
        await page.click("#clear")
        assert await texts(page) == []
        conversation = json.dumps(body).encode()
        await page.set_input_files(
            "#import", {"name": "c.json", "mimeType": "application/json", "buffer": conversation}
        )
        await page.wait_for_selector(".turn-user")
        assert (await texts(page))[0] == "It's me"

    page_of(story)


def test_a_refusal_is_shown_with_what_to_do(page_of):
    async def story(hall, page):
        await page.select_option("#model", "sandbox/cut-mid-stream")
        await send(page, "Hello")
        refused = page.locator(".turn-refused")
        assert "What to do" in await refused.text_content()
        assert "/docs/errors#" in await refused.locator("a").get_attribute("href")
        assert "This is" in (await texts(page))[1]

    page_of(story)
