"""Who is refused is a line of the log: who and from where, and nothing of what was typed."""

import logging

import pytest
from browsing import PASSWORD

from keyhall.stores.accounts import people

EMAIL, TYPED = "ada@example.org", "something that was typed"


@pytest.fixture
def lines(caplog):
    """`lines()` are the facts of all refusals until now."""
    caplog.set_level(logging.WARNING, "keyhall")
    events = ("sign_in_refused", "page_refused")
    return lambda: [each.args for each in caplog.records if each.msg in events]


def test_every_sign_in_that_fails_is_a_line(hall, lines):
    async def story(hall):
        async with hall.store.reading() as connection:
            who = (await people.by_email(connection, EMAIL)).account.id
        browser = hall.new_browser()
        await browser.visit("/sign-in")
        for email in (EMAIL, f"{TYPED}@example.org", TYPED):
            await browser.send("/sign-in", email=email, password=TYPED)
        assert [each["account"] for each in lines()] == [who, None, None]
        for _ in range(6):
            await browser.send("/sign-in", email=EMAIL, password=TYPED)
        assert lines()[-1]["reason"] == "too many tries"
        await hall.browser.visit("/account/second-factor")
        await hall.browser.send("/account/second-factor/begin", password=TYPED)
        assert (lines()[-1]["step"], lines()[-1]["account"]) == ("password again", who)
        for each in lines():
            assert each["ip"] == "127.0.0.1"
            assert TYPED not in str(each)

    hall(story)


def test_who_is_let_in_is_in_the_audit_with_the_factors(hall):
    async def story(hall):
        browser = hall.new_browser()
        await browser.visit("/sign-in")
        await browser.send("/sign-in", email=EMAIL, password=PASSWORD)
        acts = (await browser.client.get("/account/export")).json()["audit"]
        found = [each for each in acts if each["action"] == "account.sign-in"]
        assert '"factors":"password"' in str(found[-1]["after"]).replace(" ", "").replace("'", '"')
        assert "127.0.0.1" in found[-1]["origin"]

    hall(story)


def test_a_page_that_is_refused_is_a_line_and_so_is_a_form_of_another_site(hall, lines):
    async def story(hall):
        reader = await hall.invited("reader")
        assert await reader.visit("/keys/new") == 403
        assert lines()[-1]["path"] == "/keys/new"
        assert lines()[-1]["account"].startswith("acct_")
        own = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
        for headers, reason in (({}, "from another site"), (own, "without the session's token")):
            answer = await hall.browser.client.post("/terms", data={"a": TYPED}, headers=headers)
            assert answer.status_code == 403
            assert lines()[-1]["reason"] == reason
            assert lines()[-1]["request_id"] == answer.headers["x-request-id"]
        await hall.new_browser().client.post(f"/reset/{TYPED}", data={"a": "b"})
        assert lines()[-1]["path"] == "/reset/{token}"

    hall(story)
