"""Reviewing in a real browser, against a real server, with the official client waiting."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from browsing import PASSWORD
from chromium import Window, open_window
from openai import OpenAI
from patience import PATIENCE_SECONDS

LOOKS = [
    ("light", 1280),
    pytest.param("dark", 360, marks=pytest.mark.slow),  # Differs by what other pages show too.
]


class Asked(threading.Thread):
    """The official client, waiting for a person."""

    def __init__(self, url: str, key: str, text: str, *, stream: bool = False) -> None:
        super().__init__(daemon=True)
        self._url, self._key, self._text, self._stream = url, key, text, stream
        self.answer = ""
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            with OpenAI(base_url=f"{self._url}/v1", api_key=self._key, max_retries=0) as client:
                got = client.chat.completions.create(
                    model="v1",
                    messages=[{"role": "user", "content": self._text}],
                    extra_headers={"x-keyhall-review-wait": "60"},
                    stream=self._stream,
                )
                if self._stream:
                    chunks = (each.choices[0].delta.content or "" for each in got)
                    self.answer = "".join(chunks)
                else:
                    self.answer = got.choices[0].message.content or ""
        except Exception as error:
            self.problem = error

    def got(self) -> str:
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive(), "it waits still"
        assert self.problem is None, self.problem
        return self.answer


def new_key(window: Window, name: str) -> str:
    window.go("/keys/new")
    window.page.fill("#f-name", name)
    window.page.click("text=Create the key")
    return window.page.locator("#secret").inner_text().strip()


@contextmanager
def joined(chromium, owner: Window, url: str, name: str, **options) -> Iterator[Window]:
    """A window of a reviewer that the owner has invited."""
    owner.go("/people")
    form = owner.page.locator("form[action='/people/invite']")
    form.locator("[name=role][value=reviewer]").check()
    form.locator("button:not([type=button])").click()
    owner.page.get_by_text("/join/").first.wait_for()
    link = re.search(r"http://\S+/join/[\w-]+", owner.page.content())
    assert link
    context = chromium.new_context(base_url=url, **options)
    window = open_window(context)
    window.go(link[0])
    window.page.fill("#f-name", name)
    window.page.fill("#f-email", f"{name.lower()}@example.org")
    window.page.fill("#f-password", PASSWORD)
    window.page.click("button.wide")
    window.page.wait_for_url("**/")
    yield window
    context.close()
    assert window.complaints == []


def set_rules(
    window: Window, people: str = "1", hold: str = "Every answer waits for a person"
) -> None:
    """Of the first project."""
    window.go("/projects")
    window.page.locator("main a[href^='/projects/']").first.click()
    window.page.get_by_role("link", name="Rules of review").click()
    window.page.get_by_label(hold).check()
    window.page.select_option("#f-people", people)
    window.page.get_by_role("button", name="Set the rules").click()
    window.page.get_by_text("These rules hold").wait_for()


def until_queued(window: Window, count: int = 1) -> None:
    """There are so many that this reviewer may take: what others have claimed does not count."""
    waits = re.compile("(?<!nothing )waits for a (second )?review", re.IGNORECASE)
    for _ in range(50):
        window.go("/reviews")
        shown = window.page.locator("main").inner_text()
        if len(waits.findall(shown)) >= count:
            return
        window.page.wait_for_timeout(100)
    raise AssertionError(f"{count} items did not come")


def keys(window: Window, *pressed: str) -> None:
    """Once the page listens to them."""
    window.page.wait_for_load_state("load")
    for each in pressed:
        window.page.keyboard.press(each)


def test_by_keys_alone_an_answer_is_corrected_and_its_caller_gets_it(
    chromium, opened, window, picture
) -> None:
    key = new_key(window, "review by keys")
    set_rules(window)
    with joined(chromium, window, opened.url, "Rex") as reviewer:
        asked = Asked(opened.url, key, "Say hello.", stream=True)
        asked.start()
        until_queued(reviewer)
        picture(reviewer, "review-queue")
        keys(reviewer, "j")
        focused = "document.activeElement.matches('[data-row]')"
        reviewer.page.wait_for_function(focused)
        keys(reviewer, "Enter")
        reviewer.page.wait_for_url("**/reviews/rev_*")
        assert "Say hello" not in reviewer.page.locator("main").inner_text()
        keys(reviewer, "n")
        reviewer.page.get_by_text("Your review").wait_for()
        keys(reviewer, "?")
        reviewer.page.locator("#shortcuts").get_by_text("Release as it is").wait_for()
        keys(reviewer, "Escape")
        reviewer.page.locator("#shortcuts").wait_for(state="hidden")
        keys(reviewer, "4")
        reviewer.page.wait_for_function("document.querySelector('[name=score]:checked')")
        keys(reviewer, "e")
        reviewer.page.wait_for_function("document.activeElement.id == 'f-text'")
        keys(reviewer, "Control+Home")
        reviewer.page.keyboard.type("Corrected: ")
        reviewer.page.locator("#changes ins").wait_for()
        assert "Corrected" in reviewer.page.locator("#changes ins").first.inner_text()
        picture(reviewer, "review-edit")
        keys(reviewer, "Control+Enter")
        reviewer.page.get_by_text("Edited").first.wait_for()
        assert asked.got().startswith("Corrected: ")
        # And back: what was delivered is not taken back.
        keys(reviewer, "u")
        reviewer.page.get_by_text("has the answer already").wait_for()


def test_a_required_review_takes_two_people_who_agree(chromium, opened, window, picture) -> None:
    key = new_key(window, "review by two")
    set_rules(window, "2")
    with (
        joined(chromium, window, opened.url, "Ina") as first,
        joined(chromium, window, opened.url, "Sam") as second,
    ):
        asked = Asked(opened.url, key, "Is it safe?")
        asked.start()
        until_queued(first)
        keys(first, "n")
        first.page.get_by_text("Your review").wait_for()
        keys(first, "5", "a")
        first.page.get_by_text("waits for a second review").first.wait_for()
        assert asked.is_alive()
        until_queued(second)
        keys(second, "n")
        second.page.get_by_text("1 review by somebody else").wait_for()
        assert second.page.get_by_text("scored 5").count() == 0
        picture(second, "review-second")
        keys(second, "3", "a")
        second.page.get_by_text("Released").first.wait_for()
        assert "sandbox" in asked.got()
        second.go("/reviews/work")
        picture(second, "review-work")
        second.go("/reviews?which=closed")
        second.page.locator("[data-row]").first.click()
        second.page.get_by_text("scored 5").wait_for()
        picture(second, "review-decided")


def test_a_flagged_answer_is_corrected_by_two_people_who_differed_first(
    chromium, opened, window, picture
) -> None:
    """By keys alone. What the filter blocks in a correction is told beside it, and a correction is
    taken over by who comes round to it."""
    rule = ("illicit.weapons", "--action", "flag")
    opened.premises.run("filters", "set", *rule)
    opened.premises.run("filters", "set", "personal/email", "--action", "block")
    key = new_key(window, "review of flags")
    set_rules(window, "2", hold="Answers that the filter flags wait")
    with (
        joined(chromium, window, opened.url, "Mia") as first,
        joined(chromium, window, opened.url, "Tom") as second,
    ):
        passing = Asked(opened.url, key, "Good morning.")
        passing.start()
        assert passing.got(), "nothing of it was flagged"
        asked = Asked(opened.url, key, "How do I build a pipe bomb?", stream=True)
        asked.start()
        until_queued(first)
        keys(first, "n")
        first.page.get_by_text("illicit.weapons").first.wait_for()
        keys(first, "2", "e", "Control+A")
        first.page.keyboard.type("Ask help@example.org instead.")
        keys(first, "Control+Enter")
        first.page.get_by_text("its rule personal/email finds").wait_for()
        first.page.wait_for_function("document.activeElement.id == 'f-text'")
        picture(first, "review-not-passed")
        keys(first, "Control+A")
        first.page.keyboard.type("I cannot help with that.")
        keys(first, "Control+Enter")
        first.page.get_by_text("waits for a second review").first.wait_for()
        until_queued(second)
        keys(second, "n")
        second.page.get_by_text("1 review by somebody else").wait_for()
        assert "cannot help" not in second.page.locator("main").inner_text()
        keys(second, "1", "r")
        second.page.get_by_text("waits for somebody who settles").wait_for()
        keys(second, "n")
        second.page.get_by_text("Two reviews differ").wait_for()
        picture(second, "review-disputed")
        keys(second, "1", "t")
        second.page.wait_for_url("**/difference")
        assert second.page.locator("#f-text").input_value() == "I cannot help with that."
        assert asked.is_alive()
        keys(second, "e", "Control+Enter")
        second.page.get_by_text("Edited").first.wait_for()
        assert asked.got() == "I cannot help with that."


def test_a_thumb_down_in_the_playground_reaches_the_queue_with_its_words(
    chromium, opened, window, picture, findings
) -> None:
    set_rules(window, hold="No answer waits for a person")
    window.page.get_by_label("What callers give a thumb down").check()
    window.page.get_by_role("button", name="Set the rules").click()
    window.page.get_by_text("These rules hold").wait_for()
    window.go("/playground")
    window.page.fill("#draft", "What is a key?")
    keys(window, "Control+Enter")
    window.page.get_by_role("button", name="A bad answer").click()
    window.page.get_by_label("Why, in a sentence").fill("It does not say.")
    keys(window, "Enter")
    window.page.get_by_text("Noted, with your words").wait_for()
    assert (
        window.page.get_by_role("button", name="A bad answer").get_attribute("aria-pressed")
        == "true"
    )
    picture(window, "playground-thumbs")
    assert findings(window) == []
    with joined(chromium, window, opened.url, "Fay") as reviewer:
        until_queued(reviewer)
        reviewer.page.get_by_text("thumb down").first.wait_for()
        keys(reviewer, "n")
        reviewer.page.get_by_text("It does not say.").wait_for()


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_pages_of_a_review_are_sound(
    chromium, opened, window, picture, findings, scheme, size
) -> None:
    key = new_key(window, f"sound {scheme}")
    set_rules(window)
    look = {"color_scheme": scheme, "viewport": {"width": size, "height": 800}}
    with joined(chromium, window, opened.url, f"Look{size}", **look) as reviewer:
        text = "<b>Bold</b> \u202eturned\u202c and zero\u200bwidth. Say hello."
        asked = Asked(opened.url, key, text)
        asked.start()
        until_queued(reviewer)
        faults = []

        def looked(page: Window, name: str) -> None:
            picture(page, f"{name}-{scheme}-{size}")
            faults.extend(f"{name}: {each}" for each in findings(page))
            wide = page.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if wide > 0:
                faults.append(f"{name}: {wide} px stick out")

        looked(reviewer, "queue")
        reviewer.page.get_by_role("button", name="Review the next").click()
        reviewer.page.get_by_text("Your review").wait_for()
        assert reviewer.page.locator("article.part b").count() == 0
        reviewer.page.get_by_text("U+202E RIGHT-TO-LEFT OVERRIDE").first.wait_for()
        keys(reviewer, "2", "e")
        keys(reviewer, "Control+End")
        reviewer.page.keyboard.type(" More.")
        reviewer.page.locator("#changes ins").wait_for()
        looked(reviewer, "item")
        keys(reviewer, "Escape")
        reviewer.page.get_by_role("button", name="Refuse").click()
        reviewer.page.get_by_text("Refused").first.wait_for()
        for path, name in (("/reviews/versions", "versions"), ("/reviews/work", "work")):
            reviewer.go(path)
            looked(reviewer, name)
        reviewer.go("/reviews?which=closed")
        reviewer.page.locator("[data-row]").first.click()
        looked(reviewer, "closed")
        window.page.emulate_media(color_scheme=scheme)
        window.page.set_viewport_size({"width": size, "height": 800})
        window.go("/projects")
        window.page.locator("main a[href^='/projects/']").first.click()
        window.page.get_by_role("link", name="Rules of review").click()
        window.page.get_by_role("heading", name="Review in").wait_for()
        looked(window, "rules")
        asked.join(PATIENCE_SECONDS)
        assert asked.problem is None
        assert faults == []
