"""Sums beside what they sum up: totals beside rows, held beside holds, quotas beside their rows."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, and_, func, literal, or_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.quotas import Quota
from keyhall.policy.verify.quotas import Place, Since
from keyhall.policy.verify.totals import MINUTE_US
from keyhall.stores import notes, usage
from keyhall.stores.requests.tables import refusals_minutes
from keyhall.stores.spending import quotas as quota_rows
from keyhall.stores.spending.tables import overage, quota_holds, quota_totals, quotas
from keyhall.stores.tables import (
    USAGE_SUMS,
    audit,
    key_days,
    keys,
    project_hours,
    projects,
    usage_hourly,
)
from keyhall.stores.verify.rows import PAGE_ROWS, PAIRS, Row

SHOWN_MAX = 1_000  # differences of one kind that are worth reading


@dataclass(frozen=True, slots=True)
class Kept:
    """A table of totals of usage, and the fact that says how far it has come."""

    table: Table
    mark: str


TOTALS = {
    "hour of keys": Kept(usage_hourly, usage.ROLLED_UP),
    "hour of projects": Kept(project_hours, usage.PROJECTS_ROLLED_UP),
    "day of keys": Kept(key_days, usage.KEYS_ROLLED_UP),
}
_BOTH = [f"kept_{name}" for name in USAGE_SUMS]


async def totals_that_differ(
    connection: AsyncConnection, kept: Kept
) -> list[tuple[dict[str, Any], dict[str, int], dict[str, int]]]:
    """Place, sums of the rows and sums of the totals, by their columns' names, up to SHOWN_MAX."""
    up_to = int(await notes.fact(connection, kept.mark) or 0)
    place = [column.name for column in kept.table.primary_key]
    rows = usage.totals(-(2**63), up_to, kept.table).subquery()
    by_rows = select(
        *(rows.c[name] for name in (*place, *USAGE_SUMS)),
        *(literal(0).label(name) for name in _BOTH),
    )
    by_totals = select(
        *(kept.table.c[name] for name in place),
        *(literal(0).label(name) for name in USAGE_SUMS),
        *(kept.table.c[name].label(f"kept_{name}") for name in USAGE_SUMS),
    )
    both = union_all(by_rows, by_totals).subquery()
    sums = [func.sum(both.c[name]) for name in (*USAGE_SUMS, *_BOTH)]
    middle = len(USAGE_SUMS)
    differs = or_(*(sums[at] != sums[at + middle] for at in range(middle)))
    by = [both.c[name] for name in place]
    query = select(*by, *sums).group_by(*by).having(differs).order_by(*by).limit(SHOWN_MAX)
    return [
        (
            dict(zip(place, row, strict=False)),
            dict(zip(USAGE_SUMS, map(int, row[len(place) :]), strict=False)),
            dict(zip(USAGE_SUMS, map(int, row[len(place) + middle :]), strict=True)),
        )
        for row in await connection.execute(query)
    ]


async def counts_that_differ(connection: AsyncConnection) -> Sequence[Row]:
    """Counts of refusals that cannot be: minute, key, row, count, the project and organization that
    they name and those of their key; up to SHOWN_MAX."""
    counts = refusals_minutes.c
    columns = (counts.minute_us, counts.key_id, counts.row, counts["count"])
    others = (counts.project_id != keys.c.project_id) | (
        counts.organization_id != projects.c.organization_id
    )
    query = (
        select(*columns, counts.project_id, counts.organization_id)
        .add_columns(keys.c.project_id, projects.c.organization_id)
        .select_from(
            refusals_minutes.outerjoin(keys, keys.c.id == counts.key_id).outerjoin(
                projects, projects.c.id == keys.c.project_id
            )
        )
        .where((counts["count"] < 1) | (counts.minute_us % MINUTE_US != 0) | others)
        .order_by(*refusals_minutes.primary_key)
        .limit(SHOWN_MAX)
    )
    return (await connection.execute(query)).all()


async def total_pages(connection: AsyncConnection) -> AsyncIterator[Sequence[Row]]:
    """(quota, period_us, used, held), in the order of their places."""
    place = tuple_(quota_totals.c.quota_id, quota_totals.c.period_us)
    query = select(quota_totals).order_by(*quota_totals.primary_key).limit(PAGE_ROWS)
    after: tuple[Any, ...] = ("", 0)
    while True:
        found = (await connection.execute(query.where(place > after))).all()
        if not found:
            return
        yield found
        after = tuple(found[-1][:2])


async def held(connection: AsyncConnection) -> dict[Place, int]:
    """The sums of open holds."""
    columns = quota_holds.c
    query = select(columns.quota_id, columns.period_us, func.sum(columns.amount))
    rows = await connection.execute(query.group_by(columns.quota_id, columns.period_us))
    return {(row[0], row[1]): int(row[2]) for row in rows}


async def quotas_by_owner(connection: AsyncConnection) -> dict[str, list[Quota]]:
    """All quotas, by the id of the key, project or organization whose requests count in them."""
    by_owner: dict[str, list[Quota]] = {}
    of_lineage: dict[str, list[Quota]] = {}
    for quota in await quota_rows.list_all(connection):
        where = of_lineage if quota.scope == "key" else by_owner
        where.setdefault(quota.scope_id, []).append(quota)
    if of_lineage:
        lineages = select(quotas.c.scope_id).where(quotas.c.scope == "key")
        query = select(keys.c.id, keys.c.lineage).where(keys.c.lineage.in_(lineages))
        for key_id, lineage in await connection.execute(query):
            by_owner[key_id] = of_lineage[lineage]
    return by_owner


async def quotas_since(connection: AsyncConnection) -> dict[str, Since]:
    """When each quota was made or its organization's days moved, and when it last changed: by the
    audit, whose rows name a quota, or an organization and its `time_zone`."""
    told = select(audit.c.target, func.max(audit.c.at_us)).group_by(audit.c.target)
    of_quotas = told.where(audit.c.target.in_(select(quotas.c.id)))
    changed = {row[0]: row[1] for row in await connection.execute(of_quotas)}
    of_zones = told.where(
        audit.c.target.in_(select(quotas.c.organization_id)),
        audit.c.before.is_not(None),
        audit.c.after.like('%"time_zone"%'),
    )
    moved = {row[0]: row[1] for row in await connection.execute(of_zones)}
    query = select(quotas.c.id, quotas.c.organization_id, quotas.c.created_at_us)
    since = {}
    for quota_id, organization_id, created_at_us in await connection.execute(query):
        moved_us = moved.get(organization_id, 0)
        since[quota_id] = Since(created_at_us, moved_us, changed.get(quota_id, 0))
    return since


async def overage_of(
    connection: AsyncConnection, places: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Row]:
    """(units, price, cost) of overage rows, by request and quota."""
    found: dict[tuple[str, str], Row] = {}
    columns = overage.c
    for start in range(0, len(places), PAIRS):
        asked = [
            and_(columns.request_id == request_id, columns.quota_id == quota_id)
            for request_id, quota_id in places[start : start + PAIRS]
        ]
        query = select(
            columns.request_id, columns.quota_id, columns.units, columns.price, columns.cost_nano
        ).where(or_(*asked))
        for row in await connection.execute(query):
            found[row[0], row[1]] = row[2:]
    return found
