"""The same thing at the same time: what is good once is good once, however fast one is."""

import asyncio

from browsing import PASSWORD
from console_data import code, switched_on
from sqlalchemy import func, select

from keyhall.flows.accounts import links, resets
from keyhall.ports.records import Actor
from keyhall.stores import organizations
from keyhall.stores.accounts import people
from keyhall.stores.tables import accounts, keys, members

ACTOR = Actor("tests", "tests")
AT_ONCE = 12
NEW = "another horse battery"


async def count(hall, table, *which):
    async with hall.store.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(table).where(*which))


async def at_once(hall, path, each_of, browsers=None):
    """The same form from many browsers at the same moment; the statuses."""
    browsers = browsers or [hall.new_browser() for _ in range(AT_ONCE)]
    headers = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
    for browser in browsers:
        await browser.visit("/account")

    async def send(number, browser):
        token = browser.page.find("meta", {"name": "csrf"})["content"]
        data = {"csrf": token, **each_of(number)}
        return await browser.client.post(path, data=data, headers=headers)

    answers = await asyncio.gather(*(send(*each) for each in enumerate(browsers)))
    assert all(answer.status_code < 500 for answer in answers)
    return answers


def done(answers):
    return [answer for answer in answers if answer.status_code == 303]


async def link(hall, kind, **facts):
    async with hall.store.writing() as connection:
        project = await organizations.default_project(connection)
        facts |= {"organization_id": project.organization_id}
        _, token = await links.make(connection, kind, made_by="tests", now_us=hall.now_us, **facts)
    return token.reveal()


async def id_of(browser):
    return (await browser.client.get("/account/export")).json()["account"][0]["id"]


def test_an_invitation_makes_one_member_however_many_follow_it_at_once(any_hall):
    async def story(hall):
        token = await link(hall, "invite", role="member")
        before = await count(hall, members)

        def form(number):
            email = f"bo{number}@example.org"
            return {"name": "Bo", "email": email, "password": PASSWORD}

        answers = await at_once(hall, f"/join/{token}", form)
        assert len(done(answers)) == 1
        assert await count(hall, members) == before + 1
        assert await count(hall, accounts, accounts.c.name == "Bo") == 1

    any_hall(story)


def test_an_invitation_is_accepted_once_by_those_who_have_accounts(any_hall):
    async def story(hall):
        token = await link(hall, "invite", role="admin")
        browsers = [await hall.signed_up(f"Eve{number}") for number in range(4)]
        answers = await at_once(hall, f"/join/{token}", lambda _: {}, browsers)
        assert len(done(answers)) == 1
        assert await count(hall, members, members.c.role == "admin") == 1

    any_hall(story)


def test_two_who_claim_the_hall_at_once_do_not_both_get_it(any_hall):
    async def story(hall):
        token = await link(hall, "set-up", account_id=await id_of(hall.browser))

        def form(number):
            return {"name": "Me", "email": f"me{number}@example.org", "password": PASSWORD}

        answers = await at_once(hall, f"/set-up/{token}", form)
        assert not done(answers)  # Ada has claimed it.

    any_hall(story)


def test_a_reset_link_sets_one_password(any_hall):
    async def story(hall):
        async with hall.store.writing() as connection:
            found = await people.by_email(connection, "ada@example.org")
            address = await resets.hand_over(
                connection, found, hall.server.url, actor=ACTOR, now_us=hall.now_us
            )
        path = address.reveal().removeprefix(hall.server.url)
        answers = await at_once(hall, path, lambda number: {"password": f"{NEW} {number}"})
        assert len(done(answers)) == 1
        works = 0
        for number in range(AT_ONCE):
            browser = hall.new_browser()
            await browser.visit("/sign-in")
            form = {"email": "ada@example.org", "password": f"{NEW} {number}"}
            hall.server.clock.advance(3600)
            works += await browser.send("/sign-in", follow=False, **form) == 303
        assert works == 1

    any_hall(story)


def test_one_address_is_signed_up_once(any_hall):
    async def story(hall):
        form = {"name": "Eve", "email": "eve@elsewhere.example", "password": PASSWORD}
        answers = await at_once(hall, "/sign-up", lambda _: form)
        assert len(done(answers)) == 1
        assert await count(hall, accounts, accounts.c.email == form["email"]) == 1

    any_hall(story)


def test_a_code_of_a_moment_and_a_code_on_paper_open_one_door_each(any_hall):
    async def story(hall):
        totp, codes = await switched_on(hall)
        for used in (code(hall, totp), codes[0]):
            hall.server.clock.advance(3600)
            used = code(hall, totp) if used.isdigit() else used
            browsers = []
            for _ in range(4):
                browser = hall.new_browser()
                await browser.visit("/sign-in")
                await browser.send("/sign-in", email="ada@example.org", password=PASSWORD)
                browsers.append(browser)
            form = {"code": used}
            answers = await at_once(hall, "/second-factor", lambda _, form=form: form, browsers)
            inside = [each for each in done(answers) if each.headers["location"] == "/"]
            assert len(inside) == 1, used

    any_hall(story)


def test_the_last_owners_do_not_both_leave(any_hall):
    async def story(hall):
        other = await hall.invited("owner")
        browsers = [hall.browser, other] * 2
        ids = [await id_of(hall.browser), await id_of(other)]
        headers = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
        for act, fields in (("role", {"role": "reader"}), ("remove", {"keys": "revoke"})):
            sent = []
            for number, browser in enumerate(browsers):
                await browser.visit("/account")
                token = browser.page.find("meta", {"name": "csrf"})["content"]
                path = f"/people/{ids[(number + number // 2) % 2]}/{act}"
                data = {"csrf": token, **fields}
                sent.append(browser.client.post(path, data=data, headers=headers))
            await asyncio.gather(*sent)
            here = members.c.organization_id == await hall.organization_id()
            assert await count(hall, members, here, members.c.role == "owner") >= 1, act

    any_hall(story)


def test_a_key_has_one_successor_and_is_revoked_by_the_dozen_once(any_hall):
    async def story(hall):
        key = (await hall.server.make_key("one")).key
        answers = await at_once(
            hall, f"/keys/{key.id}/rotate", lambda _: {"grace": "0"}, [hall.browser] * 6
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
        assert await count(hall, keys, keys.c.rotated_from == key.id) == 1

    any_hall(story)


def test_a_class_is_imported_once(any_hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/people/import")
        await browser.send("/people/import", list="Pat,pat@example.org")
        form = {"list": "Pat,pat@example.org", "name": "Class", "tier": "free-trial", "project": "",
                "class": browser.page.find("input", {"name": "class"})["value"]}  # fmt: skip
        answers = await at_once(hall, "/people/import/keys", lambda _: form, [browser] * 6)
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
        assert await count(hall, keys, keys.c.name == "Class") == 1

    any_hall(story)
