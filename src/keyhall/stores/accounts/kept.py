"""Everything that is kept about one account, for its owner to take along: no digest, no hash."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.stores.accounts.tables import asks, links, sessions, sign_ins
from keyhall.stores.leaks.tables import notices
from keyhall.stores.requests.tables import refusals
from keyhall.stores.review.tables import feedback, reviews
from keyhall.stores.sql import SqlStore
from keyhall.stores.tables import accounts, audit, keys, members, usage

PAGE_ROWS = 2_000
SECRET = frozenset(
    {"digest", "text_digest", "password", "totp", "recovery_codes", "pepper", "batch"}
)


def _shown(table: Table) -> list[ColumnElement[Any]]:
    return [column for column in table.c if column.name not in SECRET]


async def _rows(
    connection: AsyncConnection, table: Table, which: ColumnElement[bool]
) -> list[dict[str, Any]]:
    found = await connection.execute(select(*_shown(table)).where(which))
    return [dict(row) for row in found.mappings()]


async def facts(connection: AsyncConnection, account_id: str) -> dict[str, list[dict[str, Any]]]:
    """What is short: everything but usage, refusals and the audit."""
    email = await connection.scalar(select(accounts.c.email).where(accounts.c.id == account_id))
    own = select(keys.c.id).where(keys.c.account_id == account_id)
    mine = or_(links.c.account_id == account_id, links.c.email == email)
    return {
        "account": await _rows(connection, accounts, accounts.c.id == account_id),
        "sign_in": await _rows(connection, sign_ins, sign_ins.c.account_id == account_id),
        "memberships": await _rows(connection, members, members.c.account_id == account_id),
        "sessions": await _rows(connection, sessions, sessions.c.account_id == account_id),
        "links": await _rows(connection, links, mine),
        "asks_for_limits": await _rows(connection, asks, asks.c.account_id == account_id),
        "notices": await _rows(connection, notices, notices.c.account_id == account_id),
        "keys": await _rows(connection, keys, keys.c.account_id == account_id),
        "feedback": await _rows(connection, feedback, feedback.c.key_id.in_(own)),
        "reviews": await _rows(connection, reviews, reviews.c.who == f"account:{account_id}"),
    }


def _own(row: dict[str, Any], account_id: str) -> dict[str, Any]:
    """Where somebody else sat who did something to the account is not its owner's to know."""
    if row.get("who", f"account:{account_id}") == f"account:{account_id}":
        return row
    return row | {"origin": "somebody else's"}


async def pages(
    store: SqlStore, name: str, account_id: str, key_ids: Sequence[str]
) -> AsyncIterator[list[dict[str, Any]]]:
    """What may be long, page by page, oldest first."""
    table, which = {
        "requests": (usage, usage.c.key_id.in_(key_ids)),
        "refusals": (refusals, refusals.c.key_id.in_(key_ids)),
        "audit": (
            audit,
            or_(audit.c.who == f"account:{account_id}", audit.c.target == account_id),
        ),
    }[name]
    if name != "audit" and not key_ids:
        return
    last = 0
    while True:
        query = select(*_shown(table)).where(which, table.c.number > last)
        async with store.reading(is_long=True) as connection:
            found = await connection.execute(query.order_by(table.c.number).limit(PAGE_ROWS))
            page = [dict(row) for row in found.mappings()]
        if page:
            yield [_own(row, account_id) for row in page]
        if len(page) < PAGE_ROWS:
            return
        last = page[-1]["number"]
