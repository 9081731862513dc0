"""How often rules hit: counts by day, added up, and swept when they are old."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.filters import Hits
from keyhall.stores.filters.tables import filter_hits

PORTION = 500  # rows in a statement
KEPT_DAYS = 90


async def add(connection: AsyncConnection, rows: Sequence[Hits]) -> None:
    """In a writing transaction: added to what stands there."""
    into = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    names = [column.name for column in filter_hits.c]
    for start in range(0, len(rows), PORTION):
        portion = [
            {name: getattr(each, name) for name in names} for each in rows[start : start + PORTION]
        ]
        added = into(filter_hits).values(portion)
        await connection.execute(
            added.on_conflict_do_update(
                index_elements=list(filter_hits.primary_key),
                set_={"count": filter_hits.c.count + added.excluded["count"]},
            )
        )


async def since(
    connection: AsyncConnection, day: int, project_ids: Sequence[str] | None = None
) -> dict[str, int]:
    """Hits by rule from that day on; of these projects, or of all."""
    query = select(filter_hits.c.rule_id, func.sum(filter_hits.c.count)).where(
        filter_hits.c.day >= day
    )
    if project_ids is not None:
        query = query.where(filter_hits.c.project_id.in_(project_ids))
    found = await connection.execute(query.group_by(filter_hits.c.rule_id))
    return {rule_id: int(count) for rule_id, count in found}


async def sweep(connection: AsyncConnection, today: int) -> None:
    old = delete(filter_hits).where(filter_hits.c.day <= today - KEPT_DAYS)
    await connection.execute(old)
