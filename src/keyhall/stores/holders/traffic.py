"""What keys have used lately: by the day, by the hour, and to the minute.

Days and hours come from the hourly totals and the rows that are not in them yet; only what must be
told to the minute reads usage rows, and of those a bounded number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.metering import Outcome, Usage
from keyhall.ports.people import Sight
from keyhall.stores import notes
from keyhall.stores.holders.keys import ids_of
from keyhall.stores.tables import usage, usage_hourly
from keyhall.stores.usage import COLUMNS, DAY_US, HOUR_US, ROLLED_UP, newest_number, usage_of

LATELY_ROWS = 20_000  # usage rows that are looked through for what went wrong


@dataclass(frozen=True, slots=True)
class Traffic:
    requests: int = 0
    tokens: int = 0
    unanswered: int = 0


async def _by_hour(connection: AsyncConnection, key_ids: Sequence[str], since_us: int) -> Any:
    """Totals with key and hour: those that are kept, and those of the newest rows."""
    after = int(await notes.fact(connection, ROLLED_UP) or 0)
    kept = select(
        usage_hourly.c.key_id.label("key_id"),
        usage_hourly.c.hour_us.label("hour_us"),
        usage_hourly.c.requests.label("requests"),
        (usage_hourly.c.input_tokens + usage_hourly.c.output_tokens).label("tokens"),
        usage_hourly.c.unanswered.label("unanswered"),
    ).where(usage_hourly.c.hour_us >= since_us, usage_hourly.c.key_id.in_(key_ids))
    # A label, so that the column and its group are one expression to PostgreSQL.
    hour_us = (usage.c.admitted_at_us - usage.c.admitted_at_us % HOUR_US).label("hour_us")
    fresh = (
        select(
            usage.c.key_id,
            hour_us,
            func.count(),
            func.sum(usage.c.input_tokens + usage.c.output_tokens),
            func.count().filter(usage.c.outcome != Outcome.ANSWERED.value),
        )
        .where(
            usage.c.number > after, usage.c.admitted_at_us >= since_us, usage.c.key_id.in_(key_ids)
        )
        .group_by(usage.c.key_id, hour_us)
    )
    return union_all(kept, fresh).subquery()


async def by_day(
    connection: AsyncConnection, key_ids: Sequence[str], now_us: int, days: int
) -> dict[str, list[int]]:
    """Requests of each key in each of the last days (UTC), oldest first, today last."""
    today_us = now_us - now_us % DAY_US
    first_us = today_us - (days - 1) * DAY_US
    totals = await _by_hour(connection, key_ids, first_us)
    day = (totals.c.hour_us - totals.c.hour_us % DAY_US).label("day")
    query = select(totals.c.key_id, day, func.sum(totals.c.requests)).group_by(totals.c.key_id, day)
    found = {key_id: [0] * days for key_id in key_ids}
    for key_id, day_us, requests in await connection.execute(query):
        index = (int(day_us) - first_us) // DAY_US
        if 0 <= index < days:
            found[key_id][index] = int(requests)
    return found


async def since(
    connection: AsyncConnection, key_ids: Sequence[str], since_us: int
) -> dict[str, Traffic]:
    """Totals of each key from the hour in which `since_us` lies."""
    totals = await _by_hour(connection, key_ids, since_us - since_us % HOUR_US)
    sums = (func.sum(totals.c[name]) for name in ("requests", "tokens", "unanswered"))
    query = select(totals.c.key_id, *sums).group_by(totals.c.key_id)
    found = dict.fromkeys(key_ids, Traffic())
    for key_id, *amounts in await connection.execute(query):
        found[key_id] = Traffic(*map(int, amounts))
    return found


async def fresh_uses(connection: AsyncConnection, key_ids: Sequence[str]) -> dict[str, int]:
    """When keys were last used, of the rows that came since the last roll-up: a key's own
    `last_used_at_us` may be a minute behind, and these rows are of that minute."""
    after = int(await notes.fact(connection, ROLLED_UP) or 0)
    query = (
        select(usage.c.key_id, func.max(usage.c.admitted_at_us))
        .where(usage.c.number > after, usage.c.key_id.in_(key_ids))
        .group_by(usage.c.key_id)
    )
    return {row[0]: int(row[1]) for row in await connection.execute(query)}


async def lately(connection: AsyncConnection, key_id: str, since_us: int) -> tuple[int, int | None]:
    """Requests of a key since then, to the microsecond, and when the last one was admitted."""
    query = select(func.count(), func.max(usage.c.admitted_at_us)).where(
        usage.c.admitted_at_us >= since_us, usage.c.key_id == key_id
    )
    requests, last_us = (await connection.execute(query)).one()
    return int(requests), last_us


async def first_of(connection: AsyncConnection, key_id: str, since_us: int) -> Usage | None:
    """The first request of a key since then."""
    query = (
        select(*(usage.c[name] for name in COLUMNS))
        .where(usage.c.admitted_at_us >= since_us, usage.c.key_id == key_id)
        .order_by(usage.c.admitted_at_us)
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else usage_of(row)


def _sighted(sight: Sight) -> list[ColumnElement[bool]]:
    kept = [usage.c.organization_id == sight.organization_id]
    if sight.account_id is not None:
        kept.append(usage.c.key_id.in_(ids_of(sight)))
    return kept


async def find(connection: AsyncConnection, sight: Sight, request_id: str) -> Usage | None:
    """One request, by its 32 digits."""
    query = select(*(usage.c[name] for name in COLUMNS)).where(
        usage.c.request_id == request_id, *_sighted(sight)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else usage_of(row)


async def unfinished(
    connection: AsyncConnection, sight: Sight, since_us: int
) -> list[tuple[Outcome, int, int]]:
    """Answers that did not reach their end, by how they ended: how many, and the last. Looks
    through the newest rows only, so that it costs the same however many there are."""
    newest = await newest_number(connection)
    query = (
        select(usage.c.outcome, func.count(), func.max(usage.c.finished_at_us))
        .where(
            usage.c.number > newest - LATELY_ROWS,
            usage.c.outcome != Outcome.ANSWERED.value,
            usage.c.admitted_at_us >= since_us,
            *_sighted(sight),
        )
        .group_by(usage.c.outcome)
    )
    return [(Outcome(row[0]), int(row[1]), int(row[2])) for row in await connection.execute(query)]
