"""Single requests of one organization or key, found by the hours in which it had some.

The ledger has an index by time and none by key: one more would cost every request. The hourly
totals say when to look, so a key that is seldom used is found without what all others did.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.spans import HOUR_US, MINUTE_US
from keyhall.ports.people import Sight
from keyhall.ports.usage import Filter, Latency
from keyhall.stores import notes, usage
from keyhall.stores.requests import seen
from keyhall.stores.tables import usage as requests
from keyhall.stores.tables import usage_hourly

HOURS_MAX = 48  # looked at for one page
SAMPLED_MAX = 20_000  # requests that percentiles are made of: the newest
SCANNED_MAX = 500_000  # of the whole hall, in the hours that are looked at

_rows = requests.c


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour in which there were requests in sight."""

    begins_us: int
    requests: int


async def is_behind(connection: AsyncConnection) -> bool:
    """Whether there are requests that the hourly totals do not have yet."""
    rolled_up = int(await notes.fact(connection, usage.ROLLED_UP) or 0)
    return await usage.newest_number(connection) > rolled_up


async def newest(
    connection: AsyncConnection,
    sight: Sight,
    only: Filter,
    *,
    since_us: int,
    before_us: int,
    enough: int,
) -> tuple[list[Hour], bool]:
    """The newest hours that have enough requests together, newest first; and whether there may be
    more of them."""
    hour = usage_hourly.c.hour_us
    query = (
        select(hour, func.sum(usage_hourly.c.requests))
        .where(
            seen.rows_of(usage_hourly, sight, only),
            hour < before_us,
            hour >= since_us - since_us % HOUR_US,
        )
        .group_by(hour)
        .order_by(hour.desc())
        .limit(HOURS_MAX)
    )
    found: list[Hour] = []
    together = 0
    rows = (await connection.execute(query)).all()
    for row in rows:
        found.append(Hour(int(row[0]), int(row[1])))
        together += found[-1].requests
        if together >= enough:
            break
    return found, len(found) < len(rows) or len(rows) == HOURS_MAX


def within(hours: list[Hour], since_us: int, before_us: int) -> ColumnElement[bool]:
    """Requests that were admitted in these hours and in that time."""
    at = _rows.admitted_at_us
    ranges = [
        and_(
            at >= max(hour.begins_us, since_us),
            at < min(hour.begins_us + HOUR_US, before_us),
        )
        for hour in hours
    ]
    return or_(*ranges)


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
    """Percentiles of the newest requests, as those of minute 0, or by minute since `since_us`;
    nothing where there are too many of others to look through."""
    hours, _ = await newest(
        connection, sight, only, since_us=since_us, before_us=before_us, enough=SAMPLED_MAX
    )
    if not hours:
        return {}
    if await all_between(connection, hours[-1].begins_us, hours[0].begins_us + 1) > SCANNED_MAX:
        return {}
    point = ((_rows.admitted_at_us - since_us) // MINUTE_US) if by_minute else literal(0)
    sample = (
        select(
            point.label("point"),
            _rows.first_byte_us.label("first"),
            (_rows.finished_at_us - _rows.admitted_at_us).label("total"),
        )
        .where(seen.rows_of(requests, sight, only), within(hours, since_us, before_us))
        .order_by(_rows.admitted_at_us.desc())
        .limit(SAMPLED_MAX)
        .cte("sample")
    )
    found: dict[int, dict[str, int]] = {}
    for name in ("first", "total"):
        for at, p50, p95 in await _percentiles(connection, sample, name):
            found.setdefault(int(at), {}).update({f"{name}_p50_us": p50, f"{name}_p95_us": p95})
    return {at: Latency(**values) for at, values in found.items()}


async def _percentiles(connection: AsyncConnection, sample: Any, name: str) -> Any:
    """The nearest rank: the smallest value that so many are not above. Those without a first byte
    have none that was late."""
    value = sample.c[name]
    rank = func.cume_dist().over(partition_by=sample.c.point, order_by=value)
    ranked = (
        select(sample.c.point, value.label("value"), rank.label("rank"))
        .where(value > 0 if name == "first" else value >= 0)
        .subquery()
    )
    query = select(
        ranked.c.point,
        func.min(case((ranked.c.rank >= 0.5, ranked.c.value))),
        func.min(case((ranked.c.rank >= 0.95, ranked.c.value))),
    ).group_by(ranked.c.point)
    return (await connection.execute(query)).all()
