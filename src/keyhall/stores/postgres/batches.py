"""Settled usage and last uses on their way into PostgreSQL, many rows at a time.

COPY takes a row for 0.8 us of this process's time, where a statement with arrays takes 3.6; it
cannot skip what is there already, so it fills a table of the connection's own, from which one
statement inserts. Numbers of usage rows are given out in the order in which batches come, not in
which they commit; the roll-up must not pass one that is still on its way. So each batch holds a
lock that it shares with other batches, and the roll-up asks for it alone. A second lock is its
writer's: a batch that is sent again, because its commit was not answered, waits for the first one
to end one way or the other.
"""

from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, TypeVar

import asyncpg

from keyhall.policy.metering import Usage
from keyhall.ports.store import LAST_USE_US, QuotaUse
from keyhall.stores.spending.take_in import USAGE_LOCK, Insert, take_in, values_of
from keyhall.stores.usage import COLUMNS

Out = TypeVar("Out")

_COLUMNS = (*COLUMNS, "batch")
_NAMES = ", ".join(_COLUMNS)
_INCOMING = (
    f"CREATE TEMPORARY TABLE incoming_usage ON COMMIT DELETE ROWS AS SELECT {_NAMES} "  # noqa: S608
    "FROM usage WITH NO DATA"
)
_LOCK = (
    f"SELECT pg_advisory_xact_lock_shared({USAGE_LOCK}), "
    "pg_advisory_xact_lock(hashtextextended($1, 0))"
)
_INSERT = (
    f"INSERT INTO usage ({_NAMES}) SELECT {_NAMES} "  # noqa: S608
    "FROM incoming_usage ON CONFLICT DO NOTHING"
)
_INSERTED = "SELECT request_id FROM usage WHERE batch = $1 AND request_id = ANY($2)"
# Last use is lossy by design: a row that somebody else is changing is passed by, so that this
# waits for nobody and nobody for it; and what another process has noted a moment ago is left alone.
_TOUCH = f"""
UPDATE keys SET last_used_at_us = used.at_us
FROM (
    SELECT keys.id, given.at_us
    FROM unnest($1::text[], $2::bigint[]) AS given (id, at_us)
    JOIN keys ON keys.id = given.id
    WHERE keys.last_used_at_us IS NULL OR keys.last_used_at_us <= given.at_us - {LAST_USE_US}
    FOR NO KEY UPDATE OF keys SKIP LOCKED
) AS used
WHERE keys.id = used.id
"""  # noqa: S608 - a number of ours


async def prepare(connection: asyncpg.Connection) -> None:
    """What a connection needs before it takes batches."""
    await connection.execute(_INCOMING)


async def record(
    connection: asyncpg.Connection, batch: Sequence[Usage], writer: str
) -> list[QuotaUse]:
    """One durable transaction. May be repeated: what is there already is not stored again."""
    async with connection.transaction():
        await connection.execute(_LOCK, writer)
        return await answered(connection, take_in(batch, writer))


async def answered(connection: asyncpg.Connection, steps: Generator[Any, Any, Out]) -> Out:
    """Ask what the steps ask, inside the caller's transaction."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            out: Out = end.value
            return out
        if isinstance(step, Insert):
            answer = await _insert(connection, step)
        else:
            answer = await connection.fetch(numbered(step.sql), *step.values)


async def _insert(connection: asyncpg.Connection, step: Insert) -> Sequence[Usage]:
    rows = ((*values_of(row), step.batch) for row in step.rows)
    await connection.copy_records_to_table("incoming_usage", records=rows, columns=_COLUMNS)
    inserted = int((await connection.execute(_INSERT)).rpartition(" ")[2])
    if inserted == len(step.rows):
        return step.rows
    fresh = {row.request_id: row for row in step.rows}
    found = await connection.fetch(_INSERTED, step.batch, [*fresh])
    ids = {row[0] for row in found}
    return [row for identity, row in fresh.items() if identity in ids]


@lru_cache(maxsize=512)
def numbered(sql: str) -> str:
    """A statement with `?` in PostgreSQL's own form: $1, $2 ..."""
    first, *others = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in zip(count(1), others))


async def touch(connection: asyncpg.Connection, last_used: Mapping[str, int]) -> None:
    await connection.execute(_TOUCH, [*last_used], [*last_used.values()])
