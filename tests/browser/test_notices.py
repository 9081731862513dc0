"""Notices to a key's owner in a real browser: sound, and closed by what they offer."""

import json
import sqlite3
import time
import urllib.request

import pytest
from patience import PATIENCE_SECONDS

LOOKS = [("light", 1280), ("dark", 360)]


def new_key(window, name):
    window.go("/keys/new")
    window.page.fill("#f-name", name)
    window.page.click("text=Create the key")
    return window.page.locator("#secret").inner_text().strip()


def id_of(key):
    return f"key_{key.split('_')[2]}"


def reported(opened, key, url):
    body = json.dumps({"keys": [key], "url": url, "source": "a build's log"}).encode()
    request = urllib.request.Request(opened.url + "/v1/keyhall/leaks", body)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        assert json.load(answer)["data"][0]["state"] == "revoked"


def wandered(opened, key_id):
    """As the watch would write it."""
    now_us = time.time_ns() // 1_000
    facts = {
        "networks": 143,
        "networks_today": 160,
        "bound": 20,
        "usual": 1.6,
        "first_us": now_us - 1_500_000_000,
        "last_us": now_us - 2_000_000,
        "examples": [f"198.51.{number}.0/24" for number in range(9)] + ["2001:db8:7::/48"],
    }
    with sqlite3.connect(
        opened.premises.data / "keyhall.db", timeout=PATIENCE_SECONDS
    ) as connection:
        connection.execute(
            "INSERT INTO notices (kind, key_id, account_id, organization_id, at_us, facts, "
            "attempts, next_try_us) SELECT 'wandering', keys.id, keys.account_id, "
            "projects.organization_id, ?, ?, 0, ? FROM keys JOIN projects "
            "ON projects.id = keys.project_id WHERE keys.id = ?",
            (now_us, json.dumps(facts), now_us, key_id),
        )
    connection.close()


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(
            {"color_scheme": scheme, "viewport": {"width": width, "height": 800}},
            id=f"{scheme}-{width}",
        )
        for scheme, width in LOOKS
    ],
    indirect=True,
)
def test_an_owner_sees_what_leaked_and_wandered_and_closes_it(
    window, opened, picture, findings, request
) -> None:
    look = request.node.callspec.id
    leaky, app = (new_key(window, f"{name} {look}") for name in ("leaky", "app"))
    reported(opened, leaky, "https://github.example/o/r/blob/main/" + "deep/" * 40 + ".env")
    wandered(opened, id_of(app))
    faults = []
    pages = {
        "home": "/",
        "keys": "/keys",
        "leaked": f"/keys/{id_of(leaky)}",
        "wandering": f"/keys/{id_of(app)}",
    }
    for name, path in pages.items():
        window.go(path)
        picture(window, f"notices-{name}-{look}")
        faults += [f"{path}: {each}" for each in findings(window)]
        wide = window.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        faults += [f"{path}: {wide} px stick out"] if wide > 0 else []
    assert faults == []
    window.page.click("text=This is expected")
    window.page.wait_for_selector("text=told again at twice as many")
    window.go(pages["leaked"])
    window.page.click("text=I have seen it")
    window.page.wait_for_selector("text=The notice is closed")
    assert window.page.locator(".notice").count() == 0
