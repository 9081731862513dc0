"""Lines: connections of our own to PostgreSQL, past SQLAlchemy, for what a busy hall does all the
time.

A line is opened when it is first needed, does one thing at a time, and is thrown away after
anything that leaves in doubt what it will answer next: a time that ran out, a task that was
cancelled (I-10). So the next one to ask gets a new one, and an outage ends by itself. Almost all
that lines are asked for may be done twice: what found its connection dead is done once more on a
new one, which also answers for a COMMIT whose reply was lost (F-7).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import asyncpg

from keyhall.stores.postgres.connecting import FAILURES, connect, translated

RETRIES = 3  # of a transaction that met another; more would only add to the crowd
CLOSE_SECONDS = 1.0

Connection: TypeAlias = asyncpg.Connection
Found = TypeVar("Found")
Work = Callable[[Connection], Awaitable[Found]]


class Line:
    """One connection. `prepare` is done with each new one."""

    def __init__(
        self, url: str, prepare: Callable[[Connection], Awaitable[Any]] | None = None
    ) -> None:
        self._url = url
        self._prepare = prepare
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._is_over = False
        self.asking = 0  # how many wait for it, or are answered by it

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def ask(self, work: Work[Found], seconds: float, *, again: bool = True) -> Found:
        """The work's answer, within so many seconds, its waiting in line included; else
        StoreAway. Unless it is not to be done `again`, it may be done twice."""
        self.asking += 1
        try:
            with translated():
                async with asyncio.timeout(seconds), self._turn:
                    return await self._answer(work, again)
        finally:
            self.asking -= 1

    async def _answer(self, work: Work[Found], again: bool) -> Found:
        tries = 0
        while True:
            is_new = not self.is_open
            connection = await self._opened()
            try:
                return await work(connection)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                tries += 1
                if tries > RETRIES:
                    raise
                await asyncio.sleep(random.uniform(0, 0.01 * 2**tries))
            except BaseException as error:
                if not isinstance(error, asyncpg.PostgresError):
                    self.drop()
                was_lost = connection.is_closed() and isinstance(error, FAILURES)
                if is_new or not was_lost or not again:
                    raise

    async def _opened(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self.drop()
            connection = await connect(self._url)
            try:
                if self._prepare is not None:
                    await self._prepare(connection)
                if self._is_over:
                    raise asyncpg.InterfaceError("the store is closed")
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    def drop(self) -> None:
        """Let go of the connection without a word."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Repeatable. Waits for what is in hand, then stops: whoever asks later is refused."""
        with suppress(*FAILURES):
            async with asyncio.timeout(CLOSE_SECONDS), self._turn:
                if self._connection is not None:
                    await self._connection.close()
                    self._connection = None
        self._is_over = True
        self.drop()


class Lines:
    """A few of them; who asks gets the one with the fewest others before it."""

    def __init__(self, url: str, count: int) -> None:
        self._lines = [Line(url) for _ in range(count)]

    async def ask(self, work: Work[Found], seconds: float, *, again: bool = True) -> Found:
        return await min(self._lines, key=_asking).ask(work, seconds, again=again)

    async def close(self) -> None:
        await asyncio.gather(*(line.close() for line in self._lines))


def _asking(line: Line) -> int:
    return line.asking
