"""Rules tried on what was said in the last days, where it is kept: numbers, and requests to look
at, which leaves a row in their owner's audit as any look does."""

from typing import Any

from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.filter.place import Place, place_of, rules_of
from keyhall.console.pages.filter.shown import listed
from keyhall.flows.content.retention import InForce
from keyhall.flows.filters import manage, past
from keyhall.flows.filters.past import Past
from keyhall.flows.manage.organizations import organization_by, project_by
from keyhall.policy.content.retention import DAY_US
from keyhall.policy.filters.rules import Rule
from keyhall.stores.content.sealing import Vault
from keyhall.stores.content.walking import Span

LOOKED_MAX = 2_000  # somebody waits for the page; the command line takes more
SPANS = {"1": 1, "7": 7, "30": 30}  # days


async def try_past(ask: Ask) -> Response:
    place = await place_of(ask)
    rules = [each.rule for each in await rules_of(ask, place)]
    wanted = ask.text("rule")
    if wanted:
        rules = [manage.named(rules, wanted)]
    days = SPANS.get(ask.text("days"))
    if days is None:
        return await listed(ask, place, given.Fault("days", "Choose 1, 7 or 30 days."))
    return await listed(ask, place, past=await on_past(ask, place, rules, days))


async def on_past(ask: Ask, place: Place, rules: list[Rule], days: int = 1) -> dict[str, Any]:
    """For the template. Requests are linked for whoever may look at them."""
    span = Span(ask.now_us - days * DAY_US, place.organization_id, place.project_id)
    found = await past.tried(
        ask.store, Vault(ask.console.peppers), rules, span, looked_max=LOOKED_MAX, **ask.by
    )
    why = "" if found.kept else await _why_nothing(ask, place)
    return {"found": found, "rows": _rows(ask, found), "why": why}


def _rows(ask: Ask, found: Past) -> list[tuple[Any, str, list[str]]]:
    own = ask.person.organization_id if ask.person.may("content.read") else None
    return [
        (
            each,
            f"{found.share(each.either):.1%}",
            [one.id for one in each.examples if one.organization_id == own],
        )
        for each in found.hitting
    ]


async def _why_nothing(ask: Ask, place: Place) -> str:
    """Who says that nothing is kept."""
    if place.organization_id is None:
        return ""
    async with ask.store.reading() as connection:
        project = await project_by(connection, place.owner.id)
        organization = await organization_by(connection, place.organization_id)
    bound = ask.console.config.privacy.retention_days_max
    said = InForce(None, project.retention_days, organization.retention_days_max, bound)
    return said.explain()


ROUTES = (
    Page("POST", "/filter/past", try_past, "operate"),
    Page("POST", "/projects/{project}/filter/past", try_past, "organization.write"),
)
