"""Data for pages, and how tests look at what they show."""

from browsing import PASSWORD, Browser
from pyotp import TOTP

from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.stores import notes, organizations
from keyhall.stores.operate import acts
from keyhall.stores.operate.acts import Wanted


async def used(hall, key, requests=3, organization_id=None, version="v1-sandbox-1"):
    """Usage rows as the ledger's flusher would bring them, summed up."""
    usages = [
        Usage(
            request_id=f"{key.id[4:]}{number:020}",
            key_id=key.id,
            project_id=key.project_id,
            organization_id=organization_id or key.organization_id,
            version=version,
            endpoint=Endpoint.CHAT,
            is_test=False,
            is_stream=False,
            admitted_at_us=hall.now_us - number,
            finished_at_us=hall.now_us,
            first_byte_us=10,
            input_tokens=100,
            output_tokens=50,
            held_tokens=150,
            output_cap=50,
            cost_nano=1_500_000,
            outcome=Outcome.ANSWERED,
            usage_source=UsageSource.COUNTED,
        )
        for number in range(requests)
    ]
    await hall.store.record_usage(usages)
    await hall.store.roll_up()


async def done(hall, action):
    """Audit rows of an act, newest first."""
    async with hall.store.reading() as connection:
        return await notes.audit_rows(connection, action=action)


async def elsewhere(hall):
    """A browser of another organization's owner, and that organization's id and project."""
    browser = await hall.signed_up("Eve")
    async with hall.store.reading() as connection:
        (row,) = await acts.page(connection, None, Wanted("organization.create"), 1)
    (project,) = await projects_of(hall, row.target)
    return browser, row.target, project


async def projects_of(hall, organization_id):
    async with hall.store.reading() as connection:
        return await organizations.list_projects(
            connection, organization_id=organization_id, limit=9
        )


def facts(browser: Browser) -> dict[str, str]:
    """The page's definition lists."""
    return {
        term.get_text(strip=True): " ".join(term.find_next("dd").get_text(" ").split())
        for term in browser.page.find_all("dt")
    }


STEP_S = 30  # of a second factor's clock


async def switched_on(hall):
    """Ada's second factor, and her recovery codes. A step has passed since it was confirmed."""
    browser = hall.browser
    await browser.visit("/account/second-factor")
    await browser.send("/account/second-factor/begin", password=PASSWORD)
    totp = TOTP(browser.page.find(id="secret").get_text().replace(" ", ""))
    assert browser.page.find("img", {"class": "qr"})["src"].startswith("data:image/svg+xml")
    fields = {"code": code(hall, totp)}
    assert await browser.send("/account/second-factor/confirm", **fields) == 200
    codes = browser.page.find(id="codes").get_text().split()
    assert len(codes) == 10
    hall.server.clock.advance(STEP_S)
    return totp, codes


def code(hall, totp):
    return totp.at(hall.now_us // 1_000_000)
