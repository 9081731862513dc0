"""Attacks 13 and 19, and I-4: what lets somebody in is on one page, once, and nowhere else."""

import logging
import re

from browsing import PASSWORD
from console_data import code, switched_on
from twins import form_of, names_of, names_read, own_address, routes, twin

from keyhall.config import Log, Upstream
from keyhall.flows.accounts import resets
from keyhall.logs import JsonLines
from keyhall.ports.records import Actor
from keyhall.stores.accounts import people

WRONG, NEW = "a wrong battery staple", "yet another battery"
UPSTREAM = "sk-upstream-0123456789abcdefghijklmnop"
SHOWN_ONCE = {"/keys/new", "/keys/{key_id}/rotate", "/playground/key", "/people/import/keys",
              "/people/invite", "/first-run/key", "/account/second-factor/confirm",
              "/account/second-factor/codes"}  # fmt: skip


class Kept(logging.Handler):
    """Every line as it would be written, but for those of the client that the test asks with."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []
        self.setFormatter(JsonLines())

    def emit(self, record):
        if not record.name.startswith(("httpx", "httpcore")):
            self.lines.append(self.format(record))


async def secrets_of(hall, one):
    """What people hold after they have done everything, as it is written down nowhere."""
    found = {PASSWORD, WRONG, NEW, UPSTREAM}
    totp, codes = await switched_on(hall)
    found |= {totp.secret, *codes}
    for browser in (hall.browser, one.browser):
        found.add(browser.client.cookies["keyhall"])
    wrong = hall.new_browser()
    await wrong.visit("/sign-in")
    await wrong.send("/sign-in", email="ada@example.org", password=WRONG)
    await wrong.send("/sign-in", email=WRONG, password=PASSWORD)
    await wrong.send("/sign-in", email="ada@example.org", password=PASSWORD)
    found.add(wrong.client.cookies["keyhall"])
    await wrong.send("/second-factor", code=code(hall, totp))
    found.add(wrong.client.cookies["keyhall"])
    browser = hall.browser
    await browser.visit("/people")
    await browser.send("/people/invite", email="", role="member")
    link = browser.page.find(id="invitation").get_text()
    found.add(link.rpartition("/")[2])
    await hall.new_browser().visit(link.removeprefix(hall.server.url))
    async with hall.store.writing() as connection:
        ada = await people.by_email(connection, "ada@example.org")
        address = await resets.hand_over(
            connection, ada, hall.server.url, actor=Actor("tests", "tests"), now_us=hall.now_us
        )
    found.add(address.reveal().rpartition("/")[2])
    await wrong.visit(address.reveal().removeprefix(hall.server.url))
    return found | await texts_of_keys(hall, one)


async def texts_of_keys(hall, one):
    """Keys, as every page that makes one shows them."""
    known, found = names_read(), set()
    browser = one.browser
    for page in routes("POST"):
        if page.path in SHOWN_ONCE and page.path != "/first-run/key":
            await browser.visit("/account")
            fields = form_of(one, names_of(page, known)) | {"class": "class_ABCDEFGHIJKL"}
            path = own_address(page.path, one)
            answer = browser.response
            if await browser.send(path, **fields, follow=False) == 200:
                answer = browser.response
                assert answer.headers["cache-control"] == "no-store", page.path
                found |= set(re.findall(r"sk-kh_[0-9A-Za-z_-]{40,}", answer.text))
    assert len(found) >= 3
    return found


def test_i4_nothing_that_lets_somebody_in_is_logged_kept_or_shown_again(hall):
    kept, root = Kept(), logging.getLogger()
    root.addHandler(kept)
    level, root.level = root.level, logging.DEBUG

    async def story(hall):
        one = await twin(hall, "Eve")
        secrets = await secrets_of(hall, one)
        for name in list(secrets):
            await hall.browser.visit(f"/{name}")
            await hall.browser.client.get("/v1/models", headers={"authorization": f"Bearer {name}"})
        hall.server.hall.log_failure("0" * 32, ValueError(PASSWORD))
        shown = await everything_shown(hall, one)
        data = b"".join(path.read_bytes() for path in hall.server.data.rglob("*") if path.is_file())
        for secret in secrets:
            assert not [line for line in kept.lines if secret in line], secret
            assert secret.encode() not in data, secret
            assert not [path for path, text in shown.items() if secret in text], secret
        for path, text in shown.items():
            assert "$argon2" not in text, path

    try:
        hall(story, log=Log(requests="all", level="debug"), upstream=Upstream(api_key=UPSTREAM),
             environ={"OPENAI_API_KEY": UPSTREAM})  # fmt: skip
    finally:
        root.removeHandler(kept)
        root.level = level


async def everything_shown(hall, one):
    """Every page that only shows, by the operator and by the owner."""
    found = {}
    for browser in (hall.browser, one.browser):
        for page in routes("GET"):
            if page.path == "/live/limits":
                continue
            path = own_address(page.path, one)
            answer = await browser.client.get(path)
            found[f"{path} {browser is one.browser}"] = answer.text
    return found


def test_attack_13_no_page_with_a_token_in_its_address_leads_outside(hall):
    async def story(hall):
        await hall.browser.visit("/people")
        await hall.browser.send("/people/invite", email="", role="member")
        link = hall.browser.page.find(id="invitation").get_text().removeprefix(hall.server.url)
        browser = hall.new_browser()
        await browser.visit(link)
        assert browser.response.headers["referrer-policy"] == "same-origin"
        outside = [each for each in browser.links() if not each.startswith(("/", "#"))]
        assert not outside
        await browser.client.get(link, headers={"referer": hall.server.url + link})

    hall(story)
