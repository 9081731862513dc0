"""What people do to the filter: switch rules, write their own. (Reports: `reporting.py`.)

An owner is the hall, a tier or a project. The rules of tiers and projects come on top of the hall's
and can only make them stricter.
"""

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.manage.organizations import project_by
from keyhall.policy.filters.compiled import Policy, check_all
from keyhall.policy.filters.rules import Action, Rule, RuleRefused, stricter
from keyhall.policy.filters.scan import Scanner
from keyhall.ports.filters import (
    ProjectCount,
    RuleCount,
    RuleScope,
    StoredRule,
)
from keyhall.ports.records import Actor, Project
from keyhall.rules import current, shipped
from keyhall.stores import notes
from keyhall.stores.filters import reports, versions
from keyhall.stores.filters import rules as rows
from keyhall.stores.sql import SqlStore

OWN_RULES_MAX = 500  # of one owner
# Of one tier or project: each of them has a policy of its own in memory, and 20,000 terms take some
# 20 MB and a second to compile.
OWN_TERMS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rules. `id` is the tier's name or the project's id."""

    scope: RuleScope
    id: str = ""


HALL = Owner("hall")


@dataclass(frozen=True, slots=True)
class Seen:
    """A rule that holds, or could hold, for an owner; with where it comes from and what it did."""

    rule: Rule
    origin: str  # keyhall, settings, hall, tier, project
    kept: StoredRule | None  # what this owner says of it
    hits: int = 0
    wrong: int = 0  # reports of all time
    waiting: int = 0  # reports without an answer


@dataclass(frozen=True, slots=True)
class Said:
    """A switch or a rule as the audit shows it."""

    organization_id: str | None
    rule: str
    is_on: bool
    action: str
    percent: int
    text: str | None = None  # of a rule that was written here


class Unusable(Invalid):
    """What a rule looks for cannot be compiled."""


class WrongSentence(Invalid):
    """A test sentence of a rule comes out wrong: one of its `finds` or `passes`."""

    def __init__(self, field: str, said: str) -> None:
        super().__init__(said)
        self.field = field


def assembled(
    settings: Sequence[Rule], stored: Sequence[StoredRule], owner: Owner = HALL
) -> tuple[Rule, ...]:
    """Every rule there is for an owner, those that are off too: what comes with Keyhall, as the
    settings have it, as the hall has it, and an owner's own on top."""
    found = {rule.id: rule for rule in shipped()}
    found |= {rule.id: rule for rule in settings}
    found |= {each.rule.id: current(each.rule) for each in stored if each.scope == "hall"}
    hall = tuple(found.values())
    if owner == HALL:
        return hall
    theirs = [current(each.rule) for each in stored if _is_of(each, owner)]
    return stricter(hall, theirs)


def _is_of(stored: StoredRule, owner: Owner) -> bool:
    return (stored.scope, stored.scope_id) == (owner.scope, owner.id)


async def stored_for(connection: AsyncConnection, owner: Owner) -> list[StoredRule]:
    """The hall's rules and an owner's."""
    found = await rows.list_all(connection, "hall")
    return (
        found if owner == HALL else found + await rows.list_all(connection, owner.scope, owner.id)
    )


async def seen(
    connection: AsyncConnection, settings: Sequence[Rule], owner: Owner = HALL
) -> list[Seen]:
    """Every rule there is for an owner, in their order. Counts are those of a project for itself,
    else of the whole hall."""
    stored = await stored_for(connection, owner)
    rules = assembled(settings, stored, owner)
    own = {each.rule.id: each for each in stored if _is_of(each, owner)}
    of_hall = {each.rule.id for each in stored if each.scope == "hall"}
    with_keyhall, in_settings = _shipped(), {rule.id for rule in settings}
    project_id = owner.id if owner.scope == "project" else None
    counts: dict[str, RuleCount | ProjectCount] = (
        {each.rule_id: each for each in await rows.counts(connection)}
        if project_id is None
        else {
            each.rule_id: each
            for each in await rows.project_counts(connection, project_id=project_id)
        }
    )
    waiting = await reports.open_of(connection, [rule.id for rule in rules], project_id)

    def origin(rule_id: str) -> str:
        for name, ids in (("keyhall", with_keyhall), ("settings", in_settings), ("hall", of_hall)):
            if rule_id in ids:
                return name
        return owner.scope

    return [
        Seen(
            rule=rule,
            origin=origin(rule.id),
            kept=own.get(rule.id),
            hits=counts[rule.id].hits if rule.id in counts else 0,
            wrong=counts[rule.id].false_positives if rule.id in counts else 0,
            waiting=waiting.get(rule.id, 0),
        )
        for rule in rules
    ]


def named(rules: Sequence[Rule], rule_id: str) -> Rule:
    for rule in rules:
        if rule.id == rule_id:
            return rule
    near = difflib.get_close_matches(rule_id, [rule.id for rule in rules], 1)
    hint = f" Did you mean {near[0]}?" if near else " `keyhall filters list` shows all."
    raise NotFound(f"There is no rule {rule_id}.{hint}")


async def switch(
    store: SqlStore,
    rule_id: str,
    *,
    is_on: bool,
    settings: Sequence[Rule],
    action: Action | None = None,
    percent: int | None = None,
    owner: Owner = HALL,
    actor: Actor,
    now_us: int,
) -> Rule:
    """Turn a rule on or off, choose what it does, and for which part of requests. What is None
    stays. An owner that turns one of the hall's off takes back what they have said of it."""
    if percent is not None and not 0 <= percent <= 100:
        raise Invalid(f"{percent} % makes no sense: it is a whole number from 0 to 100.")
    async with store.writing() as connection:
        stored = await stored_for(connection, owner)
        before = named(assembled(settings, stored, owner), rule_id)
        old = _kept(stored, owner, rule_id)
        others = [each for each in stored if each is not old]
        is_theirs = owner == HALL or rule_id not in {
            rule.id for rule in assembled(settings, stored)
        }
        if not is_theirs and not is_on:
            if old is None:
                raise Invalid(f"{rule_id} is the hall's: a {owner.scope} can only be stricter.")
            await _keep(connection, owner, old, None, "filter.switch", actor, now_us)
            return named(assembled(settings, others, owner), rule_id)
        rule = msgspec.structs.replace(
            before if is_theirs else named(assembled(settings, stored), rule_id),
            is_on=is_on,
            action=action or before.action,
            percent=before.percent if percent is None else percent,
        )
        new = _stored(owner, rule, old, now_us)
        after = _fitting(settings, [*others, new], owner)
        if not is_theirs and after == assembled(settings, others, owner):
            raise Invalid(f"The hall is as strict with {rule_id} already.")
        await _keep(connection, owner, old, new, "filter.switch", actor, now_us)
        return named(after, rule_id)


async def write(
    store: SqlStore,
    rule: Rule,
    *,
    settings: Sequence[Rule],
    owner: Owner = HALL,
    seen_us: int | None = None,
    actor: Actor,
    now_us: int,
) -> Rule:
    """Add a rule of the owner's own, or put it in place of the one of that id. Its test sentences
    must come out right. `seen_us`: when the one was changed whose place it may take, 0: none; else
    somebody was quicker."""
    await asyncio.to_thread(usable, rule)
    async with store.writing() as connection:
        stored = await stored_for(connection, owner)
        old = _kept(stored, owner, rule.id)
        others = [each for each in stored if each is not old]
        _check_seen(rule, old, seen_us)
        if rule.id in {each.id for each in assembled(settings, others, owner)}:
            raise Invalid(f"There is a rule {rule.id} already: give yours another id.")
        own = sum(_is_of(each, owner) and each.rule.id not in _shipped() for each in others)
        if own >= OWN_RULES_MAX:
            raise Invalid(f"There are {own} rules of your own already; {OWN_RULES_MAX} fit.")
        _check_terms(rule, others, owner)
        new = _stored(owner, rule, old, now_us)
        _fitting(settings, [*others, new], owner)
        await _keep(connection, owner, old, new, "filter.write", actor, now_us)
    return rule


def _check_seen(rule: Rule, old: StoredRule | None, seen_us: int | None) -> None:
    if seen_us is None or (0 if old is None else old.changed_at_us) == seen_us:
        return
    if not seen_us:
        raise Invalid(f"There is a rule {rule.id} already: give yours another id, or edit that.")
    gone = "removed" if old is None else "changed"
    raise Invalid(f"Somebody has {gone} {rule.id} since you opened it: open it again.")


def _check_terms(rule: Rule, others: Sequence[StoredRule], owner: Owner) -> None:
    if owner == HALL:
        return
    before = sum(len(each.rule.terms) for each in others if _is_of(each, owner))
    if before + len(rule.terms) > OWN_TERMS_MAX:
        raise Invalid(
            f"{rule.id} has {len(rule.terms):,} terms, and your other rules have {before:,}: "
            f"{OWN_TERMS_MAX:,} fit in one {owner.scope}. Drop terms that another one begins "
            "(`bomb*` finds `bombs`), or ask whoever runs this place to add them for all."
        )


async def remove(
    store: SqlStore, rule_id: str, *, owner: Owner = HALL, actor: Actor, now_us: int
) -> None:
    """Take away a rule of the owner's own. Those that come with Keyhall are turned off instead."""
    async with store.writing() as connection:
        old = await rows.find(connection, owner.scope, owner.id, rule_id)
        if old is None or rule_id in _shipped():
            raise Invalid(f"{rule_id} is not a rule that was written here: turn it off instead.")
        await _keep(connection, owner, old, None, "filter.remove", actor, now_us)


def usable(rule: Rule) -> None:
    """Raises Invalid for a rule that cannot be used, or whose test sentences come out wrong."""
    if not (rule.reason.strip() and rule.owner.strip()):
        raise Invalid(f"{rule.id}: say why it is there, and who answers for it: reason, owner.")
    if not rule.finds:
        raise Invalid(f"{rule.id}: give it a test sentence that it must find, in `finds`.")
    alone = msgspec.structs.replace(rule, is_on=True, percent=100, direction="both")
    try:
        scanner = Scanner(Policy([alone], in_pieces=False))
    except RuleRefused as error:
        raise Unusable(str(error)) from None
    for text in rule.finds:
        if not scanner.whole(text).hits:
            raise WrongSentence("finds", f"{rule.id} does not find its test sentence: {text}")
    for text in rule.passes:
        if scanner.whole(text).hits:
            raise WrongSentence("passes", f"{rule.id} finds what it should leave alone: {text}")


def _shipped() -> set[str]:
    return {rule.id for rule in shipped()}


def _kept(stored: Sequence[StoredRule], owner: Owner, rule_id: str) -> StoredRule | None:
    return next((each for each in stored if _is_of(each, owner) and each.rule.id == rule_id), None)


def _stored(owner: Owner, rule: Rule, old: StoredRule | None, now_us: int) -> StoredRule:
    since_us = now_us if old is None else old.created_at_us
    return StoredRule(owner.scope, owner.id, rule, since_us, now_us)


def _fitting(
    settings: Sequence[Rule], stored: Sequence[StoredRule], owner: Owner
) -> tuple[Rule, ...]:
    """All of them together, as they would be. Raises Invalid if they cannot be."""
    after = assembled(settings, stored, owner)
    try:
        check_all(after)
    except RuleRefused as error:
        raise Invalid(str(error)) from None
    return after


async def _keep(
    connection: AsyncConnection,
    owner: Owner,
    old: StoredRule | None,
    new: StoredRule | None,
    action: str,
    actor: Actor,
    now_us: int,
) -> None:
    one = new or old
    assert one is not None
    if new is None:
        await rows.remove(connection, owner.scope, owner.id, one.rule.id)
    else:
        await rows.put(connection, new)
    if one.rule.id not in _shipped():
        rule = None if new is None else new.rule
        await versions.add(connection, owner.scope, owner.id, one.rule.id, rule, actor.who, now_us)
    place = await project_by(connection, owner.id) if owner.scope == "project" else None
    await notes.record(
        connection,
        actor,
        now_us,
        action=action,
        target=one.rule.id if place is None else place.id,
        before=_said(old, place),
        after=_said(new, place),
        changed="filter",
    )


def _said(kept: StoredRule | None, place: Project | None) -> Said | None:
    if kept is None:
        return None
    rule = kept.rule
    text = None if rule.id in _shipped() else msgspec.json.encode(rule).decode()
    where = None if place is None else place.organization_id
    return Said(where, rule.id, rule.is_on, rule.action, rule.percent, text)
