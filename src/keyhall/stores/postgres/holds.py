"""Holds of quotas in PostgreSQL: a short transaction per request, for callers under quotas only.

A hold whose commit was not answered is given back by whoever asked for it. That may come before the
commit itself does, where the server was slow: so a hold and what ends it lock the request's id, and
the end waits for the hold.

Sums are made anew when an organization's days begin at another time (`quotas.recompute`). What is
held and what ends comes wholly before that or wholly after it: it would stand beside a sum that was
deleted, or be taken off one that is not there any more. So each shares a lock with its like that
whoever makes sums anew has alone: a hold its organization's, an end that of batches of usage.
"""

from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from keyhall.ports.quotas import Held, Line, Short
from keyhall.stores.postgres.batches import answered
from keyhall.stores.spending import holds
from keyhall.stores.spending.holds import lock_number
from keyhall.stores.spending.take_in import USAGE_LOCK

IDS_MAX = 100  # of one transaction: as many locks, of the thousands that the server has for all


class _Undone(Exception):
    """Nothing of it is to be committed."""


@asynccontextmanager
async def _transaction(
    connection: asyncpg.Connection, shared: Iterable[int], ids: Sequence[str]
) -> AsyncIterator[None]:
    """Begins with the locks that it shares and then those of these requests, in one message. All
    are numbers: nothing of a caller's is in it."""
    locks = [f"pg_advisory_xact_lock_shared({number})" for number in sorted(shared)]
    locks += [f"pg_advisory_xact_lock({number})" for number in sorted(map(lock_number, ids))]
    await connection.execute(f"BEGIN; SELECT {', '.join(locks)}")
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def hold(connection: asyncpg.Connection, held: Held, lines: Sequence[Line]) -> Short | None:
    """All of them, or the first that does not fit and nothing. Must not be repeated."""
    short = None
    shared = {lock_number(line.quota.organization_id) for line in lines}
    try:
        async with _transaction(connection, shared, [held.request_id]):
            short = await answered(connection, holds.take(held, lines))
            if short is not None:
                raise _Undone
    except _Undone:
        pass
    return short


async def end(connection: asyncpg.Connection, request_ids: Sequence[str]) -> int:
    """Give back what these requests hold. Repeatable."""
    count = 0
    for start in range(0, len(request_ids), IDS_MAX):
        ids = request_ids[start : start + IDS_MAX]
        count += await _ended(connection, ids, holds.end(ids))
    return count


async def end_of(connection: asyncpg.Connection, writer: str) -> int:
    """Give back what a process that is gone still holds. Repeatable."""
    return await _ended(connection, [writer], holds.end_of(writer))


async def _ended(
    connection: asyncpg.Connection, locked: Sequence[str], steps: Generator[Any, Any, int]
) -> int:
    async with _transaction(connection, [USAGE_LOCK], locked):
        return await answered(connection, steps)
