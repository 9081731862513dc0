"""Attacks 3 and 4: names that are not ours, forms of other sites, pages inside other pages."""

import asyncio

import pytest
from twins import filled, routes

from keyhall.config import Server
from keyhall.console.routes import ROUTES

POSTS = [page.path for page in routes("POST")]
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def ours(hall):
    return {"origin": hall.server.url, "sec-fetch-site": "same-origin"}


def token_of(browser):
    return browser.page.find("meta", {"name": "csrf"})["content"]


def is_safe(answer):
    """What every answer carries, whatever it is."""
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, (answer.request.url, name)
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def keeps_everything(hall):
    async with hall.store.reading() as connection:
        rows = await connection.exec_driver_sql("SELECT count(*), max(number) FROM audit")
        return tuple(rows.first())


# --- Attack 4 -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_attack_4_no_form_of_any_page_is_taken_from_another_site(hall):
    async def story(hall):
        browser, own = hall.browser, ours(hall)
        await browser.visit("/account")
        token, port = token_of(browser), hall.server.port
        before = await keeps_everything(hall)
        for path in POSTS:
            for headers in (
                {},
                {"origin": "null"},
                {"origin": "https://evil.example"},
                {"origin": f"http://127.0.0.1:{port + 1}"},
                {"origin": f"http://127.0.0.1.:{port}"},
                {"origin": f"http://evil@127.0.0.1:{port}"},
                {"origin": f"http://127.0.0.1:{port}.evil.example"},
                {"origin": f"http://evil.example:{port}", "host": f"evil.example:{port}"},
                {"origin": "http://127.0.0.1"},
                {"origin": ""},
                {"sec-fetch-site": "same-site"},
                {"sec-fetch-site": "none"},
                {**own, "sec-fetch-site": "cross-site"},
                {**own, "origin": "https://evil.example"},
            ):
                sent = {"csrf": token, "name": "x"}
                answer = await browser.client.post(filled(path, "x"), data=sent, headers=headers)
                assert answer.status_code == 403, (path, headers)
        assert await keeps_everything(hall) == before

    hall(story)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain", "application/json", "application/x-www-form-urlencoded-not", "", "text/html",
        "application/x-www-form-urlencoded, text/plain", "multipart/mixed; boundary=x",
        "multipart/form-data; boundary=x; charset=utf-7",
        "multipart/form-data; charset=punycode; boundary=x; a=utf-8",
        'multipart/form-data; charset="utf-8"; charset=idna; boundary=x',
    ],
)  # fmt: skip
def test_attack_4_only_forms_are_forms(hall, kind):
    async def story(hall):
        headers = {**ours(hall), "content-type": kind}
        for path in ("/sign-in", "/theme", "/keys/new"):
            answer = await hall.browser.client.post(path, content=b"x=1", headers=headers)
            assert answer.status_code == 415, path
            is_safe(answer)

    hall(story)


def test_attack_4_a_token_is_good_for_its_own_session_alone(hall):
    async def story(hall):
        bo = await hall.invited("admin")
        await bo.visit("/account")
        await hall.browser.visit("/account")
        own = token_of(hall.browser)
        for token in ("", token_of(bo), own[:-1], own + "0", own.rpartition(".")[2], "." * 40,
                      "\u00e9" * 32):  # fmt: skip
            answer = await hall.browser.client.post(
                "/account/profile", data={"name": "Evil", "csrf": token}, headers=ours(hall)
            )
            assert answer.status_code == 403, token
        await hall.browser.visit("/account")
        assert "Evil" not in hall.browser.text

    hall(story)


def test_attack_4_a_form_acts_on_the_organization_that_its_page_was_of(hall):
    """Two tabs: one is opened, the other turns to another organization, the first is sent."""

    async def story(hall):
        eve = await hall.signed_up()
        await hall.browser.visit("/switch")
        (theirs,) = [each["value"] for each in hall.browser.page.select("[name=organization]")
                     if each["value"] != await hall.organization_id()]  # fmt: skip
        await hall.browser.visit("/projects")
        old = token_of(hall.browser)
        assert await hall.browser.send("/switch", organization=theirs) == 200
        answer = await hall.browser.client.post(
            "/projects", data={"name": "Mine", "csrf": old}, headers=ours(hall)
        )
        assert answer.status_code == 403
        await eve.visit("/projects")
        assert "Mine" not in eve.text
        answer = await hall.browser.client.post("/sign-out", data={"csrf": old}, headers=ours(hall))
        assert answer.status_code == 303  # What is the account's own is done from any page.

    hall(story)


@pytest.mark.slow
def test_attack_4_the_method_is_what_the_request_line_says(hall):
    async def story(hall):
        client = hall.browser.client
        before = await keeps_everything(hall)
        for header in ("x-http-method-override", "x-http-method", "x-method-override"):
            for path in POSTS:
                address = filled(path, "x") + "?_method=POST"
                answer = await client.get(address, headers={header: "POST", **ours(hall)})
                assert answer.status_code < 500, path
        for page in ROUTES:
            for method in ("PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "OPTIONS"):
                answer = await client.request(method, filled(page.path, "x"), headers=ours(hall))
                assert answer.status_code in (404, 405), (method, page.path)
                is_safe(answer)
        assert await keeps_everything(hall) == before

    hall(story)


def test_attack_4_every_answer_forbids_frames_sniffing_and_other_sites(hall):
    async def story(hall):
        browser = hall.browser
        stranger = hall.new_browser()
        await browser.visit("/")
        files = [each.get("src") or each.get("href")
                 for each in browser.page.select("script[src], link[href]")]  # fmt: skip
        paths = [filled(page.path, "nothing") for page in routes("GET")]
        more = [
            "/nothing",
            "/static/nothing",
            "/static/../gate.py",
            "/static/%2e%2e/gate.py",
            "//x",
        ]
        for path in (*paths, *files, *more):
            for client in (browser.client, stranger.client):
                for headers in ({}, {"accept": "application/json"}, {"hx-request": "true"}):
                    async with client.stream("GET", path, headers=headers) as answer:
                        is_safe(answer)
                        assert answer.status_code < 500, path
                        if path not in files:
                            assert answer.headers["cache-control"] == "no-store", path
        for path in POSTS:
            is_safe(await browser.client.post(filled(path, "x"), data={"csrf": "x"}))
            is_safe(await stranger.client.post(filled(path, "x"), headers=ours(hall)))

    hall(story)


def test_attack_4_behind_tls_a_page_without_it_is_another_site(hall):
    async def story(hall):
        client = hall.new_browser().client
        same = {"host": "keys.example.org"}
        sent = {"email": "a@b.example", "password": "x"}
        for origin, status in (("http://keys.example.org", 403), ("https://keys.example.org", 401)):
            headers = {**same, "origin": origin}
            answer = await client.post("/sign-in", data=sent, headers=headers)
            assert answer.status_code == status, origin
        assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"

    hall(story, server=Server(url="https://keys.example.org"))


# --- Attack 3 -------------------------------------------------------------------------------------


def test_attack_3_a_name_that_points_at_this_machine_is_not_its_own(hall):
    """DNS rebinding: a page of evil.example, whose name turns to 127.0.0.1."""

    async def story(hall):
        client, port = hall.new_browser().client, hall.server.port
        fields = {"name": "Eve", "email": "eve@evil.example", "password": "correct horse battery"}
        for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]"):
            host = f"{name}:{port}"
            headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
            answer = await client.post("/sign-up", data=fields, headers=headers)
            assert answer.status_code == 403, name
            assert "settings" in answer.text
        for name in ("localhost", "127.0.0.1", "[::1]"):
            host = f"{name}:{port}"
            headers = {"host": host, "origin": f"http://{host}"}
            answer = await client.post("/theme", data={"theme": "dark"}, headers=headers)
            assert answer.status_code == 303, name

    hall(story)


@pytest.mark.slow
def test_attack_3_no_address_leads_past_the_gate(hall):
    async def story(hall):
        client = hall.new_browser().client
        for path in ("/keys", "/audit.csv", "/settings", "/people", "/organizations"):
            for way in (f"{path}/", f"{path}/.", f"{path};x", f"{path}%00",
                        f"/.{path}", f"/sign-in/..{path}", f"/sign-in/..;{path}",
                        f"/static/..{path}", f"/docs/..{path}", f"/%2e{path}", path.upper(),
                        f"{path}%2f", f"{path}.json", f"{path}%20"):  # fmt: skip
                for headers in ({}, {"x-original-url": path}, {"x-rewrite-url": path},
                                {"x-forwarded-host": "127.0.0.1"}, {"host": "x/sign-in?"},
                                {"x-forwarded-for": "127.0.0.1"}):  # fmt: skip
                    answer = await client.get(way, headers=headers)
                    assert answer.status_code in (303, 400, 404), (way, headers)
                    if answer.status_code == 303:
                        assert answer.headers["location"].startswith("/sign-in"), way
            for raw in (f"/{path}", f"{path}\\", f"http://{hall.server.url[7:]}{path}"):
                assert await raw_status(hall, raw) in (b"303", b"400", b"404"), raw

    hall(story)


async def raw_status(hall, target):
    """The status of an address that a client would mend before it is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hall.server.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.split(b" ")[1]
