"""Organizations of the hall, for whoever runs it: found, limited, billed, suspended."""

from dataclasses import replace

import msgspec
from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.manage import organizations as manage
from keyhall.flows.manage import quotas
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.forms import written
from keyhall.policy.quotas import span
from keyhall.policy.tiers import tier_now
from keyhall.stores import organizations
from keyhall.stores.operate import asks, places
from keyhall.stores.operate.places import SeenOrganization
from keyhall.stores.spending.take_in import zone_of

PAGE = 50
PAGES_MAX = 20_000
PROJECTS_SHOWN = 100
STATES = ("active", "suspended")


def _month_us(now_us: int, zone: str = "UTC") -> int:
    return span("month", now_us, zone_of(zone)).begins_us


async def show_all(ask: Ask) -> Response:
    page = min(max(1, written.whole(ask.query("page")) or 1), PAGES_MAX)
    state = ask.query("state") if ask.query("state") in STATES else ""
    async with ask.store.reading() as connection:
        found = await places.list_organizations(
            connection,
            search=ask.query("search").strip(),
            state=state,
            since_us=_month_us(ask.now_us),
            offset=(page - 1) * PAGE,
            limit=PAGE + 1,
        )
        waiting = await asks.count_open(connection)
    return ask.page(
        "operate/organizations.html",
        found=found[:PAGE],
        page=page,
        has_more=len(found) > PAGE,
        states=STATES,
        waiting=waiting,
    )


async def _find(ask: Ask) -> SeenOrganization:
    wanted = ask.path("organization")
    async with ask.store.reading() as connection:
        found = await places.find_organization(connection, wanted, _month_us(ask.now_us))
    if found is None:
        raise NotFound(f"There is no organization {wanted}.")
    return found


async def show(ask: Ask) -> Response:
    return await _page(ask, await _find(ask))


async def _page(ask: Ask, seen: SeenOrganization, error: Refused | None = None) -> Response:
    place = seen.organization
    async with ask.store.reading() as connection:
        projects = await organizations.list_projects(
            connection, organization_id=place.id, limit=PROJECTS_SHOWN
        )
    tiers = ask.console.tiers()
    now = None
    if place.tier is not None and place.tier in tiers:
        now = tier_now(tiers[place.tier], place.billing_activated_at_us, ask.now_us)
    limits = {
        name: None if value is None else f"{value:,}"
        for name, value in msgspec.to_builtins(place.limits).items()
    }
    return ask.page(
        "operate/organization.html",
        400 if error else 200,
        seen=seen,
        projects=projects,
        tiers=sorted(tiers),
        tier=now,
        form=given.sent(ask, tier=place.tier, zone=place.time_zone, at="", **limits),
        faults=given.faults_of(error),
        is_member=any(each.organization_id == place.id for each in ask.person.memberships),
    )


async def limit(ask: Ask) -> Response:
    seen = await _find(ask)
    try:
        wanted = given.limits(ask)
        tier = ask.text("tier") or None
        after = await manage.set_limits(
            ask.store,
            seen.organization.id,
            lambda now: replace(now, limits=wanted, tier=tier),
            tiers=ask.console.tiers().keys(),
            **ask.by,
        )
    except Refused as error:
        return await _page(ask, seen, error)
    return ask.go(f"/organizations/{after.id}", f"The limits of {after.name} are in force.")


async def bill(ask: Ask) -> Response:
    seen = await _find(ask)
    try:
        at_us = given.day_us(ask.text("at"), "at")
        after = await manage.activate_billing(
            ask.store, seen.organization.id, at_us=at_us, **ask.by
        )
    except Refused as error:
        fault = error if isinstance(error, given.Fault) else given.Fault("at", str(error))
        return await _page(ask, seen, fault)
    return ask.go(f"/organizations/{after.id}", f"Billing of {after.name} is activated.")


async def suspend(ask: Ask) -> Response:
    seen = await _find(ask)
    after = await manage.suspend(ask.store, seen.organization.id, **ask.by)
    return ask.go(f"/organizations/{after.id}", f"Suspended {after.name}: its keys are refused.")


async def resume(ask: Ask) -> Response:
    seen = await _find(ask)
    after = await manage.resume(ask.store, seen.organization.id, **ask.by)
    return ask.go(f"/organizations/{after.id}", f"Resumed {after.name}.")


async def set_zone(ask: Ask) -> Response:
    seen = await _find(ask)
    try:
        after = await quotas.set_zone(
            ask.store, seen.organization.id, ask.text("zone").strip(), **ask.by
        )
    except Refused as error:
        return await _page(ask, seen, given.Fault("zone", str(error)))
    return ask.go(f"/organizations/{after.id}", f"Its days begin in {after.time_zone} now.")


ROUTES = (
    Page("GET", "/organizations", show_all, "operate"),
    Page("GET", "/organizations/{organization}", show, "operate"),
    Page("POST", "/organizations/{organization}/limits", limit, "operate"),
    Page("POST", "/organizations/{organization}/billing", bill, "operate"),
    Page("POST", "/organizations/{organization}/suspend", suspend, "operate"),
    Page("POST", "/organizations/{organization}/resume", resume, "operate"),
    Page("POST", "/organizations/{organization}/zone", set_zone, "operate"),
)
