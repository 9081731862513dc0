"""Refusals in, and out again when they are old: one function per statement.

What may be kept is bounded whatever callers do: rows by the newest ROWS_MAX, counts by the newest
MINUTES_MAX, both by their age.
"""

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.requests import Refusal, RefusalCount
from keyhall.stores import notes
from keyhall.stores.requests.tables import refusals, refusals_minutes

ROWS_MAX = 1_000_000  # 300 MB
MINUTES_MAX = 5_000_000
LATE_US = 3_600_000_000
ADDED_LATE = "refusals_added_late"  # how often that was
PORTION = 500  # of rows in a statement: 5,000 parameters, of which SQLite takes 32,766


async def add(
    connection: AsyncConnection,
    rows: Sequence[Refusal],
    counts: Sequence[RefusalCount],
    now_us: int,
) -> None:
    """In a writing transaction. Counts are added to what stands there; that some came late (the
    store was away) is noted for who remembers sums."""
    if any(each.minute_us < now_us - LATE_US for each in counts):
        times = int(await notes.fact(connection, ADDED_LATE) or 0)
        await notes.set_fact(connection, ADDED_LATE, str(times + 1))
    for start in range(0, len(rows), PORTION):
        values = [_values(row) for row in rows[start : start + PORTION]]
        await connection.execute(insert(refusals).values(values))
    into = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(counts), PORTION):
        portion = [
            {name: getattr(each, name) for name in refusals_minutes.c.keys()}  # noqa: SIM118
            for each in counts[start : start + PORTION]
        ]
        added = into(refusals_minutes).values(portion)
        await connection.execute(
            added.on_conflict_do_update(
                index_elements=list(refusals_minutes.primary_key),
                set_={"count": refusals_minutes.c.count + added.excluded["count"]},
            )
        )


def _values(row: Refusal) -> dict[str, str | int | None]:
    return {
        "request_id": row.request_id,
        "key_id": row.key_id,
        "project_id": row.project_id,
        "organization_id": row.organization_id,
        "row": row.row,
        "status": row.status,
        "at_us": row.at_us,
        "is_admitted": int(row.is_admitted),
        "version": row.version,
        "facts": row.facts,
    }


async def sweep(connection: AsyncConnection, before_us: int) -> int:
    """Delete what is older, and the oldest beyond the bounds; returns how many rows went."""
    newest = await connection.scalar(select(func.max(refusals.c.number))) or 0
    old = (refusals.c.at_us < before_us) | (refusals.c.number <= newest - ROWS_MAX)
    gone = (await connection.execute(delete(refusals).where(old))).rowcount
    minute = refusals_minutes.c.minute_us
    at_most = select(minute).order_by(minute.desc()).offset(MINUTES_MAX).limit(1)
    bound = await connection.scalar(at_most)
    until_us = before_us if bound is None else max(before_us, bound + 1)
    away = await connection.execute(delete(refusals_minutes).where(minute < until_us))
    return int(gone + away.rowcount)
