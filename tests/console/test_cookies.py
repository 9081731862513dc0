"""Cookies: whom they go to, what may read them, and that a new one takes the place of the old."""

from http.cookies import SimpleCookie

import pytest
from browsing import PASSWORD

from keyhall.config import Server

ADA = {"email": "ada@example.org", "password": PASSWORD}


def cookies(response):
    """Those that an answer sets, by name."""
    made = SimpleCookie()
    for line in response.headers.get_list("set-cookie"):
        made.load(line)
    return made


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_cookie_is_for_this_host_alone_and_for_no_script(hall, scheme):
    async def story(hall):
        browser = hall.new_browser()
        kept = {}
        await browser.visit("/sign-in")
        await browser.send("/theme", follow=False, theme="dark")
        kept |= cookies(browser.response)
        await browser.send("/sign-in", follow=False, **ADA)
        kept |= cookies(browser.response)
        await browser.send("/reset/x", follow=False, password=PASSWORD)
        await browser.send("/second-factor", follow=False, code="1")
        kept |= cookies(browser.response)
        prefix = "__Host-" if scheme == "https" else ""
        assert set(kept) == {f"{prefix}keyhall{kind}" for kind in ("", "-theme", "-said")}
        for cookie in kept.values():
            assert cookie["path"] == "/"
            assert cookie["domain"] == ""
            assert cookie["httponly"]
            assert cookie["samesite"] == "lax"
            assert bool(cookie["secure"]) is (scheme == "https")

    hall(story, server=Server(url=f"{scheme}://keys.example.org"))


def test_a_cookie_that_is_taken_back_is_named_as_it_was_given(hall):
    async def story(hall):
        browser = hall.new_browser()
        await browser.visit("/sign-in")
        await browser.send("/sign-out", follow=False, csrf="")
        gone = cookies(browser.response)["__Host-keyhall"]
        assert (gone.value, gone["max-age"], gone["secure"]) == ("", "0", True)
        said = {"cookie": "__Host-keyhall-said=WyJzdWNjZXNzIiwiSGkiXQ=="}
        await browser.visit("/sign-in", **said)
        assert "Hi" in browser.text
        assert cookies(browser.response)["__Host-keyhall-said"]["max-age"] == "0"

    hall(story, server=Server(url="https://keys.example.org"))


def test_who_signs_out_leaves_no_page_behind(hall):
    async def story(hall):
        await hall.browser.send("/sign-out", follow=False)
        assert hall.browser.response.headers["clear-site-data"] == '"cache"'
        await hall.browser.visit("/sign-in")
        assert hall.browser.response.headers["cache-control"] == "no-store"

    hall(story)


async def opens(hall, token):
    """What a session's token shows of the account's page."""
    browser = hall.new_browser(cookie=f"keyhall={token}")
    await browser.visit("/account")
    return browser.title


def test_signing_in_again_ends_the_session_that_the_browser_had(hall):
    async def story(hall):
        browser = hall.browser
        before = browser.client.cookies["keyhall"]
        assert await browser.send("/sign-in", **ADA) == 200
        after = browser.client.cookies["keyhall"]
        assert before != after
        assert (await opens(hall, before), await opens(hall, after)) == ("Sign in", "Account")

    hall(story)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/account/password", {"new_password": "another horse battery"}),
        ("/account/email", {"email": "ada@lovelace.example"}),
        ("/account/second-factor/begin", {}),
    ],
)
def test_who_proves_again_who_they_are_goes_on_with_another_token(hall, path, fields):
    async def story(hall):
        browser = hall.browser
        before = browser.client.cookies["keyhall"]
        await browser.visit("/account")
        assert await browser.send(path, password="wrong wrong wrong", **fields) == 400
        assert browser.client.cookies["keyhall"] == before
        assert await browser.send(path, password=PASSWORD, **fields) == 200
        after = browser.client.cookies["keyhall"]
        assert before != after
        assert (await opens(hall, before), await opens(hall, after)) == ("Sign in", "Account")

    hall(story)
