"""Attack 2: every id that another organization has, in every place of every page.

What is another organization's answers as what exists nowhere, to the letter; and nothing that one
organization sends changes a row of another.
"""

import itertools
import os
import random
import re

import pytest
from twins import (
    filled,
    form_of,
    names_of,
    names_read,
    nobodys,
    own_address,
    places_of,
    plain,
    routes,
    rows_of,
    twin_of,
    twins,
)

# Thousands of requests: `make test-slow`.
pytestmark = pytest.mark.slow

KNOWN = names_read()
SKIPPED = {"/sign-out", "/account/sessions/end-others", "/account/delete", "/live/limits"}
TEXT = re.compile("html|json|csv|plain|event-stream")


def some_of(other, name, chance):
    """The ids that a name may mean, and two that it does not; all, if ALL_IDS is set."""
    all_of = list(other.ids.items())
    if os.environ.get("ALL_IDS"):
        return all_of
    meant = [each for each in all_of if name in each[0] or each[0] in name]
    return dict(meant + chance.sample(all_of, 2)).items()


async def told(browser, method, path, id, *, params=None, data=None):
    """Status, where it sends, and what it says."""
    headers = {"origin": browser.url, "sec-fetch-site": "same-origin"}
    answer = await browser.client.request(method, path, params=params, data=data, headers=headers)
    assert answer.status_code < 500, (method, path, params, data)
    said = answer.text if TEXT.search(answer.headers.get("content-type", "")) else ""
    return answer.status_code, plain(answer.headers.get("location", ""), id), plain(said, id)


def test_attack_2_no_address_of_another_organization_s_tells_anything(hall):
    async def story(hall):
        chance = random.Random(1)
        mine, other = await twins(hall)
        for page in routes("GET"):
            if not places_of(page.path):
                continue
            for kind, id in other.ids.items():
                nobody = nobodys(id, chance)
                theirs = await told(mine.browser, "GET", filled(page.path, id), id)
                none = await told(mine.browser, "GET", filled(page.path, nobody), nobody)
                assert theirs == none, (page.path, kind)

    hall(story)


def test_attack_2_no_filter_of_another_organization_s_tells_anything(hall):
    async def story(hall):
        chance = random.Random(2)
        mine, other = await twins(hall)
        for page in routes("GET"):
            if page.path in SKIPPED or page.needs == "anyone":
                continue
            path = filled(page.path, mine.ids["key"])
            for name in names_of(page, KNOWN):
                for kind, id in other.ids.items():
                    nobody = nobodys(id, chance)
                    theirs = await told(mine.browser, "GET", path, id, params={name: id})
                    none = await told(mine.browser, "GET", path, nobody, params={name: nobody})
                    assert theirs == none, (page.path, name, kind)

    hall(story)


UNSENT = {"/sign-out", "/account/delete", "/account/sessions/end-others"}


def test_attack_2_no_form_reaches_another_organization(hall):
    async def story(hall):
        chance = random.Random(3)
        mine, other = await twins(hall)
        before = await rows_of(hall, other)
        await mine.browser.visit("/account")
        token = mine.browser.page.find("input", {"name": "csrf"})["value"]
        for page in routes("POST"):
            if page.path in UNSENT or page.needs == "anyone":
                continue
            names = names_of(page, KNOWN)
            fields = form_of(mine, names) | {"csrf": token}
            own = own_address(page.path, mine)
            for kind, id in other.ids.items() if places_of(page.path) else ():
                nobody = nobodys(id, chance)
                theirs = await sent(mine.browser, filled(page.path, id), id, fields)
                none = await sent(mine.browser, filled(page.path, nobody), nobody, fields)
                assert theirs == none, (page.path, kind)
            for name in names:
                for id in dict(some_of(other, name, chance)).values():
                    nobody = nobodys(id, chance)
                    theirs = await sent(mine.browser, own, id, fields | {name: id})
                    none = await sent(mine.browser, own, nobody, fields | {name: nobody})
                    # What was done to something of one's own is done once, whatever came with it.
                    assert theirs == none or theirs[0] == 303 or name == "name", (page.path, name)
            assert await rows_of(hall, other) == before, page.path

    hall(story)


async def sent(browser, path, id, fields):
    """What became of a form; lists of what there is grow from one to the next."""
    if fields.get("name") == "A name":
        fields = fields | {"name": f"A name {next(NUMBERS)}"}
    status, where, said = await told(browser, "POST", path, id, data=fields)
    assert not where.startswith("/sign-in"), path
    alerts = re.findall(r'class="(?:fault|alert)[^>]*>(.*?)</', said, re.S)
    return status, DRAWN.sub("DRAWN", where), [DRAWN.sub("DRAWN", each) for each in alerts]


NUMBERS = itertools.count(1000)
DRAWN = re.compile(r"(?:key|proj|quota|acct|link|class)_[0-9A-Za-z]{12}")


def test_attack_2_a_member_learns_nothing_of_another_member_s(hall):
    """Within an organization, who may not see everything sees their own alone."""

    async def story(hall):
        chance = random.Random(4)
        ada = hall.browser
        one = await twin_of(hall, ada, "Ada")
        bo = await hall.invited("member")
        await bo.visit("/account")
        token = bo.page.find("input", {"name": "csrf"})["value"]
        for kind in ("organization", "project", "alert", "ask"):
            one.ids.pop(kind)  # Those are everybody's, or of operators.
        for page in (*routes("GET"), *routes("POST")):
            if page.path in SKIPPED or page.needs == "anyone":
                continue
            tried = [(None, id) for id in one.ids.values() if places_of(page.path)]
            for name in names_of(page, KNOWN) if page.needs in MEMBERS else ():
                tried += [(name, id) for id in dict(some_of(one, name, chance)).values()]
            for name, id in tried:
                theirs = await told_with(bo, page, name, id, token)
                assert theirs == await told_with(bo, page, name, nobodys(id, chance), token), (
                    page.path,
                    name,
                    id,
                )

    hall(story)


MEMBERS = ("keys.read", "usage.read", "home")


async def told_with(browser, page, name, id, token):
    """An id in the address itself, or in a part of the query that has this name."""
    return await told(
        browser,
        page.method,
        filled(page.path, id if name is None else "x"),
        id,
        params=None if name is None else {name: id},
        data=None if page.method == "GET" else {"csrf": token, "name": "x"},
    )
