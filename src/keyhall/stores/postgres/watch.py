"""Noticing what other processes have changed: a channel that wakes us, and questions behind it.

Whoever writes a change tells the channel in the same transaction (`stores/notes.py`), and
PostgreSQL passes it on when that commits. The channel and the questions share one connection: it
cannot be dead for one and alive for the other, and every question is also the proof that the
channel is there. Where nobody is told, because a pooler stands between, the questions alone are
soon enough (R14).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from keyhall.ports.store import Change
from keyhall.stores.notes import CHANNEL
from keyhall.stores.postgres.lines import Line

ANSWER_SECONDS = 1.0
BACKSTOP_SECONDS = 3.0  # between questions when nobody is told anything: R14 allows 5
AWAY_SECONDS = 0.5  # between tries to get the connection back

_SINCE = "SELECT number, kind, id FROM changes WHERE number > $1 ORDER BY number"


class Watch:
    def __init__(self, url: str) -> None:
        self._line = Line(url, self._listen)
        self._told = asyncio.Event()

    async def changes_since(self, number: int) -> Sequence[Change]:
        rows = await self._line.ask(lambda line: line.fetch(_SINCE, number), ANSWER_SECONDS)
        return [Change(*row) for row in rows]

    async def changed(self) -> None:
        """Until somebody tells of a change, or it is time to ask without having been told."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BACKSTOP_SECONDS if self._line.is_open else AWAY_SECONDS):
                await self._told.wait()
        self._told.clear()

    async def close(self) -> None:
        await self._line.close()

    async def _listen(self, connection: asyncpg.Connection) -> None:
        connection.add_termination_listener(self._wake)
        await connection.add_listener(CHANNEL, self._wake)

    def _wake(self, *_: object) -> None:
        self._told.set()
