"""The documentation inside the console: every page, every link, and nothing but text in it."""

import re
from urllib.parse import urldefrag

import pytest
from bs4 import BeautifulSoup

from keyhall import errors
from keyhall.console import gate
from keyhall.console.menu import MENU
from keyhall.console.pages.docs import library, markdown
from keyhall.console.pages.docs.search import search
from keyhall.flows.manage import checks
from keyhall.policy.people import letting_in
from keyhall.policy.people.roles import SAYS

NAMES = list(library.docs())


def test_everybody_may_read_every_page_and_every_link_leads_somewhere(hall):
    async def story(hall):
        stranger = hall.new_browser()
        pages, links = {}, set()
        for path in ("/docs", "/docs/api", *(f"/docs/{name}" for name in NAMES if name != "index")):
            assert await stranger.visit(path) == 200, path
            pages[path] = {found["id"] for found in stranger.page.find_all(id=True)}
            ids = [found["id"] for found in stranger.page.find_all(id=True)]
            assert len(ids) == len(set(ids)), path
            assert not stranger.page.find_all(style=True), path
            links |= {(path, link) for link in stranger.links()}
        for page, link in links:
            target, anchor = urldefrag(link)
            if link.startswith("https://"):
                continue
            target = target or page
            if target in pages:
                assert not anchor or anchor in pages[target], f"{link} on {page}"
            else:
                status = (await stranger.client.get(target)).status_code
                assert status in (200, 303), f"{link} on {page}"

    hall(story)


def test_the_source_is_the_file_with_the_reader_s_address(hall):
    async def story(hall):
        for name in NAMES:
            answer = await hall.browser.client.get(f"/docs/{name}.md")
            assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
            written = (library.FOLDER / f"{name}.md").read_text(encoding="utf-8")
            own = f"{hall.server.url}/v1"
            assert answer.text == written.replace("http://127.0.0.1:8484/v1", own)

    hall(story)


def test_examples_name_the_reader_s_server_and_key(hall):
    async def story(hall):
        await hall.browser.visit("/docs/quickstart")
        assert f"OPENAI_BASE_URL={hall.server.url}/v1" in hall.browser.page.get_text()
        stranger = hall.new_browser()
        await stranger.visit("/docs/quickstart")
        assert "OPENAI_API_KEY=sk-kh_live_…" in stranger.page.get_text()
        hall.server.clock.advance(1)  # It is newer than the first run's.
        key = await hall.server.make_key("laptop")
        await hall.browser.visit("/docs/quickstart")
        assert key.key.masked in hall.browser.page.get_text()
        assert "laptop" in hall.browser.text
        assert key.text.reveal() not in hall.browser.response.text
        member = await hall.invited("member")
        await member.visit("/docs/quickstart")
        assert key.key.masked not in member.page.get_text()

    hall(story)


def test_a_page_that_is_not_there_is_not_found_and_the_index_has_one_address(hall):
    async def story(hall):
        for path in ("/docs/nothing", "/docs/nothing.md", "/docs/..%2f..%2fkeys"):
            assert await hall.browser.visit(path) == 404, path
        await hall.browser.visit("/docs/index")
        assert str(hall.browser.response.url).endswith("/docs")

    hall(story)


def test_programs_find_a_list_and_all_of_it(hall):
    async def story(hall):
        client = hall.browser.client
        short = (await client.get("/llms.txt")).text
        whole = (await client.get("/llms-full.txt")).text
        described = (await client.get("/openapi.json")).json()
        assert described["servers"] == [{"url": hall.server.url}]
        for name in NAMES:
            assert name == "index" or f"{hall.server.url}/docs/{name}.md" in short, name
            assert f"# {library.docs()[name].title}" in whole or name == "index"
        assert "invisible-code-block" not in whole

    hall(story)


def test_the_reference_shows_three_languages_and_offers_to_try_to_who_may(hall):
    async def story(hall):
        await hall.browser.visit("/docs/api")
        operation = hall.browser.page.find(id="createchatcompletion")
        assert [each["data-tab"] for each in operation.find_all(class_="sample")] == [
            "curl",
            "Python",
            "JavaScript",
        ]
        assert not operation.find_all(class_="sample", hidden=True)
        assert operation.find(attrs={"data-try": True})
        stranger = hall.new_browser()
        await stranger.visit("/docs/api")
        assert not stranger.page.find(attrs={"data-try": True})

    hall(story)


def test_search_finds_words_by_their_beginnings(hall):
    async def story(hall):
        await hall.browser.visit("/docs/search?q=retry-after")
        assert "/docs/errors#" in " ".join(hall.browser.links())
        await hall.browser.visit("/docs/search?q=xyzzyqux")
        assert "Nothing has all of these words" in hall.browser.text
        await hall.browser.visit("/docs/search?q=<script>alert(1)</script>")
        assert hall.browser.page.find("h1").get_text() == "“<script>alert(1)</script>”"
        await hall.browser.visit("/docs/search")
        assert hall.browser.title == "Search"

    hall(story)


def test_what_is_found_leads_to_its_heading():
    found = [each.section for each in search("truncat")]
    assert {section.doc.name for section in found} >= {"tokens", "console"}
    assert "have-it-shortened" in {section.anchor for section in found}
    assert search("temperature")[0].section.href == "/docs/api#parameter-temperature"
    assert search("  ") == []
    assert search("a " * 500) is not None


def test_every_code_is_an_anchor_that_leads_to_its_rows_and_back():
    page = BeautifulSoup(markdown.render(library.docs()["errors"].source).html, "html.parser")
    for row in errors.TABLE.values():
        if row.code:
            assert page.find(id=row.code), row.name
            assert page.find("a", href=f"#{row.name}"), row.name
            facts = page.find(id=row.name).find_next("p").find_next("p")
            assert facts.find("a", href=f"#{row.code}"), row.name


def test_the_roles_in_the_guide_are_the_roles_there_are():
    guide = (library.FOLDER / "accounts.md").read_text(encoding="utf-8")
    table = re.search(r"\| role \| may \|\n\|---\|---\|\n((?:\|.*\n)+)", guide)
    plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", table[1])  # without the addresses of links
    rows = [line.strip("| ").split(" | ") for line in plain.splitlines()]
    assert dict(rows) == SAYS


def test_the_times_in_the_guide_are_the_times_that_hold():
    guide = " ".join((library.FOLDER / "accounts.md").read_text(encoding="utf-8").split())
    life = {kind: us // letting_in.DAY_US for kind, us in letting_in.LINK_LIFE_US.items()}
    assert (life["set-up"], "for seven days" in guide) == (7, True)
    assert f"works once, for {life['invite']} days" in guide
    minutes = letting_in.LINK_LIFE_US["reset"] // letting_in.MINUTE_US
    assert f"works once, for {minutes} minutes" in guide
    characters = letting_in.PASSWORD_CHARACTERS
    assert f"At least {characters.start} characters, at most {characters.stop - 1}" in guide
    idle, whole = letting_in.SESSION_IDLE_US, letting_in.SESSION_LIFE_US
    days = (idle // letting_in.DAY_US, whole // letting_in.DAY_US)
    assert "after {} days without use, and after {} days at the latest".format(*days) in guide
    assert (letting_in.FREE_TRIES["account"], "five are free for an account" in guide) == (5, True)
    assert f"up to {letting_in.WAIT_US_MAX // letting_in.MINUTE_US} minutes" in guide
    assert f"at most {letting_in.SESSIONS_MAX} sessions at a time" in guide


def test_the_bounds_of_fields_in_the_guide_are_those_that_hold():
    guide = (library.FOLDER / "console.md").read_text(encoding="utf-8")
    assert f"| names | 1 to {checks.NAME_CHARACTERS_MAX} characters" in guide
    assert f"up to {checks.REASON_CHARACTERS_MAX} characters" in guide
    assert f"ASCII, up to {letting_in.EMAIL_CHARACTERS_MAX} characters" in guide
    kept = letting_in.PASSWORD_CHARACTERS
    assert f"| passwords | {kept.start} to {kept.stop - 1} characters" in guide
    assert f"up to {checks.LIST_ENTRIES_MAX} entries" in guide
    assert f"{gate.FORM_BYTES_MAX >> 20} MiB and {gate.FIELDS_MAX} fields" in guide


def test_the_guide_to_the_console_knows_every_page_of_the_menu():
    guide = (library.FOLDER / "console.md").read_text(encoding="utf-8")
    for entries in MENU.values():
        for entry in entries:
            assert f"`{entry.path}`" in guide, entry.path


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "![a](https://evil.example/beacon.png)",
    "<https://evil.example>",
    "```html\n<script>alert(1)</script>\n```",
    "```no-such-language\n<b>x</b>\n```",
    '# <b onclick="alert(1)">x</b>',
    '| a |\n|---|\n| <i style="x">b</i> |',
    "<!-- x --><div>y</div>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_html_in_markdown_is_text_and_pictures_are_not_loaded(text):
    page = BeautifulSoup(markdown.render(text).html, "html.parser")
    assert not page.find_all(["script", "img", "b", "i", "iframe", "style"])
    for tag in page.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on") or name == "style"]
        assert not tag.get("href", "").startswith(("javascript:", "data:"))


def test_a_second_heading_of_the_same_words_has_an_anchor_of_its_own():
    made = markdown.render("# A\n\n## B `c`\n\n## B c\n")
    assert [each.anchor for each in made.headings] == ["a", "b-c", "b-c-1"]
    assert made.headings[1].title == "B c"
