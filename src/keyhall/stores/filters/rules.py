"""Rules and switches: one function per query."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.filters import FilterRow
from keyhall.stores.filters.tables import filter_rules

RULES_MAX = 10_000  # of one owner that are read at once


def _row(row: RowMapping) -> FilterRow:
    return FilterRow(
        owner_id=row["owner_id"],
        id=row["id"],
        is_on=bool(row["is_on"]),
        action=row["action"],
        percent=row["percent"],
        changed_by=row["changed_by"],
        changed_at_us=row["changed_at_us"],
        rule=row["rule"],
    )


async def of_owners(connection: AsyncConnection, owner_ids: Sequence[str]) -> list[FilterRow]:
    """In the order of their ids. The hall's owner is the empty text."""
    query = select(filter_rules).where(filter_rules.c.owner_id.in_(owner_ids))
    ordered = query.order_by(filter_rules.c.owner_id, filter_rules.c.id).limit(RULES_MAX)
    return [_row(row) for row in (await connection.execute(ordered)).mappings()]


async def find(connection: AsyncConnection, owner_id: str, rule_id: str) -> FilterRow | None:
    query = select(filter_rules).where(
        filter_rules.c.owner_id == owner_id, filter_rules.c.id == rule_id
    )
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _row(row)


async def put(connection: AsyncConnection, row: FilterRow) -> None:
    """In a writing transaction: instead of the one that was there."""
    await remove(connection, row.owner_id, row.id)
    await connection.execute(
        insert(filter_rules).values(
            owner_id=row.owner_id,
            id=row.id,
            rule=row.rule,
            is_on=int(row.is_on),
            action=row.action,
            percent=row.percent,
            changed_by=row.changed_by,
            changed_at_us=row.changed_at_us,
        )
    )


async def remove(connection: AsyncConnection, owner_id: str, rule_id: str) -> None:
    gone = delete(filter_rules).where(
        filter_rules.c.owner_id == owner_id, filter_rules.c.id == rule_id
    )
    await connection.execute(gone)
