"""Refusals as holders of keys look them up. They are written by whoever refuses."""

from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Refusal, Sight
from keyhall.stores.accounts.tables import refusals
from keyhall.stores.holders.keys import ids_of

_SHOWN = [column for column in refusals.c if column.name != "number"]
_QUERY: Select[Any] = select(*_SHOWN).order_by(refusals.c.number.desc())


def _refusal(row: RowMapping) -> Refusal:
    return Refusal(**row)


def _seen(sight: Sight) -> list[ColumnElement[bool]]:
    kept = [refusals.c.organization_id == sight.organization_id]
    if sight.account_id is not None:
        kept.append(refusals.c.key_id.in_(ids_of(sight)))
    return kept


async def find(connection: AsyncConnection, sight: Sight, request_id: str) -> Refusal | None:
    """By the request's id, with or without `req_`."""
    digits = request_id.removeprefix("req_")
    query = _QUERY.where(refusals.c.request_id.in_([digits, f"req_{digits}"]), *_seen(sight))
    row = (await connection.execute(query.limit(1))).mappings().first()
    return None if row is None else _refusal(row)


async def last_of(connection: AsyncConnection, key_id: str, since_us: int) -> Refusal | None:
    """The newest of a key since then."""
    query = _QUERY.where(refusals.c.key_id == key_id, refusals.c.at_us >= since_us).limit(1)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _refusal(row)


async def grouped(
    connection: AsyncConnection, sight: Sight, since_us: int
) -> list[tuple[str, int, int]]:
    """By row of the error table: how many and when the last one, newest first."""
    last_us = func.max(refusals.c.at_us)
    query = (
        select(refusals.c.row, func.count(), last_us)
        .where(refusals.c.at_us >= since_us, *_seen(sight))
        .group_by(refusals.c.row)
        .order_by(last_us.desc())
    )
    return [(row[0], int(row[1]), int(row[2])) for row in await connection.execute(query)]
