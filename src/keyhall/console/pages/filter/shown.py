"""The rules there are, one of them with its sentences, and a text tried on all of them."""

from typing import Any

from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.filter.place import Place, grouped, place_of, rules_of
from keyhall.flows.filters import manage, reporting
from keyhall.flows.filters.trial import Trial, around, counting, marked, tried
from keyhall.flows.manage.checks import Refused
from keyhall.policy.filters.rules import ACTIONS, Way
from keyhall.policy.filters.written.fields import KINDS
from keyhall.stores.filters import reports, versions
from keyhall.stores.operate import acts

REPORTS_SHOWN = 50
PROJECTS_SHOWN = 20  # of those that a rule hit in
TRIED_CHARACTERS_MAX = 20_000
HITS_SHOWN = 100
VERSIONS_SHOWN = 20


async def show(ask: Ask) -> Response:
    return await listed(ask, await place_of(ask))


async def try_text(ask: Ask) -> Response:
    """Nothing of the text is kept."""
    place = await place_of(ask)
    text = ask.text("text").replace("\r\n", "\n")
    way: Way = "out" if ask.text("direction") == "out" else "in"
    if not text.strip():
        return await listed(ask, place, given.Fault("text", "Paste a text to try."))
    if len(text) > TRIED_CHARACTERS_MAX:
        said = f"It has {len(text):,} characters; {TRIED_CHARACTERS_MAX:,} fit here. "
        said += "`keyhall filters test FILE` takes larger ones."
        return await listed(ask, place, given.Fault("text", said))
    rules = [each.rule for each in await rules_of(ask, place)]
    policy = await ask.console.hall.policies.compiled(counting(rules))
    return await listed(ask, place, trial=tried(text, rules, policy, way), text=text)


async def listed(
    ask: Ask,
    place: Place,
    error: Refused | None = None,
    *,
    trial: Trial | None = None,
    text: str = "",
    past: dict[str, Any] | None = None,
) -> Response:
    found = await rules_of(ask, place)
    async with ask.store.reading() as connection:
        waiting = await reports.newest(
            connection, limit=REPORTS_SHOWN, state="open", project_id=place.project_id
        )
    return ask.page(
        "filter/list.html",
        400 if error else 200,
        place=place,
        groups=grouped(found),
        on=sum(each.rule.is_on for each in found),
        waiting=waiting,
        trial=None if trial is None else _trial(trial, text),
        past=past,
        rules=sorted(each.rule.id for each in found),
        form=given.sent(ask, direction="in", days="1", rule=""),
        faults=given.faults_of(error),
    )


def _trial(trial: Trial, text: str) -> dict[str, Any]:
    actions = {each.rule.id: each.rule.action if each.is_on else "off" for each in trial.found}
    order = ("off", *ACTIONS)
    pieces = [
        (piece, rules, max((actions[rule] for rule in rules), key=order.index, default=""))
        for piece, rules in marked(text, trial.found)
    ]
    hits = [(each, around(text, each)) for each in trial.found[:HITS_SHOWN]]
    return {
        "pieces": pieces,
        "hits": hits,
        "count": len(trial.found),
        "action": trial.action,
        "on": sum(each.is_on for each in trial.found),
    }


async def show_rule(ask: Ask) -> Response:
    return await rule_page(ask, await place_of(ask), ask.query("id"))


async def rule_page(ask: Ask, place: Place, rule_id: str, error: Refused | None = None) -> Response:
    found = await rules_of(ask, place)
    rule = manage.named([each.rule for each in found], rule_id)
    seen = next(each for each in found if each.rule is rule)
    async with ask.store.reading() as connection:
        said = await reports.newest(
            connection,
            limit=REPORTS_SHOWN,
            rule_id=rule.id,
            project_id=place.project_id,
        )
        where = []
        if place.is_hall:
            where = await reporting.by_project(connection, rule.id, PROJECTS_SHOWN)
        changes = await versions.of_rule(
            connection, place.owner.scope, place.owner.id, rule.id, VERSIONS_SHOWN
        )
        who = [each.changed_by.removeprefix("account:") for each in changes]
        names = await acts.names(connection, who)
    return ask.page(
        "filter/rule.html",
        400 if error else 200,
        place=place,
        seen=seen,
        rule=rule,
        reports=said,
        where=where,
        changes=[
            (each, names.get(by, each.changed_by)) for each, by in zip(changes, who, strict=True)
        ],
        is_own=seen.origin == place.owner.scope and rule.stage in KINDS,
        actions=ACTIONS,
        form=given.sent(ask, action=rule.action, percent=rule.percent, said=""),
        faults=given.faults_of(error),
    )


_PROJECT = "/projects/{project}/filter"

ROUTES = (
    Page("GET", "/filter", show, "operate"),
    Page("POST", "/filter/try", try_text, "operate"),
    Page("GET", "/filter/rule", show_rule, "operate"),
    Page("GET", _PROJECT, show, "everything"),
    Page("POST", f"{_PROJECT}/try", try_text, "everything"),
    Page("GET", f"{_PROJECT}/rule", show_rule, "everything"),
)
