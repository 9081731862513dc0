"""Who asks for higher limits: granted, or declined with a sentence."""

from dataclasses import dataclass

from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.manage import asks as manage
from keyhall.flows.manage.asks import Given
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.forms import written
from keyhall.policy.limits import Limits
from keyhall.ports import people
from keyhall.ports.people import AskState
from keyhall.stores import keys, organizations
from keyhall.stores.operate import acts
from keyhall.stores.operate import asks as rows

LISTED = 200
STATES: dict[str, AskState] = {"open": "open", "granted": "granted", "declined": "declined"}


@dataclass(frozen=True, slots=True)
class Shown:
    """An ask with what is in force now, of the key or the organization that it is about."""

    ask: people.Ask
    who: str
    organization: str
    key: str | None
    limits: Limits
    tier: str | None
    wanted: dict[str, int]


async def show(ask: Ask) -> Response:
    return await _page(ask)


async def _page(ask: Ask, error: Refused | None = None, number: int = 0) -> Response:
    state = STATES.get(ask.query("state"), "open")
    async with ask.store.reading() as connection:
        found = await rows.newest(connection, state=state, limit=LISTED)
        ids = {id for each in found for id in (each.organization_id, each.account_id, each.key_id)}
        ids |= {(each.answered_by or "").removeprefix("account:") for each in found}
        names = await acts.names(connection, [each for each in ids if each])
        shown = []
        for each in found:
            key = await keys.find(connection, each.key_id) if each.key_id else None
            place = (await organizations.find_organization(connection, each.organization_id))[0]
            shown.append(
                Shown(
                    ask=each,
                    who=names.get(each.account_id, each.account_id),
                    organization=place.name,
                    key=names.get(each.key_id, each.key_id) if each.key_id else None,
                    limits=key.limits if key else place.limits,
                    tier=key.tier if key else place.tier,
                    wanted=rows.wanted_of(each),
                )
            )
    return ask.page(
        "operate/asks.html",
        400 if error else 200,
        shown=shown,
        names=names,
        state=state,
        states=list(STATES),
        tiers=ask.console.tiers(),
        faults=given.faults_of(error),
        refused=number if number in {each.number for each in found} else 0,
        form=given.sent(ask),
    )


def _number(ask: Ask) -> int:
    number = written.whole(ask.path("number"))
    if number is None:
        raise NotFound("There is no such ask.")
    return number


async def grant(ask: Ask) -> Response:
    number = _number(ask)
    try:
        wanted = Given(given.limits(ask), ask.text("tier") or None)
        await manage.grant(
            ask.store, number, wanted, ask.text("said"), tiers=ask.console.tiers(), **ask.by
        )
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, error, number)
    return ask.go("/organizations/asks", "Granted: the limits are in force.")


async def decline(ask: Ask) -> Response:
    number = _number(ask)
    try:
        await manage.decline(ask.store, number, ask.text("said"), **ask.by)
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, given.Fault("said", str(error)), number)
    return ask.go("/organizations/asks", "Declined; whoever asked reads why.")


ROUTES = (
    Page("GET", "/organizations/asks", show, "operate"),
    Page("POST", "/organizations/asks/{number}/grant", grant, "operate"),
    Page("POST", "/organizations/asks/{number}/decline", decline, "operate"),
)
