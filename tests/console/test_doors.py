"""The doors beside the front door: second factors, forgotten passwords, letters, new terms."""

import asyncio
import re

import pytest
from browsing import PASSWORD
from console_data import STEP_S, code, switched_on
from patience import PATIENCE_SECONDS
from told import MailServer

from keyhall.config import Alerts, Console, Server
from keyhall.flows.accounts import resets
from keyhall.ports.records import Actor
from keyhall.stores.accounts import people

ADA = {"email": "ada@example.org", "password": PASSWORD}


async def at_the_second_door(hall):
    """A browser that has given the password."""
    browser = hall.new_browser()
    await browser.visit("/sign-in")
    assert await browser.send("/sign-in", **ADA) == 200
    assert browser.title == "One more step"
    return browser


# --- The second factor ----------------------------------------------------------------------------


def test_a_password_alone_opens_nothing_once_the_second_factor_is_on(hall):
    async def story(hall):
        totp, _ = await switched_on(hall)
        browser = await at_the_second_door(hall)
        await browser.visit("/account")
        assert browser.title == "Sign in"
        await browser.visit("/second-factor")
        pending = browser.client.cookies["keyhall"]
        assert await browser.send("/second-factor", code="000000") == 401
        assert await browser.send("/second-factor", code=code(hall, totp)) == 200
        assert browser.title == "Home"
        assert browser.client.cookies["keyhall"] != pending
        thief = hall.new_browser()
        thief.client.cookies.set("keyhall", pending)
        await thief.visit("/account")
        assert thief.title == "Sign in"

    hall(story)


def test_attack_11_a_code_is_good_once(hall):
    async def story(hall):
        totp, _ = await switched_on(hall)
        first, second = [await at_the_second_door(hall) for _ in range(2)]
        now = code(hall, totp)
        assert await first.send("/second-factor", code=now) == 200
        assert await second.send("/second-factor", code=now) == 401
        assert "was used already" in second.text
        hall.server.clock.advance(STEP_S)
        assert await second.send("/second-factor", code=code(hall, totp)) == 200

    hall(story)


def test_attack_11_of_the_same_code_twice_at_the_same_moment_one_is_let_in(hall):
    async def story(hall):
        totp, _ = await switched_on(hall)
        both = [await at_the_second_door(hall) for _ in range(2)]
        now = code(hall, totp)
        ends = await asyncio.gather(*(each.send("/second-factor", code=now) for each in both))
        assert sorted(ends) == [200, 401]

    hall(story)


def test_attack_11_wrong_codes_are_slowed_down_and_a_new_sign_in_does_not_help(hall):
    async def story(hall):
        totp, _ = await switched_on(hall)
        browser = await at_the_second_door(hall)
        ends = [await browser.send("/second-factor", code="000000") for _ in range(7)]
        assert ends == [401] * 6 + [429]
        again = await at_the_second_door(hall)
        assert await again.send("/second-factor", code=code(hall, totp)) == 429
        hall.server.clock.advance(60)
        assert await again.send("/second-factor", code=code(hall, totp)) == 200

    hall(story)


def test_a_recovery_code_is_good_once_and_however_it_is_written(hall):
    async def story(hall):
        _, codes = await switched_on(hall)
        browser = await at_the_second_door(hall)
        written = codes[3].upper().replace("-", " ")
        assert await browser.send("/second-factor", code=written) == 200
        again = await at_the_second_door(hall)
        assert await again.send("/second-factor", code=codes[3]) == 401
        await browser.visit("/account")
        assert "9 recovery codes left" in browser.text

    hall(story)


def test_the_second_factor_is_switched_off_with_the_password(hall):
    async def story(hall):
        await switched_on(hall)
        await hall.browser.visit("/account/second-factor")
        assert (
            await hall.browser.send("/account/second-factor/off", password="not it at all") == 400
        )
        assert await hall.browser.send("/account/second-factor/off", password=PASSWORD) == 200
        browser = hall.new_browser()
        await browser.visit("/sign-in")
        await browser.send("/sign-in", **ADA)
        assert browser.title == "Home"

    hall(story)


def test_who_lost_phone_and_codes_is_helped_by_an_operator(hall):
    async def story(hall):
        await switched_on(hall)
        async with hall.store.writing() as connection:
            ada = await people.by_email(connection, "ada@example.org")
            link = await resets.hand_over(
                connection,
                ada,
                hall.server.url,
                second_factor_off=True,
                actor=Actor("operator:root", "command line"),
                now_us=hall.now_us,
            )
        path = link.reveal().removeprefix(hall.server.url)
        browser = hall.new_browser()
        await browser.visit(path)
        await browser.send(path, password="another battery staple")
        fields = {"email": "ada@example.org", "password": "another battery staple"}
        assert await browser.send("/sign-in", **fields) == 200
        assert browser.title == "Home"

    hall(story)


def test_attack_11_many_wrong_passwords_at_the_same_moment_are_no_faster(hall):
    async def story(hall):
        browser = hall.new_browser()
        await browser.visit("/sign-in")
        fields = {"email": "ada@example.org", "password": "wrong wrong wrong"}
        headers = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
        ends = await asyncio.gather(
            *(browser.client.post("/sign-in", data=fields, headers=headers) for _ in range(20))
        )
        said = sorted(each.status_code for each in ends)
        assert said == [401] * 6 + [429] * 14
        hall.server.clock.advance(5)
        assert await browser.send("/sign-in", **ADA) == 200

    hall(story)


def test_attack_11_strangers_elsewhere_keep_nobody_out_of_their_account(hall):
    async def story(hall):
        def at(ip):
            return hall.new_browser(**{"x-forwarded-for": ip})

        owner, stranger, again = at("192.0.2.7"), at("198.51.100.9"), at("192.0.2.7")
        await owner.visit("/sign-in")
        assert await owner.send("/sign-in", **ADA) == 200
        await stranger.visit("/sign-in")
        wrong = {"email": "ada@example.org", "password": "wrong wrong wrong"}
        ends = [await stranger.send("/sign-in", **wrong) for _ in range(8)]
        assert ends[-1] == 429
        await again.visit("/sign-in")
        assert await again.send("/sign-in", **ADA) == 200
        assert await stranger.send("/sign-in", **ADA) == 429
        third = at("192.0.2.7")
        await third.visit("/sign-in")
        ends = [await third.send("/sign-in", **wrong) for _ in range(8)]
        assert ends[-1] == 429  # Nor is the known place a way to guess faster.

    hall(story, server=Server(trusted_proxies=["127.0.0.1"]))


def test_attack_13_a_second_factor_is_nowhere_in_clear(hall):
    async def story(hall):
        totp, codes = await switched_on(hall)
        async with hall.store.reading() as connection:
            rows = await connection.exec_driver_sql("SELECT totp, recovery_codes FROM sign_ins")
            ((kept, digests),) = rows.all()
        assert totp.secret.encode() not in bytes(kept)
        assert not any(each in digests for each in codes)
        for path in ("/account", "/account/second-factor", "/account/export"):
            await hall.browser.visit(path)
            assert totp.secret not in hall.browser.response.text

    hall(story)


# --- A forgotten password -------------------------------------------------------------------------


def with_mail(run, story, **settings):
    """`await story(hall, letters)`: `letters()` waits for those on the way."""

    async def inside(hall):
        async def letters(count):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(server.letters) < count:
                    await asyncio.sleep(0.01)
            return server.letters

        (first,) = await letters(1)  # It asks Ada's address to confirm itself.
        assert "/verify/" in first.content.get_content()
        server.letters.clear()
        await story(hall, letters)

    server = MailServer()

    async def opened():
        async with server:
            url = f"smtp://127.0.0.1:{server.port}"
            alerts = Alerts(email_from="keys@example.org", smtp_url=url)
            await run.opened(inside, alerts=alerts, **settings)

    asyncio.run(opened())


def link_in(letter):
    return re.search(r"/(?:reset|verify|join)/\S+", letter.content.get_content())[0]


def test_a_letter_opens_the_door_once_and_ends_all_sessions(hall):
    async def story(hall, letters):
        browser = hall.new_browser()
        await browser.visit("/forgotten")
        assert await browser.send("/forgotten", email="ADA@example.org") == 200
        (letter,) = await letters(1)
        assert letter.receivers == ["ada@example.org"]
        link = link_in(letter)
        assert await browser.visit(link) == 200
        assert await browser.send(link, password="short") == 400
        new = "another battery staple"
        assert await browser.send(link, password=new) == 200
        assert browser.title == "Sign in"
        await hall.browser.visit("/account")
        assert hall.browser.title == "Sign in"
        assert await browser.send(link, password=new) == 400
        assert await browser.visit(link) == 400
        await browser.visit("/sign-in")
        assert await browser.send("/sign-in", email="ada@example.org", password=new) == 200

    with_mail(hall, story)


def test_attack_10_known_and_unknown_addresses_get_the_same_words(hall):
    async def story(hall, letters):
        said = []
        for email in ("ada@example.org", "nobody@example.org"):
            browser = hall.new_browser()
            await browser.visit("/forgotten")
            assert await browser.send("/forgotten", email=email) == 200
            said.append(browser.response.text.replace(email, ""))
        assert said[0] == said[1]
        assert [each.receivers for each in await letters(1)] == [["ada@example.org"]]

    with_mail(hall, story)


def test_attack_11_nobody_floods_a_mailbox_through_us(hall):
    async def story(hall, letters):
        browser = hall.new_browser()
        await browser.visit("/forgotten")
        ends = [await browser.send("/forgotten", email="ada@example.org") for _ in range(5)]
        assert ends == [200] * 3 + [429] * 2
        await letters(3)

    with_mail(hall, story)


def test_attack_11_a_reset_link_is_over_after_30_minutes(hall):
    async def story(hall, letters):
        browser = hall.new_browser()
        await browser.visit("/forgotten")
        await browser.send("/forgotten", email="ada@example.org")
        link = link_in((await letters(1))[0])
        hall.server.clock.advance(30 * 60)
        assert await browser.visit(link) == 400
        assert "is over" in browser.text

    with_mail(hall, story)


def test_without_mail_the_page_says_who_can_help(hall):
    async def story(hall):
        browser = hall.new_browser()
        await browser.visit("/forgotten")
        assert "keyhall accounts reset-link" in browser.text

    hall(story)


def test_another_address_is_used_once_its_letter_was_answered(hall):
    async def story(hall, letters):
        browser = hall.browser
        await browser.visit("/account")
        fields = {"email": "lovelace@example.org", "password": PASSWORD}
        assert await browser.send("/account/email", **fields) == 200
        assert "Your address is ada@example.org" in browser.text
        (letter,) = await letters(1)
        assert letter.receivers == ["lovelace@example.org"]
        link = link_in(letter)
        await browser.visit(link)  # As a program does that looks through mail.
        await browser.visit(link)
        assert await browser.send(link) == 200
        assert "Your address is lovelace@example.org confirmed" in browser.text
        told = (await letters(2))[1]
        assert told.receivers == ["ada@example.org"]
        assert await browser.send(link) == 400

    with_mail(hall, story)


# --- Terms of use ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/account", "/people", "/switch"])
def test_new_terms_come_before_anything_else(hall, path):
    async def story(hall):
        browser = hall.browser
        await browser.visit(path)
        assert browser.title != "The terms of use have changed"
        async with hall.store.writing() as connection:
            await connection.exec_driver_sql("UPDATE sign_ins SET terms_version = '2'")
        await browser.visit(path)
        assert browser.title == "The terms of use have changed"
        assert await browser.send("/account/profile", name="Late") == 200
        assert browser.title == "The terms of use have changed"
        assert await browser.send("/terms", next=path, version="3") == 400
        assert await browser.send("/terms", next=path, version="2", terms="yes") == 400
        await browser.visit(path)
        assert await browser.send("/terms", next=path, version="3", terms="yes") == 200
        assert browser.response.url.path == path
        said = (await browser.client.get("/account/export")).json()
        assert said["sign_in"][0]["terms_version"] == "3"
        assert said["account"][0]["name"] == "Ada"

    hall(story, console=Console(terms_url="https://example.org/terms", terms_version="3"))


def test_a_new_password_is_no_way_around_the_second_factor(hall):
    async def story(hall):
        await switched_on(hall)
        async with hall.store.writing() as connection:
            ada = await people.by_email(connection, "ada@example.org")
            actor = Actor("operator:root", "command line")
            link = await resets.hand_over(
                connection, ada, hall.server.url, actor=actor, now_us=hall.now_us
            )
        path = link.reveal().removeprefix(hall.server.url)
        browser = hall.new_browser()
        await browser.visit(path)
        await browser.send(path, password="another battery staple")
        fields = {"email": "ada@example.org", "password": "another battery staple"}
        await browser.send("/sign-in", **fields)
        assert browser.title == "One more step"
        await browser.visit("/keys")
        assert browser.title == "Sign in"

    hall(story)
