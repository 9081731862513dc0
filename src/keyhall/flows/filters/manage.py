"""What people do to the filter: switch rules, write their own, report a wrong hit, answer that.

An owner is the hall (an empty id) or a project. A project sees the hall's rules and can raise them;
what it says can never loosen them (`policy.filters.choices`).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall import rules as package
from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.manage.organizations import project_by
from keyhall.policy.filters.choices import Choice, chosen, with_project
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Action, Rule, RuleRefused
from keyhall.policy.filters.scan import Scanner
from keyhall.ports.filters import FilterRow, Report, ReportState
from keyhall.ports.records import Actor, Project
from keyhall.stores import notes
from keyhall.stores.filters import hits, reports
from keyhall.stores.filters import rules as rows
from keyhall.stores.sql import SqlStore

HALL = ""
DAY_US = 86_400_000_000
HITS_DAYS = 30
REPORTS_OPEN_MAX = 200  # of one organization in a day: somebody reads each of them
OWN_RULES_MAX = 500  # of one owner


@dataclass(frozen=True, slots=True)
class Seen:
    """A rule in force for an owner, with where it comes from and what it did lately."""

    rule: Rule
    origin: str  # keyhall, hall, project
    row: FilterRow | None  # what this owner says of it
    hits: int = 0
    reports: int = 0  # that wait for an answer


@dataclass(frozen=True, slots=True)
class Said:
    """A switch or a rule as the audit shows it."""

    organization_id: str | None
    rule: str
    is_on: bool
    action: str
    percent: int
    text: str | None = None  # of a rule that was written here


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as the audit shows it: without its text."""

    organization_id: str | None
    number: int
    rule: str


def choice_of(row: FilterRow) -> Choice:
    rule = None if row.rule is None else msgspec.json.decode(row.rule, type=Rule)
    return Choice(id=row.id, is_on=row.is_on, action=row.action, percent=row.percent, rule=rule)


def assembled(found: Sequence[FilterRow], project_id: str = HALL) -> tuple[Rule, ...]:
    """The rules that hold for the hall, or for a project in it; those that are off too."""
    hall = chosen(package.shipped(), [choice_of(row) for row in found if row.owner_id == HALL])
    if project_id == HALL:
        return hall
    return with_project(hall, [choice_of(row) for row in found if row.owner_id == project_id])


async def in_force(connection: AsyncConnection, project_id: str = HALL) -> tuple[Rule, ...]:
    return assembled(await rows.of_owners(connection, [HALL, project_id]), project_id)


async def seen(
    connection: AsyncConnection,
    now_us: int,
    project_id: str = HALL,
    *,
    projects: Sequence[str] | None = None,
) -> list[Seen]:
    """Every rule there is for an owner. Hits are of these projects, or of the whole hall."""
    found = await rows.of_owners(connection, [HALL, project_id])
    rules = assembled(found, project_id)
    own = {row.id: row for row in found if row.owner_id == project_id}
    halls = {row.id for row in found if row.owner_id == HALL}
    shipped = {rule.id for rule in package.shipped()}
    counts = await hits.since(connection, now_us // DAY_US - HITS_DAYS + 1, projects)
    waiting = await reports.open_of(connection, [rule.id for rule in rules])
    return [
        Seen(
            rule=rule,
            origin="keyhall" if rule.id in shipped else "hall" if rule.id in halls else "project",
            row=own.get(rule.id),
            hits=counts.get(rule.id, 0),
            reports=waiting.get(rule.id, 0),
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
    action: Action | None = None,
    percent: int | None = None,
    project_id: str = HALL,
    actor: Actor,
    now_us: int,
) -> Rule:
    """Turn a rule on or off, choose what it does, and for which part of requests. What is None
    stays. A project that turns one of the hall's off takes back what it has said of it."""
    if percent is not None and not 0 <= percent <= 100:
        raise Invalid(f"{percent} % makes no sense: it is a whole number from 0 to 100.")
    async with store.writing() as connection:
        found = await rows.of_owners(connection, [HALL, project_id])
        before = named(assembled(found, project_id), rule_id)
        old = _of(found, project_id, rule_id)
        row = FilterRow(
            owner_id=project_id,
            id=rule_id,
            is_on=is_on,
            action=action or before.action,
            percent=before.percent if percent is None else percent,
            changed_by=actor.who,
            changed_at_us=now_us,
            rule=None if old is None else old.rule,
        )
        others = [each for each in found if each is not old]
        is_halls = project_id != HALL and row.rule is None
        if is_halls and not is_on:
            if old is None:
                raise Invalid(f"{rule_id} is the hall's: a project can only make it stricter.")
            await _keep(connection, old, None, "filter.switch", actor, now_us)
            return named(assembled(others, project_id), rule_id)
        after = _usable([*others, row], project_id)
        if is_halls and after == assembled(others, project_id):
            raise Invalid(f"The hall is as strict with {rule_id} already.")
        await _keep(connection, old, row, "filter.switch", actor, now_us)
        return named(after, rule_id)


async def write(
    store: SqlStore, rule: Rule, *, project_id: str = HALL, actor: Actor, now_us: int
) -> Rule:
    """Add a rule of the owner's own, or put it in place of the one of that id. Its test sentences
    must come out right."""
    if not (rule.reason.strip() and rule.owner.strip()):
        raise Invalid("Say why the rule is there, and who answers for it: a reason and an owner.")
    async with store.writing() as connection:
        found = await rows.of_owners(connection, [HALL, project_id])
        old = _of(found, project_id, rule.id)
        taken = {each.id for each in assembled(found)} if project_id != HALL else _shipped()
        if rule.id in taken and (old is None or old.rule is None):
            raise Invalid(f"There is a rule {rule.id} already: give yours another id.")
        own = sum(each.rule is not None and each.owner_id == project_id for each in found)
        if old is None and own >= OWN_RULES_MAX:
            raise Invalid(f"There are {own} rules of your own already; {OWN_RULES_MAX} fit.")
        row = FilterRow(
            owner_id=project_id,
            id=rule.id,
            is_on=rule.is_on,
            action=rule.action,
            percent=rule.percent,
            changed_by=actor.who,
            changed_at_us=now_us,
            rule=msgspec.json.encode(rule).decode(),
        )
        _usable([*(each for each in found if each is not old), row], project_id)
        wrong = mistakes(rule)
        if wrong:
            raise Invalid(wrong[0])
        await _keep(connection, old, row, "filter.write", actor, now_us)
    return rule


async def remove(
    store: SqlStore, rule_id: str, *, project_id: str = HALL, actor: Actor, now_us: int
) -> None:
    """Take away a rule of the owner's own. Those that come with Keyhall are turned off instead."""
    async with store.writing() as connection:
        old = await rows.find(connection, project_id, rule_id)
        if old is None or old.rule is None:
            named(await in_force(connection, project_id), rule_id)
            raise Invalid(f"{rule_id} is not a rule that was written here: turn it off instead.")
        await _keep(connection, old, None, "filter.remove", actor, now_us)


def mistakes(rule: Rule) -> list[str]:
    """Test sentences that come out wrong, each as a sentence. Raises Invalid for a rule that cannot
    be used."""
    alone = msgspec.structs.replace(rule, is_on=True, percent=100, direction="both")
    try:
        scanner = Scanner(Policy([alone]))
    except RuleRefused as error:
        raise Invalid(str(error)) from None
    missed = [text for text in rule.finds if not scanner.whole(text).hits]
    caught = [text for text in rule.passes if scanner.whole(text).hits]
    return [f"The rule does not find its test sentence: {text}" for text in missed] + [
        f"The rule finds what it should leave alone: {text}" for text in caught
    ]


def _shipped() -> set[str]:
    return {rule.id for rule in package.shipped()}


def _of(found: Sequence[FilterRow], owner_id: str, rule_id: str) -> FilterRow | None:
    return next((each for each in found if (each.owner_id, each.id) == (owner_id, rule_id)), None)


def _usable(found: Sequence[FilterRow], project_id: str) -> tuple[Rule, ...]:
    """All of them together, as they would be."""
    after = assembled(found, project_id)
    try:
        Policy(after)
    except RuleRefused as error:
        raise Invalid(str(error)) from None
    return after


async def _keep(
    connection: AsyncConnection,
    old: FilterRow | None,
    row: FilterRow | None,
    action: str,
    actor: Actor,
    now_us: int,
) -> None:
    one = row or old
    assert one is not None
    if row is None:
        await rows.remove(connection, one.owner_id, one.id)
    else:
        await rows.put(connection, row)
    place = None if one.owner_id == HALL else await project_by(connection, one.owner_id)
    await notes.record(
        connection,
        actor,
        now_us,
        action=action,
        target=one.id if place is None else place.id,
        before=_said(old, place),
        after=_said(row, place),
        changed="filter" if place is None else "project",
    )


def _said(row: FilterRow | None, place: Project | None) -> Said | None:
    if row is None:
        return None
    where = None if place is None else place.organization_id
    return Said(where, row.id, row.is_on, row.action, row.percent, row.rule)


# --- Reports --------------------------------------------------------------------------------------


async def report(
    store: SqlStore,
    rule_id: str,
    said: str,
    *,
    organization_id: str | None = None,
    project_id: str = HALL,
    actor: Actor,
    now_us: int,
) -> Report:
    """Say that a rule hit what it should not have. What is said is kept as it was written: whoever
    quotes a conversation decides so."""
    text = checks.reason(said)
    if text is None:
        raise Invalid("Say what was hit wrongly, in a sentence: whoever keeps the rules reads it.")
    async with store.writing() as connection:
        named(await in_force(connection, project_id), rule_id)
        if organization_id is not None:
            since_us = now_us - DAY_US
            waiting = await reports.count_open(connection, organization_id, since_us)
            if waiting >= REPORTS_OPEN_MAX:
                raise Invalid("Your organization has many reports open: wait for their answers.")
        made = await reports.add(connection, rule_id, organization_id, actor.who, text, now_us)
        await notes.record(
            connection,
            actor,
            now_us,
            action="filter.report",
            target=organization_id or rule_id,
            before=None,
            after=Reported(organization_id, made.number, rule_id),
        )
        return made


async def answer(
    store: SqlStore, number: int, state: ReportState, said: str, *, actor: Actor, now_us: int
) -> Report:
    """Close a report: the rule was `changed`, or is `kept` as it is, and why."""
    text = checks.reason(said)
    if text is None:
        raise Invalid("Say what became of it, in a sentence: whoever reported reads it.")
    async with store.writing() as connection:
        before = await reports.find(connection, number)
        if before is None:
            raise NotFound(f"There is no report number {number}.")
        if before.state != "open":
            raise Invalid(f"Number {number} is answered already: {before.state}.")
        await reports.answer(connection, number, state, actor.who, text, now_us)
        after = replace(
            before, state=state, answered_by=actor.who, answer=text, answered_at_us=now_us
        )
        await notes.record(
            connection,
            actor,
            now_us,
            action="filter.answer",
            target=before.organization_id or before.rule_id,
            before=before,
            after=after,
        )
        return after
