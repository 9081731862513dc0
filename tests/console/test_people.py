"""Members, invitations and class lists, by those who may and those who may not."""

import csv
import io
import re
import time

import pytest
from browsing import PASSWORD
from patience import stretched

from keyhall.stores.accounts import people


async def ids(hall):
    """Accounts' ids by address."""
    async with hall.store.reading() as connection:
        found = await people.list_accounts(connection, 5_000)
    return {each.account.email: each.account.id for each in found}


async def id_of(hall, browser):
    return (await browser.client.get("/account/export")).json()["account"][0]["id"]


# --- Invitations ----------------------------------------------------------------------------------


def test_a_link_to_hand_over_is_shown_once_and_makes_a_member_of_its_role(hall):
    async def story(hall):
        await hall.browser.visit("/people")
        assert await hall.browser.send("/people/invite", email="", role="reader") == 200
        link = hall.browser.page.find(id="invitation").get_text()
        token = link.rpartition("/")[2]
        await hall.browser.visit("/people")
        assert "whoever has the link" in hall.browser.text
        assert token not in hall.browser.response.text
        new = hall.new_browser()
        await new.visit(f"/join/{token}")
        fields = {"name": "Cy", "email": "cy@example.org", "password": PASSWORD}
        assert await new.send(f"/join/{token}", **fields) == 200
        await hall.browser.visit("/people")
        assert "cy@example.org" in hall.browser.text
        assert "whoever has the link" not in hall.browser.text

    hall(story)


def test_an_invitation_that_was_withdrawn_opens_nothing(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/people")
        await browser.send("/people/invite", email="cy@example.org", role="member")
        link = browser.page.find(id="invitation").get_text().removeprefix(hall.server.url)
        withdraw = browser.page.find("form", action=re.compile("withdraw"))["action"]
        assert await browser.send(withdraw) == 200
        assert await hall.new_browser().visit(link) == 400
        assert await browser.send(withdraw) == 404

    hall(story)


def test_attack_2_another_organization_s_people_are_nobody(hall):
    async def story(hall):
        eve, bo = await hall.signed_up(), await hall.invited("member")
        bo_id = await id_of(hall, bo)
        await hall.browser.visit("/people")
        await hall.browser.send("/people/invite", email="cy@example.org", role="member")
        withdraw = hall.browser.page.find("form", action=re.compile("withdraw"))["action"]
        await eve.visit("/people")
        assert "bo-member@example.org" not in eve.text
        said = set()
        for person in (bo_id, "acct_unknown12345"):
            for path in ("role", "remove"):
                assert await eve.send(f"/people/{person}/{path}", role="reader") == 404
                said.add(eve.text.replace(person, ""))
        assert len(said) == 1
        assert await eve.send(withdraw) == 404
        await bo.visit("/")
        assert bo.title == "Home"

    hall(story)


# --- Roles ----------------------------------------------------------------------------------------


def test_attack_22_a_role_that_was_taken_away_is_gone_with_the_next_page(hall):
    async def story(hall):
        admin = await hall.invited("admin")
        admin_id = await id_of(hall, admin)
        assert await admin.visit("/people/import") == 200
        await hall.browser.visit("/people")
        assert await hall.browser.send(f"/people/{admin_id}/role", role="member") == 200
        assert await admin.send("/people/invite", email="", role="member") == 403
        assert await admin.visit("/people") == 403

    hall(story)


def test_attack_22_who_is_suspended_is_out_at_once_and_cannot_come_back(hall):
    async def story(hall):
        bo = await hall.invited("member")
        bo_id = await id_of(hall, bo)
        await hall.browser.visit("/people")
        assert await hall.browser.send(f"/people/{bo_id}/suspend") == 200
        assert "suspended" in hall.browser.text
        await bo.visit("/account")
        assert bo.title == "Sign in"
        fields = {"email": "bo-member@example.org", "password": PASSWORD}
        assert await bo.send("/sign-in", **fields) == 401
        assert "suspended" in bo.text
        assert await hall.browser.send(f"/people/{bo_id}/resume") == 200
        assert await bo.send("/sign-in", **fields) == 200

    hall(story)


def test_an_admin_makes_no_owner_and_changes_none(hall):
    async def story(hall):
        admin = await hall.invited("admin")
        known = await ids(hall)
        ada = known["ada@example.org"]
        await admin.visit("/people")
        assert await admin.send(f"/people/{ada}/role", role="reader") == 400
        assert await admin.send(f"/people/{ada}/remove") == 400
        assert await admin.send("/people/invite", email="", role="owner") == 400
        own = known["bo-admin@example.org"]
        assert await admin.send(f"/people/{own}/role", role="owner") == 400
        assert await admin.send(f"/people/{own}/suspend") == 403

    hall(story)


def test_the_last_owner_stays(hall):
    async def story(hall):
        ada = await id_of(hall, hall.browser)
        await hall.browser.visit("/people")
        assert await hall.browser.send(f"/people/{ada}/role", role="admin") == 400
        assert "needs an owner" in hall.browser.text
        assert await hall.browser.send(f"/people/{ada}/remove") == 400

    hall(story)


def test_attack_12_a_role_is_one_of_ours(hall):
    async def story(hall):
        bo = await id_of(hall, await hall.invited("member"))
        await hall.browser.visit("/people")
        assert await hall.browser.send(f"/people/{bo}/role", role="operator") == 400
        assert await hall.browser.send("/people/invite", email="", role="root") == 400

    hall(story)


# --- Removal --------------------------------------------------------------------------------------


def test_keys_of_somebody_removed_are_revoked(hall):
    async def story(hall):
        bo = await hall.invited("member")
        bo_id = await id_of(hall, bo)
        fresh = await hall.server.make_key("own", account_id=bo_id)
        assert await hall.browser.visit(f"/people/{bo_id}/remove") == 200
        assert "the key?" in hall.browser.text
        assert await hall.browser.send(f"/people/{bo_id}/remove", keys="revoke") == 200
        await bo.visit("/people")
        assert "no organization" in bo.text or bo.response.status_code == 403
        assert (await owner_and_end(hall, fresh.key.id)) == (bo_id, True)

    hall(story)


def test_or_belong_to_whoever_removes_them(hall):
    async def story(hall):
        bo = await hall.invited("member")
        bo_id, ada = await id_of(hall, bo), await id_of(hall, hall.browser)
        fresh = await hall.server.make_key("own", account_id=bo_id)
        await hall.browser.visit(f"/people/{bo_id}/remove")
        assert await hall.browser.send(f"/people/{bo_id}/remove", keys="hand-over") == 200
        assert (await owner_and_end(hall, fresh.key.id)) == (ada, False)

    hall(story)


async def owner_and_end(hall, key_id):
    async with hall.store.reading() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT account_id, revoked_at_us IS NOT NULL FROM keys WHERE id = ?", (key_id,)
        )
        ((owner, revoked),) = rows.all()
    return owner, bool(revoked)


# --- Class lists ----------------------------------------------------------------------------------


def text_of(count):
    return "Name;E-Mail\r\n" + "".join(
        f"Student {number};s{number}@uni.example\r\n" for number in range(count)
    )


async def imported(hall, text, **more):
    """The file that an import answers with, as rows."""
    browser = hall.browser
    await browser.visit("/people/import")
    assert await browser.send("/people/import", list=text) == 200
    class_id = browser.page.find("input", {"name": "class"})["value"]
    fields = {"name": "Course 2027", "tier": "free-trial", "project": "", "last_day": ""}
    fields |= {"list": text, "class": class_id} | more
    assert await browser.send("/people/import/keys", **fields) == 200
    assert browser.response.headers["cache-control"] == "no-store"
    assert "attachment" in browser.response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(browser.response.text)))
    return fields, rows


async def works(hall, key):
    answer = await hall.browser.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    return answer.status_code == 200


def test_200_people_have_a_key_each_in_less_than_5_seconds(hall):
    async def story(hall):
        began = time.perf_counter()
        _, rows = await imported(hall, text_of(200))
        assert time.perf_counter() - began < stretched(5)
        assert len(rows) == len({each["key"] for each in rows}) == 200
        assert await works(hall, rows[7]["key"])
        new = hall.new_browser()
        path = rows[7]["invitation"].removeprefix(hall.server.url)
        await new.visit(path)
        fields = {"name": "Seven", "email": "s7@uni.example", "password": PASSWORD}
        assert await new.send(path, **fields) == 200
        said = (await new.client.get("/account/export")).json()
        assert [each["name"] for each in said["keys"]] == ["Course 2027"]
        assert await hall.new_browser().visit(path) == 400
        await hall.browser.visit("/people")
        assert "Course 2027" in hall.browser.text

    hall(story)


def test_a_list_comes_as_a_file_too_as_spreadsheets_write_it(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/people/import")
        token = browser.page.find("input", {"name": "csrf"})["value"]
        headers = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
        text = "name;e-mail\r\nJ\u00fcrgen;j@uni.example\r\n"
        for encoding in ("utf-8", "utf-8-sig", "cp1252"):
            answer = await browser.client.post(
                "/people/import",
                data={"csrf": token, "list": ""},
                files={"file": ("list.csv", text.encode(encoding), "text/csv")},
                headers=headers,
            )
            assert answer.status_code == 200
            assert "J\u00fcrgen</th>" in answer.text, encoding
        huge = await browser.client.post(
            "/people/import",
            data={"csrf": token},
            files={"file": ("list.csv", b"x" * 2_000_000, "text/csv")},
            headers=headers,
        )
        assert huge.status_code == 413

    hall(story)


def test_an_import_happens_once(hall):
    async def story(hall):
        fields, _ = await imported(hall, text_of(2))
        await hall.browser.visit("/people/import")
        assert await hall.browser.send("/people/import/keys", **fields) == 400
        assert "imported already" in hall.browser.text

    hall(story)


def test_each_line_says_what_is_wrong_with_it(hall):
    async def story(hall):
        text = "Ada,ada@x.example\n,b@x.example\nCy,cy\nDi,ada@x.example\nEd,e@x.example,nowhere\n"
        await hall.browser.visit("/people/import")
        assert await hall.browser.send("/people/import", list=text) == 200
        said = hall.browser.text
        assert "1 person can be imported, 4 lines not" in said
        for fault in (
            "The name is missing.",
            "That is not an e-mail address.",
            "The same address as in line 1.",
            "There is no project of that name.",
        ):
            assert fault in said

    hall(story)


def test_attack_20_no_cell_of_the_file_is_a_formula(hall):
    async def story(hall):
        _, rows = await imported(hall, "=1+1,a@x.example\n@SUM(A1),b@x.example\n-2,+c@x.example\n")
        assert [each["name"] for each in rows] == ["'=1+1", "'@SUM(A1)", "'-2"]
        assert rows[2]["e-mail"] == "'+c@x.example"

    hall(story)


def test_a_class_is_paused_resumed_and_ended_in_one_step_each(hall):
    async def story(hall):
        _, rows = await imported(hall, text_of(3))
        path = rows[0]["invitation"].removeprefix(hall.server.url)
        student = hall.new_browser()
        await student.visit(path)
        await student.send(path, name="S", email="s0@uni.example", password=PASSWORD)
        await hall.browser.visit("/people")
        pause = hall.browser.page.find("form", action=re.compile("/pause$"))["action"]
        assert await hall.browser.send(pause) == 200
        assert "3 paused" in hall.browser.text
        await student.visit("/account")
        assert student.title == "Sign in"
        assert await hall.browser.send(pause.replace("pause", "resume")) == 200
        fields = {"email": "s0@uni.example", "password": PASSWORD}
        assert await student.send("/sign-in", **fields) == 200
        assert await hall.browser.send(pause.replace("pause", "end")) == 200
        await hall.browser.visit("/people")
        assert "s0@uni.example" not in hall.browser.text
        assert "ended" in hall.browser.text
        assert (
            await hall.new_browser().visit(rows[1]["invitation"].removeprefix(hall.server.url))
            == 400
        )
        eve = await hall.signed_up()
        await eve.visit("/people")
        assert await eve.send(pause) == 404

    hall(story)


def test_who_imports_an_address_does_not_get_into_what_others_gave_it(hall):
    """Two organizations list the same person, who has not followed an invitation yet: the second
    one's link sets no password of an account that works for the first."""

    async def story(hall):
        await imported(hall, "Sam,sam@uni.example\n")
        eve = await hall.signed_up()
        await eve.visit("/people/import")
        await eve.send("/people/import", list="Sam,sam@uni.example\n")
        class_id = eve.page.find("input", {"name": "class"})["value"]
        fields = {"name": "Trap", "tier": "free-trial", "list": "Sam,sam@uni.example\n"}
        assert await eve.send("/people/import/keys", **fields, **{"class": class_id}) == 200
        (row,) = csv.DictReader(io.StringIO(eve.response.text))
        path = row["invitation"].removeprefix(hall.server.url)
        thief = hall.new_browser()
        await thief.visit(path)
        fields = {"name": "Sam", "email": "sam@uni.example", "password": PASSWORD}
        assert await thief.send(path, **fields) == 400
        assert "has an owner already" in thief.text

    hall(story)


def test_who_has_an_account_accepts_the_invitation_with_it(hall):
    async def story(hall):
        eve = await hall.signed_up()
        _, ((row),) = await imported(hall, "Eve,eve@elsewhere.example\n")
        path = row["invitation"].removeprefix(hall.server.url)
        await eve.visit(path)
        assert await eve.send(path) == 200
        said = (await eve.client.get("/account/export")).json()
        assert len(said["memberships"]) == 2
        assert len(said["keys"]) == 1

    hall(story)


def test_attack_2_a_class_goes_to_no_other_organization_s_project(hall):
    async def story(hall):
        eve = await hall.signed_up()
        async with hall.store.reading() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT id FROM projects ORDER BY created_at_us, id"
            )
            projects = [row[0] for row in rows]
        await eve.visit("/people/import")
        await eve.send("/people/import", list="Sam,sam@uni.example\n")
        class_id = eve.page.find("input", {"name": "class"})["value"]
        fields = {"name": "Trap", "tier": "free-trial", "list": "Sam,sam@uni.example\n"}
        ends = []
        for project in [*projects, "proj_unknown"]:
            more = {"class": class_id, "project": project}
            ends.append(await eve.send("/people/import/keys", **fields, **more))
        assert sorted(ends) == [200, 400, 400]

    hall(story)


def test_many_people_come_page_by_page_and_are_found_by_name(hall):
    async def story(hall):
        await imported(hall, text_of(60))
        await hall.browser.visit("/people")
        seen = {each for each in hall.browser.text.split() if "@uni.example" in each}
        assert hall.browser.page.find("nav", {"aria-label": "Members"}).a["href"].endswith("=50")
        await hall.browser.visit("/people?after=50")
        behind = {each for each in hall.browser.text.split() if "@uni.example" in each}
        assert len(seen | behind) == 60
        assert not seen & behind
        await hall.browser.visit("/people?q=S59@UNI")
        assert "s59@uni.example" in hall.browser.text
        assert "s58@uni.example" not in hall.browser.text
        for nonsense in ("?after=-1", "?after=1e9", "?after=99999", "?q=%25"):
            assert await hall.browser.visit(f"/people{nonsense}") == 200

    hall(story)


@pytest.mark.parametrize(
    ("name", "content"),
    [("list.xlsx", b"name,e-mail"), ("list.csv", b"PK\x03\x04\0\0"), ("list.csv.exe", b"a,b")],
)
def test_a_file_that_is_no_list_is_refused_with_what_to_do(hall, name, content):
    async def story(hall):
        await hall.browser.visit("/people/import")
        token = hall.browser.page.find("input", {"name": "csrf"})["value"]
        answer = await hall.browser.client.post(
            "/people/import",
            data={"csrf": token},
            files={"file": (name, content, "text/csv")},
            headers={"origin": hall.server.url, "sec-fetch-site": "same-origin"},
        )
        assert answer.status_code == 400
        assert "Save the list as CSV" in answer.text

    hall(story)


@pytest.mark.parametrize(
    "given", ['class_"; x="', "class_\r\nset-cookie: a=b", "class_\u4e2d", "x"]
)
def test_a_name_of_a_file_is_never_what_a_form_says(hall, given):
    async def story(hall):
        await hall.browser.visit("/people/import")
        fields = {"list": "Bo,bo@uni.example", "class": given, "name": "x", "tier": "free-trial"}
        assert await hall.browser.send("/people/import/keys", **fields) == 400
        assert "Look at the list first" in hall.browser.text
        assert "content-disposition" not in hall.browser.response.headers

    hall(story)
