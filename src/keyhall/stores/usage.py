"""Usage: the append-only record of what requests used, its hourly totals, and reports on them.

Totals are never kept row by row. A repeatable job adds the rows that came since its last run to
the hour in which they were admitted and notes how far it came, in one transaction: killed at any
point it has either done both or neither, and run twice it adds nothing.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Insert, Select, Table, case, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.metering import Disconnect, Endpoint, Outcome, Usage, UsageSource
from keyhall.ports.records import Group, UsageLine
from keyhall.stores import notes
from keyhall.stores.tables import (
    USAGE_SUMS,
    key_days,
    keys,
    project_hours,
    usage,
    usage_hourly,
)

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
COLUMNS = tuple(column.name for column in usage.c if column.name not in ("number", "batch"))

ROLLED_UP = "usage_rolled_up_to"
PROJECTS_ROLLED_UP = "project_hours_rolled_up_to"
KEYS_ROLLED_UP = "key_days_rolled_up_to"
_SUMS = USAGE_SUMS
_SINCE = select(*(usage.c[name] for name in COLUMNS)).order_by(usage.c.admitted_at_us)


def usage_of(row: Sequence[Any]) -> Usage:
    """From COLUMNS, which are in the order of the fields."""
    return Usage(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        Endpoint(row[5]),
        bool(row[6]),
        bool(row[7]),
        row[8],
        row[9],
        row[10],
        row[11],
        row[12],
        row[13],
        row[14],
        row[15],
        Outcome(row[16]),
        UsageSource(row[17]),
        Disconnect(row[18]),
    )


async def since(connection: AsyncConnection, admitted_at_us: int) -> list[Usage]:
    rows = await connection.execute(_SINCE.where(usage.c.admitted_at_us >= admitted_at_us))
    return [usage_of(row) for row in rows]


async def newest_admitted_us(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.max(usage.c.admitted_at_us))) or 0


def _start(length_us: int, name: str) -> Any:
    """When the hour or day began in which a request was admitted."""
    return (usage.c.admitted_at_us - usage.c.admitted_at_us % length_us).label(name)


def _totals_of(rows: Select[Any], table: Table = usage_hourly) -> Select[Any]:
    """The sums that a table of totals keeps, over usage rows."""
    starts = {"hour_us": HOUR_US, "day_us": DAY_US}
    by = [
        _start(starts[column.name], column.name) if column.name in starts else usage.c[column.name]
        for column in table.primary_key
    ]
    counted = (UsageSource.ENGINE.value, UsageSource.COUNTED.value)
    nothing = usage.c.input_tokens + usage.c.output_tokens == 0  # There is nothing to estimate.
    is_exact = usage.c.usage_source.in_(counted) | nothing
    return rows.add_columns(
        *by,
        func.count().label("requests"),
        func.sum(usage.c.input_tokens).label("input_tokens"),
        func.sum(usage.c.output_tokens).label("output_tokens"),
        func.sum(usage.c.cost_nano).label("cost_nano"),
        func.sum(case((usage.c.outcome == Outcome.ANSWERED.value, 0), else_=1)).label("unanswered"),
        func.sum(case((is_exact, 0), else_=1)).label("estimated"),
    ).group_by(*by)


def totals(after: int, up_to: int, table: Table = usage_hourly) -> Select[Any]:
    """Totals of the rows with after < number <= up_to: by the hour, or those of another table."""
    return _totals_of(select().where(usage.c.number > after, usage.c.number <= up_to), table)


async def newest_number(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.max(usage.c.number))) or 0


async def roll_up(connection: AsyncConnection, newest: int | None = None) -> int:
    """Add the rows that came since the last time, up to the `newest` if given; returns how many.
    In a writing transaction: no other writer may commit rows with smaller numbers later."""
    count = await _add(connection, ROLLED_UP, usage_hourly, newest)
    await _add(connection, PROJECTS_ROLLED_UP, project_hours, newest)
    await _add(connection, KEYS_ROLLED_UP, key_days, newest)
    return count


async def _add(connection: AsyncConnection, mark: str, table: Table, newest: int | None) -> int:
    """To one table of totals, behind its own mark: a release that knows fewer of them may run
    beside this one."""
    after = int(await notes.fact(connection, mark) or 0)
    fresh = select(func.count(), func.max(usage.c.number)).where(usage.c.number > after)
    if newest is not None:
        fresh = fresh.where(usage.c.number <= newest)
    count, up_to = (await connection.execute(fresh)).one()
    if count:
        rows = totals(after, up_to, table)
        await connection.execute(_add_to(connection.dialect.name, table, rows))
        await notes.set_fact(connection, mark, str(up_to))
    return int(count)


async def is_rolled_up(connection: AsyncConnection) -> bool:
    """Whether all totals are as new as the rows."""
    return await rolled_up_to(connection) >= await newest_number(connection)


async def rolled_up_to(connection: AsyncConnection) -> int:
    """The rows up to this number are in all totals."""
    marks = (ROLLED_UP, PROJECTS_ROLLED_UP, KEYS_ROLLED_UP)
    found = await notes.facts(connection, marks)
    return min(int(found.get(mark) or 0) for mark in marks)


async def oldest_between(connection: AsyncConnection, after: int, up_to: int) -> int | None:
    """When the first of these rows was admitted; None if there are none."""
    # Of an expression: for that of a column SQLite reads the index by time from its beginning.
    first = func.min(func.coalesce(usage.c.admitted_at_us, 0))
    query = select(first).where(usage.c.number > after, usage.c.number <= up_to)
    oldest: int | None = await connection.scalar(query)
    return oldest


def _add_to(dialect: str, table: Table, rows: Select[Any]) -> Insert:
    into = postgresql.insert if dialect == "postgresql" else sqlite.insert
    names = [column.name for column in (*table.primary_key, *(table.c[name] for name in _SUMS))]
    # SQLite takes ON for a join's unless the SELECT has a WHERE; this one has.
    added = into(table).from_select(names, rows)
    return added.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: table.c[name] + added.excluded[name] for name in _SUMS},
    )


async def report(
    connection: AsyncConnection,
    *,
    by: Group,
    since_us: int | None,
    until_us: int | None,
    key_ids: Sequence[str] | None = None,
    version: str | None = None,
    project_id: str | None = None,
    organization_id: str | None = None,
) -> list[UsageLine]:
    """Totals from the hours with since <= hour < until: days in order, others largest first."""
    hour = usage_hourly.c.hour_us
    group = {
        "key": usage_hourly.c.key_id,
        "model": usage_hourly.c.version,
        "day": hour - hour % DAY_US,
    }[by].label("group")
    query = select(
        group,
        *(func.coalesce(func.sum(usage_hourly.c[name]), 0).label(name) for name in _SUMS),
    ).group_by(group)
    if since_us is not None:
        query = query.where(hour >= since_us)
    if until_us is not None:
        query = query.where(hour < until_us)
    if key_ids is not None:
        query = query.where(usage_hourly.c.key_id.in_(key_ids))
    for column, wanted in (
        (usage_hourly.c.version, version),
        (usage_hourly.c.project_id, project_id),
        (usage_hourly.c.organization_id, organization_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    order = group if by == "day" else (literal(0) - func.sum(usage_hourly.c.requests))
    rows = (await connection.execute(query.order_by(order, group))).mappings().all()
    names = await _key_names(connection) if by == "key" and rows else {}
    return [
        UsageLine(
            group=str(row["group"]),
            name=names.get(row["group"], str(row["group"])),
            **{name: int(row[name]) for name in _SUMS},
        )
        for row in rows
    ]


async def _key_names(connection: AsyncConnection) -> dict[str, str]:
    """Names of the keys that have used anything."""
    used = select(usage_hourly.c.key_id).distinct()
    rows = await connection.execute(select(keys.c.id, keys.c.name).where(keys.c.id.in_(used)))
    return {row.id: row.name for row in rows}
