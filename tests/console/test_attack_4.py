"""Attack 4: what other sites make a browser do, and pages inside other pages."""

import pytest

from keyhall.console.routes import ROUTES

OURS = ("/account", "/people", "/terms", "/second-factor", "/forgotten", "/reset", "/verify")
MINE = [page for page in ROUTES if page.path.startswith(OURS)]
POSTS = [page.path for page in MINE if page.method == "POST"]
GETS = [page.path for page in MINE if page.method == "GET"]


def address(path):
    for name in ("token", "account", "link", "id"):
        path = path.replace(f"{{{name}}}", "x")
    return path


def test_attack_4_no_form_of_another_site_does_anything(hall):
    async def story(hall):
        client = hall.browser.client
        before = (await client.get("/account/export")).json()
        own = {"origin": hall.server.url, "sec-fetch-site": "same-origin"}
        for path in POSTS:
            for headers in (
                {},
                {"origin": "null"},
                {"origin": "https://evil.example"},
                {"origin": hall.server.url.replace("127", "sub.127")},
                {"sec-fetch-site": "same-site"},
                own | {"sec-fetch-site": "cross-site"},
                own,  # but without the session's token
            ):
                answer = await client.post(address(path), data={"name": "x"}, headers=headers)
                assert answer.status_code == 403, (path, headers)
            plain = {"content-type": "text/plain", **own}
            answer = await client.post(address(path), content=b"name=x", headers=plain)
            assert answer.status_code == 415, path
        after = (await client.get("/account/export")).json()
        assert after["account"] == before["account"]
        assert len(after["audit"]) == len(before["audit"])

    hall(story)


@pytest.mark.parametrize("path", GETS)
def test_attack_4_no_page_stands_inside_another_site_s(hall, path):
    async def story(hall):
        answer = await hall.browser.client.get(address(path))
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers

    hall(story)


@pytest.mark.parametrize("path", ["/account", "/people", "/people/import", "/account/delete"])
def test_attack_5_what_people_call_themselves_is_text(hall, path):
    async def story(hall):
        evil = '<img src=x onerror="x()">'
        browser = hall.new_browser(**{"user-agent": evil})
        await browser.visit("/sign-in")
        await browser.send("/sign-in", email="ada@example.org", password="correct horse battery")
        await browser.visit("/account")
        assert await browser.send("/account/profile", name=evil) == 200
        await browser.visit(path)
        assert evil not in browser.response.text
        assert not browser.page.find_all(attrs={"onerror": True})
        assert not browser.page.find_all(attrs={"style": True})

    hall(story)
