"""Through the door: the set-up link, signing up, in and out, invitations."""

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
