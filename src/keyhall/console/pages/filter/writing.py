"""Rules written in a form: added, changed, brought back, removed. What can be seen of one before it
holds is in the same form: whether its sentences come out right, and what it would have hit."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.filter.acts import rule_address
from keyhall.console.pages.filter.place import Place, place_of, rules_of, settings
from keyhall.console.pages.filter.tried import on_past
from keyhall.flows.filters import manage
from keyhall.flows.filters.manage import Seen, Unusable, WrongSentence
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.policy.filters.rules import ACTIONS, CATEGORIES, Rule
from keyhall.policy.filters.written.fields import (
    KINDS,
    FieldRefused,
    fields_of,
    kept_besides,
    rule_of,
)
from keyhall.policy.forms import written
from keyhall.stores.filters import versions

NEW = {
    "kind": "terms",
    "direction": "both",
    "action": "flag",
    "percent": "10",
}
FIELDS = (
    "id", "kind", "looks", "lists", "category", "direction", "action", "percent", "reason",
    "owner", "finds", "passes",
)  # fmt: skip


async def form(ask: Ask) -> Response:
    """Empty, or with the rule of an id, or with one of its versions."""
    place, rule_id = await place_of(ask), ask.query("id")
    if not rule_id:
        return _page(ask, place, None, NEW | {"owner": ask.person.account.name})
    old = await _own(ask, place, rule_id)
    rule = old.rule
    number = written.whole(ask.query("version"))
    if number is not None:
        rule = await _version(ask, place, rule_id, number)
    return _page(ask, place, old, fields_of(rule))


async def save(ask: Ask) -> Response:
    """Keep it, or only say what it would do."""
    place = await place_of(ask)
    old = await _own(ask, place, ask.text("was")) if ask.text("was") else None
    texts = {name: ask.text(name).replace("\r\n", "\n") for name in FIELDS}
    if old is not None:
        texts["id"] = old.rule.id
    try:
        rule = kept_besides(rule_of(texts), None if old is None else old.rule)
        manage.usable(rule)
        if ask.text("try"):
            return _page(ask, place, old, texts, past=await on_past(ask, place, [rule]))
        await manage.write(
            ask.store,
            rule,
            settings=settings(ask),
            owner=place.owner,
            seen_us=written.whole(ask.text("seen")) or 0,
            **ask.by,
        )
    except (FieldRefused, Refused) as error:
        return _page(ask, place, old, texts, _fault(error))
    said = "It holds from now on." if rule.is_on and rule.percent else "It is kept, and off."
    return ask.go(rule_address(place, rule.id), said)


def _fault(error: FieldRefused | Refused) -> Refused:
    """Beside its field."""
    if isinstance(error, FieldRefused | WrongSentence):
        return given.Fault(error.field, str(error))
    return given.Fault("looks", str(error)) if isinstance(error, Unusable) else error


async def remove(ask: Ask) -> Response:
    place, rule_id = await place_of(ask), ask.text("id")
    await _own(ask, place, rule_id)
    await manage.remove(ask.store, rule_id, owner=place.owner, **ask.by)
    return ask.go(place.path, f"{rule_id} is gone.")


async def _own(ask: Ask, place: Place, rule_id: str) -> Seen:
    """One that was written here; others are read-only, and say where they come from."""
    for each in await rules_of(ask, place):
        if each.rule.id == rule_id:
            if each.origin != place.owner.scope or each.rule.stage not in KINDS:
                raise Invalid(f"{rule_id} was not written here: it can be switched, not edited.")
            return each
    raise NotFound(f"There is no rule {rule_id[:80]}.")


async def _version(ask: Ask, place: Place, rule_id: str, number: int) -> Rule:
    owner = place.owner
    async with ask.store.reading() as connection:
        found = await versions.of_rule(
            connection, owner.scope, owner.id, rule_id, versions.VERSIONS_MAX
        )
    for each in found:
        if each.version == number and each.rule is not None:
            return each.rule
    raise NotFound(f"Of {rule_id} there is no version {number} any more.")


def _page(
    ask: Ask,
    place: Place,
    old: Seen | None,
    texts: Mapping[str, str],
    error: Refused | None = None,
    *,
    past: dict[str, Any] | None = None,
) -> Response:
    kept = None if old is None else old.kept
    return ask.page(
        "filter/write.html",
        400 if error else 200,
        place=place,
        old=None if old is None else old.rule,
        seen=ask.text("seen") or ("0" if kept is None else str(kept.changed_at_us)),
        form=given.Words(texts),
        faults=given.faults_of(error),
        actions=ACTIONS,
        categories=CATEGORIES,
        past=past,
    )


_PROJECT = "/projects/{project}/filter"

ROUTES = (
    Page("GET", "/filter/write", form, "operate"),
    Page("POST", "/filter/write", save, "operate"),
    Page("POST", "/filter/remove", remove, "operate"),
    Page("GET", f"{_PROJECT}/write", form, "organization.write"),
    Page("POST", f"{_PROJECT}/write", save, "organization.write"),
    Page("POST", f"{_PROJECT}/remove", remove, "organization.write"),
)
