"""Anchors: every minute the head of this process's usage chain goes into the audit (R24).

The audit is a chain of its own. So whoever removes the newest batches has to remove every audit row
since, and may: what nobody can do is change a head that was printed and kept elsewhere.
"""

import asyncio
import contextlib
import logging

from keyhall.clock import Clock
from keyhall.flows.unbroken import unbroken
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores.sql import SqlStore

ANCHOR_SECONDS = 60.0

KEYHALL = Actor("keyhall", "anchors")


class Anchors:
    """The anchors of one server."""

    def __init__(self, store: SqlStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._written: dict[str, int] = {}  # sequences, of this process and the one before it
        self._has_begun = False

    async def write(self) -> int:
        """Anchor what has moved since the last time; returns how many heads. The first time also
        the newest chain of another process: one that was killed leaves its last minute open."""
        found = await self._store.heads()
        if self._has_begun:
            found = [head for head in found if head.writer == self._store.writer]
        moved = [head for head in found if self._written.get(head.writer) != head.sequence]
        if moved:
            await self._store.anchor(moved, KEYHALL, self._clock.now_us())
        self._has_begun = True
        self._written.update((head.writer, head.sequence) for head in moved)
        return len(moved)

    async def keep(self) -> None:
        """Until cancelled. What a store that is away keeps from being written comes a minute
        later; the follower says that it is away."""
        while True:
            with contextlib.suppress(StoreAway):
                await unbroken(self.write())
            await asyncio.sleep(ANCHOR_SECONDS)

    async def last(self) -> None:
        """After the last usage was committed, so that a graceful stop leaves nothing open."""
        try:
            await self.write()
        except StoreAway as error:
            logging.getLogger("keyhall").warning("last_anchor_missing", {"reason": str(error)})
