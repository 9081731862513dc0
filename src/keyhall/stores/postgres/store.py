"""The store on PostgreSQL: opening it, and what PostgreSQL does in its own way.

Writing transactions exclude each other in every process that uses the database, by an advisory
lock that each takes first: so the numbers of changes commit in their order, and who has read one
has missed none before it. Nothing waits for long: a statement or a lock is bounded by the server
(`connecting.py`), everything that waits for the server itself is bounded here.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.dialects.postgresql import asyncpg as dialects
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from keyhall.policy.access import Grant
from keyhall.policy.metering import Usage
from keyhall.ports.quotas import Held, Line, Short
from keyhall.ports.store import Change, QuotaUse, StoreAway
from keyhall.stores import grants, migrate, usage
from keyhall.stores.postgres import holds
from keyhall.stores.postgres.batches import (
    numbered,
    prepare,
    record,
    touch,
)
from keyhall.stores.postgres.connecting import (
    LOCK_SECONDS,
    STATEMENT_SECONDS,
    Opening,
    place,
    translated,
)
from keyhall.stores.postgres.lines import Connection, Lines
from keyhall.stores.postgres.lines import Line as OneLine
from keyhall.stores.postgres.watch import Watch
from keyhall.stores.spending.take_in import QUOTAS_OF, USAGE_LOCK, quota_of
from keyhall.stores.sql import Begin, SqlStore

LOOKUP_SECONDS = 1.5  # A request waits for no more than this.
HOLD_SECONDS = 2.0
BATCH_SECONDS = 10.0
LONG_SECONDS = 60.0  # for chores that may have much to do after an outage
HOURS_SECONDS = 6 * 3600.0
UPGRADE_SECONDS = 3600.0
CLOSE_SECONDS = 2.0
CONNECTIONS_MAX = 4  # for everything that is not a look-up, a batch or the watch
LOOKUPS = 2
HOLDS = 4
WRITER_BYTES = 8
ROLL_UP_LOCK = 0x6B680003

_SECONDS: dict[Begin, float] = {"one": 3.0, "read": 3.0, "write": 10.0}
_OPTIONS: dict[Begin, dict[str, Any]] = {
    "one": {"isolation_level": "AUTOCOMMIT"},
    "read": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    "write": {},
}
_WRITING = text("SELECT pg_advisory_xact_lock(1802000385)")  # An arbitrary number of ours.
_ROLLING_UP = text(f"SELECT pg_try_advisory_xact_lock({ROLL_UP_LOCK})")
_VACUUM = [text("VACUUM content"), text("VACUUM content_keys")]
_USAGE_ALONE = text(f"SELECT pg_advisory_xact_lock({USAGE_LOCK})")


def _sql(query: Select[Any]) -> str:
    """The text of a query with one parameter."""
    return str(query.compile(dialect=dialects.dialect()))  # type: ignore[no-untyped-call]


_BY_DIGEST = _sql(grants.BY_DIGEST)
_BY_ID = _sql(grants.BY_ID)
_QUOTAS_OF = numbered(QUOTAS_OF)


class PostgresStore(SqlStore):
    """One database for every process that is given its address."""

    def __init__(self, url: str) -> None:
        self._opening = Opening(url)
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._opening.open,
            pool_size=CONNECTIONS_MAX,
            max_overflow=0,
            pool_timeout=_SECONDS["read"],
            pool_pre_ping=True,  # After an outage nobody meets a connection from before it.
            hide_parameters=True,  # Values have no place in an error's text.
        )
        super().__init__(engine, os.urandom(WRITER_BYTES).hex())
        self.place = place(url)
        self._lookups = Lines(url, LOOKUPS)
        self._holds = Lines(url, HOLDS)
        self._batches = OneLine(url, prepare)
        self._watch = Watch(url)

    # --- Transactions ---------------------------------------------------------------------------

    @asynccontextmanager
    async def _connection(
        self, begin: Begin, seconds: float | None = None
    ) -> AsyncIterator[AsyncConnection]:
        with translated(), self._opening.for_this_task():
            async with (
                asyncio.timeout(seconds or _SECONDS[begin]),
                self._engine.connect() as connection,
            ):
                self._opening.taken()
                await connection.execution_options(**_OPTIONS[begin])
                async with connection.begin():
                    if begin == "write":
                        await _allow(connection, seconds)
                        await connection.execute(_WRITING)
                    elif seconds is not None:
                        await _allow(connection, seconds)
                    yield connection

    @asynccontextmanager
    async def reading(self, *, is_long: bool = False) -> AsyncIterator[AsyncConnection]:
        async with self._connection("read", HOURS_SECONDS if is_long else None) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with asyncio.timeout(seconds or _SECONDS["write"]):
                await self._turn.acquire()
        try:
            async with self._connection("write", seconds) as connection:
                yield connection
        finally:
            self._turn.release()

    # --- The lane's store -----------------------------------------------------------------------

    async def find_grant(self, digest: bytes) -> Grant | None:
        return await self._grant(_BY_DIGEST, digest)

    async def find_grant_by_id(self, key_id: str) -> Grant | None:
        return await self._grant(_BY_ID, key_id)

    async def _grant(self, query: str, wanted: bytes | str) -> Grant | None:
        async def look(line: Connection) -> Grant | None:
            row = await line.fetchrow(query, wanted)
            if row is None:
                return None
            found = await line.fetch(_QUOTAS_OF, *grants.owners(row))
            return grants.grant(row, [quota_of(tuple(each)) for each in found])

        return await self._lookups.ask(look, LOOKUP_SECONDS)

    async def record_usage(self, batch: Sequence[Usage]) -> Sequence[QuotaUse]:
        if not batch:
            return ()
        return await self._batches.ask(lambda line: record(line, batch, self.writer), BATCH_SECONDS)

    async def hold_quotas(self, held: Held, lines: Sequence[Line]) -> Short | None:
        return await self._holds.ask(
            lambda line: holds.hold(line, held, lines), HOLD_SECONDS, again=False
        )

    async def end_quota_holds(self, request_ids: Sequence[str]) -> int:
        if not request_ids:
            return 0
        return await self._holds.ask(lambda line: holds.end(line, request_ids), BATCH_SECONDS)

    async def end_quota_holds_of(self, writer: str) -> int:
        return await self._holds.ask(lambda line: holds.end_of(line, writer), LONG_SECONDS)

    async def touch_keys(self, last_used: Mapping[str, int]) -> None:
        if last_used:
            await self._batches.ask(lambda line: touch(line, last_used), BATCH_SECONDS)

    async def changes_since(self, number: int) -> Sequence[Change]:
        return await self._watch.changes_since(number)

    async def changed(self) -> None:
        await self._watch.changed()

    async def usage_since(self, admitted_at_us: int) -> Sequence[Usage]:
        async with self._connection("read", LONG_SECONDS) as connection:
            return await usage.since(connection, admitted_at_us)

    # --- The hall's chores ----------------------------------------------------------------------

    async def roll_up(self) -> int:
        """As of one moment at which no batch was on its way: none can come behind it later."""
        async with self._connection("write") as connection:
            await connection.execute(_USAGE_ALONE)
            up_to = await usage.newest_number(connection)
        async with self.writing(LONG_SECONDS) as connection:
            return await usage.roll_up(connection, up_to)

    async def keep_rolled_up(self) -> int:
        async with self._connection("read", 2 * LONG_SECONDS) as ours:
            if not await ours.scalar(_ROLLING_UP):
                return 0
            return await self.roll_up()

    async def scrub(self) -> None:
        """Let the server overwrite deleted rows now; else its autovacuum does so later."""
        with suppress(StoreAway):
            async with self._connection("one", LONG_SECONDS) as connection:
                for statement in _VACUUM:
                    await connection.execute(statement)

    async def upgrade(self) -> None:
        async with self.writing(UPGRADE_SECONDS) as connection:
            # It may wait for another upgrade, but not for a query: all others wait behind it.
            await _set(connection, "lock_timeout", LOCK_SECONDS)
            await migrate.upgrade(connection)

    async def close(self) -> None:
        ours = (self._watch, self._lookups, self._holds, self._batches)
        await asyncio.gather(*(each.close() for each in ours))
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await super().close()
        await self._opening.close()


async def _allow(connection: AsyncConnection, seconds: float | None) -> None:
    """More time for this transaction than others get."""
    if seconds is not None and seconds > STATEMENT_SECONDS:
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            await _set(connection, name, seconds)


async def _set(connection: AsyncConnection, name: str, seconds: float) -> None:
    """One of the server's bounds, for the rest of this transaction."""
    await connection.execute(select(func.set_config(name, f"{seconds:.0f}s", True)))


async def open_store(url: str, *, makes: bool = True, as_it_is: bool = False) -> PostgresStore:
    """The store in this database. An empty one gets this release's schema, or is NothingThere if
    it is not to be made; with `as_it_is` every schema is taken as it is.

    Raises StoreAway with a sentence when the database cannot be used, SchemaUnfit when an earlier
    or a later release made it.
    """
    store = PostgresStore(url)
    try:
        found = await store.schema()
        if not as_it_is and found != migrate.HEAD:
            if found is not None:
                raise migrate.unfit(found)
            if not makes:
                raise migrate.NothingThere(store.place)
            await store.upgrade()
    except StoreAway as error:
        await store.close()
        raise StoreAway(_explained(store.place, str(error))) from error
    except BaseException:
        await store.close()
        raise
    return store


def _explained(where: str, what: str) -> str:
    advice = "Look whether it runs and [database] url names it, then try again."
    if "password" in what or "pg_hba" in what or "role" in what:
        advice = "Look at the user and the password in [database] url."
    elif "permission denied" in what:
        advice = "Give the user of [database] url that right: it should own the database."
    elif "lock timeout" in what:
        advice = "Somebody else changes it: try again in a moment."
    return f"{where} cannot be used: {what}. {advice}"
