"""What a statement is made of, from the ledger's rows themselves. One function per query."""

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.stores.spending.tables import overage, quotas
from keyhall.stores.tables import audit, projects, usage


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
    cost_nano: int
    test_rows: int


def _within(organization_id: str, begins_us: int, ends_us: int) -> tuple[ColumnElement[bool], ...]:
    return (
        usage.c.organization_id == organization_id,
        usage.c.admitted_at_us >= begins_us,
        usage.c.admitted_at_us < ends_us,
    )


def _sum(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(column), 0)


async def lines(
    connection: AsyncConnection, organization_id: str, begins_us: int, ends_us: int
) -> list[Line]:
    """One for each project and version, by their names."""
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
    found = [
        Line(row[0], row[1] or row[0], row[2], *(int(value) for value in row[3:]))
        for row in await connection.execute(query)
    ]
    return sorted(found, key=lambda line: (line.project, line.project_id, line.version))


async def ledger(
    connection: AsyncConnection, organization_id: str, begins_us: int, ends_us: int
) -> Ledger:
    """The same rows once more, as one sum: what the lines must add up to."""
    query = (
        select(usage.c.is_test, func.count(), _sum(usage.c.cost_nano))
        .where(*_within(organization_id, begins_us, ends_us))
        .group_by(usage.c.is_test)
    )
    found = {bool(row[0]): row for row in await connection.execute(query)}
    counted, tests = found.get(False), found.get(True)
    return Ledger(
        int(counted[1]) if counted else 0,
        int(counted[2]) if counted else 0,
        int(tests[1]) if tests else 0,
    )


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
