"""Notices to owners of keys: one function per query. A row is told as an alert is: whoever moves
its next try forward sends it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.notices import Notice, NoticeKind
from keyhall.ports.people import Sight
from keyhall.ports.records import Key
from keyhall.stores import telling
from keyhall.stores.holders.keys import seen
from keyhall.stores.keys import QUERY, key_of
from keyhall.stores.leaks.tables import notices
from keyhall.stores.tables import accounts, keys, projects

_AT_ONCE = 500  # bound values of one statement


def _notice(row: RowMapping) -> Notice:
    trouble = row["trouble"]
    return Notice(
        number=row["number"],
        kind=row["kind"],
        key_id=row["key_id"],
        account_id=row["account_id"],
        organization_id=row["organization_id"],
        at_us=row["at_us"],
        facts=msgspec.json.decode(row["facts"], type=dict[str, Any]),
        closed_at_us=row["closed_at_us"],
        closed_by=row["closed_by"],
        told_at_us=row["told_at_us"],
        attempts=row["attempts"],
        next_try_us=row["next_try_us"],
        trouble=None if trouble is None else msgspec.json.decode(trouble, type=dict[str, str]),
    )


async def add(
    connection: AsyncConnection,
    kind: NoticeKind,
    found: Sequence[tuple[Key, Mapping[str, Any]]],
    now_us: int,
) -> None:
    """One for each key, with its evidence. They are due at once."""
    rows = [
        {
            "kind": kind,
            "key_id": key.id,
            "account_id": key.account_id,
            "organization_id": key.organization_id,
            "at_us": now_us,
            "facts": msgspec.json.encode(facts).decode(),
            "attempts": 0,
            "next_try_us": now_us,
        }
        for key, facts in found
    ]
    if rows:
        await connection.execute(insert(notices), rows)


async def find(connection: AsyncConnection, number: int) -> Notice | None:
    row = (
        (await connection.execute(select(notices).where(notices.c.number == number)))
        .mappings()
        .first()
    )
    return None if row is None else _notice(row)


async def open_of_keys(connection: AsyncConnection, key_ids: Sequence[str]) -> list[Notice]:
    """Those of these keys that nobody has closed, newest first."""
    found: list[Notice] = []
    for start in range(0, len(key_ids), _AT_ONCE):
        part = key_ids[start : start + _AT_ONCE]
        query = select(notices).where(_is_open(), notices.c.key_id.in_(part))
        rows = await connection.execute(query.order_by(notices.c.number.desc()))
        found += [_notice(row) for row in rows.mappings()]
    return found


async def open_in_sight(
    connection: AsyncConnection, sight: Sight, limit: int
) -> list[tuple[Notice, Key]]:
    """Of the keys that somebody may see, newest first. That a key wanders is no news once it is
    revoked."""
    is_news = (notices.c.kind == "leaked") | keys.c.revoked_at_us.is_(None)
    query = _WITH_KEYS.where(_is_open(), seen(sight), is_news)
    return await _with_keys(connection, query, limit)


async def newest(
    connection: AsyncConnection, *, with_closed: bool, limit: int
) -> list[tuple[Notice, Key]]:
    """Of all keys, newest first."""
    query = _WITH_KEYS if with_closed else _WITH_KEYS.where(_is_open())
    return await _with_keys(connection, query, limit)


_WITH_KEYS = (
    select(notices.c.number, notices.c.key_id)
    .join_from(notices, keys, notices.c.key_id == keys.c.id)
    .join(projects, keys.c.project_id == projects.c.id)
)


async def _with_keys(
    connection: AsyncConnection, query: Select[Any], limit: int
) -> list[tuple[Notice, Key]]:
    latest = query.order_by(notices.c.number.desc()).limit(limit)
    found = (await connection.execute(latest)).all()
    told = await connection.execute(
        select(notices).where(notices.c.number.in_([row.number for row in found]))
    )
    of_keys = await connection.execute(QUERY.where(keys.c.id.in_([row.key_id for row in found])))
    by_id = {row["id"]: key_of(row) for row in of_keys.mappings()}
    by_number = {row["number"]: _notice(row) for row in told.mappings()}
    return [(by_number[row.number], by_id[row.key_id]) for row in found]


def _is_open() -> ColumnElement[bool]:
    return notices.c.closed_at_us.is_(None)


async def close(connection: AsyncConnection, number: int, by: str, now_us: int) -> bool:
    """False if somebody else did."""
    closed = update(notices).where(notices.c.number == number, _is_open())
    done = await connection.execute(closed.values(closed_at_us=now_us, closed_by=by))
    return done.rowcount == 1


async def forget(connection: AsyncConnection, account_id: str) -> None:
    """Those to an account that is deleted."""
    await connection.execute(delete(notices).where(notices.c.account_id == account_id))


# --- Telling --------------------------------------------------------------------------------------


async def due(connection: AsyncConnection, now_us: int, limit: int) -> list[Notice]:
    """What somebody is to be told now, in the order in which it waits."""
    query = telling.due(notices, now_us, limit)
    return [_notice(row) for row in (await connection.execute(query)).mappings()]


async def claim(connection: AsyncConnection, notice: Notice, until_us: int) -> bool:
    """Take one try of a notice; False if another process has taken it."""
    return await telling.claim(connection, notices, notice, until_us)


async def note(
    connection: AsyncConnection,
    notice: Notice,
    *,
    told_at_us: int | None,
    next_try_us: int,
    trouble: Mapping[str, str] | None,
) -> None:
    """How a claimed try ended; nothing if its lease ended first and another process has it."""
    said = None if trouble is None else msgspec.json.encode(trouble).decode()
    await telling.note(
        connection, notices, notice, told_at_us=told_at_us, next_try_us=next_try_us, trouble=said
    )


async def about(connection: AsyncConnection, notice: Notice) -> tuple[Key | None, str | None]:
    """The key, and its owner's e-mail address."""
    row = (await connection.execute(QUERY.where(keys.c.id == notice.key_id))).mappings().first()
    address = select(accounts.c.email).where(accounts.c.id == notice.account_id)
    email = await connection.scalar(address)
    return None if row is None else key_of(row), email


# --- Keys by their texts --------------------------------------------------------------------------


async def keys_of(connection: AsyncConnection, digests: Sequence[bytes]) -> dict[bytes, Key]:
    """The keys with these digests, whatever their state."""
    found: dict[bytes, Key] = {}
    for start in range(0, len(digests), _AT_ONCE):
        query = QUERY.where(keys.c.digest.in_(digests[start : start + _AT_ONCE]))
        rows = await connection.execute(query.add_columns(keys.c.digest.label("whole")))
        found |= {row["whole"]: key_of(row) for row in rows.mappings()}
    return found
