"""Rules switched, reported, and reports answered. Each act is an audit row."""

from typing import get_args
from urllib.parse import quote

from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.filter.place import Place, place_of, settings
from keyhall.console.pages.filter.shown import rule_page
from keyhall.flows.filters import manage, reporting
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.filters.rules import Action
from keyhall.policy.forms import written
from keyhall.ports.filters import ReportState
from keyhall.rules import starter

ACTIONS: dict[str, Action] = {action: action for action in get_args(Action)}
CLOSED: dict[str, ReportState] = {"changed": "changed", "kept": "kept"}


def rule_address(place: Place, rule_id: str) -> str:
    return f"{place.path}/rule?id={quote(rule_id, safe='')}"


async def switch(ask: Ask) -> Response:
    """On with what was chosen, or off."""
    place, rule_id = await place_of(ask), ask.text("id")
    is_on = ask.text("on") == "1"
    try:
        percent = given.whole(ask, "percent", "percentage")
        rule = await manage.switch(
            ask.store,
            rule_id,
            is_on=is_on,
            settings=settings(ask),
            action=ACTIONS.get(ask.text("action")),
            percent=percent,
            owner=place.owner,
            **ask.by,
        )
    except NotFound:
        raise
    except Refused as error:
        return await rule_page(ask, place, rule_id, error)
    said = "It is off."
    if rule.is_on and rule.percent:
        said = f"It does this now: {rule.action}, for {rule.percent} % of requests."
    return ask.go(rule_address(place, rule_id), said)


async def switch_starter(ask: Ask) -> Response:
    """The whole starter policy: to flag, or off. What of it does more stays as it is."""
    is_on = ask.text("on") == "1"
    changed = 0
    for rule in starter():
        async with ask.store.reading() as connection:
            stored = await manage.stored_for(connection, manage.HALL)
        now = manage.named(manage.assembled(settings(ask), stored), rule.id)
        if now.is_on != is_on:
            await manage.switch(ask.store, rule.id, is_on=is_on, settings=settings(ask), **ask.by)
            changed += 1
    state = "on" if is_on else "off"
    return ask.go("/filter", f"{changed} rules of the starter policy were turned {state}.")


async def report(ask: Ask) -> Response:
    place, rule_id = await place_of(ask), ask.text("id")
    try:
        made = await reporting.report(
            ask.store,
            rule_id,
            ask.text("said"),
            settings=settings(ask),
            organization_id=place.organization_id,
            owner=place.owner,
            **ask.by,
        )
    except NotFound:
        raise
    except Refused as error:
        return await rule_page(ask, place, rule_id, given.Fault("said", str(error)))
    return ask.go(
        rule_address(place, rule_id), f"Noted as number {made.number}; the answer stands here."
    )


async def answer(ask: Ask) -> Response:
    place, number = await place_of(ask), written.whole(ask.text("number"))
    state = CLOSED.get(ask.text("state"))
    if number is None or state is None:
        raise NotFound("There is no such report.")
    rule_id = ask.text("id")
    try:
        made = await reporting.answer(ask.store, number, state, ask.text("answer"), **ask.by)
    except NotFound:
        raise
    except Refused as error:
        return await rule_page(ask, place, rule_id, given.Fault(f"answer-{number}", str(error)))
    return ask.go(rule_address(place, made.rule_id), f"Number {number} is answered.")


_PROJECT = "/projects/{project}/filter"

ROUTES = (
    Page("POST", "/filter/switch", switch, "operate"),
    Page("POST", "/filter/starter", switch_starter, "operate"),
    Page("POST", "/filter/report", report, "operate"),
    Page("POST", "/filter/answer", answer, "operate"),
    Page("POST", f"{_PROJECT}/switch", switch, "organization.write"),
    Page("POST", f"{_PROJECT}/report", report, "organization.write"),
)
