"""Sums beside what they sum up: hours beside rows, held beside holds, quotas beside their rows."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import and_, func, literal, or_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.quotas import Quota
from keyhall.policy.verify.quotas import Place, Since
from keyhall.stores import notes, usage
from keyhall.stores.spending import quotas as quota_rows
from keyhall.stores.spending.tables import overage, quota_holds, quota_totals, quotas
from keyhall.stores.tables import audit, keys, usage_hourly
from keyhall.stores.verify.rows import PAGE_ROWS, PAIRS, Row

HOUR_KEY = tuple(column.name for column in usage_hourly.primary_key)
SUMS = tuple(column.name for column in usage_hourly.c if not column.primary_key)
SHOWN_MAX = 1_000  # differences of one kind that are worth reading


async def hours_that_differ(connection: AsyncConnection) -> Sequence[Row]:
    """(*HOUR_KEY, *SUMS of rows, *SUMS of the roll-up), up to SHOWN_MAX."""
    up_to = int(await notes.fact(connection, usage.ROLLED_UP) or 0)
    rows = usage.totals(-(2**63), up_to).subquery()
    nothing = [literal(0).label(f"kept_{name}") for name in SUMS]
    by_rows = select(*(rows.c[name] for name in (*HOUR_KEY, *SUMS)), *nothing)
    by_hours = select(
        *(usage_hourly.c[name] for name in HOUR_KEY),
        *(literal(0).label(name) for name in SUMS),
        *(usage_hourly.c[name].label(f"kept_{name}") for name in SUMS),
    )
    both = union_all(by_rows, by_hours).subquery()
    sums = [func.sum(both.c[name]) for name in (*SUMS, *(f"kept_{name}" for name in SUMS))]
    middle = len(SUMS)
    differs = or_(*(sums[at] != sums[at + middle] for at in range(middle)))
    by = [both.c[name] for name in HOUR_KEY]
    query = select(*by, *sums).group_by(*by).having(differs).order_by(*by).limit(SHOWN_MAX)
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
