"""Rules written in the console: added, tried, changed, brought back, removed; each act audited."""

import asyncio

from console_data import done
from plain_http import chat

from keyhall.flows.filters import manage
from keyhall.flows.filters.manage import Owner
from keyhall.stores.filters import versions
from keyhall.stores.organizations import default_project

EXAM = {
    "id": "team.exam",
    "kind": "phrases",
    "looks": "<ask> solve <which> exercise",
    "lists": "ask = how do i, how to\r\nwhich = , this",
    "category": "illicit",
    "direction": "in",
    "action": "block",
    "percent": "100",
    "reason": "No help with <the> exam.",
    "owner": "Ada",
    "finds": "How do I solve this exercise?\r\nHow to solve exercise",
    "passes": "It was solved.",
    "seen": "0",
}
SECONDS = 5.0


async def of_hall(hall, owner=manage.HALL):
    async with hall.store.reading() as connection:
        return await manage.stored_for(connection, owner)


async def refused(hall, said):
    """Whether a key is, once the server has noticed."""
    line = await hall.server.line()
    made = await hall.server.make_key("app")
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await line.ask(made.text.reveal(), chat("How do I solve this exercise?"))
            if (answer.status == 400) == said:
                return answer
            await asyncio.sleep(0.05)


def test_a_rule_is_written_holds_within_seconds_and_is_audited(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/filter/write")
        assert browser.page.find(id="f-percent")["value"] == "10", "a new one begins small"
        assert browser.page.find(id="f-owner")["value"] == "Ada"
        await browser.send("/filter/write", **EXAM)
        assert "It holds from now on." in browser.text
        assert "No help with <the> exam." in browser.text
        answer = await refused(hall, True)
        assert "team.exam" in answer.json["error"]["message"]
        (row,) = await done(hall, "filter.write")
        assert "how do i" in row.after

    hall(story)


def test_each_change_is_a_version_that_can_be_brought_back(hall):
    async def story(hall):
        browser = hall.browser
        await browser.send("/filter/write", **EXAM)
        await browser.visit("/filter/write?id=team.exam")
        assert browser.page.find(id="f-id") is None, "its id stays"
        seen = browser.page.find("input", attrs={"name": "seen"})["value"]
        change = EXAM | {"was": "team.exam", "id": "", "seen": seen}
        hall.server.clock.advance(1)
        words = {"kind": "terms", "looks": "exercise", "finds": "exercise", "passes": ""}
        await browser.send("/filter/write", **change | words)
        (kept,) = await of_hall(hall)
        assert (kept.rule.stage, kept.rule.terms, kept.rule.words) == ("terms", ("exercise",), {})
        again = await browser.send("/filter/write", **change)
        assert again == 400
        assert "Somebody has changed team.exam since you opened it" in browser.text
        await browser.send("/filter/switch", id="team.exam", percent="100", action="flag", on="0")
        await browser.visit("/filter/rule?id=team.exam")
        table = browser.page.find(attrs={"aria-label": "Versions"})
        rows = [row.get_text(" ", strip=True) for row in table.select("tbody tr")]
        assert [row.split()[0] for row in rows] == ["3", "2", "1"]
        assert "Ada" in rows[0]
        await browser.visit(table.select("tbody a")[-1]["href"])
        assert browser.page.find(id="f-looks").get_text().strip() == EXAM["looks"]
        assert "ask = how do i, how to" in browser.page.find(id="f-lists").get_text()
        assert await browser.visit("/filter/write?id=team.exam&version=77") == 404

    hall(story)


def test_mistakes_teach_beside_their_field_and_nothing_is_kept(hall):
    async def story(hall):
        browser = hall.browser
        for field, text, says in (
            ("id", "Team Exam", "small letters"),
            ("looks", "<who> solve", "who"),
            ("finds", "Good morning.", "does not find its test sentence: Good morning."),
            ("passes", "How to solve exercise", "finds what it should leave alone"),
            ("percent", "many", "whole number from 0 to 100"),
            ("owner", " ", "Say who answers"),
        ):
            assert await browser.send("/filter/write", **EXAM | {field: text}) == 400
            told = browser.page.find(id=f"h-{field}")
            assert told["role"] == "alert"
            assert says in told.get_text(), field
            kept = browser.page.find(id="f-looks").get_text().strip()
            assert kept == (text if field == "looks" else EXAM["looks"]), "nothing typed is lost"
        wrong = {"kind": "pattern", "looks": "(a", "lists": ""}
        assert await browser.send("/filter/write", **EXAM | wrong) == 400
        assert "cannot be used" in browser.page.find(id="h-looks").get_text()
        assert await of_hall(hall) == []
        await browser.send("/filter/write", **EXAM)
        assert await browser.send("/filter/write", **EXAM) == 400
        assert "There is a rule team.exam already" in browser.text
        assert await browser.send("/filter/write", **EXAM | {"id": "hate.degrading"}) == 400

    hall(story)


def test_a_rule_is_tried_on_what_was_said_before_it_is_kept(hall):
    async def story(hall):
        await hall.browser.send("/filter/write", **EXAM, **{"try": "1"})
        text = hall.browser.text
        assert "Its sentences come out right. Nothing is saved yet." in text
        assert "Nothing is kept of that time" in text
        assert hall.browser.page.find(id="f-id")["value"] == "team.exam"
        assert await of_hall(hall) == []

    hall(story)


def test_rules_from_elsewhere_are_read_only_and_say_so(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/filter/rule?id=hate.degrading")
        assert "It comes with Keyhall: here it can be switched" in browser.text
        assert browser.page.find("a", string="Edit") is None
        assert await browser.visit("/filter/write?id=hate.degrading") >= 400
        edit = EXAM | {"was": "hate.degrading"}
        assert await browser.send("/filter/write", **edit) >= 400
        assert await browser.send("/filter/remove", id="hate.degrading") >= 400
        assert await browser.visit("/filter/write?id=nothing") == 404
        assert await of_hall(hall) == []

    hall(story)


def test_a_rule_is_removed_and_its_versions_tell_of_it(hall):
    async def story(hall):
        browser = hall.browser
        await browser.send("/filter/write", **EXAM)
        await refused(hall, True)
        await browser.send("/filter/remove", id="team.exam")
        assert "team.exam is gone." in browser.text
        await refused(hall, False)
        assert len(await done(hall, "filter.remove")) == 1
        async with hall.store.reading() as connection:
            found = await versions.of_rule(connection, "hall", "", "team.exam", 9)
        assert [each.rule is None for each in found] == [True, False]

    hall(story)


def test_a_project_writes_rules_of_its_own_and_cannot_touch_the_halls(hall):
    async def story(hall):
        browser = hall.browser
        async with hall.store.reading() as connection:
            project = await default_project(connection)
        path = f"/projects/{project.id}/filter"
        await browser.send(f"{path}/write", **EXAM)
        owner = Owner("project", project.id)
        (kept,) = await of_hall(hall, owner)
        assert (kept.scope, kept.scope_id) == ("project", project.id)
        assert "of Default project" in browser.text or "Default project" in browser.text
        await browser.send("/filter/write", **EXAM | {"id": "hall.exam"})
        await browser.visit(f"{path}/rule?id=hall.exam")
        assert "only an operator changes what it looks for" in browser.text
        assert await browser.visit(f"{path}/write?id=hall.exam") >= 400
        assert await browser.visit("/filter/write?id=team.exam") == 404
        assert (await refused(hall, True)).status == 400

    hall(story)
