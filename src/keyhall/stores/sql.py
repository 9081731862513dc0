"""The store over SQLAlchemy: connections, transactions, and the port's methods on top of them.

One writing transaction at a time in a process, so that writers wait in line instead of asking the
database again and again. Everything the driver may raise becomes `StoreAway` here, in one place.
What SQLite and Postgres do not share, and what must be fast (looking keys up, taking batches in,
noticing changes), is left to `SqliteStore` and its like.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Literal, Self

from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from keyhall.policy.access import Grant
from keyhall.policy.catalogue import Catalogue, Version
from keyhall.policy.metering import Usage
from keyhall.policy.tiers import Tier
from keyhall.policy.verify.chains import ANCHOR, Anchored, Head
from keyhall.ports.filters import StoredRule
from keyhall.ports.quotas import Held, Line, Short
from keyhall.ports.records import Actor, EngineRecord, ModelRecord
from keyhall.ports.store import Change, QuotaUse, StoreAway
from keyhall.stores import catalogue, grants, keys, migrate, models, notes, usage
from keyhall.stores.filters import rules
from keyhall.stores.spending import quotas
from keyhall.stores.verify import heads

# How a transaction begins: `one` needs none, for a single statement is its own snapshot.
Begin = Literal["one", "read", "write"]


@contextmanager
def translated() -> Iterator[None]:
    """The driver's errors as `StoreAway`, save those that are mistakes of ours."""
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise
    except DBAPIError as error:
        raise StoreAway(str(error.orig)) from error
    except PoolTimeout as error:
        raise StoreAway("all connections to the database are busy") from error


class SqlStore(ABC):
    """Everything kept for good. Made by the dialect's `open_store`."""

    place: str  # which database this is, for people; without secrets

    def __init__(self, engine: AsyncEngine, writer: str) -> None:
        self._engine = engine
        self.writer = writer  # the chain of this process's life (R24)
        self._turn = asyncio.Lock()

    # --- Transactions ---------------------------------------------------------------------------

    @asynccontextmanager
    async def _connection(self, begin: Begin) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with self._engine.connect() as connection:
                await connection.execution_options(keyhall_begin=begin)
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def reading(self, *, is_long: bool = False) -> AsyncIterator[AsyncConnection]:
        """One snapshot for several queries; a shared database gives them seconds, unless they
        are known to take long."""
        async with self._connection("read") as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that excludes other writers from its start; all of it or nothing."""
        async with self._turn, self._connection("write") as connection:
            yield connection

    async def scrub(self) -> None:  # noqa: B027 - most of it is the database's own doing
        """Bring what was deleted out of the files, too: as far as it can be done now."""

    # --- The lane's store (ports/store.py) ------------------------------------------------------

    @abstractmethod
    async def find_grant(self, digest: bytes) -> Grant | None: ...

    @abstractmethod
    async def find_grant_by_id(self, key_id: str) -> Grant | None: ...

    @abstractmethod
    async def record_usage(self, batch: Sequence[Usage]) -> Sequence[QuotaUse]: ...

    @abstractmethod
    async def hold_quotas(self, held: Held, lines: Sequence[Line]) -> Short | None: ...

    @abstractmethod
    async def end_quota_holds(self, request_ids: Sequence[str]) -> int: ...

    @abstractmethod
    async def end_quota_holds_of(self, writer: str) -> int: ...

    @abstractmethod
    async def touch_keys(self, last_used: Mapping[str, int]) -> None: ...

    @abstractmethod
    async def changes_since(self, number: int) -> Sequence[Change]: ...

    @abstractmethod
    async def changed(self) -> None: ...

    async def load_catalogue(self) -> Catalogue:
        async with self.reading() as connection:
            return await catalogue.load(connection)

    async def load_rules(self) -> Sequence[StoredRule]:
        async with self._connection("one") as connection:
            return await rules.list_all(connection)

    async def is_admin_key(self, digest: bytes, now_us: int) -> bool:
        async with self._connection("one") as connection:
            return await keys.is_admin(connection, digest, now_us)

    async def last_change(self) -> int:
        async with self._connection("one") as connection:
            return await notes.last_change(connection)

    async def usage_since(self, admitted_at_us: int) -> Sequence[Usage]:
        async with self._connection("one") as connection:
            return await usage.since(connection, admitted_at_us)

    async def newest_admitted_us(self) -> int:
        async with self._connection("one") as connection:
            return await usage.newest_admitted_us(connection)

    async def quota_used(self, quota_id: str, begins_us: int) -> int:
        async with self._connection("one") as connection:
            return await quotas.used(connection, quota_id, begins_us)

    async def lost_holds(self, before_us: int) -> Sequence[Usage]:
        async with self._connection("one") as connection:
            return await quotas.lost(connection, before_us)

    # --- The hall's chores ----------------------------------------------------------------------

    async def roll_up(self) -> int:
        """Bring the hourly totals up to date; returns how many rows were added. Repeatable."""
        async with self.writing() as connection:
            return await usage.roll_up(connection)

    async def keep_rolled_up(self) -> int:
        """The same as a chore, which is left at once to another process that is at it."""
        return await self.roll_up()

    async def add_version(self, version: Version, actor: Actor, now_us: int) -> Version:
        """Store a version record that start-up made; returned with its number."""
        async with self.writing() as connection:
            return await catalogue.enter_version(connection, version, actor, now_us)

    async def move_alias(self, name: str, version: str, actor: Actor, now_us: int) -> None:
        """Aim an alias as start-up decided."""
        async with self.writing() as connection:
            await catalogue.aim(connection, name, version, actor, now_us)

    async def heads(self) -> list[Head]:
        """The heads of this process's chain, if it has one, and of the newest other one."""
        async with self.reading() as connection:
            found = (
                await heads.of_writer(connection, self.writer),
                await heads.newest_of_others(connection, self.writer),
            )
        return [head for head in found if head is not None]

    async def all_heads(self) -> list[Head]:
        """Of every writer's chain, and of the audit's."""
        async with self.reading() as connection:
            return await heads.of_all(connection)

    async def anchor(self, anchors: Sequence[Head], actor: Actor, now_us: int) -> None:
        """Write heads of chains into the audit (R24)."""
        async with self.writing() as connection:
            for head in anchors:
                anchored = Anchored(head.sequence, head.digest)
                await notes.record(
                    connection,
                    actor,
                    now_us,
                    action=ANCHOR,
                    target=head.writer,
                    before=None,
                    after=anchored,
                )

    async def list_engines(self) -> list[EngineRecord]:
        async with self._connection("one") as connection:
            return await catalogue.list_engines(connection)

    async def list_models(self) -> list[ModelRecord]:
        async with self._connection("one") as connection:
            return await models.list_models(connection)

    async def load_tiers(self) -> dict[str, Tier]:
        """The tiers as the last start declared them."""
        async with self._connection("one") as connection:
            return await grants.load_tiers(connection)

    async def schema(self) -> str | None:
        """The revision of the database's schema; None for an empty database."""
        async with self._connection("one") as connection:
            return await migrate.current(connection)

    async def upgrade(self) -> None:
        """Bring the schema to this release's. Raises SchemaTooNew. Repeatable."""
        async with self.writing() as connection:
            await migrate.upgrade(connection)

    async def close(self) -> None:
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
