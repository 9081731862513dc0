"""The pages of what was said, in a real browser: sound in every look, and worked by keyboard."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from command_line import keyhall_json

LOOKS = [("light", 1280), ("dark", 360)]
SAID = "My order 4711 has not come. " * 8


def ask(opened, key):
    """The path of the page of a request that was answered."""
    data = json.dumps(
        {"model": "v1", "messages": [{"role": "user", "content": SAID}], "max_tokens": 60}
    ).encode()
    asked = urllib.request.Request(f"{opened.url}/v1/chat/completions", data=data)
    asked.add_header("Authorization", f"Bearer {key}")
    asked.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return "/requests/req_" + json.load(answer)["id"].removeprefix("chatcmpl-")


def test_a_look_at_what_was_said_in_every_look_of_the_page(window, opened, picture, findings):
    run = (opened.premises.data, opened.premises.config)
    with ThreadPoolExecutor(1) as thread:  # The browser runs an event loop in this one.
        made = thread.submit(keyhall_json, *run, "keys", "create", "--name", "desk").result()
    page = window.page
    faults = []

    def sound(name):
        for scheme, width in LOOKS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            picture(window, f"{name}-{scheme}-{width}")
            faults.extend(f"{name}: {each}" for each in findings(window))
            wide = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if wide > 0:
                faults.append(f"{name}: {wide} px stick out")
        page.set_viewport_size({"width": 1280, "height": 800})

    not_kept = ask(opened, made["key"])
    window.go(f"/projects/{made['project']}")
    page.get_by_label("Days").fill("30")
    page.get_by_role("button", name="Set the retention").press("Enter")
    page.get_by_text("Retention of Default project is 30 days.").wait_for()
    page.wait_for_timeout(300)  # In force within 200 ms.
    where = ask(opened, made["key"])
    window.go(f"/keys/{made['id']}")
    page.get_by_text("Retention", exact=True).last.click()
    sound("content-key")
    until_listed(page, window, not_kept)
    sound("content-not-kept")
    until_listed(page, window, where)
    sound("content-kept")
    window.go(f"/projects/{made['project']}")
    assert page.get_by_text("1 conversation is kept now.").is_visible()
    sound("content-project")
    window.go(where)
    page.get_by_label("Why do you look?").fill("A complaint about order 4711")
    page.get_by_role("button", name="Show what was said").press("Enter")
    page.get_by_text("That you looked, and why").wait_for()
    assert page.get_by_text("My order 4711 has not come.").first.is_visible()
    sound("content-shown")
    page.get_by_role("button", name="Erase what was said").press("Enter")
    page.get_by_text("What was said is erased.").wait_for()
    assert page.get_by_text("A complaint about order 4711").is_visible()
    assert faults == []


def until_listed(page, window, where):
    """A request's page is there once its usage is recorded, a quarter of a second later at most."""
    for _ in range(50):
        window.go(where)
        if page.get_by_role("heading", name="What was said").count():
            return
        page.wait_for_timeout(100)
    pytest.fail("the request is not listed")
