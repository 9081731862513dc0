"""Attacks 11 and 22: the life of a session, and what is left of one that was taken away."""

import asyncio

import pytest
from browsing import PASSWORD
from console_data import switched_on
from patience import PATIENCE_SECONDS
from sqlalchemy import select, update
from twins import filled, routes

from keyhall import web
from keyhall.config import Alerts, Config
from keyhall.flows.accounts import links, sign_in
from keyhall.flows.accounts.desk import From, SlowDown
from keyhall.policy.people import letting_in
from keyhall.stores.accounts.tables import failures, sign_ins

NEW = "another horse battery"


async def signed_in(hall, email="ada@example.org", password=PASSWORD, **headers):
    browser = hall.new_browser(**headers)
    await browser.visit("/sign-in")
    await browser.send("/sign-in", follow=False, email=email, password=password)
    return browser


async def is_in(browser):
    return (await browser.client.get("/account")).status_code == 200


def test_attack_22_a_session_that_waits_for_its_code_opens_nothing(hall):
    async def story(hall):
        await switched_on(hall)
        pending = await signed_in(hall)
        assert pending.response.headers["location"].startswith("/second-factor")
        headers = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
        for page in routes("GET"):
            if page.needs != "anyone":
                answer = await pending.client.get(filled(page.path, "x"))
                assert answer.headers["location"].startswith("/sign-in"), page.path
        for page in routes("POST"):
            if page.needs != "anyone":
                answer = await pending.client.post(filled(page.path, "x"), headers=headers)
                assert answer.headers["location"] == "/sign-in", page.path
        await hall.browser.visit("/people")
        await hall.browser.send("/people/invite", email="", role="owner")
        link = hall.browser.page.find(id="invitation").get_text().removeprefix(hall.server.url)
        answer = await pending.client.get(link)
        assert "Make an account" in answer.text  # As for a stranger.

    hall(story)


@pytest.mark.slow
def test_attack_22_who_has_the_password_alone_ends_no_other_session(hall):
    async def story(hall):
        await switched_on(hall)
        for _ in range(letting_in.SESSIONS_MAX + 5):
            await signed_in(hall)
        assert await is_in(hall.browser)

    hall(story)


def test_attack_22_a_cookie_that_was_there_before_is_no_session_afterwards(hall):
    async def story(hall):
        browser = hall.new_browser()
        fixed = "A" * 43
        browser.client.cookies.set("keyhall", fixed)
        await browser.visit("/sign-in")
        await browser.send("/sign-in", email="ada@example.org", password=PASSWORD)
        stolen = hall.new_browser()
        stolen.client.cookies.set("keyhall", fixed)
        assert not await is_in(stolen)

    hall(story)


def test_attack_22_signing_in_again_ends_the_session_before(hall):
    async def story(hall):
        browser = await signed_in(hall)
        before = hall.new_browser()
        before.client.cookies.set("keyhall", browser.client.cookies["keyhall"])
        await browser.visit("/account")
        await browser.send("/sign-in", email="ada@example.org", password=PASSWORD)
        assert await is_in(browser)
        assert not await is_in(before)

    hall(story)


def test_attack_22_another_password_ends_every_other_session_and_every_reset_link(hall):
    async def story(hall):
        others = [await signed_in(hall) for _ in range(3)]
        await hall.browser.visit("/account")
        fields = {"password": PASSWORD, "new_password": NEW}
        assert await hall.browser.send("/account/password", **fields) == 200
        assert await is_in(hall.browser)
        for each in others:
            assert not await is_in(each)

    hall(story)


def test_attack_22_what_was_taken_away_is_gone_from_the_next_page_on(hall):
    async def story(hall):
        bo = await hall.invited("admin")
        await bo.visit("/people")
        bo_id = (await bo.client.get("/account/export")).json()["account"][0]["id"]
        await hall.browser.visit("/people")
        assert await hall.browser.send(f"/people/{bo_id}/role", role="reader") == 200
        # The form that stands on Bo's page since before.
        assert await bo.send("/people/invite", email="", role="admin") == 403
        await hall.browser.visit("/people")
        assert await hall.browser.send(f"/people/{bo_id}/remove", keys="revoke") == 200
        assert await bo.visit("/people") == 403
        assert await bo.send("/keys/new/summary", name="x") == 403

    hall(story)


def test_attack_22_a_stream_ends_with_its_session_its_role_and_its_account(hall):
    async def story(hall):
        await hall.server.make_key("one")
        for end in ("sign-out", "remove", "suspend", "password"):
            bo = await hall.invited("member", f"Bo{end.replace('-', '')}")
            bo_id = (await bo.client.get("/account/export")).json()["account"][0]["id"]
            async with bo.client.stream("GET", "/live/limits") as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                lines = answer.aiter_lines()
                await anext(lines)
                await ended_by(end, hall, bo, bo_id)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    said = [line async for line in lines]
                assert "event: over" in said, end

    hall(story)


async def ended_by(end, hall, bo, bo_id):
    if end == "sign-out":
        await bo.visit("/account")
        await bo.send("/sign-out")
    elif end == "password":
        other = await signed_in(hall, f"bo{end}-member@example.org")
        await other.visit("/account")
        await other.send("/account/password", password=PASSWORD, new_password=NEW)
    else:
        await hall.browser.visit("/people")
        assert await hall.browser.send(f"/people/{bo_id}/{end}", keys="revoke") == 200


def test_attack_22_cookies_are_kept_from_scripts_and_from_other_sites(hall):
    async def story(hall):
        browser = await signed_in(hall)
        kept = browser.response.headers["set-cookie"].lower()
        for word in ("httponly", "samesite=lax", "path=/"):
            assert word in kept
        assert "domain" not in kept

    hall(story)


def test_attack_22_v1_reads_no_cookie_and_the_console_no_key(hall):
    async def story(hall):
        answer = await hall.browser.client.get("/v1/models")
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        key = (await hall.server.make_key(mode="admin")).text.reveal()
        holder = hall.new_browser(authorization=f"Bearer {key}", **{"x-api-key": key})
        holder.client.cookies.set("keyhall", key)
        for page in routes("GET"):
            if page.needs != "anyone":
                answer = await holder.client.get(filled(page.path, "x"), params={"key": key})
                assert answer.headers["location"].startswith("/sign-in"), page.path

    hall(story)


# --- Attack 11 ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_attack_11_a_flood_of_strangers_leaves_a_bounded_trace(hall):
    """Every try is another address, from another network."""

    async def story(hall):
        desk = desk_of(hall)
        slowed = 0
        for number in range(2 * letting_in.FREE_TRIES["everybody"]):
            sits = From(f"10.{number // 256}.{number % 256}.1", "")
            try:
                await sign_in.begin_try(desk, sign_in._subjects(f"account:{number}", sits))
            except SlowDown:
                slowed += 1
        assert slowed >= letting_in.FREE_TRIES["everybody"] - 10
        async with hall.store.reading() as connection:
            rows = (await connection.scalars(select(failures.c.subject))).all()
        assert len(rows) <= 2 * letting_in.FREE_TRIES["everybody"] + 30
        assert await is_in(hall.browser)

    hall(story)


def desk_of(hall):
    return web.desk_of(hall.server.house, Config(data=hall.server.data))


@pytest.mark.slow
def test_attack_11_nobody_sends_letters_through_us_by_the_hundred(hall):
    async def story(hall):
        eve = await hall.signed_up()
        await eve.visit("/people")
        sent = [
            await eve.send("/people/invite", email=f"v{number}@example.org", role="member")
            for number in range(letting_in.FREE_TRIES["invitations of an organization"] + 3)
        ]
        assert sent.index(429) == letting_in.FREE_TRIES["invitations of an organization"] + 1
        assert set(sent[-2:]) == {429}
        await eve.visit("/people")
        assert (
            await eve.send("/people/invite", email="", role="member") == 200
        )  # A link needs none.

    hall(story, alerts=Alerts(smtp_url="smtp://127.0.0.1:9", email_from="keyhall@example.org"))


def test_attack_11_making_accounts_has_a_pace(hall, monkeypatch):
    monkeypatch.setitem(letting_in.FREE_TRIES, "accounts from a network", 4)

    async def story(hall):
        made = []
        for number in range(7):
            browser = hall.new_browser()
            await browser.visit("/sign-up")
            fields = {"name": "Eve", "email": f"eve{number}@example.org", "password": PASSWORD}
            made.append(await browser.send("/sign-up", follow=False, **fields))
        assert made == [303] * 5 + [429] * 2
        assert browser.response.headers["retry-after"]
        hall.server.clock.advance(3600)
        await browser.visit("/sign-up")
        assert await browser.send("/sign-up", **fields) == 200
        for _ in range(letting_in.FREE_TRIES["network"] + 1):  # Which addresses have an account?
            hall.server.clock.advance(1)
            browser = hall.new_browser()
            await browser.visit("/sign-up")
            status = await browser.send("/sign-up", **fields)
        assert status == 429

    hall(story)


def test_a_stranger_who_signs_up_first_keeps_nobody_from_the_set_up_link(hall):
    async def story(hall):
        async with hall.store.writing() as connection:
            await connection.execute(update(sign_ins).values(is_operator=0))
        assert await links.set_up(hall.store, hall.server.url, hall.now_us) is not None
        async with hall.store.writing() as connection:
            await connection.execute(update(sign_ins).values(is_operator=1))
        assert await links.set_up(hall.store, hall.server.url, hall.now_us) is None

    hall(story)
