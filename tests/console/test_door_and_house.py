"""What the door and every page behind it owe to whoever comes: docs/asvs.md names these."""

from browsing import PASSWORD

from keyhall.console.routes import ROUTES

DAY = 86_400.0
ADA = {"email": "ada@example.org", "password": PASSWORD}
PLACES = [
    page.path
    for page in ROUTES
    if page.method == "GET" and page.needs != "anyone" and "{" not in page.path
]
PARTS = ("/live/", "/requests/new", "/account/export")  # of pages, or files


async def opens(hall, token):
    """The title of what a session's token shows."""
    browser = hall.new_browser(cookie=f"keyhall={token}")
    await browser.visit("/account")
    return browser.title


ELSEWHERE = (
    *("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x()", "/\n/evil"),
)


def test_signing_in_leads_to_no_other_site(hall):
    async def story(hall):
        for elsewhere in ELSEWHERE:
            browser = hall.new_browser()
            await browser.visit("/sign-in")
            assert await browser.send("/sign-in", follow=False, next=elsewhere, **ADA) == 303
            assert browser.response.headers["location"] == "/", elsewhere

    hall(story)


NO_FILES = ("", "vendor/", "../gate.py", "%2e%2e/gate.py", "..%2fgate.py", "/etc/passwd", ".git")


def test_only_files_of_the_list_are_given_and_no_list(hall):
    async def story(hall):
        for name in NO_FILES:
            answer = await hall.browser.client.get(f"/static/{name}")
            assert answer.status_code == 404, name

    hall(story)


def test_an_icon_is_found_where_browsers_look_for_one(hall):
    async def story(hall):
        answer = await hall.browser.client.get("/favicon.ico", follow_redirects=True)
        assert answer.headers["content-type"].startswith("image/svg+xml")

    hall(story)


def test_a_password_is_good_for_years_and_a_session_is_not(hall):
    async def story(hall):
        token = hall.browser.client.cookies["keyhall"]
        hall.server.clock.advance(6 * DAY)
        assert await opens(hall, token) == "Account"
        hall.server.clock.advance(8 * DAY)
        assert await opens(hall, token) == "Sign in"
        hall.server.clock.advance(3_000 * DAY)
        browser = hall.new_browser()
        await browser.visit("/sign-in")
        assert await browser.send("/sign-in", **ADA) == 200
        fresh = browser.client.cookies["keyhall"]
        for _ in range(5):
            assert await opens(hall, fresh) == "Account"
            hall.server.clock.advance(6 * DAY)
        assert await opens(hall, fresh) == "Sign in"

    hall(story)


def test_every_session_has_256_random_bits_of_its_own(hall):
    async def story(hall):
        tokens = {hall.browser.client.cookies["keyhall"]}
        for _ in range(5):
            browser = hall.new_browser()
            await browser.visit("/sign-in")
            await browser.send("/sign-in", **ADA)
            tokens.add(browser.client.cookies["keyhall"])
        assert len(tokens) == 6
        assert {len(token) for token in tokens} == {43}  # 32 bytes in Base64

    hall(story)


def test_all_other_sessions_are_ended_in_one_step(hall):
    async def story(hall):
        other = hall.new_browser()
        await other.visit("/sign-in")
        await other.send("/sign-in", **ADA)
        await hall.browser.visit("/account")
        assert await hall.browser.send("/account/sessions/end-others") == 200
        assert await opens(hall, other.client.cookies["keyhall"]) == "Sign in"
        assert await opens(hall, hall.browser.client.cookies["keyhall"]) == "Account"

    hall(story)


def test_every_page_behind_the_door_leads_out_and_tells_no_other_site_where_it_was(hall):
    async def story(hall):
        seen = 0
        for path in PLACES:
            if path.startswith(PARTS) or await hall.browser.visit(path) != 200:
                continue
            seen += 1
            way_out = {"action": "/sign-out", "method": "post"}
            assert hall.browser.page.find("form", way_out), path
            assert hall.browser.response.headers["referrer-policy"] == "same-origin", path
        assert seen > len(PLACES) / 2

    hall(story)


def test_what_a_form_sends_is_not_taken_from_the_address(hall):
    async def story(hall):
        await hall.browser.visit("/account")
        token = hall.browser.page.find("input", {"name": "csrf"})["value"]
        own = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
        where = f"/account/profile?csrf={token}&name=Address"
        answer = await hall.browser.client.post(where, data={"name": "Form"}, headers=own)
        assert answer.status_code == 403
        await hall.browser.send(where, name="Form")
        assert "Address" not in hall.browser.text.replace("E-mail address", "")
        assert hall.browser.page.find("input", {"name": "name"})["value"] == "Form"

    hall(story)
