"""What was said, in the console: kept where a project says so, looked at with a reason, erased."""

from browsing import PASSWORD
from plain_http import chat

from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import StoredRule
from keyhall.stores import organizations
from keyhall.stores.accounts import people
from keyhall.stores.content import rows
from keyhall.stores.filters import rules as kept_rules

CANARY = "canary-91be <b>of the prompt</b>"
NAUGHTY = "<script>alert(1)</script>"


async def keeps(hall, days="30"):
    """The page of the default project, which keeps what is said from now on."""
    async with hall.store.reading() as connection:
        project = await organizations.default_project(connection)
    where = f"/projects/{project.id}"
    await hall.browser.visit(where)
    assert await hall.browser.send(f"{where}/retention", days=days) == 200
    return where


async def account_of(hall, email):
    async with hall.store.reading() as connection:
        return (await people.by_email(connection, email)).account.id


async def said(hall, name="app", **options):
    """The page of a request that was answered."""
    made = await hall.server.make_key(name, **options)
    line = await hall.server.line()
    answer = await line.ask(made.text.reveal(), chat(CANARY))
    assert answer.status == 200
    await hall.server.hall.ledger.flush()
    assert await hall.server.hall.content.flush()
    return f"/requests/req_{answer.json['id'].removeprefix('chatcmpl-')}"


def test_what_is_kept_is_shown_to_who_says_why_and_everybody_concerned_reads_it(hall):
    async def story(hall):
        await keeps(hall)
        bo = await hall.invited("member")
        mine = await account_of(hall, "bo-member@example.org")
        where = await said(hall, account_id=mine)
        await hall.browser.visit(where)
        assert "It is kept, encrypted, until 2027-02-14" in hall.browser.text
        assert CANARY not in hall.browser.text
        assert await hall.browser.send(f"{where}/content", why=" ") == 400
        assert "Say why you look" in hall.browser.text
        assert await hall.browser.send(f"{where}/content", why=f"a complaint {NAUGHTY}") == 200
        assert CANARY in hall.browser.text  # As text: it is no markup of ours.
        assert hall.browser.response.headers["cache-control"] == "no-store"
        await bo.visit(where)
        assert f"Ada: a complaint {NAUGHTY}" in bo.text
        assert await bo.send(f"{where}/content", why="my own") == 200
        assert CANARY in bo.text
        await hall.browser.visit("/audit?action=content.view")
        assert hall.browser.text.count("looked at what was said in req_") == 2

    hall(story)


def test_others_see_that_it_is_kept_and_cannot_read_it(hall):
    async def story(hall):
        await keeps(hall)
        where = await said(hall)
        reader = await hall.invited("reader")
        await reader.visit(where)
        assert "You may not read it" in reader.text
        assert "Show what was said" not in reader.text
        assert await reader.send(f"{where}/content", why="curious") == 403
        eve = await hall.signed_up()
        await eve.visit("/")
        assert await eve.send(f"{where}/content", why="curious") == 404
        member = await hall.invited("member")
        await member.visit("/")
        assert await member.send(f"{where}/content", why="curious") == 404
        assert await member.send(f"{where}/erase") == 404
        async with hall.store.reading() as connection:
            assert await rows.count(connection, await hall.organization_id(), hall.now_us) == 1

    hall(story)


def test_what_is_not_kept_is_told_with_the_reason(hall):
    async def story(hall):
        where = await said(hall)
        await hall.browser.visit(where)
        assert "Content is not stored, because nobody has asked for that" in hall.browser.text
        assert "Retention of this key is none: the project says nothing." in hall.browser.text
        assert await hall.browser.send(f"{where}/content", why="to see") == 400
        assert "Nothing is kept of it any more" in hall.browser.text

    hall(story)


def test_a_request_and_a_project_are_erased(hall):
    async def story(hall):
        project = await keeps(hall)
        first, _ = await said(hall, "one"), await said(hall, "two")
        await hall.browser.visit(first)
        assert await hall.browser.send(f"{first}/erase") == 200
        assert "What was said is erased." in hall.browser.text
        assert "Content is not stored: that anything is kept was said later" in hall.browser.text
        await hall.browser.visit(project)
        assert "1 conversation is kept now" in hall.browser.text
        assert await hall.browser.send(f"{project}/erase", confirm="another") == 400
        assert await hall.browser.send(f"{project}/erase", confirm="Default project") == 200
        assert "1 conversation is erased." in hall.browser.text
        assert "Erase what is kept" not in hall.browser.text

    hall(story)


def test_retention_is_set_for_projects_keys_and_the_organization(hall):
    async def story(hall):
        project = await keeps(hall)
        assert "30 days: the project says 30 days" in hall.browser.text
        for wrong in ("366", "soon"):
            assert await hall.browser.send(f"{project}/retention", days=wrong) == 400
        await hall.browser.visit("/projects")
        assert await hall.browser.send("/projects/retention", days_max="400") == 400
        assert "1 to 365 days" in hall.browser.text
        assert await hall.browser.send("/projects/retention", days_max="7") == 200
        assert "at most: 7 days" in hall.browser.text
        key = (await hall.server.make_key()).key
        await hall.browser.visit(f"/keys/{key.id}")
        assert "is kept for 7 days, encrypted" in hall.browser.text
        assert await hall.browser.send(f"/keys/{key.id}/retention", retention="0") == 200
        assert "Nothing of what it says and is answered is kept." in hall.browser.text
        assert await hall.browser.send(f"/keys/{key.id}/retention", retention="1000") == 400
        await hall.browser.visit("/keys/new")
        assert await hall.browser.send("/keys/new/summary", project=key.project_id, mode="live",
                                       tier="roomy", expires="never", endpoints="chat",
                                       retention="3") == 200  # fmt: skip
        assert "is kept for 3 days, encrypted" in hall.browser.text

    hall(story)


def test_who_runs_the_hall_lets_others_keep_less_and_never_more(hall):
    async def story(hall):
        eve = await hall.signed_up()
        await eve.visit("/projects")
        where = eve.page.find("a", href=lambda to: to and to.startswith("/projects/proj_"))["href"]
        await eve.visit(where)
        assert await eve.send(f"{where}/retention", days="10") == 200
        theirs = await account_of(hall, "eve@elsewhere.example")
        async with hall.store.reading() as connection:
            (mine,) = await people.memberships(connection, theirs)
        await hall.browser.visit("/")
        await hall.browser.send("/switch", organization=mine.organization_id)
        await hall.browser.visit(where)
        assert await hall.browser.send(f"{where}/retention", days="11") == 400
        assert "Only somebody of the organization may let it keep more" in hall.browser.text
        assert await hall.browser.send(f"{where}/retention", days="5") == 200
        await hall.browser.visit("/projects")
        assert await hall.browser.send("/projects/retention", days_max="3") == 200
        assert await hall.browser.send("/projects/retention", days_max="") == 400

    hall(story)


def test_what_ones_keys_said_goes_with_the_account(hall):
    async def story(hall):
        await keeps(hall)
        bo = await hall.invited("member")
        where = await said(hall, account_id=await account_of(hall, "bo-member@example.org"))
        other = await said(hall, "other")
        await bo.visit("/account/export")
        assert CANARY in bo.response.text
        await bo.visit("/account/delete")
        assert await bo.send("/account/delete", name="Bo", password=PASSWORD) == 200
        await hall.browser.visit(where)
        assert "Content is not stored" in hall.browser.text
        await hall.browser.visit(other)
        assert "It is kept, encrypted" in hall.browser.text

    hall(story)


def test_an_account_takes_along_what_still_waits_to_be_written(hall):
    """The writer is held up while somebody says something and then deletes their account."""

    async def story(hall):
        await keeps(hall)
        bo = await hall.invited("member")
        mine = await account_of(hall, "bo-member@example.org")
        content = hall.server.hall.content
        async with content._writing:
            key = (await hall.server.make_key("app", account_id=mine)).text.reveal()
            line = await hall.server.line()
            assert (await line.ask(key, chat(CANARY))).status == 200
            assert content.waiting == 1
            await bo.visit("/account/delete")
            assert await bo.send("/account/delete", name="Bo", password=PASSWORD) == 200
        assert await content.flush()
        assert (content.waiting, content.kept) == (0, 0)
        async with hall.store.reading() as connection:
            assert await rows.organizations_of(connection, mine, 0) == []

    hall(story)


def rows_of(page):
    return [row.get_text(" ", strip=True) for row in page.find(id="past").select("tbody tr")]


def test_rules_are_tried_on_what_is_kept_and_a_hit_is_looked_at_as_any_other(hall):
    """Counts alone; who may look gets to the request, where a look is asked a reason for."""

    async def story(hall):
        browser = hall.browser
        where = await keeps(hall)
        request = await said(hall)
        async with hall.store.writing() as connection:
            rule = Rule(id="canary", stage="terms", action="flag", terms=("canary*",), is_on=False)
            await kept_rules.put(connection, StoredRule("hall", "", rule, 1, 1))
        for path in ("/filter", f"{where}/filter"):
            await browser.send(f"{path}/past", rule="canary", days="1")
            assert "1 of 1 conversation would have been hit" in browser.text
            (row,) = rows_of(browser.page)
            assert row == "canary off 1 1 100.0% 1"
            assert CANARY not in browser.text
            link = browser.page.find(id="past").select_one("tbody a")
            assert link["href"] == request
            await browser.send(f"{path}/past", rule="", days="7")
            assert len(rows_of(browser.page)) == 1
        assert await browser.send("/filter/past", rule="canary", days="400") == 400
        assert await browser.send("/filter/past", rule="nothing", days="1") == 404
        await browser.visit("/audit?action=filter.try")
        assert "tried rules on what is kept of" in browser.text

    hall(story)


def test_where_nothing_is_kept_the_page_says_who_says_so(hall):
    async def story(hall):
        async with hall.store.reading() as connection:
            project = await organizations.default_project(connection)
        await said_of_nothing(hall, f"/projects/{project.id}/filter")
        assert "Retention here is none: the project says nothing" in hall.browser.text
        await said_of_nothing(hall, "/filter")

    hall(story)


async def said_of_nothing(hall, path):
    await hall.browser.send(f"{path}/past", rule="", days="1")
    assert "Nothing is kept of that time" in hall.browser.text
    assert "By default Keyhall keeps no conversation." in hall.browser.text
