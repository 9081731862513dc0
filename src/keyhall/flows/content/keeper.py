"""What keeps conversations: a bounded queue, and a task that writes it down beside the requests.

A request hands over what it said and goes on. What finds no room is dropped, counted and told: an
answer is never slowed by its own copy. A crash loses what was not written yet; metering does not
depend on any of it. The same task deletes what is due: at its start, then every quarter of an hour,
so that nothing is there for longer than that after its time (I-14 allows a day).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from keyhall.clock import Clock
from keyhall.flows.content.standing import still_wanted
from keyhall.flows.unbroken import unbroken
from keyhall.policy.content.retention import DAYS_MAX
from keyhall.ports.content import CONTENT_BYTES_MAX, ContentKind, DropReason, Kept, Unreadable
from keyhall.ports.store import StoreAway
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault
from keyhall.stores.sql import SqlStore

QUEUE_MAX = 4_096
QUEUE_BYTES_MAX = 64 * 1024 * 1024
BATCH_MAX = 64
BATCH_BYTES_MAX = 8 * 1024 * 1024
GATHER_SECONDS = 0.05  # A commit for each answer would cost a busy hall more than its ledger does.
AGAIN_SECONDS = 1.0  # after the store was away
TEND_SECONDS = 15 * 60.0
DELETE_ROWS = 500  # in one transaction: others wait to write
TOLD_SECONDS = 60.0  # A hall that drops a thousand a second says so once a minute.

_log = logging.getLogger("keyhall")


class Keeper:
    """The content of one process (ports/content.py)."""

    def __init__(
        self, store: SqlStore, vault: Vault, clock: Clock, days_max: int = DAYS_MAX
    ) -> None:
        self.days_max = days_max
        self.kept = 0  # written since the start
        self.dropped: dict[DropReason, int] = {}
        self._store = store
        self._vault = vault
        self._clock = clock
        self._queue: deque[Kept] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._writing = asyncio.Lock()
        self._told_at: float | None = None
        self._is_bound = False

    # --- Keeping --------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        return len(self._queue)

    def keep(self, kept: Kept) -> bool:
        size = len(kept.conversation)
        if size > CONTENT_BYTES_MAX:
            return self.drop("large")
        if len(self._queue) >= QUEUE_MAX or self._bytes + size > QUEUE_BYTES_MAX:
            return self.drop("full")
        self._queue.append(kept)
        self._bytes += size
        self._arrived.set()
        return True

    def drop(self, reason: DropReason, count: int = 1) -> bool:
        """Count what is not kept though it should be, and say so now and then."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count
        now = asyncio.get_running_loop().time()
        if self._told_at is None or now - self._told_at >= TOLD_SECONDS:
            self._told_at = now
            _log.warning("content_dropped", dict(self.dropped))
        return False

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        tend_at = loop.time()
        while True:
            if loop.time() >= tend_at:
                await self._tend()
                tend_at = loop.time() + TEND_SECONDS
            try:
                async with asyncio.timeout_at(tend_at):
                    await self._arrived.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(GATHER_SECONDS)
            if not await self.flush():
                await asyncio.sleep(AGAIN_SECONDS)

    async def flush(self) -> bool:
        """Write what waits. False: the store does not answer, and what waits goes on waiting."""
        async with self._writing:  # What one has written is not another's to take out again.
            return await self._flush()

    async def _flush(self) -> bool:
        self._arrived.clear()
        while self._queue:
            batch = self._next_batch()
            try:
                await unbroken(self.write(batch))
            except StoreAway:
                self._arrived.set()
                return False
            except Unreadable as error:
                _log.error("content_unreadable", {"why": str(error)})
                self.drop("unreadable", len(batch))
            except Exception as error:  # A fault of ours may not end what keeps everybody else's.
                _log.error("content_failed", {"rows": len(batch)}, exc_info=error)
                self.drop("failed", len(batch))
            for each in batch:
                self._queue.popleft()
                self._bytes -= len(each.conversation)
        return True

    def _next_batch(self) -> list[Kept]:
        """Of one organization: what cannot be kept for it concerns nobody else."""
        batch: list[Kept] = []
        size = 0
        for each in self._queue:
            size += len(each.conversation)
            is_others = bool(batch) and each.organization_id != batch[0].organization_id
            if is_others or len(batch) == BATCH_MAX or (batch and size > BATCH_BYTES_MAX):
                break
            batch.append(each)
        return batch

    async def close(self) -> None:
        """Write what still waits; what the store does not take is lost, and told."""
        if not await self.flush() and self._queue:
            self.drop("stopped", len(self._queue))

    # --- At once --------------------------------------------------------------------------------

    async def write(self, kept: Sequence[Kept]) -> None:
        async with self._store.writing() as connection:
            wanted = await still_wanted(connection, kept)
            await rows.write(connection, self._vault, wanted, self._clock.now_us())
        self.kept += len(wanted)

    async def read(
        self, id: str, organization_id: str, kind: ContentKind = "conversation"
    ) -> Kept | None:
        async with self._store.reading() as connection:
            now_us = self._clock.now_us()
            return await rows.read(connection, self._vault, id, organization_id, kind, now_us)

    async def hold(self, id: str, organization_id: str, until_us: int) -> bool:
        async with self._store.writing() as connection:
            now_us = self._clock.now_us()
            return await rows.hold(connection, id, organization_id, until_us, now_us)

    async def erase(self, ids: Sequence[str], organization_id: str) -> int:
        async with self._store.writing() as connection:
            gone = await rows.delete_ids(connection, ids, organization_id)
        await self._store.scrub()
        return gone

    # --- The end of it --------------------------------------------------------------------------

    async def _tend(self) -> None:
        try:
            gone = await unbroken(self.tend())
        except StoreAway:
            return  # The follower says so; it is made up for next time.
        if gone:
            _log.info("content_deleted", {"rows": gone})

    async def tend(self) -> int:
        """Delete what is due, out of the files too; wrap keys under the newest pepper. What was
        kept under an earlier, longer bound of the operator's is bound by this one."""
        if not self._is_bound and self.days_max < DAYS_MAX:
            async with self._store.writing() as connection:
                await rows.shorten(connection, self.days_max)
        self._is_bound = True
        gone = await delete_due(self._store, self._clock.now_us())
        async with self._store.reading() as connection:
            is_behind = await rows.is_wrapped_by_older(connection, self._vault)
        if is_behind:
            async with self._store.writing() as connection:
                await rows.wrap_again(connection, self._vault)
            await self._store.scrub()
        return gone


async def delete_due(store: SqlStore, now_us: int) -> int:
    """All that nobody may read any more, out of the files too; how many rows."""
    gone = 0
    async with store.reading() as connection:
        if not await rows.has_due(connection, now_us):
            return 0
    while True:
        async with store.writing() as connection:
            some = await rows.delete_due(connection, now_us, DELETE_ROWS)
        gone += some
        if some < DELETE_ROWS:
            break
    await store.scrub()
    return gone
