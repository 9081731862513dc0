"""What people do in the console, from end to end, in a real browser against a real server."""

import csv
import io
import re
import threading
import time

import pytest
from browsing import PASSWORD
from chromium import Window, claim, open_window, set_up_link
from hall_process import Premises
from openai import OpenAI
from patience import PATIENCE_SECONDS, stretched

FIRST_RUN_SECONDS_MAX = 60
CHART_SECONDS_MAX = 5
CUT_SECONDS_MAX = 2.5
CLASS = 200


def ask(url: str, key: str, **more):
    client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    given = {"model": "v1", "messages": [{"role": "user", "content": "Say hello."}]}
    return client.chat.completions.create(**(given | more))


def new_key(window: Window, name: str) -> str:
    """Make a key on its page; its text."""
    window.go("/keys/new")
    window.page.fill("#f-name", name)
    window.page.click("text=Create the key")
    return window.page.locator("#secret").inner_text().strip()


def id_of(key: str) -> str:
    return f"key_{key.split('_')[2]}"


@pytest.fixture
def fresh(chromium, tmp_path):
    """A server on which nobody has an account yet, and a window."""
    process = Premises(tmp_path).start()
    context = chromium.new_context(base_url=process.url)
    yield process, open_window(context)
    context.close()
    process.end()


def test_from_the_set_up_link_to_the_first_green_request_in_a_minute(fresh, picture) -> None:
    process, window = fresh
    begun = time.monotonic()
    claim(window, set_up_link(process))
    window.page.click("text=Create the key")
    key = window.page.locator("#secret").inner_text().strip()
    picture(window, "first-run-key")
    assert "Waiting for your first request" in window.page.locator("#waiting").inner_text()
    ask(process.url, key)
    window.page.get_by_text("Your first request is here").wait_for()
    picture(window, "first-run-came")
    assert time.monotonic() - begun < FIRST_RUN_SECONDS_MAX
    assert window.complaints == []


def test_a_first_request_that_is_refused_is_explained(fresh) -> None:
    process, window = fresh
    claim(window, set_up_link(process))
    window.page.click("text=Create the key")
    key = window.page.locator("#secret").inner_text().strip()
    with pytest.raises(Exception, match="model"):
        ask(process.url, key, model="no-such-model")
    window.page.get_by_text("A request came, and was refused").wait_for()


def test_who_signs_up_sees_their_first_request_in_the_chart_within_seconds(
    chromium, opened
) -> None:
    context = chromium.new_context(base_url=opened.url)
    window = open_window(context)
    window.go("/sign-up")
    window.page.fill("#f-name", "Eve")
    window.page.fill("#f-email", "eve@elsewhere.example")
    window.page.fill("#f-password", PASSWORD)
    window.page.click("button.wide")
    key = new_key(window, "laptop")
    window.go("/usage")
    ask(opened.url, key)
    asked = time.monotonic()
    window.page.locator("main").get_by_text("v1-sandbox-1").first.wait_for(state="attached")
    assert time.monotonic() - asked < stretched(CHART_SECONDS_MAX + 1)
    assert window.complaints == []
    context.close()


def test_a_key_is_rotated_under_traffic_without_a_failed_request(window, opened) -> None:
    key = new_key(window, "busy")
    failures: list[str] = []
    done = threading.Event()
    keys = [key]

    def traffic() -> None:
        sent = 0
        while not done.is_set() and sent < 18:  # The tier's limit is 20 a minute.
            try:
                ask(opened.url, keys[-1], max_tokens=1)
            except Exception as error:
                failures.append(repr(error))
            sent += 1

    thread = threading.Thread(target=traffic)
    thread.start()
    window.go(f"/keys/{id_of(key)}/rotate")
    window.page.get_by_text("In 1 hour").click()
    window.page.get_by_role("button", name="Rotate").click()
    keys.append(window.page.locator("#secret").inner_text().strip())
    done.set()
    thread.join()
    assert failures == []
    assert keys[0] != keys[1]
    window.go(f"/keys/{id_of(keys[0])}")
    assert "still used" in window.page.locator("#turning").inner_text()


def test_revoking_cuts_a_running_stream(window, opened) -> None:
    key = new_key(window, "streaming")
    ended = threading.Event()
    began = threading.Event()

    def listen() -> None:
        try:
            for _ in ask(opened.url, key, model="v1", max_tokens=4000, stream=True,
                         messages=[{"role": "user", "content": "long " * 400}]):  # fmt: skip
                began.set()
        except Exception:
            pass
        ended.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert began.wait(PATIENCE_SECONDS)
    window.go(f"/keys/{id_of(key)}/revoke")
    window.page.fill("#f-name", "streaming")
    window.page.click("text=Revoke for good")
    assert ended.wait(stretched(CUT_SECONDS_MAX))
    thread.join()


def test_a_class_list_of_two_hundred_becomes_people_with_keys(window, opened) -> None:
    lines = [f"Student {number},student{number}@uni.example" for number in range(CLASS)]
    window.go("/people/import")
    window.page.fill("#f-list", "\n".join(lines))
    window.page.click("text=Look at it")
    window.page.fill("#f-name", "Course 2027")
    with window.page.expect_download() as found:
        window.page.click(f"text=Import {CLASS} people")
    rows = list(csv.DictReader(io.StringIO(found.value.path().read_text(encoding="utf-8-sig"))))
    assert len(rows) == CLASS
    key = next(value for value in rows[0].values() if value.startswith("sk-kh_"))
    assert ask(opened.url, key).usage.total_tokens > 0


def test_a_reader_sees_and_changes_nothing(chromium, opened, window) -> None:
    window.go("/people")
    link = invite(window, "reader")
    context = chromium.new_context()
    reader = open_window(context)
    reader.go(link)
    reader.page.fill("#f-name", "Rita")
    reader.page.fill("#f-email", "rita@example.org")
    reader.page.fill("#f-password", PASSWORD)
    reader.page.click("button.wide")
    reader.go(f"{opened.url}/keys")
    assert reader.page.get_by_text("Create a key").count() == 0
    reader.go(f"{opened.url}/keys/new")
    assert reader.title == "Not yours to see"
    context.close()


def invite(window: Window, role: str) -> str:
    """A link to hand over for somebody of that role."""
    form = window.page.locator("form[action='/people/invite']")
    form.locator(f"[name=role][value={role}]").check()
    form.locator("button:not([type=button])").click()
    window.page.get_by_text("/join/").first.wait_for()
    found = re.search(r"http://\S+/join/[\w-]+", window.page.content())
    assert found
    return found[0]


# --- By keyboard alone ----------------------------------------------------------------------------


def tab_to(window: Window, words: str, most: int = 80) -> None:
    """Move the focus with Tab until it is on what has this name."""
    for _ in range(most):
        window.page.keyboard.press("Tab")
        name = window.page.evaluate(
            "() => { const e = document.activeElement; return e ? "
            "(e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || "
            "e.value || '') : '' }"
        )
        if words.lower() in name.lower():
            return
    raise AssertionError(f"Tab does not come to {words!r}")


def test_a_key_is_made_and_revoked_by_keyboard_alone(window, opened) -> None:
    keys = window.page.keyboard
    window.go("/")
    keys.press("g")
    keys.press("k")
    window.page.wait_for_url("**/keys")
    keys.press("c")
    window.page.wait_for_url("**/keys/new")
    window.page.locator("#f-name").wait_for()
    keys.type("typed")
    tab_to(window, "Create the key")
    keys.press("Enter")
    key = window.page.locator("#secret").inner_text().strip()
    window.go(f"/keys/{id_of(key)}/revoke")
    tab_to(window, "Write its name")
    keys.type("typed")
    keys.press("Enter")
    window.page.get_by_text("typed is revoked.").wait_for()


@pytest.mark.slow
def test_the_first_minute_needs_no_pointer(fresh) -> None:
    process, window = fresh
    keys = window.page.keyboard
    window.go(set_up_link(process))
    tab_to(window, "Name")
    keys.type("Ada")
    tab_to(window, "E-mail")
    keys.type("ada@example.org")
    tab_to(window, "Password")
    keys.type(PASSWORD)
    keys.press("Enter")
    window.page.get_by_role("button", name="Create the key").wait_for()
    tab_to(window, "Create the key")
    keys.press("Enter")
    key = window.page.locator("#secret").inner_text().strip()
    ask(process.url, key)
    window.page.get_by_text("Your first request is here").wait_for()


@pytest.mark.slow
def test_a_key_is_rotated_by_keyboard_alone(window, opened) -> None:
    key = new_key(window, "turned by hand")
    keys = window.page.keyboard
    window.go(f"/keys/{id_of(key)}")
    tab_to(window, "Rotate")
    keys.press("Enter")
    window.page.wait_for_url("**/rotate")
    tab_to(window, "Rotate")
    keys.press("Enter")
    assert window.page.locator("#secret").inner_text().strip() != key


@pytest.mark.slow
def test_a_class_list_is_imported_by_keyboard_alone(window, opened) -> None:
    keys = window.page.keyboard
    window.go("/people/import")
    tab_to(window, "Or paste it")
    keys.type("Typed Student,typed@uni.example")
    tab_to(window, "Look at it")
    keys.press("Enter")
    window.page.locator("#f-name").wait_for()
    tab_to(window, "Name")
    keys.type("Typed class")
    tab_to(window, "Import 1 ")
    with window.page.expect_download() as found:
        keys.press("Enter")
    (row,) = csv.DictReader(io.StringIO(found.value.path().read_text(encoding="utf-8-sig")))
    key = next(value for value in row.values() if value.startswith("sk-kh_"))
    assert ask(opened.url, key).usage.total_tokens > 0


def test_the_palette_and_the_list_of_keys_open_and_close_by_keyboard(window) -> None:
    window.go("/")
    window.page.keyboard.press("?")
    assert window.page.locator("#shortcuts").is_visible()
    window.page.keyboard.press("Escape")
    assert not window.page.locator("#shortcuts").is_visible()
    window.page.keyboard.press("Control+k")
    window.page.keyboard.type("usage")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/usage*")


def test_signing_in_needs_no_pointer(stranger) -> None:
    stranger.go("/sign-in")
    tab_to(stranger, "E-mail")
    stranger.page.keyboard.type("ada@example.org")
    stranger.page.keyboard.press("Tab")
    stranger.page.keyboard.type(PASSWORD)
    stranger.page.keyboard.press("Enter")
    stranger.page.get_by_role("heading", name="Home").wait_for()


def test_who_signs_out_is_out_in_every_tab(chromium, opened) -> None:
    context = chromium.new_context(base_url=opened.url)
    first, second = open_window(context), open_window(context)
    first.go("/sign-in")
    first.page.fill("#f-email", "ada@example.org")
    first.page.fill("#f-password", PASSWORD)
    first.page.click("button.wide")
    first.page.wait_for_url("**/")
    second.go("/keys")
    first.page.locator('form[action="/sign-out"] button').first.click()
    second.page.wait_for_url("**/sign-in")
    second.page.go_back()
    assert "Ada" not in second.page.content()
    context.close()
