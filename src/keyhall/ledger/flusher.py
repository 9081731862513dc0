"""Settled rows on their way to the sink: in batches, in order, by way of the spool if need be.

A task gives rows to the sink at most 200 ms after the first of them, and frees their journal slots
once it has committed. A sink that fails is asked again, later and later. When it has failed for a
second, or a quarter of the slots wait, all rows go to the spool and their slots are free; while
something is in the spool, whatever is settled goes behind it. The spool is handed over from its
beginning, row by row in the order of settling, and deleted at its end.

A row may be offered twice (an answer that was lost, a call that hung while its rows went to the
spool): the sink knows it by its request id. Rows are counted from the start of the process, and
whoever has rows safe, sink or spool, says up to which: so neither needs to know of the other.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from keyhall.ledger.journal import Journal
from keyhall.ledger.spool import Batch, Spool, SpoolFull
from keyhall.policy.metering import Usage
from keyhall.ports.ledger import UsageSink

FLUSH_SECONDS = 0.2  # R16 allows 250 ms; the commit itself takes some of it.
BATCH_ROWS = 2_000  # Rows of one transaction: about 10 ms of SQLite.
BATCH_ROWS_MIN = 50
ANSWER_SECONDS = 3.0  # A connection may be dead without a word; with the pause: back within 5 s.
SPOOL_SECONDS = 1.0  # A restart of the database or a long lock of a command is over sooner.
SPOOL_PART = 4  # of the slots: the others are for requests that come meanwhile
_RETRY_SECONDS_MIN = 0.1
_RETRY_SECONDS_MAX = 2.0
_SPOOL_RETRY_SECONDS = 1.0
_EARLY_SECONDS = 0.001  # A timer may ring so much too soon.

InThread = Callable[..., Coroutine[Any, Any, Any]]


class SinkSilent(Exception):
    """The sink does not answer. Whether it took the rows, nobody knows: they are offered again."""


class Flusher:
    """What the ledger does with settled rows. `rows` and their slots `places` are appended to by
    the hot path, which sets `due` when there are rows where there were none, or a batch is full."""

    def __init__(
        self,
        journal: Journal,
        sink: UsageSink,
        spool: Spool,
        *,
        flush_seconds: float,
        batch_rows: int,
        in_thread: InThread,
    ) -> None:
        self.rows: list[Usage] = []  # settled, neither with the sink nor in the spool
        self.places: list[int] = []
        self.due = asyncio.Event()
        self.sink_error: str | None = None  # until it takes a batch again
        self.spool_error: str | None = None  # until it takes rows again
        self._journal = journal
        self._sink = sink
        self._spool = spool
        self._flush_seconds = flush_seconds
        self._batch_rows = batch_rows
        self._in_thread = in_thread
        self._offered_rows = batch_rows  # fewer while the sink is too slow for so many
        self._safe = 0  # rows since start that left `rows`
        self._turn = asyncio.Lock()  # One batch at a time, in order.
        self._stop = asyncio.Event()
        self._attempt: asyncio.Task[None] | None = None
        self._failing_since: float | None = None
        self._retry_seconds = _RETRY_SECONDS_MIN
        self._next_try = 0.0
        self._next_spooling = 0.0

    def stop(self) -> None:
        """Let `run` end."""
        self._stop.set()
        self.due.set()

    async def flush(self) -> None:
        """Everything settled by now is with the sink when it returns. Raises what the sink does."""
        target = self._safe + len(self.rows)
        while self._spool.waiting or self._safe < target:
            await self._offer()

    async def run(self) -> None:
        """Until `stop`."""
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        try:
            while True:
                if not self.rows and not self._spool.waiting and self._attempt is None:
                    await self._until_due(None)
                    begun_at = loop.time()
                if len(self.rows) < self._batch_rows and not self._is_handing_over():
                    # Rows may have come while the last batch was written: count from its beginning.
                    await self._until_due(begun_at + self._flush_seconds - loop.time())
                if self._stop.is_set():
                    return
                begun_at = loop.time()
                await self._hand_over(begun_at)
                if self._must_spool(loop.time()):
                    await self._put_by()
                pause = self._next_try - loop.time()
                if self._attempt is None and pause > 0:
                    await _wait(self._stop, min(pause, self._flush_seconds))
        finally:
            if self._attempt is not None:
                self._attempt.cancel()
                await asyncio.wait({self._attempt})

    # --- To the sink ----------------------------------------------------------------------------

    def _is_handing_over(self) -> bool:
        """The sink works and the spool is not empty yet: nothing is waited for."""
        return self._spool.waiting > 0 and self._failing_since is None

    async def _hand_over(self, now: float) -> None:
        """Begin or go on with an attempt; wait a moment for its end."""
        if self._attempt is None:
            if now < self._next_try - _EARLY_SECONDS:
                return
            self._attempt = asyncio.get_running_loop().create_task(self._offer())
        done, _ = await asyncio.wait({self._attempt}, timeout=self._flush_seconds)
        if not done:
            self._failing_since = now if self._failing_since is None else self._failing_since
            if self.sink_error is None and self._is_long(asyncio.get_running_loop().time()):
                self.sink_error = f"no answer within {SPOOL_SECONDS:g} s"
            return
        failed = self._attempt.exception()  # `sink_error` has it; the rows are kept.
        self._attempt = None
        if failed is None:
            self.sink_error = None  # Again: striking off the spool may have looked like silence.
            self._failing_since = None
            self._retry_seconds = _RETRY_SECONDS_MIN
        else:
            self._failing_since = now if self._failing_since is None else self._failing_since
            self._next_try = asyncio.get_running_loop().time() + self._retry_seconds
            self._retry_seconds = min(self._retry_seconds * 2, _RETRY_SECONDS_MAX)

    async def _offer(self) -> None:
        """Hand the oldest rows to the sink, and free their place once it has them."""
        async with self._turn:
            batch: Batch | None = None
            try:
                if self._spool.waiting:
                    batch = await self._in_thread(self._spool.peek, self._offered_rows)
                rows = self.rows[: self._offered_rows] if batch is None else batch.rows
                up_to = self._safe + len(rows)
                if rows:
                    await self._record(rows)
            except Exception as error:
                self.sink_error = f"{type(error).__name__}: {error}"
                raise
            self.sink_error = None
            if batch is None:
                self._is_safe(up_to)
            else:
                await self._in_thread(self._spool.advance, batch)

    async def _record(self, rows: list[Usage]) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._sink.record_usage(rows)
        except TimeoutError:
            self._offered_rows = min(self._offered_rows, max(len(rows) // 4, BATCH_ROWS_MIN))
            raise SinkSilent(f"no answer within {ANSWER_SECONDS:g} s") from None
        self._offered_rows = min(self._offered_rows * 2, self._batch_rows)

    def _is_safe(self, up_to: int) -> None:
        """Rows up to this number are where no crash can take them: their slots are free."""
        count = up_to - self._safe
        if count > 0:
            self._journal.release(self.places[:count])
            del self.rows[:count], self.places[:count]
            self._safe = up_to

    # --- To the spool ---------------------------------------------------------------------------

    def _is_long(self, now: float) -> bool:
        return self._failing_since is not None and now - self._failing_since >= SPOOL_SECONDS

    def _must_spool(self, now: float) -> bool:
        if not self.rows or now < self._next_spooling - _EARLY_SECONDS:
            return False
        if self._spool.waiting or self._is_long(now):
            return True
        is_much = len(self.rows) >= self._journal.slots // SPOOL_PART
        return is_much and self._failing_since is not None

    async def _put_by(self) -> None:
        """All rows to the spool. If it does not take them they stay in the journal, as before."""
        loop = asyncio.get_running_loop()
        rows = self.rows[:]
        up_to = self._safe + len(rows)
        try:
            await self._in_thread(self._spool.append, rows)
        except (OSError, SpoolFull) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            self.spool_error = f"the spool cannot be written: {words}"
            self._next_spooling = loop.time() + _SPOOL_RETRY_SECONDS
        else:
            self.spool_error = None
            self._next_spooling = loop.time() + self._flush_seconds
            self._is_safe(up_to)

    async def _until_due(self, seconds: float | None) -> None:
        if not self._stop.is_set():
            self.due.clear()
            await _wait(self.due, seconds)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
