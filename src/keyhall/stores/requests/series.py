"""Usage over time: sums of hours for spans of hours, days and months, of single requests for a few
minutes; refusals beside them.

A query gives at most a point for each of a few groups: the work is the database's, in its own
thread, and what comes to the event loop is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy import spans
from keyhall.policy.metering import Outcome
from keyhall.policy.spans import DAY_US, HOUR_US, MINUTE_US, Span
from keyhall.ports.people import Sight
from keyhall.ports.usage import Amounts, By, Filter
from keyhall.stores.requests import seen
from keyhall.stores.requests.tables import refusals_minutes
from keyhall.stores.tables import (
    USAGE_SUMS,
    key_days,
    keys,
    project_hours,
    usage,
    usage_hourly,
)

ALL = "all"
LONG_US = 4 * DAY_US  # from then on days are added up
OTHERS = ""  # the group of all that have no series of their own

Within = tuple[int, int] | None  # a part of a span that begins and ends with hours of UTC


@dataclass(frozen=True, slots=True)
class Source:
    """A table of amounts by time."""

    name: str
    table: FromClause
    at: ColumnElement[int]
    sums: tuple[ColumnElement[int], ...]  # in the order of Amounts


def _sums(columns: Any) -> tuple[ColumnElement[int], ...]:
    return (
        func.sum(columns.requests),
        func.sum(columns.input_tokens),
        func.sum(columns.output_tokens),
        func.sum(columns.cost_nano),
        func.sum(columns.unanswered),
        _ZERO,
    )


_rows, _refused = usage.c, refusals_minutes.c
_ZERO = literal(0)
HOURS = Source("hours", usage_hourly, usage_hourly.c.hour_us, _sums(usage_hourly.c))
PROJECTS = Source("projects", project_hours, project_hours.c.hour_us, _sums(project_hours.c))
ROWS = Source(
    "rows",
    usage,
    _rows.admitted_at_us,
    (
        func.count(),
        func.sum(_rows.input_tokens),
        func.sum(_rows.output_tokens),
        func.sum(_rows.cost_nano),
        func.sum(case((_rows.outcome == Outcome.ANSWERED.value, 0), else_=1)),
        _ZERO,
    ),
)
REFUSALS = Source(
    "refusals",
    refusals_minutes,
    _refused.minute_us,
    (_ZERO, _ZERO, _ZERO, _ZERO, _ZERO, func.sum(_refused["count"])),
)


def source_of(span: Span, sight: Sight, only: Filter, by: By) -> Source:
    """The smallest table that can tell."""
    if span.grain == "minute":
        return ROWS
    is_of_keys = by in ("key", "person") or only.key_id is not None
    if is_of_keys or only.account_id is not None or sight.account_id is not None:
        return HOURS
    return PROJECTS


def _point(source: Source, span: Span) -> ColumnElement[int]:
    """Which point a row belongs to: its index, or the number of its local day."""
    if span.grain == "minute":
        return (source.at - span.begins_us) // MINUTE_US
    if span.grain == "hour":
        return (source.at - span.begins_us) // HOUR_US
    first, *later = reversed(spans.offsets(span))
    if not later:
        return (source.at + first[1]) // DAY_US
    last = later[-1][1]
    offset = case(
        *((source.at >= from_us, literal(us)) for from_us, us in (first, *later[:-1])),
        else_=literal(last),
    )
    return (source.at + offset) // DAY_US


def _group(source: Source, by: By) -> ColumnElement[Any]:
    columns = source.table.c
    if by == "key":
        return columns.key_id
    if by == "project":
        return columns.project_id
    if by == "model":
        return columns.version
    if by == "person":
        return func.coalesce(keys.c.account_id, "")
    if by == "outcome":
        if source is REFUSALS:
            return columns.row
        if source is ROWS:
            return cast(columns.outcome, Text)
    return literal(ALL)


def _query(
    source: Source,
    sight: Sight,
    span: Span,
    only: Filter,
    by: By,
    *columns: Any,
    within: Within,
    of_few: bool = False,
) -> Select[Any]:
    table = source.table
    begins_us, ends_us = within or (span.begins_us, span.ends_us)
    query = select(*columns, *(func.coalesce(each, 0) for each in source.sums)).select_from(
        table.outerjoin(keys, keys.c.id == table.c.key_id) if by == "person" else table
    )
    return query.where(
        seen.rows_of(table, sight, only, of_few=of_few),
        source.at >= begins_us,
        source.at < ends_us,
    )


async def largest(
    connection: AsyncConnection,
    source: Source,
    sight: Sight,
    span: Span,
    only: Filter,
    by: By,
    limit: int | None,
    *,
    within: Within = None,
) -> dict[str, Amounts]:
    """The groups that used most, in order."""
    if source is HOURS or (source is REFUSALS and by == "person"):
        during = within or (span.begins_us, span.ends_us)
        source = (
            _by_key(sight, during, only, by)
            if source is HOURS
            else _refused_by_key(sight, during, only)
        )
        only, sight = Filter(), Sight(sight.organization_id)  # Its parts have seen to it.
    group = _group(source, by).label("group")
    query = _query(source, sight, span, only, by, group, within=within).group_by("group")
    tokens = source.sums[1] + source.sums[2]
    order = (tokens.desc(), source.sums[0].desc(), source.sums[5].desc())
    rows = await connection.execute(query.order_by(*order, "group").limit(limit))
    return {str(row[0]): Amounts(*map(int, row[1:])) for row in rows}


def _by_key(sight: Sight, during: tuple[int, int], only: Filter, by: By) -> Source:
    """Hours; for a long span its days, and the hours before and behind them. Summed up before
    anything is looked up for a key."""
    group = "version" if by == "model" else "project_id" if by == "project" else "key_id"
    since_us, until_us = during
    first_us, last_us = since_us, since_us
    if until_us - since_us > LONG_US:
        first_us += -first_us % DAY_US
        last_us = until_us - until_us % DAY_US
    parts = []
    for table, at, begins_us, ends_us in (
        (key_days, key_days.c.day_us, first_us, last_us),
        (usage_hourly, usage_hourly.c.hour_us, since_us, first_us),
        (usage_hourly, usage_hourly.c.hour_us, last_us, until_us),
    ):
        if begins_us < ends_us:
            sums = (func.sum(table.c[name]).label(name) for name in USAGE_SUMS)
            part = select(literal(since_us).label("at_us"), table.c[group], *sums)
            owner = literal(sight.organization_id).label("organization_id")
            wanted = seen.rows_of(table, sight, only), at >= begins_us, at < ends_us
            parts.append(part.add_columns(owner).where(*wanted).group_by(table.c[group]))
    both = union_all(*parts).subquery("both")
    return Source("by key", both, both.c.at_us, _sums(both.c))


def _refused_by_key(sight: Sight, during: tuple[int, int], only: Filter) -> Source:
    at, (since_us, until_us) = _refused.minute_us, during
    parts = (
        select(
            literal(since_us).label("at_us"),
            _refused.key_id,
            func.sum(_refused["count"]).label("count"),
            literal(sight.organization_id).label("organization_id"),
        )
        .where(seen.rows_of(refusals_minutes, sight, only), at >= since_us, at < until_us)
        .group_by(_refused.key_id)
        .subquery("both")
    )
    return Source("by key", parts, parts.c.at_us, (*REFUSALS.sums[:5], func.sum(parts.c["count"])))


async def points(
    connection: AsyncConnection,
    source: Source,
    sight: Sight,
    span: Span,
    only: Filter,
    by: By,
    groups: Sequence[Any] | None,
    *,
    within: Within = None,
) -> list[tuple[int, str, Amounts]]:
    """Point, group, amounts; what is in none of the groups is in OTHERS, unless they are None:
    all, which may be many. Points are indexes, or
    numbers of local days."""
    found = _group(source, by)
    point = _point(source, span).label("point")
    if by == "none":
        query = _query(source, sight, span, only, by, point, within=within).group_by("point")
        rows = await _all(connection, query)
        return [(int(row[0]), ALL, Amounts(*map(int, row[1:]))) for row in rows]
    if groups is not None:
        found = case((found.in_(groups), found), else_=literal(OTHERS))
    named = found.label("named")
    query = _query(source, sight, span, only, by, point, named, within=within)
    query = query.group_by("point", "named")
    rows = await _all(connection, query)
    return [(int(row[0]), str(row[1]), Amounts(*map(int, row[2:]))) for row in rows]


async def points_of(
    connection: AsyncConnection,
    source: Source,
    sight: Sight,
    span: Span,
    only: Filter,
    by: By,
    groups: Sequence[str],
    *,
    within: Within = None,
) -> list[tuple[int, str, Amounts]]:
    """As `points`, of these keys or people alone: what they used is found by their index."""
    column = source.table.c.key_id
    theirs = column.in_(groups)
    if by == "person":
        theirs = column.in_(select(keys.c.id).where(keys.c.account_id.in_(groups)))
    named, point = _group(source, by).label("named"), _point(source, span).label("point")
    query = _query(source, sight, span, only, by, point, named, within=within, of_few=True)
    query = query.where(theirs)
    rows = await _all(connection, query.group_by("point", "named"))
    return [(int(row[0]), str(row[1]), Amounts(*map(int, row[2:]))) for row in rows]


async def _all(connection: AsyncConnection, query: Select[Any]) -> Sequence[Any]:
    rows: Sequence[Any] = (await connection.execute(query)).all()
    return rows
