"""Feedback, row by row: one function per query."""

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Sight
from keyhall.ports.review import Answered, Feedback
from keyhall.stores.review.tables import feedback
from keyhall.stores.tables import keys, usage

_SHOWN = tuple(feedback.c)


def _feedback(row: Any) -> Feedback:
    flags = {name: bool(row[name]) for name in ("has_correction", "has_comment")}
    return Feedback(**{**row, **flags})


async def answered(
    connection: AsyncConnection, request_id: str, project_id: str
) -> Answered | None:
    """What a project was answered; None also where another project was."""
    query = (
        select(
            *(
                usage.c[name]
                for name in (
                    "request_id",
                    "organization_id",
                    "project_id",
                    "key_id",
                    "version",
                    "admitted_at_us",
                    "is_stream",
                )
            ),
            keys.c.account_id,
        )
        .join_from(usage, keys, usage.c.key_id == keys.c.id)
        .where(usage.c.request_id == request_id, usage.c.project_id == project_id)
    )
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else Answered(**{**row, "is_stream": bool(row["is_stream"])})


async def latest(connection: AsyncConnection, request_id: str) -> Feedback | None:
    query = select(*_SHOWN).where(
        feedback.c.request_id == request_id, feedback.c.replaced_at_us.is_(None)
    )
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _feedback(row)


async def count(connection: AsyncConnection, request_id: str) -> int:
    query = select(func.count()).where(feedback.c.request_id == request_id)
    return await connection.scalar(query) or 0


async def replace(connection: AsyncConnection, new: Feedback) -> int:
    """The latest of its request from now on; returns its number. The caller's transaction
    excludes other writers."""
    await connection.execute(
        update(feedback)
        .where(feedback.c.request_id == new.request_id, feedback.c.replaced_at_us.is_(None))
        .values(replaced_at_us=new.at_us)
    )
    row = {column.name: getattr(new, column.name) for column in _SHOWN if column.name != "number"}
    for name in ("has_correction", "has_comment"):
        row[name] = int(row[name])
    made = await connection.execute(feedback.insert().values(**row).returning(feedback.c.number))
    number: int = made.scalar_one()
    return number


async def newest(connection: AsyncConnection, sight: Sight, limit: int) -> list[Feedback]:
    """The latest of each request, newest first."""
    query = select(*_SHOWN).where(
        feedback.c.organization_id == sight.organization_id, feedback.c.replaced_at_us.is_(None)
    )
    if sight.account_id is not None:
        own = select(keys.c.id).where(keys.c.account_id == sight.account_id)
        query = query.where(feedback.c.key_id.in_(own))
    query = query.order_by(feedback.c.at_us.desc(), feedback.c.number.desc()).limit(limit)
    return [_feedback(row) for row in (await connection.execute(query)).mappings()]
