"""Reports that a rule hit what it should not have, their answers, and where rules hit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.filters import manage
from keyhall.flows.filters.manage import HALL, Owner
from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import ProjectCount, Report, ReportState
from keyhall.ports.records import Actor
from keyhall.stores import notes, organizations
from keyhall.stores.filters import reports
from keyhall.stores.filters import rules as rows
from keyhall.stores.sql import SqlStore

DAY_US = 86_400_000_000
REPORTS_OPEN_MAX = 200  # of one organization in a day: somebody reads each of them


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as the audit shows it: without its text."""

    organization_id: str | None
    number: int
    rule: str


async def report(
    store: SqlStore,
    rule_id: str,
    said: str,
    *,
    settings: Sequence[Rule],
    organization_id: str | None = None,
    owner: Owner = HALL,
    actor: Actor,
    now_us: int,
) -> Report:
    """Say that a rule hit what it should not have. What is said is kept as it was written: whoever
    quotes a conversation decides so."""
    text = checks.reason(said)
    if text is None:
        raise Invalid("Say what was hit wrongly, in a sentence: whoever keeps the rules reads it.")
    async with store.writing() as connection:
        stored = await manage.stored_for(connection, owner)
        manage.named(manage.assembled(settings, stored, owner), rule_id)
        if organization_id is not None:
            since_us = now_us - DAY_US
            waiting = await reports.count_open(connection, organization_id, since_us)
            if waiting >= REPORTS_OPEN_MAX:
                raise Invalid("Your organization has many reports open: wait for their answers.")
        project_id = owner.id if owner.scope == "project" else None
        made = await reports.add(
            connection, rule_id, organization_id, actor.who, text, now_us, project_id
        )
        await rows.add_counts(connection, {}, [rule_id])
        if project_id is not None:
            await rows.add_project_counts(connection, {}, [(project_id, rule_id)])
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


async def by_project(
    connection: AsyncConnection, rule_id: str, limit: int
) -> list[tuple[str, ProjectCount]]:
    """Where a rule hit: each project's name (its id, if it is gone) and its numbers, most first."""
    found = await rows.project_counts(connection, rule_id=rule_id, limit=limit)
    names = [await organizations.find_project(connection, each.project_id) for each in found]
    return [
        (projects[0].name if projects else each.project_id, each)
        for projects, each in zip(names, found, strict=True)
    ]
