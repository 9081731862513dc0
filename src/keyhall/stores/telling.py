"""Rows that somebody is to be told of: alerts, notices, decisions. One function per query.

A row is sent by whoever moved its next try forward: the update names the try that was read, so of
two processes one changes a row and the other none. A process that dies before it notes the end has
its row sent again when the lease is over.
"""

from typing import Any, Protocol

from sqlalchemy import Select, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection


class Waits(Protocol):
    """A row as it was read."""

    @property
    def number(self) -> int: ...
    @property
    def attempts(self) -> int: ...
    @property
    def next_try_us(self) -> int: ...


def due(table: Table, now_us: int, limit: int) -> Select[Any]:
    """What somebody is to be told now, in the order in which it waits."""
    return (
        select(table)
        .where(table.c.told_at_us.is_(None), table.c.next_try_us <= now_us)
        .order_by(table.c.next_try_us, table.c.number)
        .limit(limit)
    )


async def claim(connection: AsyncConnection, table: Table, row: Waits, until_us: int) -> bool:
    """Take one try of a row; False if another process has taken it."""
    took = await connection.execute(
        update(table)
        .where(
            table.c.number == row.number,
            table.c.told_at_us.is_(None),
            table.c.attempts == row.attempts,
            table.c.next_try_us == row.next_try_us,
        )
        .values(attempts=row.attempts + 1, next_try_us=until_us)
    )
    return took.rowcount == 1


async def note(
    connection: AsyncConnection,
    table: Table,
    row: Waits,
    *,
    told_at_us: int | None,
    next_try_us: int,
    trouble: str | None,
) -> None:
    """How a claimed try ended; nothing if its lease ended first and another process has it."""
    await connection.execute(
        update(table)
        .where(table.c.number == row.number, table.c.attempts == row.attempts + 1)
        .values(told_at_us=told_at_us, next_try_us=next_try_us, trouble=trouble)
    )
