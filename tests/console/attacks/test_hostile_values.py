"""Attack 15 and what people paste: no value of any field of any page is a failure of ours.

Each run tries other values in other fields; `SEED` of a run that failed gives the same again.
"""

import json
import os
import random
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from patience import stretched
from twins import filled, form_of, names_of, names_read, own_address, places_of, routes, twin_of

# Thousands of requests: `make test-slow`.
pytestmark = pytest.mark.slow

SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
SECONDS_MAX = 2.0  # of any answer; each takes milliseconds on a machine that does nothing else
UNSENT = ("/sign-out", "/account/delete", "/account/password", "/account/sessions/end",
          "/sign-in", "/sign-up")  # fmt: skip
HOSTILE = [
    "a\0b", "-1", "-0", "1e999", "NaN", "inf", "0x10", "1_0", "1.", ".1", "1 000", "٣", "²", "½",
    str(2**63 - 1), str(2**63), str(10**18 - 1), "9" * 400, "9" * 5_000,
    "9999-12-31", "0001-01-01", "9999-12", "0000-00", "2027-13-45", "9999-12-31T23:59",
    "0001-01-01T00:00", "2027-02-30", f"{10**18 - 1}-x", f"{10**18}.{10**18}", "1.1.1",
    "../../etc/passwd", "/etc/localtime", "America/New_York", "posixrules", "../UTC",
    "'\";--", "' OR 1=1 --", "%", "_" * 200, "%" * 3_000, "\\", "[]", "{}", "null", "true",
    "\u202e", "\U0010ffff", "\u0130", "\ufdfa" * 50, "e\u0301" * 60, "\r\nx-evil: 1", "\t",
    "=1+1", "{{7*7}}", "<script>", "//evil.example", "x" * 50_000, "\u00e9" * 5_000, "(" * 3_000,
    "a@" + "b." * 120 + "c", "@", "a" * 64 + "@b.example", "::1/64", "0.0.0.0/0", "1.2.3.4/33",
]  # fmt: skip


def values():
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        return HOSTILE
    text = (Path(folder) / "naughty-strings.json").read_text(encoding="utf-8")
    return HOSTILE + [each for each in json.loads(text) if each]


async def answered(browser, method, path, named, **sent):
    headers = {"accept": "text/html", "origin": browser.url, "sec-fetch-site": "same-origin"}
    began = time.perf_counter()
    answer = await browser.client.request(method, path, headers=headers, **sent)
    took = time.perf_counter() - began
    assert answer.status_code < 500, (SEED, method, path, named)
    assert took < stretched(SECONDS_MAX), (SEED, method, path, named, took)
    assert "x-evil" not in answer.headers, (SEED, method, path, named)
    return answer


def tries(page, names, one, chance):
    """Addresses with what is put into which of their fields; None is a part of the address."""
    for _ in range(3 if places_of(page.path) else 0):
        value = chance.choice(ALL)[:5_000]
        yield filled(page.path, quote(value, safe="")), None, value
    for name in names:
        yield own_address(page.path, one), name, chance.choice(ALL)


ALL = values()
KNOWN = names_read()


def test_attack_15_no_value_in_an_address_is_a_failure_of_ours(any_hall):
    async def story(hall):
        chance = random.Random(SEED)
        one = await twin_of(hall, hall.browser, "Ada")
        for page in routes("GET"):
            if page.path == "/live/limits":
                continue
            for path, name, value in tries(page, names_of(page, KNOWN), one, chance):
                params = None if name is None else {name: value}
                await answered(hall.browser, "GET", path, (name, value), params=params)

    any_hall(story)


def test_attack_15_no_value_in_a_form_is_a_failure_of_ours(any_hall):
    async def story(hall):
        chance = random.Random(SEED)
        browser = hall.browser
        one = await twin_of(hall, browser, "Ada")
        await browser.visit("/account")
        token = browser.page.find("meta", {"name": "csrf"})["content"]
        for page in routes("POST"):
            if page.path in UNSENT:
                continue
            names = names_of(page, KNOWN)
            fields = form_of(one, names) | {"organization": one.organization_id, "csrf": token}
            for path, name, value in tries(page, names, one, chance):
                data = fields if name is None else fields | {name: value}
                answer = await answered(browser, "POST", path, (name, value), data=data)
                is_out = answer.headers.get("location", "").startswith("/sign-in")
                assert page.needs == "anyone" or not is_out, path

    any_hall(story)
