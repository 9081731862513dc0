"""Connections to PostgreSQL: how each is opened, and what becomes of the errors it raises.

Every connection has its limits set in the server, so that nothing of ours holds a lock for long,
whatever becomes of us: a process that was stopped in the middle of a transaction loses it after
IDLE_SECONDS. What the server cannot bound, because it is away, callers bound by
`asyncio.timeout`.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from keyhall.ports.store import StoreAway

CONNECT_SECONDS = 2.0
STATEMENT_SECONDS = 10
LOCK_SECONDS = 5  # how long a write waits for another's, as on SQLite
IDLE_SECONDS = 10  # in a transaction, before the server ends it

_SETTINGS = (
    f"SET statement_timeout = '{STATEMENT_SECONDS}s'; "
    f"SET lock_timeout = '{LOCK_SECONDS}s'; "
    f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; "
    "SET jit = off; "  # Our queries are short: compiling them costs more than it saves.
    "SET application_name = 'keyhall'"
)

# What the server says of a statement that is wrong, whoever asks: a mistake of ours.
_MISTAKES = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
)


# What a connection fails with. The last one comes of a server that says farewell while it is asked.
FAILURES = (
    OSError,  # TimeoutError too
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


async def connect(url: str) -> asyncpg.Connection:
    """A connection of ours, with its limits set."""
    try:
        connection: asyncpg.Connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except asyncpg.InterfaceError:
        raise
    except ValueError:  # Its words may quote a password.
        raise StoreAway(
            "its address cannot be read; a password's @ and / are %40 and %2F"
        ) from None
    try:
        await connection.execute(_SETTINGS, timeout=CONNECT_SECONDS)
    except BaseException:
        connection.terminate()
        raise
    return connection


class Opening:
    """Opens the connections of a pool, and answers for those that the pool forgets: what is lent
    out while it is disposed of, what its disposal has no time left for, and what was being prepared
    for a task that was cancelled. Each would stay open for as long as nobody collects it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._all: WeakSet[asyncpg.Connection] = WeakSet()
        self._preparing: dict[asyncio.Task[object] | None, asyncpg.Connection] = {}
        self._is_over = False

    async def open(self) -> asyncpg.Connection:
        connection = await connect(self._url)
        if self._is_over:
            connection.terminate()
            raise asyncpg.InterfaceError("the store is closed")
        self._all.add(connection)
        self._preparing[asyncio.current_task()] = connection
        return connection

    @contextmanager
    def for_this_task(self) -> Iterator[None]:
        """What is opened for this task in here is its own only once `taken` was called."""
        try:
            yield
        finally:
            connection = self._preparing.pop(asyncio.current_task(), None)
            if connection is not None:
                connection.terminate()

    def taken(self) -> None:
        self._preparing.pop(asyncio.current_task(), None)

    async def close(self) -> None:
        """Nothing is open any more, and nothing can be opened. Repeatable."""
        self._is_over = True
        for connection in self._all:
            if not connection.is_closed():
                connection.terminate()
        await asyncio.sleep(0)  # In the loop's next turn their sockets are closed.


@contextmanager
def translated() -> Iterator[None]:
    """The driver's errors as `StoreAway`, save those that are mistakes of ours."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreAway(_said(error)) from error
    except _MISTAKES:
        raise
    except (IntegrityError, ProgrammingError) as error:
        cause = _driver_error(error)
        if isinstance(cause, asyncpg.InsufficientPrivilegeError):
            raise StoreAway(_said(cause)) from error
        raise
    except DBAPIError as error:
        raise StoreAway(_said(_driver_error(error))) from error
    except PoolTimeout as error:
        raise StoreAway("all connections to the database are busy") from error
    except FAILURES as error:
        raise StoreAway(_said(error)) from error


def _driver_error(error: DBAPIError) -> BaseException:
    """What asyncpg raised, below SQLAlchemy's two wrappings."""
    return getattr(error.orig, "__cause__", None) or error.orig or error


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).strip().splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def place(url: str) -> str:
    """Which database an address means, without user, password and options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "PostgreSQL"
    _, _, where = parts.netloc.rpartition("@")
    name = unquote(parts.path.strip("/"))
    if "@" in name + parts.query + parts.fragment:  # The host is not where one ends that is right.
        return "PostgreSQL"
    found = "PostgreSQL" + (f" at {where}" if where else "")
    return found + (f", database {name}" if name else "")
