"""Decisions that webhooks are to be told of: one function per query. As with alerts, of two
processes one claims a row and the other none."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.review import Call
from keyhall.stores import telling
from keyhall.stores.review.tables import webhook_calls as calls


async def add(
    connection: AsyncConnection, project_id: str, request_id: str, body: str, due_us: int
) -> None:
    await connection.execute(
        calls.insert().values(
            project_id=project_id,
            request_id=request_id,
            body=body,
            at_us=due_us,
            attempts=0,
            next_try_us=due_us,
        )
    )


async def withdraw(connection: AsyncConnection, request_id: str) -> None:
    """Of a decision that was taken back before anybody was told."""
    await connection.execute(
        delete(calls).where(calls.c.request_id == request_id, calls.c.attempts == 0)
    )


async def due(connection: AsyncConnection, now_us: int, limit: int) -> list[Call]:
    query = telling.due(calls, now_us, limit)
    return [Call(**row) for row in (await connection.execute(query)).mappings()]


async def claim(connection: AsyncConnection, call: Call, until_us: int) -> bool:
    """Take one try; False if another process has taken it."""
    return await telling.claim(connection, calls, call, until_us)


async def note(
    connection: AsyncConnection,
    call: Call,
    *,
    told_at_us: int | None,
    next_try_us: int,
    trouble: str | None,
) -> None:
    """How a claimed try ended."""
    await telling.note(
        connection, calls, call, told_at_us=told_at_us, next_try_us=next_try_us, trouble=trouble
    )


async def newest(connection: AsyncConnection, project_ids: Sequence[str], limit: int) -> list[Call]:
    query = (
        select(calls)
        .where(calls.c.project_id.in_(project_ids))
        .order_by(calls.c.number.desc())
        .limit(limit)
    )
    return [Call(**row) for row in (await connection.execute(query)).mappings()]
