"""What a statement is made of: the ledger's rows, or their hourly sums. One function per query."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.stores import notes
from keyhall.stores.spending.tables import overage, quotas
from keyhall.stores.tables import audit, project_hours, projects, usage
from keyhall.stores.usage import HOUR_US, PROJECTS_ROLLED_UP


@dataclass(frozen=True, slots=True)
class Line:
    """What a project used of a version."""

    project_id: str
    project: str
    version: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost_nano: int


@dataclass(frozen=True, slots=True)
class OverageLine:
    """What lay beyond a quota at one price. The quota may have been removed since."""

    quota_id: str
    scope: str
    scope_id: str
    resource: str
    period: str
    price: int  # micro-units per million units
    requests: int
    units: int
    cost_nano: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Rows of the ledger and their sum. Those of test keys cost nothing and are not among them."""

    rows: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    test_rows: int


def _within(
    organization_id: str, begins_us: int, ends_us: int, *, of_few: bool = False
) -> tuple[ColumnElement[bool], ...]:
    """Of few rows the index by time is not to be used: hence the expression."""
    at: ColumnElement[int] = usage.c.admitted_at_us
    if of_few:
        at = func.coalesce(at, 0)
    return usage.c.organization_id == organization_id, at >= begins_us, at < ends_us


def _sum(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(column), 0)


async def lines_of_hours(
    connection: AsyncConnection, organization_id: str, begins_us: int, ends_us: int
) -> list[Line] | None:
    """One for each project and version, by their names: from the hourly sums, and the rows that
    came since those were made. None for a time that is not one of whole hours."""
    if begins_us % HOUR_US or ends_us % HOUR_US:
        return None
    after = int(await notes.fact(connection, PROJECTS_ROLLED_UP) or 0)
    hours = project_hours.c
    names = ("input_tokens", "output_tokens", "cost_nano")
    kept = (
        select(hours.project_id, hours.version, _sum(hours.requests))
        .add_columns(*(_sum(hours[name]) for name in names))
        .where(
            hours.organization_id == organization_id,
            hours.hour_us >= begins_us,
            hours.hour_us < ends_us,
            hours.is_test == 0,
        )
        .group_by(hours.project_id, hours.version)
    )
    fresh = (
        select(usage.c.project_id, usage.c.version, func.count())
        .add_columns(*(_sum(usage.c[name]) for name in names))
        .where(
            usage.c.number > after,
            *_within(organization_id, begins_us, ends_us, of_few=True),
            usage.c.is_test == 0,
        )
        .group_by(usage.c.project_id, usage.c.version)
    )
    sums: dict[tuple[str, str], list[int]] = {}
    for query in (kept, fresh):
        for project_id, version, *more in await connection.execute(query):
            values = sums.setdefault((project_id, version), [0, 0, 0, 0])
            sums[project_id, version] = [a + int(b) for a, b in zip(values, more, strict=True)]
    named = select(projects.c.id, projects.c.name).where(
        projects.c.id.in_({project_id for project_id, _ in sums})
    )
    called = {row[0]: row[1] for row in await connection.execute(named)}
    return _in_order(
        Line(project_id, called.get(project_id, project_id), version, *values)
        for (project_id, version), values in sums.items()
    )


async def lines_of_rows(
    connection: AsyncConnection, organization_id: str, begins_us: int, ends_us: int
) -> list[Line]:
    """The same from the ledger's rows."""
    by = (usage.c.project_id, projects.c.name, usage.c.version)
    query = (
        select(
            *by,
            func.count(),
            _sum(usage.c.input_tokens),
            _sum(usage.c.output_tokens),
            _sum(usage.c.cost_nano),
        )
        .join_from(usage, projects, usage.c.project_id == projects.c.id, isouter=True)
        .where(*_within(organization_id, begins_us, ends_us), usage.c.is_test == 0)
        .group_by(*by)
    )
    return _in_order(
        Line(row[0], row[1] or row[0], row[2], *(int(value) for value in row[3:]))
        for row in await connection.execute(query)
    )


def _in_order(found: Iterable[Line]) -> list[Line]:
    return sorted(found, key=lambda line: (line.project, line.project_id, line.version))


async def ledger(
    connection: AsyncConnection, organization_id: str, begins_us: int, ends_us: int
) -> Ledger:
    """All rows as one sum: what the lines must add up to."""
    is_live = 1 - usage.c.is_test
    names = ("input_tokens", "output_tokens", "cost_nano")
    query = select(func.count(), _sum(usage.c.is_test)).add_columns(
        *(_sum(usage.c[name] * is_live) for name in names)
    )
    query = query.where(*_within(organization_id, begins_us, ends_us))
    rows, tests, inp, out, cost = map(int, (await connection.execute(query)).one())
    return Ledger(rows - tests, inp, out, cost, tests)


async def overage_lines(
    connection: AsyncConnection, organization_id: str, begins_us: int, ends_us: int
) -> list[OverageLine]:
    """One for each quota and price, the oldest first."""
    by = (overage.c.quota_id, overage.c.price)
    query = (
        select(*by, func.count(), _sum(overage.c.units), _sum(overage.c.cost_nano))
        .where(
            overage.c.organization_id == organization_id,
            overage.c.admitted_at_us >= begins_us,
            overage.c.admitted_at_us < ends_us,
        )
        .group_by(*by)
        .order_by(func.min(overage.c.number))
    )
    found = []
    for quota_id, price, *sums in (await connection.execute(query)).all():
        of = await _quota_facts(connection, quota_id)
        found.append(OverageLine(quota_id, *of, price, *(int(value) for value in sums)))
    return found


async def _quota_facts(connection: AsyncConnection, quota_id: str) -> tuple[str, str, str, str]:
    """Scope, whose, resource and period; of a removed quota from the audit row of its end."""
    names = ("scope", "scope_id", "resource", "period")
    query = select(*(quotas.c[name] for name in names)).where(quotas.c.id == quota_id)
    row = (await connection.execute(query)).first()
    if row is not None:
        return row[0], row[1], row[2], row[3]
    ended = select(audit.c.before).where(
        audit.c.target == quota_id, audit.c.action == "quota.remove"
    )
    told = await connection.scalar(ended.limit(1))
    facts = {} if told is None else msgspec.json.decode(told, type=dict[str, Any])
    scope, scope_id, resource, period = (str(facts.get(name, "unknown")) for name in names)
    return scope, scope_id, resource, period
