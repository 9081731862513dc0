"""Refusals as holders of keys look them up. They are written by whoever refuses."""

from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Sight
from keyhall.ports.requests import Refusal
from keyhall.stores.holders.keys import ids_of
from keyhall.stores.requests.tables import refusals, refusals_minutes

_SHOWN = [column for column in refusals.c if column.name != "number"]
_QUERY: Select[Any] = select(*_SHOWN).order_by(refusals.c.number.desc())


def _refusal(row: RowMapping) -> Refusal:
    return Refusal(**(dict(row) | {"is_admitted": bool(row["is_admitted"])}))


def _seen(sight: Sight, rows: Any) -> list[ColumnElement[bool]]:
    kept: list[ColumnElement[bool]] = [rows.organization_id == sight.organization_id]
    if sight.account_id is not None:
        kept.append(rows.key_id.in_(ids_of(sight)))
    return kept


async def find(connection: AsyncConnection, sight: Sight, request_id: str) -> Refusal | None:
    """By the request's id, with or without `req_`."""
    digits = request_id.removeprefix("req_")
    query = _QUERY.where(
        refusals.c.request_id.in_([digits, f"req_{digits}"]), *_seen(sight, refusals.c)
    )
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
    """By row of the error table: how many and when the last one, newest first. Of a key that is
    refused very often single refusals are not all kept; their number is. Those that were admitted
    and failed later are among the requests that did not end well."""
    last_us = func.max(refusals.c.at_us)
    rows = (
        select(refusals.c.row, func.count(), last_us)
        .where(refusals.c.at_us >= since_us, refusals.c.is_admitted == 0, *_seen(sight, refusals.c))
        .group_by(refusals.c.row)
        .order_by(last_us.desc())
    )
    minutes = refusals_minutes.c
    counts = (
        select(minutes.row, func.sum(minutes["count"]))
        .where(minutes.minute_us >= since_us, *_seen(sight, minutes))
        .group_by(minutes.row)
    )
    exact = {row[0]: int(row[1]) for row in await connection.execute(counts)}
    return [
        (row[0], max(int(row[1]), exact.get(row[0], 0)), int(row[2]))
        for row in await connection.execute(rows)
    ]
