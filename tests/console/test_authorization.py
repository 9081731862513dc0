"""Who may open which page: every route, every principal, as a table that was read by a person.

`authorization.txt` beside this file is that table. A route without a row fails, and so does a row
that is no longer true. To add one, run this file with `WRITE_TABLE=1` and read the difference.
"""

import os
from pathlib import Path

import pytest

from keyhall.console.routes import ROUTES
from keyhall.policy.people.roles import ROLES

TABLE = Path(__file__).with_name("authorization.txt")
PRINCIPALS = ("anonymous", "forged", "key", *ROLES, "stranger", "operator")
STRANGE_TOKEN = "0" * 32
HEAD = "# method path | " + " ".join(PRINCIPALS)


def address(path: str) -> str:
    """The route with something in each place that exists nowhere."""
    parts = path.split("/")
    return "/".join("nothing" if part.startswith("{") else part for part in parts)


async def verdict(browser, page) -> str:
    """What the gate says: `in`, `door` (sign in first), `no` (not with this role)."""
    where = address(page.path)
    if page.method == "GET":
        async with browser.client.stream("GET", where) as answer:
            if "event-stream" not in answer.headers.get("content-type", ""):
                await answer.aread()
    else:  # With a token of nobody's: what passes the gate is stopped before it does anything.
        answer = await browser.client.post(
            where,
            data={"csrf": STRANGE_TOKEN},
            headers={"origin": browser.url, "sec-fetch-site": "same-origin"},
        )
    if answer.is_redirect and answer.headers["location"].startswith("/sign-in"):
        return "door"
    if answer.status_code == 403 and "Not yours to see" in answer.text:
        return "no"
    assert answer.status_code < 500, (page.method, page.path, answer.status_code)
    return "in"


async def principals(hall):
    key = (await hall.server.make_key()).text.reveal()
    found = {"anonymous": hall.new_browser(), "forged": hall.new_browser(), "key": None}
    found["forged"].client.cookies.set("keyhall", "A" * 43)
    found["key"] = hall.new_browser(authorization=f"Bearer {key}", **{"x-api-key": key})
    found["key"].client.cookies.set("keyhall", key)
    for role in ROLES:
        found[role] = await hall.invited(role)
    found["stranger"] = await hall.signed_up()  # the owner of another organization
    found["operator"] = hall.browser
    return found


async def read_table(hall) -> str:
    browsers = await principals(hall)
    lines = [HEAD]
    for page in ROUTES:
        if page.path in ("/sign-out", "/sign-in"):
            said = ["in" for _ in PRINCIPALS]  # It would end the sessions that are used here.
        else:
            said = [await verdict(browsers[each], page) for each in PRINCIPALS]
        lines.append(f"{page.method} {page.path} | {' '.join(said)}")
    return "\n".join(lines) + "\n"


def test_every_page_lets_in_whom_the_table_says(hall) -> None:
    found = hall(read_table)
    if os.environ.get("WRITE_TABLE"):
        TABLE.write_text(found)
        pytest.skip("the table was written; read it")
    assert found.splitlines() == TABLE.read_text().splitlines()


def test_no_two_routes_answer_the_same_address() -> None:
    rows = [(page.method, page.path) for page in ROUTES]
    assert len(rows) == len(set(rows))


def test_what_changes_something_is_never_a_get() -> None:
    for page in ROUTES:
        assert page.method in ("GET", "POST"), page
