"""Single requests of one organization or key, found by the hours in which it had some.

The ledger has an index by time and none by key: one more would cost every request. The hourly
totals say when to look, so a key that is seldom used is found without what all others did.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.spans import DAY_US, HOUR_US, MINUTE_US
from keyhall.ports.people import Sight
from keyhall.ports.usage import Filter, Latency
from keyhall.stores.requests import seen
from keyhall.stores.tables import usage as requests
from keyhall.stores.tables import usage_hourly

HOURS_MAX = 48  # looked at for one page
LATELY_US = 7 * DAY_US
SAMPLED_MAX = 20_000  # requests that percentiles by the minute are made of: the newest
WHOLE_SAMPLED_MAX = 2_000  # and those of all of them together
ALL = -1  # the point of all of them
NAMES = ("first", "total")
SCANNED_MAX = 500_000  # of the whole hall, in the hours that are looked at

_rows = requests.c


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: ranges of time that have requests in sight, newest first. `floor_us` is how
    far back that is, if there may be more before it."""

    ranges: list[tuple[int, int]]
    floor_us: int | None = None

    def within(self, query: Select[Any]) -> Any:
        """The rows of a query of requests that were admitted in these ranges: one part for each,
        for which the index by time is used."""
        at = _rows.admitted_at_us
        parts = [query.where(at >= begins, at < ends) for begins, ends in self.ranges]
        return parts[0] if len(parts) == 1 else union_all(*parts)


async def newest(
    connection: AsyncConnection,
    sight: Sight,
    only: Filter,
    *,
    since_us: int,
    before_us: int,
    enough: int,
    is_wanted: ColumnElement[int] = usage_hourly.c.requests,
) -> Place:
    """Where the newest requests are, as many hours back as have enough of them together, and no
    more than SCANNED_MAX requests of everybody's."""
    hour = usage_hourly.c.hour_us
    query = (
        select(hour, func.sum(is_wanted))
        .where(seen.rows_of(usage_hourly, sight, only), hour < before_us, is_wanted > 0)
        .group_by(hour)
        .order_by(hour.desc())
        .limit(HOURS_MAX)
    )
    rows: list[tuple[int, int]] = []
    # Hours of few keys are found by key and then put in order: mostly those of a few days will do.
    for from_us in sorted({max(since_us, before_us - LATELY_US), since_us}, reverse=True):
        some = await connection.execute(query.where(hour >= from_us - from_us % HOUR_US))
        rows = [(int(at), int(count)) for at, count in some.all()]
        if len(rows) == HOURS_MAX or sum(count for _, count in rows) >= enough:
            break
    kept, together = 0, 0
    for _, count in rows:
        kept, together = kept + 1, together + count
        if together >= enough:
            break
    more = rows[kept - 1][0] if kept < len(rows) or len(rows) == HOURS_MAX else None
    everybody = await _all_of(connection, [at for at, _ in rows[:kept]])
    return _place(everybody, since_us, before_us, more)


def _place(everybody: dict[int, int], since_us: int, before_us: int, floor_us: int | None) -> Place:
    """The hours as ranges, cut where looking would take too long."""
    ranges: list[tuple[int, int]] = []
    left = SCANNED_MAX
    for begins_us, count in sorted(everybody.items(), reverse=True):
        ends_us = min(begins_us + HOUR_US, before_us)
        from_us = max(begins_us, since_us)
        if from_us >= ends_us:
            continue
        expected = count * (ends_us - from_us) // HOUR_US
        if expected > left:
            from_us = ends_us - (ends_us - from_us) * left // expected
            return Place([*ranges, (from_us, ends_us)], from_us)
        left -= expected
        if ranges and ranges[-1][0] == ends_us:
            from_us, ends_us = from_us, ranges.pop()[1]
        ranges.append((from_us, ends_us))
    return Place(ranges, floor_us)


async def _all_of(connection: AsyncConnection, wanted: list[int]) -> dict[int, int]:
    """How many requests of everybody's there were in each of these hours."""
    if not wanted:
        return {}
    hour = usage_hourly.c.hour_us
    query = select(hour, func.sum(usage_hourly.c.requests)).where(hour.in_(wanted)).group_by(hour)
    return {int(at): int(count) for at, count in (await connection.execute(query)).all()}


async def all_between(connection: AsyncConnection, begins_us: int, ends_us: int) -> int:
    """How many requests of the whole hall there are in these hours: what a look at single ones
    may cost."""
    hour = usage_hourly.c.hour_us
    query = select(func.coalesce(func.sum(usage_hourly.c.requests), 0)).where(
        hour >= begins_us - begins_us % HOUR_US, hour < ends_us
    )
    return int(await connection.scalar(query) or 0)


async def latency(
    connection: AsyncConnection,
    sight: Sight,
    only: Filter,
    *,
    since_us: int,
    before_us: int,
    by_minute: bool,
) -> dict[int, Latency]:
    """Percentiles of the newest requests, as those of ALL; and by minute since `since_us`."""
    most = SAMPLED_MAX if by_minute else WHOLE_SAMPLED_MAX
    place = await newest(
        connection, sight, only, since_us=since_us, before_us=before_us, enough=most
    )
    if not place.ranges:
        return {}
    rows = select(
        _rows.admitted_at_us.label("at"),
        ((_rows.admitted_at_us - since_us) // MINUTE_US).label("point"),
        _rows.first_byte_us.label("first"),
        (_rows.finished_at_us - _rows.admitted_at_us).label("total"),
    ).where(seen.rows_of(requests, sight, only))
    within = place.within(rows).subquery("within")
    sample = select(within).order_by(within.c.at.desc()).limit(most).cte("sample")
    columns = sample.c["at", "first", "total"]
    newest_of = select(*columns, literal(ALL).label("point")).order_by(sample.c.at.desc())
    whole = newest_of.limit(WHOLE_SAMPLED_MAX).cte("whole")
    parts = [
        _percentiles(part, name) for part in (sample, whole)[not by_minute :] for name in NAMES
    ]
    found: dict[int, dict[str, int]] = {}
    for name, at, p50, p95 in (await connection.execute(union_all(*parts))).all():
        found.setdefault(int(at), {}).update({f"{name}_p50_us": p50, f"{name}_p95_us": p95})
    return {at: Latency(**values) for at, values in found.items()}


def _percentiles(sample: Any, name: str) -> Select[Any]:
    """The nearest rank: the smallest value that so many are not above. Those without a first byte
    have none that was late."""
    value = sample.c[name]
    rank = func.cume_dist().over(partition_by=sample.c.point, order_by=value)
    ranked = (
        select(sample.c.point, value.label("value"), rank.label("rank"))
        .where(value > 0 if name == "first" else value >= 0)
        .subquery()
    )
    return select(
        literal(name),
        ranked.c.point,
        func.min(case((ranked.c.rank >= 0.5, ranked.c.value))),
        func.min(case((ranked.c.rank >= 0.95, ranked.c.value))),
    ).group_by(ranked.c.point)
