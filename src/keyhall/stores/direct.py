"""Straight to SQLite, past SQLAlchemy: the four things a busy hall does all the time, and a copy.

Each is one hop to a thread, or none. The driver lets go of the interpreter's lock at every
statement and must win it back from a busy event loop, up to 5 ms each time; SQLAlchemy's async
adapter makes ten hops of one look-up (measured: 1 ms, 15 ms beside a busy loop; here 0.15 ms).
For the same reason batches go in with many rows per statement: a row per statement
(`executemany`) took 2 ms a row beside a busy loop, 250 rows per statement 13 us, and 2-3 us when
the loop is idle, commit and fsync included.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.dialects import sqlite

from keyhall.policy.access import Grant
from keyhall.policy.metering import Usage
from keyhall.ports.quotas import Held, Line, Short
from keyhall.ports.store import LAST_USE_US, Change, QuotaUse
from keyhall.stores import grants
from keyhall.stores.spending import holds
from keyhall.stores.spending.take_in import (
    QUOTAS_OF,
    SIZES,
    Insert,
    portions,
    quota_of,
    take_in,
    values_of,
)
from keyhall.stores.usage import COLUMNS

# The largest of `portions` has 5,000 parameters; SQLite takes 32,766.
_ROW = f"({', '.join('?' * (len(COLUMNS) + 1))})"
_INSERT = {
    size: f"INSERT INTO usage ({', '.join(COLUMNS)}, batch) VALUES {', '.join([_ROW] * size)} "  # noqa: S608
    "ON CONFLICT DO NOTHING"
    for size in SIZES
}
_INSERTED = "SELECT request_id FROM usage WHERE number > ? AND batch = ?"
_NUMBER = "SELECT coalesce(max(number), 0) FROM usage"
_TOUCH = {
    size: "UPDATE keys SET last_used_at_us = used.column2 "  # noqa: S608 - no value is in it
    f"FROM (VALUES {', '.join(['(?, ?)'] * size)}) AS used "
    "WHERE keys.id = used.column1 AND (keys.last_used_at_us IS NULL "
    f"OR keys.last_used_at_us <= used.column2 - {LAST_USE_US})"
    for size in SIZES
}

COPY_PAGES = 2_000  # 8 MiB at a time
COUNTED = ("organizations", "projects", "keys", "usage", "audit")


def _sql(query: Select[Any]) -> str:
    """The text of a query with one parameter."""
    return str(query.compile(dialect=sqlite.dialect(paramstyle="qmark")))


_BY_DIGEST = _sql(grants.BY_DIGEST)
_BY_ID = _sql(grants.BY_ID)


class _Direct:
    """A connection that is opened when it is first needed."""

    def __init__(self, path: str, busy_seconds: float) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._connection: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._connection.in_transaction:
            self._let_go()  # Its disk failed at the rollback too: it would refuse every BEGIN.
        if self._connection is None:
            connection = sqlite3.connect(
                self._path,
                timeout=self._busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA synchronous=FULL")
            except BaseException:
                connection.close()  # None without this setting may be used.
                raise
            self._connection = connection
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Repeatable."""
        self._let_go()


class Threaded(_Direct):
    """A connection with a thread of its own. Call the methods in `executor`: they block."""

    def __init__(self, path: str, busy_seconds: float, name: str) -> None:
        super().__init__(path, busy_seconds)
        self.executor = ThreadPoolExecutor(1, thread_name_prefix=f"keyhall-{name}")

    def close(self) -> None:
        """Wait for what is in hand, then stop. Repeatable."""
        self.executor.shutdown(wait=True)
        super().close()


class Lookups(Threaded):
    """Keys that are not in memory."""

    def by_digest(self, digest: bytes) -> Grant | None:
        return self._found(_BY_DIGEST, digest)

    def by_id(self, key_id: str) -> Grant | None:
        return self._found(_BY_ID, key_id)

    def _found(self, sql: str, asked: bytes | str) -> Grant | None:
        connection = self._open()
        row = connection.execute(sql, (asked,)).fetchone()
        if row is None:
            return None
        found = connection.execute(QUOTAS_OF, grants.owners(row))
        return grants.grant(row, [quota_of(tuple(each)) for each in found])


class Batches(Threaded):
    """Settled usage, and when keys were last used. A batch is durable when its call returns."""

    def __init__(self, path: str, busy_seconds: float, name: str, writer: str) -> None:
        super().__init__(path, busy_seconds, name)
        self._writer = writer

    def record_usage(self, batch: Sequence[Usage]) -> list[QuotaUse]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        with connection:  # Commits, or rolls back on any error.
            return _answered(connection, take_in(batch, self._writer))

    def hold_quotas(self, asked: tuple[Held, Sequence[Line]]) -> Short | None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            short = _answered(connection, holds.take(*asked))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT" if short is None else "ROLLBACK")
        return short

    def end_quota_holds(self, steps: Generator[Any, Any, int]) -> int:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            return _answered(connection, steps)

    def touch_keys(self, last_used: Mapping[str, int]) -> None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            for pairs in portions([*last_used.items()]):
                connection.execute(_TOUCH[len(pairs)], [value for pair in pairs for value in pair])


Out = TypeVar("Out")


def _answered(connection: sqlite3.Connection, steps: Generator[Any, Any, Out]) -> Out:
    """Ask what the steps ask, inside the caller's transaction."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            out: Out = end.value
            return out
        if isinstance(step, Insert):
            answer = _insert(connection, step)
        else:
            answer = connection.execute(step.sql, step.values).fetchall()


def _insert(connection: sqlite3.Connection, step: Insert) -> Sequence[Usage]:
    (newest,) = connection.execute(_NUMBER).fetchone()
    count = 0
    for rows in portions(step.rows):
        values = [value for row in rows for value in (*values_of(row), step.batch)]
        count += connection.execute(_INSERT[len(rows)], values).rowcount
    if count == len(step.rows):
        return step.rows
    found = {row[0] for row in connection.execute(_INSERTED, (newest, step.batch))}
    fresh = {row.request_id: row for row in step.rows if row.request_id in found}
    return list(fresh.values())


class Watch(_Direct):
    """Notices what other connections have written, in 4 us and without a thread.

    `PRAGMA data_version` is answered from shared memory; only when it has moved is the table
    asked. A reader of a WAL database never waits, so neither does the event loop.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, 0)
        self._seen: tuple[int, int] | None = None  # data version, number asked for

    def changes_since(self, number: int) -> Sequence[Change]:
        connection = self._open()
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if (version, number) == self._seen:
            return ()
        rows = connection.execute(
            "SELECT number, kind, id FROM changes WHERE number > ? ORDER BY number", (number,)
        ).fetchall()
        if not rows:
            self._seen = (version, number)
        return [Change(*row) for row in rows]


def copy_database(
    path: Path, into: Path, progress: Callable[[int, int], None]
) -> tuple[str, dict[str, int]]:
    """A copy of the whole database as it is at one instant, beside its writers: SQLite's online
    backup, under a snapshot that is held, or it would begin again whenever somebody writes. Nobody
    waits for it. Gives the copy's schema and the rows of some tables. Raises sqlite3.Error."""

    def told(_status: int, remaining: int, total: int) -> None:
        progress(total - remaining, total)

    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as source,
        contextlib.closing(sqlite3.connect(into, isolation_level=None)) as copy,
    ):
        source.execute("BEGIN")
        (schema,) = source.execute("SELECT version_num FROM alembic_version").fetchone()
        source.backup(copy, pages=COPY_PAGES, progress=told)
        source.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode = DELETE")  # One file, without others beside it.
        counts = {
            name: copy.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for name in COUNTED
        }
    return str(schema), counts
