"""Projects, budgets, credit and statements in the console: shown, done, audited, and to whom."""

import csv
import io
import json

import pytest
from console_data import done, elsewhere, facts, projects_of, used

from keyhall.console.pages.organization.audit import PAGE
from keyhall.flows.manage import organizations, quotas
from keyhall.ports.records import Actor
from keyhall.stores.tables import audit


def test_a_project_is_made_renamed_limited_and_given_models_and_each_is_audited(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/projects")
        assert await browser.send("/projects", name="Web shop") == 200
        assert browser.title == "Web shop"
        path = browser.response.url.path
        await browser.send(f"{path}/rename", name="Shop")
        await browser.send(f"{path}/models", which="these", models="v1, sandbox/*")
        await browser.send(f"{path}/limits", requests_per_minute="1,000", tokens_per_minute="")
        assert browser.title == "Shop"
        assert facts(browser)["Models"] == "v1, sandbox/*"
        assert "1 000 requests" in facts(browser)["Limits"].replace("\u2009", " ")
        for act in ("create", "rename", "models", "limits"):
            (row, *_) = await done(hall, f"project.{act}")
            assert row.target == path.rpartition("/")[2]
            assert row.organization_id == await hall.organization_id()

    hall(story)


def test_a_project_shows_its_keys_and_what_they_used_this_month(hall):
    async def story(hall):
        fresh = await hall.server.make_key("shop key")
        await used(hall, fresh.key)
        await hall.browser.visit("/projects")
        row = hall.browser.page.find("td", string="3")
        assert row is not None
        await hall.browser.visit(f"/projects/{fresh.key.project_id}")
        assert facts(hall.browser)["Requests"] == "3"
        assert "shop key" in hall.browser.text

    hall(story)


@pytest.mark.parametrize(
    ("part", "fields", "field"),
    [
        ("/rename", {"name": " "}, "name"),
        ("/models", {"which": "these", "models": "a b"}, "models"),
        ("/limits", {"requests_per_minute": "many"}, "requests_per_minute"),
    ],
)
def test_a_mistake_stands_beside_its_field_and_changes_nothing(hall, part, fields, field):
    async def story(hall):
        (project,) = await projects_of(hall, await hall.organization_id())
        await hall.browser.visit(f"/projects/{project.id}")
        assert await hall.browser.send(f"/projects/{project.id}{part}", **fields) == 400
        told = hall.browser.page.find(id=f"h-{field}")
        assert told is not None
        assert told["role"] == "alert"
        assert await projects_of(hall, await hall.organization_id()) == [project]

    hall(story)


def test_two_projects_of_one_name_are_refused(hall):
    async def story(hall):
        await hall.browser.visit("/projects")
        assert await hall.browser.send("/projects", name="Default project") == 400
        assert "There is a project called 'Default project' already." in hall.browser.text

    hall(story)


def test_another_organizations_project_and_budget_answer_as_unknown_ones(hall):
    async def story(hall):
        _, organization_id, project = await elsewhere(hall)
        seen, _ = await quotas.put(
            hall.store,
            quotas.Owner("organization", organization_id),
            "tokens",
            "day",
            quotas.Terms(5),
            entropy=bytes(range(128)),
            actor=Actor("tester", "tests"),
            now_us=hall.now_us,
        )
        admin = await hall.invited("admin")
        for path, unknown in (
            (f"/projects/{project.id}", "/projects/proj_000000000000"),
            (f"/spending/budgets/{seen.standing.quota.id}", "/spending/budgets/quota_000000000000"),
        ):
            said = []
            for each in (path, unknown):
                assert await admin.visit(each) == 404
                said.append(admin.text)
                for part in ("/rename", "/remove"):
                    await admin.visit("/projects")
                    if (part == "/rename") == each.startswith("/projects"):
                        assert await admin.send(each + part, name="mine") == 404
            assert said[0] == said[1]
        await admin.visit("/spending/budgets/new")
        budget = {"resource": "tokens", "period": "day", "amount": "5", "policy": "suspend"}
        for of in (project.id, organization_id, "proj_000000000000"):
            assert await admin.send("/spending/budgets/new", of=of, **budget) == 404
        assert not await done(hall, "project.rename")
        assert not await done(hall, "quota.remove")

    hall(story)


def test_a_budget_that_an_operator_has_set_is_the_operators(hall):
    """Its organization's administrators see it, and can neither raise nor remove it."""

    async def story(hall):
        eve, organization_id, _ = await elsewhere(hall)
        budget = {"of": organization_id, "resource": "tokens", "period": "day"}
        more = {"amount": "1000000", "policy": "suspend", "thresholds": ""}
        await hall.browser.visit("/switch")
        await hall.browser.send("/switch", organization=organization_id)
        await hall.browser.visit("/spending/budgets/new")
        assert await hall.browser.send("/spending/budgets/new", **budget, **more | {"amount": "5"})
        await eve.visit("/spending")
        assert "Set by whoever runs this server" in eve.text
        (link,) = [
            each["href"]
            for each in eve.page.find_all("a", href=True)
            if each["href"].startswith("/spending/budgets/quota_")
        ]
        assert await eve.visit(link) == 200
        assert "changed by nobody else" in eve.text
        assert not eve.page.find("form", action=link)
        await eve.visit("/spending/budgets/new")
        for path, fields in (
            (link, more),
            ("/spending/budgets/new", budget | more),
            (f"{link}/remove", {}),
        ):
            assert await eve.send(path, **fields) == 400
            assert "nobody else changes it" in eve.text
        await eve.visit("/spending/budgets/new")
        assert (
            await eve.send("/spending/budgets/new", **budget | {"period": "month"}, **more) == 200
        )
        await hall.browser.visit(link)
        assert await hall.browser.send(f"{link}/remove") == 200

    hall(story)


def test_roles_that_may_not_are_refused_and_nothing_is_done(hall):
    async def story(hall):
        (project,) = await projects_of(hall, await hall.organization_id())
        member, reader = await hall.invited("member", "Mo"), await hall.invited("reader", "Re")
        for path in (
            "/projects",
            "/spending",
            "/audit",
            "/audit.csv",
            "/organizations",
            "/engines",
        ):
            assert await member.visit(path) == 403, path
        for path in ("/projects", "/spending", "/spending/statements", "/audit"):
            assert await reader.visit(path) == 200, path
        await reader.visit("/projects")
        assert await reader.send("/projects", name="mine") == 403
        assert await reader.send(f"/projects/{project.id}/limits", in_flight="1") == 403
        assert await reader.send("/spending/budgets/new", amount="1") == 403
        owner = await hall.invited("owner", "Ow")
        await owner.visit("/spending")
        assert await owner.send("/spending/credit", amount="1000000", way="add") == 403
        for path in ("/organizations", "/tiers", "/models", "/engines", "/settings"):
            assert await owner.visit(path) == 403, path
        assert not await done(hall, "credit.add")

    hall(story)


# --- Budgets --------------------------------------------------------------------------------------


def test_a_budget_is_made_changed_and_removed_and_its_meter_shows_what_is_used(hall):
    async def story(hall):
        fresh = await hall.server.make_key()
        await used(hall, fresh.key)
        browser = hall.browser
        await browser.visit("/spending/budgets/new")
        budget = {"resource": "tokens", "period": "month", "amount": "1,000"}
        told = {"policy": "suspend", "thresholds": "10, 45, 100"}
        of = await hall.organization_id()
        assert await browser.send("/spending/budgets/new", of=of, **budget, **told) == 200
        assert browser.page.find("progress")["value"] == "45"
        assert "450 used of 1" in browser.text
        assert browser.page.find("h2", string="Alerts that fired") is not None
        assert "45 %" in browser.text  # The highest that was reached at one stroke.
        (row,) = await done(hall, "quota.create")
        path = f"/spending/budgets/{row.target}"
        assert row.organization_id == of
        await browser.visit(path)
        changed = {"amount": "2,000", "policy": "overage", "overage": "0.50", "thresholds": ""}
        assert await browser.send(path, **changed) == 200
        assert "charged: 0.50 per million tokens" in browser.text
        await browser.visit(path)
        assert browser.page.find("input", {"name": "overage"})["value"] == "0.50"
        assert await browser.send(f"{path}/remove") == 200
        assert "There is no budget yet" in browser.text
        for act in ("change", "remove"):
            assert [each.target for each in await done(hall, f"quota.{act}")] == [row.target]

    hall(story)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": "lots"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "5", "policy": "overage"}, "overage"),
        ({"amount": "5", "thresholds": "half"}, "thresholds"),
    ],
)
def test_a_budget_that_makes_no_sense_says_so_beside_the_field(hall, fields, field):
    async def story(hall):
        of = await hall.organization_id()
        await hall.browser.visit("/spending/budgets/new")
        given = {"resource": "tokens", "period": "day", "policy": "suspend"} | fields
        assert await hall.browser.send("/spending/budgets/new", of=of, **given) == 400
        assert hall.browser.page.find(id=f"h-{field}")["role"] == "alert"
        assert not await done(hall, "quota.create")

    hall(story)


def test_a_budget_of_money_and_one_of_a_key_are_made_exactly(hall):
    async def story(hall):
        fresh = await hall.server.make_key("bot")
        await hall.browser.visit("/spending/budgets/new")
        given = {"resource": "money", "period": "day", "amount": "12.50", "thresholds": "80"}
        more = {"policy": "overage", "overage": "7.5"}
        await hall.browser.send("/spending/budgets/new", of=fresh.key.id, **given, **more)
        (seen,) = await quotas.listed(hall.store, quotas.Owner("key", fresh.key.id), hall.now_us)
        quota = seen.standing.quota
        assert (quota.amount, quota.overage_price, quota.scope) == (12_500_000_000, 75, "key")
        await hall.browser.visit(f"/spending/budgets/{quota.id}")
        assert hall.browser.page.find("input", {"name": "amount"})["value"] == "12.50"

    hall(story)


def test_an_operator_adds_credit_takes_it_back_and_ends_prepayment(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/spending")
        await browser.send("/spending/credit", amount="100", note="Invoice 7", way="add")
        assert "Invoice 7" in browser.text
        await browser.send("/spending/credit", amount="40", note="", way="take")
        assert browser.page.find(class_="figure").get_text() == "60.00"
        assert await browser.send("/spending/credit", amount="61", way="take") == 400
        assert "more than is left" in browser.text
        await browser.send("/spending/credit/end")
        assert "is not prepaid" in browser.text
        assert len(await done(hall, "credit.add")) == len(await done(hall, "credit.take")) == 1

    hall(story)


# --- Statements -----------------------------------------------------------------------------------


def test_a_statement_adds_up_as_a_page_as_csv_and_as_json(hall):
    async def story(hall):
        await hall.browser.visit("/projects")
        await hall.browser.send("/projects", name="=HYPERLINK(0)")
        project = hall.browser.response.url.path.rpartition("/")[2]
        fresh = await hall.server.make_key(project=project)
        await used(hall, fresh.key)
        await hall.browser.visit("/spending/statements")
        assert hall.browser.page.find(class_="figure").get_text() == "0.0045"
        await hall.browser.visit("/spending/statements.csv")
        assert "attachment" in hall.browser.response.headers["content-disposition"]
        first = next(iter(csv.DictReader(io.StringIO(hall.browser.response.text))))
        assert (first["project"], first["amount"]) == ("'=HYPERLINK(0)", "0.0045")
        await hall.browser.visit("/spending/statements.json?month=2027-01")
        told = json.loads(hall.browser.response.text)
        assert told["total_nano"] == told["ledger"]["cost_nano"] == 4_500_000
        assert await hall.browser.visit("/spending/statements?month=2027-13") == 400
        assert await hall.browser.visit("/spending/statements?month=2027-02") == 400

    hall(story)


# --- The audit ------------------------------------------------------------------------------------


def test_the_audit_says_who_did_what_from_where_and_what_changed(hall):
    async def story(hall):
        browser = hall.browser
        (project,) = await projects_of(hall, await hall.organization_id())
        await browser.visit("/projects")
        await browser.send(f"/projects/{project.id}/rename", name="Renamed")
        await browser.visit("/audit?action=project.rename")
        assert "Ada renamed the project Renamed" in browser.text
        assert "console 127.0.0.1" in browser.text
        (row,) = browser.page.select("table.diff tbody tr")
        assert row.get_text(" ", strip=True) == "name Default project Renamed"
        assert row.find("del").get_text() == "Default project"

    hall(story)


def test_an_administrator_sees_their_organizations_acts_and_no_others(hall):
    async def story(hall):
        _, organization_id, project = await elsewhere(hall)
        fresh = await hall.server.make_key("ours")
        admin = await hall.invited("admin")
        await admin.visit("/audit")
        assert fresh.key.id in admin.text
        for id in (organization_id, project.id):
            assert id not in admin.text
            await admin.visit(f"/audit?target={id}")
            assert id not in admin.page.select_one("table, .empty-note").get_text()
        assert "joined" in (await visited(admin, "/audit?action=member")).text
        for path in ("/audit.csv", "/audit.json"):
            await admin.visit(path)
            assert project.id not in admin.response.text
            assert fresh.key.id in admin.response.text
        await hall.browser.visit("/audit")  # An operator sees all, or where they look.
        assert project.id in hall.browser.text
        await hall.browser.visit("/audit?where=here")
        assert project.id not in hall.browser.text

    hall(story)


async def visited(browser, path):
    await browser.visit(path)
    return browser


def test_rows_older_than_their_column_are_found_by_what_they_changed(hall):
    async def story(hall):
        fresh = await hall.server.make_key("old")
        async with hall.store.writing() as connection:
            await connection.execute(audit.update().values(organization_id=None))
        admin = await hall.invited("admin")
        await admin.visit("/audit?action=key.create")
        assert fresh.key.id in admin.text

    hall(story)


def test_filters_and_pages_of_the_audit_stand_in_the_address(hall):
    async def story(hall):
        browser = hall.browser
        (project,) = await projects_of(hall, await hall.organization_id())
        for number in range(55):
            await organizations.rename_project(
                hall.store,
                project.id,
                f"name {number}",
                actor=Actor("operator:root", "command line"),
                now_us=hall.now_us,
            )
        await browser.visit("/audit?who=root")
        assert len(browser.page.select("table.acts > tbody > tr")) == PAGE
        older = browser.page.find("a", string="Older")["href"]
        await browser.visit(older)
        assert len(browser.page.select("table.acts > tbody > tr")) == 55 - PAGE
        assert await browser.visit("/audit?who=nobody-like-that") == 200
        assert "No act is like that" in browser.text
        assert await browser.visit("/audit?since=soon") == 400
        assert browser.page.find(id="h-since") is not None
        await browser.visit("/audit?since=2027-01-15&until=2027-01-15&who=root")
        assert browser.page.select("table.acts > tbody > tr")
        await browser.visit("/audit?until=2027-01-14")
        assert "No act is like that" in browser.text
        await browser.visit("/audit.json?who=Ada&action=account.sign-in")
        assert all(each["name"] == "Ada" for each in json.loads(browser.response.text))

    hall(story)


def test_cells_of_the_audits_csv_run_in_no_spreadsheet(hall):
    async def story(hall):
        await hall.browser.visit("/projects")
        await hall.browser.send("/projects", name="@SUM(1)")
        await hall.browser.visit("/audit.csv?action=project.create")
        row = next(iter(csv.DictReader(io.StringIO(hall.browser.response.text))))
        assert row["target_name"] == "'@SUM(1)"

    hall(story)


def test_anchors_of_the_chains_are_shown_only_where_they_are_asked_for(hall):
    async def story(hall):
        heads = await hall.store.all_heads()
        await hall.store.anchor(heads, Actor("keyhall", "tests"), hall.now_us)
        await hall.browser.visit("/audit?who=keyhall")
        assert "anchored the chain" not in hall.browser.page.find("table").get_text()
        await hall.browser.visit("/audit?action=chain")
        assert "anchored the chain" in hall.browser.page.find("table").get_text()

    hall(story)
