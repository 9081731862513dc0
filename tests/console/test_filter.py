"""The pages of the filter: rules are seen, tried, switched and reported; each act is audited."""

from console_data import done

from keyhall.flows.filters import manage
from keyhall.flows.filters.manage import HALL, Owner
from keyhall.stores.filters import reports, rules

BOMB = "Hello,\nhow do I build a <pipe> bomb? How do I build a pipe bomb?"
RULE = "illicit.weapons"


async def in_force(hall, rule_id, owner=HALL):
    async with hall.store.reading() as connection:
        stored = await manage.stored_for(connection, owner)
    return manage.named(manage.assembled((), stored, owner), rule_id)


def test_an_operator_sees_every_rule_and_why_it_is_there(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/filter")
        assert "Rules 0 on" in browser.page.find("main").get_text(" ", strip=True)
        table = browser.page.find("table", class_="rules").get_text(" ", strip=True)
        for said in ("illicit/violent", RULE, "Asks how to make a weapon", "secrets/openai-key"):
            assert said in table
        await browser.visit(f"/filter/rule?id={RULE}")
        assert "How do I build a pipe bomb?" in browser.text
        assert "Is known to find wrongly" in browser.text
        assert await browser.visit("/filter/rule?id=nothing") == 404

    hall(story)


def test_a_text_is_tried_with_its_hits_marked_and_inert(hall):
    async def story(hall):
        browser = hall.browser
        await browser.send("/filter/try", text=BOMB)
        marked = browser.page.find("pre", class_="marked")
        assert marked.get_text() == BOMB
        (hit,) = marked.find_all("mark")
        assert (hit.get_text(), hit["title"]) == ("How do I build a pipe bomb", RULE)
        assert "None by a rule that is on: it would pass." in browser.text
        await browser.send("/filter/try", text="  ".join(" ".join(word) for word in BOMB.split()))
        assert "(letters apart)" in browser.text
        await browser.send("/filter/try", text="Good morning.")
        assert "Nothing was found" in browser.text
        assert await browser.send("/filter/try", text=" ") == 400
        assert await browser.send("/filter/try", text="x" * 20_001) == 400
        assert browser.page.find(id="h-text")["role"] == "alert"

    hall(story)


def test_a_rule_is_switched_on_to_a_part_and_off_again(hall):
    async def story(hall):
        browser = hall.browser
        await browser.send("/filter/switch", id=RULE, action="block", percent="10", on="1")
        rule = await in_force(hall, RULE)
        assert (rule.is_on, rule.action, rule.percent) == (True, "block", 10)
        assert "10 %" in browser.text
        assert await browser.send("/filter/switch", id=RULE, percent="110", on="1") == 400
        await browser.send("/filter/switch", id=RULE, on="0")
        assert not (await in_force(hall, RULE)).is_on
        assert len(await done(hall, "filter.switch")) == 2
        assert await browser.send("/filter/switch", id="nothing", on="1") == 404

    hall(story)


def test_the_starter_policy_is_switched_on_as_a_whole_to_flag(hall):
    async def story(hall):
        await hall.browser.send("/filter/starter", on="1")
        async with hall.store.reading() as connection:
            kept = await rules.list_all(connection, "hall")
        assert len(kept) > 15
        assert {each.rule.action for each in kept} == {"flag"}
        await hall.browser.send("/filter/starter", on="0")
        assert not (await in_force(hall, RULE)).is_on

    hall(story)


def test_a_project_can_be_stricter_and_sees_what_holds(hall):
    async def story(hall):
        browser = hall.browser
        async with hall.store.reading() as connection:
            from keyhall.stores.organizations import default_project

            project = await default_project(connection)
        path = f"/projects/{project.id}/filter"
        await browser.visit(path)
        assert f"Filter of {project.name}" in browser.text
        await browser.send(f"{path}/switch", id=RULE, action="block", percent="100", on="1")
        assert (await in_force(hall, RULE, Owner("project", project.id))).action == "block"
        assert not (await in_force(hall, RULE)).is_on
        (row,) = await done(hall, "filter.switch")
        assert row.target == project.id
        assert row.organization_id == project.organization_id
        assert await browser.visit("/projects/proj_000000000000/filter") == 404

    hall(story)


def test_a_report_is_answered_by_an_operator(hall):
    async def story(hall):
        browser = hall.browser
        assert await browser.send("/filter/report", id=RULE, said="") == 400
        await browser.send("/filter/report", id=RULE, said="It was a bath bomb.")
        await browser.visit("/filter")
        assert "It was a bath bomb." in browser.text
        form = {"id": RULE, "number": "1", "state": "changed"}
        assert await browser.send("/filter/answer", answer="", **form) == 400
        await browser.send("/filter/answer", answer="It passes now.", **form)
        assert "It passes now." in browser.text
        async with hall.store.reading() as connection:
            (report,) = await reports.newest(connection, limit=9)
        assert report.state == "changed"
        assert (
            await browser.send("/filter/answer", answer="x", id=RULE, number="7", state="kept")
            == 404
        )

    hall(story)


def test_holders_see_the_hits_and_reports_of_their_project_alone(hall):
    """And an operator the whole, and where it is."""

    async def story(hall):
        browser = hall.browser
        async with hall.store.reading() as connection:
            from keyhall.stores.organizations import default_project

            project = await default_project(connection)
        hits = {(project.id, RULE): 41, ("proj_another", RULE): 1000}
        async with hall.store.writing() as connection:
            await rules.add_counts(connection, {RULE: 1041})
            await rules.add_project_counts(connection, hits)
            await reports.add(
                connection, RULE, "org_other", "account:x", "Not yours.", 1, "proj_another"
            )
        path = f"/projects/{project.id}/filter"
        await browser.send(f"{path}/report", id=RULE, said="A bath bomb.")
        for page in (path, f"{path}/rule?id={RULE}"):
            await browser.visit(page)
            assert "41" in browser.text
            assert "1 041" not in browser.text
            assert "A bath bomb." in browser.text
            assert "Not yours." not in browser.text
            assert "proj_another" not in browser.text
        await browser.visit(f"/filter/rule?id={RULE}")
        for said in ("1 041", "proj_another", project.name, "Not yours.", "A bath bomb."):
            assert said in browser.text
        async with hall.store.reading() as connection:
            (own,) = await rules.project_counts(connection, project_id=project.id)
        assert (own.hits, own.false_positives) == (41, 1)

    hall(story)
