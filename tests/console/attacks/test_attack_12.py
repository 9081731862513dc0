"""Attack 12: fields that nobody was offered, and acts that a role does not have."""

import re

import pytest
from console_data import elsewhere
from sqlalchemy import select
from twins import form_of, names_of, names_read, own_address, routes, rows_of, twins

from keyhall.policy.people.roles import GRANTS
from keyhall.policy.tiers import Limits, Tier
from keyhall.stores.accounts.tables import sign_ins
from keyhall.stores.tables import accounts, keys, members, organizations

HUGE = {"huge": Tier("huge", Limits(100_000, 100_000_000))}
EXTRA = {
    "role": "owner", "is_operator": "1", "operator": "1", "account_id": "acct_x", "id": "acct_x",
    "organization_id": "org_x", "tier": "huge", "balance": "1", "amount_nano": "1",
    "created_at_us": "1", "created_at": "1", "permissions": "operate", "password": "x",
    "email_verified_at_us": "1", "suspended_at_us": "", "is_pending": "0", "totp": "x",
    "scope": "organization", "mode": "admin", "digest": "x", "billing_activated_at_us": "1",
}  # fmt: skip


async def key_of(hall, name):
    async with hall.store.reading() as connection:
        row = (await connection.execute(select(keys).where(keys.c.name == name))).mappings().first()
    return None if row is None else dict(row)


def new_key(browser, given, **fields):
    sensible = {"name": "Mine", "mode": "live", "tier": "free-trial", "expires": "never",
                "endpoints": "chat", "project": given}  # fmt: skip
    return browser.send("/keys/new", **(sensible | fields))


@pytest.mark.parametrize("role", ["owner", "admin", "member", "reviewer"])
def test_attack_12_a_key_is_its_maker_s_own_of_a_tier_that_they_may_choose(hall, role):
    async def story(hall):
        bo = await hall.invited(role)
        bo_id = (await bo.client.get("/account/export")).json()["account"][0]["id"]
        await bo.visit("/keys/new")
        project = bo.page.find(attrs={"name": "project"})
        project = project.get("value") or project.find("option")["value"]
        for wrong in ({"mode": "admin"}, {"mode": "prov"}, {"tier": "huge"}, {"tier": "roomy"},
                      {"tier": "pay-as-you-go"}, {"tier": ""}, {"project": "proj_ABCDEFGHIJKL"},
                      {"endpoints": "admin"}, {"expires": "-1"}):  # fmt: skip
            assert await new_key(bo, project, **wrong) == 400, wrong
        assert await key_of(hall, "Mine") is None
        extra = {"account_id": "acct_x", "account": "acct_x", "owner": "acct_x", "id": "key_x"}
        assert await new_key(bo, project, **extra) == 200
        made = await key_of(hall, "Mine")
        assert (made["account_id"], made["mode"], made["tier"]) == (bo_id, "live", "free-trial")
        path = f"/keys/{made['id']}"
        await bo.visit(path)
        assert await bo.send(f"{path}/limits", tier="huge", requests="5") == 400
        assert (await key_of(hall, "Mine"))["tier"] == "free-trial"

    hall(story, tiers=HUGE)


def test_attack_12_a_class_has_a_tier_that_its_teacher_may_choose(hall):
    async def story(hall):
        eve, _, _ = await elsewhere(hall)
        await eve.visit("/people/import")
        people = "Pat,pat@example.org"
        await eve.send("/people/import", list=people)
        offered = {each.get_text() for each in eve.page.find(id="f-tier").find_all("option")}
        assert offered == {"free-trial"}
        class_id = eve.page.find("input", {"name": "class"})["value"]
        fields = {"list": people, "class": class_id, "name": "Class", "project": ""}
        for tier in ("huge", "roomy", "pay-as-you-go"):
            status = await eve.send("/people/import/keys", **fields, tier=tier, follow=False)
            assert status == 400, tier
        assert await key_of(hall, "Class") is None
        assert await eve.send("/people/import/keys", **fields, tier="free-trial") == 200
        assert (await key_of(hall, "Class"))["tier"] == "free-trial"

    hall(story, tiers=HUGE)


@pytest.mark.parametrize("role", [role for role in GRANTS if role not in ("owner", "admin")])
def test_attack_12_who_may_not_write_people_writes_none(hall, role):
    async def story(hall):
        bo = await hall.invited(role)
        for page in routes("POST"):
            if page.needs in ("people.write", "organization.write", "operate"):
                path = re.sub(r"\{[^}]*\}", "x", page.path)
                assert await bo.send(path, name="x") == 403, path

    hall(story)


def test_attack_12_nobody_makes_more_of_somebody_than_they_are(hall):
    async def story(hall):
        admin, member = await hall.invited("admin"), await hall.invited("member")
        ids = {}
        for name, browser in (("ada", hall.browser), ("admin", admin), ("member", member)):
            export = (await browser.client.get("/account/export")).json()
            ids[name] = export["account"][0]["id"]
        await admin.visit("/people")
        for name, role in (("admin", "owner"), ("member", "owner"), ("ada", "reader"),
                           ("ada", "owner"), ("member", "operator"), ("member", "")):  # fmt: skip
            assert await admin.send(f"/people/{ids[name]}/role", role=role) == 400, (name, role)
        assert await admin.send(f"/people/{ids['ada']}/remove", keys="hand-over") == 400
        assert await admin.send("/people/invite", email="", role="owner") == 400
        for act in ("suspend", "resume"):
            assert await admin.send(f"/people/{ids['member']}/{act}") == 403

    hall(story)


@pytest.mark.slow
def test_attack_12_no_field_that_nobody_was_offered_changes_anything(hall):
    """Every form, with every name that a row has."""

    async def story(hall):
        mine, other = await twins(hall)
        before = await rows_of(hall, other)
        standing = await who_runs(hall)
        known = names_read()
        for page in routes("POST"):
            if page.path in ("/sign-out", "/account/delete", "/account/sessions/end-others",
                             "/account/password"):  # fmt: skip
                continue
            names = names_of(page, known)
            fields = form_of(mine, names)
            extra = {name: value for name, value in EXTRA.items() if name not in names}
            await mine.browser.visit("/account")
            status = await mine.browser.send(
                own_address(page.path, mine), follow=False, **(extra | fields)
            )
            assert status < 500, page.path
        assert await rows_of(hall, other) == before
        assert await who_runs(hall) == standing

    hall(story, tiers=HUGE)


async def who_runs(hall):
    """Who is an operator, what organizations are held to, and who owns what."""
    async with hall.store.reading() as connection:
        runs = select(sign_ins.c.account_id).where(sign_ins.c.is_operator == 1)
        places = select(
            organizations.c.id, organizations.c.tier, organizations.c.billing_activated_at_us,
            organizations.c.suspended_at_us, organizations.c.requests_per_minute,
        )  # fmt: skip
        owners = select(members.c.organization_id, members.c.account_id).where(
            members.c.role == "owner"
        )
        admins = select(keys.c.id).where(keys.c.mode == "admin")
        tiers = select(keys.c.tier).distinct()
        found = [
            sorted(map(tuple, await connection.execute(each)))
            for each in (runs, places, owners, admins, tiers)
        ]
        emails = await connection.scalars(select(accounts.c.created_at_us))
        return found, min(emails)


def test_attack_12_an_operator_who_looks_in_acts_as_nobody(hall):
    async def story(hall):
        _, theirs, project = await elsewhere(hall)
        await hall.browser.visit("/switch")
        assert await hall.browser.send("/switch", organization=theirs) == 200
        for page in routes("POST"):
            if page.needs in ("keys.write", "people.write", "playground", "asks.write"):
                path = re.sub(r"\{[^}]*\}", "x", page.path)
                assert await hall.browser.send(path, project=project.id) == 403, path
                await hall.browser.visit("/account")

    hall(story)


def test_attack_12_nobody_pays_themselves_in(hall):
    async def story(hall):
        for role in GRANTS:
            bo = await hall.invited(role)
            assert await bo.send("/spending/credit", amount="100", note="x", way="add") == 403
            assert await bo.send("/spending/credit/end") == 403

    hall(story)
