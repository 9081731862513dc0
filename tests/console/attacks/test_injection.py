"""Attacks 5, 8, 14 and 20: names that are markup, headers, patterns or formulas somewhere else."""

import csv
import io

import pytest
from browsing import PASSWORD
from twins import own_address, routes, twin

NAMES = (
    "\"'><svg onload=x()></textarea></script><script>x()</script>{{7*7}}${7*7}`<b>`",
    "javascript:x()//[a](javascript:x())![b](//evil.example/b)' onclick='x()",
)
FORMULAS = (
    *("=1+1", "\uff1d1+1"),
    *(pytest.param(each, marks=pytest.mark.slow) for each in ("-1", "@SUM(1)")),
)
BEGINNINGS = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")


async def called(hall, name):
    """An organization in which everything that has a name has that one, and its owner."""
    browser = hall.new_browser(**{"user-agent": name if name.isascii() else "x"})
    await browser.visit("/sign-up")
    fields = {"name": name, "email": "eve@elsewhere.example", "password": PASSWORD}
    assert await browser.send("/sign-up", **fields) == 200
    await browser.visit("/projects")
    assert await browser.send("/projects", name=name) == 200
    project = str(browser.response.url).rpartition("/")[2]
    await browser.visit("/keys/new")
    key = {"name": name, "project": project, "mode": "live", "tier": "free-trial",
           "expires": "never", "endpoints": "chat"}  # fmt: skip
    assert await browser.send("/keys/new", **key) == 200
    await browser.visit("/people/import")
    people = io.StringIO()
    csv.writer(people).writerow((name, "pat@eve.example"))
    await browser.send("/people/import", list=people.getvalue())
    found = {"list": people.getvalue(), "name": name, "tier": "free-trial", "project": project,
             "class": browser.page.find("input", {"name": "class"})["value"]}  # fmt: skip
    assert await browser.send("/people/import/keys", follow=False, **found) == 200
    made = browser.response.text
    await browser.visit("/limits")
    assert await browser.send("/limits/ask", requests="50", why=name) == 200
    await browser.visit("/spending/budgets/new")
    of = {"of": project, "resource": "tokens", "period": "day", "policy": "suspend"}
    assert await browser.send("/spending/budgets/new", amount="5", thresholds="50", **of) == 200
    return browser, made


async def ids_of(browser):
    """What stands in the lists, for the pages of each."""
    found = {}
    for kind, path in (("key", "/keys"), ("project", "/projects"), ("quota", "/spending")):
        await browser.visit(path)
        ends = [link.rpartition("/")[2] for link in browser.links()]
        found[kind] = next(each for each in ends if each.startswith(("key_", "proj_", "quota_")))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_attack_5_a_name_is_text_on_every_page(hall, name):
    async def story(hall):
        eve, _ = await called(hall, name)
        one = await twin(hall, "Uma")
        one.ids |= await ids_of(eve)
        for browser in (eve, hall.browser):
            for page in routes("GET"):
                if page.path == "/live/limits":
                    continue
                for query in ("", f"?q={name}&search={name}&who={name}&next={name}&key={name}"):
                    path = own_address(page.path, one) + query
                    answer = await browser.client.get(path)
                    assert answer.status_code < 500, path
                    browser._take(answer)
                    if "html" in answer.headers.get("content-type", ""):
                        is_inert(browser, path)

    hall(story)


def is_inert(browser, path):
    """Nothing of a page runs but what its own files say."""
    for tag in browser.page.find_all(True):
        assert not [each for each in tag.attrs if each.startswith("on")], path
        assert "style" not in tag.attrs, path
        for name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
            value = str(tag.get(name, "")).strip().lower()
            assert not value.startswith(("javascript:", "vbscript:", "//")), path
            assert not value.startswith("data:") or tag.name == "img", path
    for script in browser.page.find_all("script"):
        assert script.get("src", "").startswith("/static/"), path
        assert not script.get_text().strip(), path
    assert "{{7*7}}" in browser.text or "7*7" not in browser.text, path


@pytest.mark.parametrize("name", FORMULAS)
def test_attack_20_no_cell_of_any_export_is_a_formula(hall, name):
    async def story(hall):
        eve, made = await called(hall, name)
        tables = {"class": made}
        for page in routes("GET"):
            if "{" in page.path or page.path == "/live/limits":
                continue
            answer = await eve.client.get(page.path)
            if "csv" in answer.headers.get("content-type", ""):
                tables[page.path] = answer.text
        assert {"/keys/export.csv", "/audit.csv", "/spending/statements.csv", "/usage/export",
                "class"} <= tables.keys()  # fmt: skip
        seen = 0
        for path, text in tables.items():
            for row in csv.reader(io.StringIO(text)):
                seen += sum(name in cell for cell in row)
                assert not [cell for cell in row if cell.startswith(BEGINNINGS)], path
        assert seen

    hall(story)


def test_attack_8_no_header_holds_what_somebody_wrote(hall):
    async def story(hall):
        browser = hall.browser
        for id in (
            "class_\r\nx-evil: 1", 'class_"; filename="a.exe', "class_../../x", "class_\u65e5",
            "class_" + "x" * 12 + "\n", "x" * 18,
        ):  # fmt: skip
            await browser.visit("/people/import")
            fields = {"list": "Pat,pat@example.org", "name": "Class", "tier": "free-trial"}
            await browser.send("/people/import", list=fields["list"])
            status = await browser.send(
                "/people/import/keys", project="", **{"class": id}, **fields
            )
            assert status == 400, id
            assert "x-evil" not in browser.response.headers
        for path in ("/spending/statements.csv", "/usage/export", "/account/export"):
            for query in ("month", "by", "format", "zone"):
                answer = await browser.client.get(path, params={query: 'a"\r\nx-evil: 1'})
                assert "x-evil" not in answer.headers, path
        for wanted in (
            "/\r\nx-evil: 1", "//evil.example", "/\\evil.example", "https://evil.example",
            "/\t/evil.example", "javascript:alert(1)", "/%0d%0ax-evil:1", "\\\\evil.example",
            "/%5cevil.example", " //evil.example", "/\u2028/evil.example",
        ):  # fmt: skip
            answer = await browser.client.get("/sign-in", params={"next": wanted})
            where = answer.headers["location"]
            assert where.startswith("/"), wanted
            assert not where.startswith(("//", "/\\")), wanted
            assert "x-evil" not in answer.headers, wanted

    hall(story)


@pytest.mark.slow
def test_attack_14_a_wildcard_in_a_search_is_a_character(hall):
    async def story(hall):
        for path, name in (
            ("/keys", "q"), ("/people", "q"), ("/organizations", "search"),
            ("/audit", "who"), ("/audit", "target"), ("/audit", "action"),
        ):  # fmt: skip
            for text in ("%", "%%%%a%%%%a%%%%", "_" * 100, "\\", "\\%", "/%", "[a-z]", "*"):
                await hall.browser.visit(f"{path}")
                many = len(hall.browser.page.select("tbody tr"))
                status = await hall.browser.visit(f"{path}?{name}={text.replace('%', '%25')}")
                assert status == 200, (path, text)
                assert len(hall.browser.page.select("tbody tr")) < max(many, 1), (path, text)

    hall(story)
