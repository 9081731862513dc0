"""Through the door: the set-up link, signing up, in and out, invitations."""

import re

from browsing import PASSWORD


def test_the_set_up_link_makes_the_operator_and_works_once(hall):
    async def story(hall):
        await hall.browser.visit("/")
        assert hall.browser.title == "Home"
        assert "Organizations" in hall.browser.text  # an operator's menu
        stranger = hall.new_browser()
        await stranger.visit("/")
        assert stranger.title == "Sign in"

    hall(story)


def test_who_signs_out_has_to_sign_in_again_and_gets_where_they_wanted(hall):
    async def story(hall):
        browser = hall.browser
        await browser.send("/sign-out")
        assert browser.title == "Sign in"
        await browser.visit("/switch")
        assert str(browser.response.url).endswith("/sign-in?next=/switch")
        status = await browser.send(
            "/sign-in", email="ADA@example.org ", password=PASSWORD, next="/switch"
        )
        assert (status, browser.title) == (200, "Look at another organization")

    hall(story)


def test_a_wrong_password_says_the_same_for_known_and_unknown_addresses(hall):
    async def story(hall):
        said = []
        for email in ("ada@example.org", "nobody@example.org"):
            browser = hall.new_browser()
            await browser.visit("/sign-in")
            assert await browser.send("/sign-in", email=email, password="wrong wrong wrong") == 401
            said.append(browser.text.replace(email, ""))
        assert said[0] == said[1]

    hall(story)


def test_who_signs_up_has_an_organization_of_their_own_on_the_free_trial(hall):
    async def story(hall):
        browser = await hall.signed_up("Eve")
        assert "Eve" in browser.text
        assert "Organizations" not in browser.text

    hall(story)


def test_an_invitation_makes_a_member(hall):
    async def story(hall):
        browser = await hall.invited("reader")
        assert "Default organization" in browser.text

    hall(story)


def test_a_form_from_another_site_does_nothing(hall):
    async def story(hall):
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": hall.server.url, "sec-fetch-site": "cross-site"},
            {},
        ):
            answer = await hall.browser.client.post("/sign-out", headers=headers)
            assert answer.status_code == 403, headers
        await hall.browser.visit("/")
        assert hall.browser.title == "Home"

    hall(story)


def test_a_password_that_others_try_first_is_taken_by_no_form(hall):
    async def story(hall):
        bad = "1q2w3e4r5t6y"
        browser = hall.new_browser()
        await browser.visit("/sign-up")
        given = {"name": "Eve", "email": "eve@elsewhere.example"}
        for password in (bad, "Keyhall-eve-2026", "elsewhere.127.0.0.1"):
            assert await browser.send("/sign-up", password=password, **given) == 400
            assert "first that others would try" in browser.text
        await hall.browser.visit("/account")
        changed = {"password": PASSWORD, "new_password": bad}
        assert await hall.browser.send("/account/password", **changed) == 400
        assert "first that others would try" in hall.browser.text

    hall(story)


def test_a_password_is_of_any_characters_long_and_taken_as_it_is(hall):
    async def story(hall):
        password = "  only small letters, ü and spaces " + "x" * 200
        browser = hall.new_browser()
        await browser.visit("/sign-up")
        email = "eve@elsewhere.example"
        await browser.send("/sign-up", name="Eve", email=email, password=password)
        assert browser.title == "Home"
        for wrong, status in ((password.strip(), 401), (password[:-1], 401), (password, 200)):
            other = hall.new_browser()
            await other.visit("/sign-in")
            assert await other.send("/sign-in", email=email, password=wrong) == status

    hall(story)


def test_fields_of_passwords_are_masked_and_may_be_filled_by_managers(hall):
    async def story(hall):
        for path in ("/sign-in", "/sign-up", "/account", "/account/second-factor"):
            browser = hall.browser if path.startswith("/account") else hall.new_browser()
            await browser.visit(path)
            fields = browser.page.find_all("input", attrs={"name": re.compile("password")})
            assert fields
            for field in fields:
                assert field["type"] == "password"
                assert field["autocomplete"] in ("current-password", "new-password")
                assert not field.get("onpaste")

    hall(story)
