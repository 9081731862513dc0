"""Straight to SQLite, past SQLAlchemy: the four things a busy hall does all the time.

Each is one hop to a thread, or none. The driver lets go of the interpreter's lock at every
statement and must win it back from a busy event loop, up to 5 ms each time; SQLAlchemy's async
adapter makes ten hops of one look-up (measured: 1 ms, 15 ms beside a busy loop; here 0.15 ms).
For the same reason batches go in with many rows per statement: a row per statement
(`executemany`) took 2 ms a row beside a busy loop, 250 rows per statement 13 us, and 2-3 us when
the loop is idle, commit and fsync included.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.dialects import sqlite

from keyhall.policy.access import Grant
from keyhall.policy.metering import Usage
from keyhall.ports.store import Change
from keyhall.stores import grants
from keyhall.stores.usage import COLUMNS

Row = TypeVar("Row")

# Rows per statement. Few sizes, so that each is compiled once; the largest has 4,500 parameters,
# and SQLite takes 32,766.
SIZES = (250, 50, 10, 1)

_ROW = f"({', '.join('?' * len(COLUMNS))})"
_INSERT = {
    size: f"INSERT INTO usage ({', '.join(COLUMNS)}) VALUES {', '.join([_ROW] * size)} "  # noqa: S608
    "ON CONFLICT DO NOTHING"
    for size in SIZES
}
_TOUCH = {
    size: "UPDATE keys SET last_used_at_us = used.column2 "  # noqa: S608 - no value is in it
    f"FROM (VALUES {', '.join(['(?, ?)'] * size)}) AS used "
    "WHERE keys.id = used.column1 AND coalesce(keys.last_used_at_us, 0) < used.column2"
    for size in SIZES
}


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
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path,
                timeout=self._busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA synchronous=FULL")
        return self._connection

    def close(self) -> None:
        """Repeatable."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


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
        row = self._open().execute(_BY_DIGEST, (digest,)).fetchone()
        return None if row is None else grants.grant(row)

    def by_id(self, key_id: str) -> Grant | None:
        row = self._open().execute(_BY_ID, (key_id,)).fetchone()
        return None if row is None else grants.grant(row)


class Batches(Threaded):
    """Settled usage, and when keys were last used. A batch is durable when its call returns."""

    def record_usage(self, batch: Sequence[Usage]) -> None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        with connection:  # Commits, or rolls back on any error.
            for rows in _portions(batch):
                connection.execute(_INSERT[len(rows)], _flat(rows))

    def touch_keys(self, last_used: Mapping[str, int]) -> None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            for pairs in _portions([*last_used.items()]):
                connection.execute(_TOUCH[len(pairs)], [value for pair in pairs for value in pair])


def _portions(batch: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The batch in portions of SIZES."""
    start = 0
    for size in SIZES:
        while len(batch) - start >= size:
            yield batch[start : start + size]
            start += size


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


def _flat(rows: Sequence[Usage]) -> list[str | int]:
    """All values in the order of COLUMNS. The driver binds exact ints and strings quickly, and
    everything else, subclasses too, through adapters that cost several microseconds a row."""
    values: list[str | int] = []
    for row in rows:
        values += (
            row.request_id,
            row.key_id,
            row.project_id,
            row.organization_id,
            row.version,
            int(row.endpoint),
            1 if row.is_test else 0,
            1 if row.is_stream else 0,
            row.admitted_at_us,
            row.finished_at_us,
            row.first_byte_us,
            row.input_tokens,
            row.output_tokens,
            row.held_tokens,
            row.output_cap,
            row.cost_nano,
            int(row.outcome),
            int(row.usage_source),
        )
    return values
