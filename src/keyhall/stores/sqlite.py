"""The store on one SQLite file: opening it, and what SQLite does in its own way.

WAL with `synchronous=FULL`: a commit that returned survives a power cut, and readers never wait.
Every writing transaction begins with BEGIN IMMEDIATE: one that begins as a reader and writes later
would fail at once when another writer came between, whatever the timeout. The driver's own BEGIN
is switched off (isolation_level None) so that ours is the only one.
"""

import asyncio
import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from keyhall.policy.access import Grant
from keyhall.policy.metering import Usage
from keyhall.ports.quotas import Held, Line, Short
from keyhall.ports.store import Change, QuotaUse, StoreAway
from keyhall.stores import migrate
from keyhall.stores.direct import Batches, Lookups, Threaded, Watch
from keyhall.stores.spending.holds import end, end_of
from keyhall.stores.sql import SqlStore

BUSY_SECONDS = 5.0  # how long a write waits for another process's
CONNECTIONS_MAX = 4
WRITER_BYTES = 8
ASK_SECONDS = 0.1  # between looks at what other processes have changed: R14 allows 200 ms
PROGRESS_STEPS = 10_000  # of SQLite's machine: a fraction of a millisecond

Asked = TypeVar("Asked")
Found = TypeVar("Found")

_BEGIN = {"read": "BEGIN", "write": "BEGIN IMMEDIATE"}


class SqliteStore(SqlStore):
    """One file. Every process that opens it sees the others' writes."""

    def __init__(self, engine: AsyncEngine, path: Path, busy_seconds: float) -> None:
        super().__init__(engine, os.urandom(WRITER_BYTES).hex())
        self.place = str(path)
        self._lookups = Lookups(str(path), busy_seconds, "lookups")
        self._batches = Batches(str(path), busy_seconds, "batches", self.writer)
        self._watch = Watch(str(path))

    async def find_grant(self, digest: bytes) -> Grant | None:
        return await _in_thread(self._lookups, self._lookups.by_digest, digest)

    async def find_grant_by_id(self, key_id: str) -> Grant | None:
        return await _in_thread(self._lookups, self._lookups.by_id, key_id)

    async def record_usage(self, batch: Sequence[Usage]) -> Sequence[QuotaUse]:
        if not batch:
            return ()
        async with self._turn:
            return await _in_thread(self._batches, self._batches.record_usage, batch)

    async def hold_quotas(self, held: Held, lines: Sequence[Line]) -> Short | None:
        async with self._turn:
            return await _in_thread(self._batches, self._batches.hold_quotas, (held, lines))

    async def end_quota_holds(self, request_ids: Sequence[str]) -> int:
        """Give back what these requests hold of quotas; how many holds that were."""
        async with self._turn:
            return await _in_thread(self._batches, self._batches.end_quota_holds, end(request_ids))

    async def end_quota_holds_of(self, writer: str) -> int:
        """Likewise all that a process which is gone still holds."""
        async with self._turn:
            return await _in_thread(self._batches, self._batches.end_quota_holds, end_of(writer))

    async def touch_keys(self, last_used: Mapping[str, int]) -> None:
        if last_used:
            async with self._turn:
                await _in_thread(self._batches, self._batches.touch_keys, last_used)

    async def changes_since(self, number: int) -> Sequence[Change]:
        with _translated():
            return self._watch.changes_since(number)

    async def changed(self) -> None:
        await asyncio.sleep(ASK_SECONDS)

    async def scrub(self) -> None:
        """Carry the log over into the file and cut it off: pages as they were before a deletion
        stand in it until then. Readers of an older state are waited for as long as writers."""
        async with self._turn, self._connection("one") as connection:
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def close(self) -> None:
        self._watch.close()
        for direct in (self._lookups, self._batches):
            await asyncio.to_thread(direct.close)
        await super().close()


async def _in_thread(direct: Threaded, work: Callable[[Asked], Found], asked: Asked) -> Found:
    with _translated():
        return await asyncio.get_running_loop().run_in_executor(direct.executor, work, asked)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # Mistakes of ours.
    except sqlite3.Error as error:
        raise StoreAway(str(error)) from error


async def open_store(
    path: Path, busy_seconds: float = BUSY_SECONDS, *, as_it_is: bool = False
) -> SqliteStore:
    """The store in this file, made and brought to this release's schema if need be; with
    `as_it_is` no schema is touched.

    A write waits `busy_seconds` for another process's. Raises StoreAway with a sentence when the
    file cannot be used, SchemaTooNew when a later release made it.
    """
    _make_private(path)
    store = SqliteStore(_engine(path, busy_seconds), path, busy_seconds)
    try:
        if await store.schema() != migrate.HEAD and not as_it_is:
            await store.upgrade()
    except StoreAway as error:
        await store.close()
        raise StoreAway(_explained(path, str(error))) from error
    except BaseException:
        await store.close()
        raise
    return store


async def refuse_damaged(path: Path, seconds: float = math.inf) -> None:
    """Look through the file for damage, so long at most. Raises StoreAway with a sentence.

    SQLite notices damage only where it reads: a hall could serve for weeks from a file whose
    backups are worthless. A gigabyte in the page cache takes 1.4 s (measured), from a disk as long
    as reading it does.
    """
    with _translated():
        found = await asyncio.to_thread(_damage, path, time.monotonic() + seconds)
    if found is not None:
        raise StoreAway(_explained(path, f"malformed: {found}"))


def _damage(path: Path, until: float) -> str | None:
    """The first fault in the file's structure that is met in time; blocks."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.set_progress_handler(lambda: time.monotonic() > until, PROGRESS_STEPS)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None if found == "ok" else " ".join(found.split())


def _make_private(path: Path) -> None:
    """Nobody else may read the file. SQLite gives its -wal and -shm files the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise StoreAway(f"{path}: {error.strerror}.") from error


def _engine(path: Path, busy_seconds: float) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=busy_seconds,
        connect_args={"timeout": busy_seconds},
        hide_parameters=True,  # Values have no place in an error's text.
    )
    event.listen(engine.sync_engine, "connect", _connected)
    event.listen(engine.sync_engine, "begin", _begun)
    return engine


def _connected(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    # secure_delete: what is deleted is overwritten with zeros, and not only forgotten (I-14).
    settings = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
    for setting in settings:
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begun(connection: Connection) -> None:
    begin = _BEGIN.get(connection.get_execution_options().get("keyhall_begin", "one"))
    if begin is not None:
        connection.exec_driver_sql(begin)


def _explained(path: Path, what: str) -> str:
    if "malformed" in what or "not a database" in what:
        return (
            f"{path} is damaged ({what}). Restore it from a backup; move its -wal and -shm files "
            "away together with it."
        )
    if "locked" in what:
        return f"{path} is held by another program: look who writes to it, then try again."
    if "readonly" in what:
        return f"{path} cannot be written: look at its owner, its mode and its file system."
    if "full" in what:
        return f"{path} cannot grow: the disk is full."
    return f"{path} cannot be opened: {what}."
