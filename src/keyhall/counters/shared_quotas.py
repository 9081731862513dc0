"""Quotas of processes that share a database: every hold is a row there (R7, R23).

Costs a transaction per request, for callers under quotas only. A hold stays whole until the
ledger's own transaction ends it with the usage record; what came to nothing is given back at once,
or as soon as the database takes it. Money fails closed: without the database nothing is held.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice

import msgspec

from keyhall.policy import quotas as rules
from keyhall.policy.metering import Usage
from keyhall.policy.quotas import Exhausted, Quota
from keyhall.ports.quotas import Held, HeldOpening, HoldStore, Line, QuotaHold, Short, Wanted
from keyhall.ports.store import QuotaUse, StoreAway

RETRY_SECONDS = 1.0
GIVEN_BACK_SECONDS = 2.0  # so long a request that holds once more waits for its first hold's end
CLOSE_SECONDS = 2.0
BATCH = 1_000
# In an outage nobody knows of each hold that was tried whether it was taken: all are given back
# afterwards. At this many none is tried any more; giving them back takes seconds.
OVER_MAX = 20_000


class SharedQuotaHold(msgspec.Struct, eq=False):
    request_id: str
    begins_us: int
    ends_us: int
    is_over: bool = False  # settled or given back


class SharedQuotas:
    """`ports.quotas.Quotas` over a database. `begin` before the first hold."""

    def __init__(self, store: HoldStore) -> None:
        self._store = store
        self._writer = ""
        self._open = 0
        self._over: dict[str, None] = {}  # to be given back, in their order
        self._gave = asyncio.Event()  # wakes whoever waits for a batch of them
        self._giving: asyncio.Task[None] | None = None

    async def begin(self, folder: str, journal: str) -> None:
        """Hold in the name of this process's journal, from now on. What is still held in that name
        was never in a journal: it is given back."""
        self._writer = _writer(folder, journal)
        await self.end_of(folder, journal)

    async def end_of(self, folder: str, journal: str) -> None:
        """Give back what a process that is gone still holds. All that its journal said is on
        record, which has ended the holds of that."""
        await self._store.end_quota_holds_of(_writer(folder, journal))

    async def hold(
        self, quotas: tuple[Quota, ...], wanted: Wanted, at_us: int
    ) -> SharedQuotaHold | Exhausted:
        spans = [rules.span(quota.period, at_us, quota.zone) for quota in quotas]
        lines = [
            Line(
                quota,
                span.begins_us,
                rules.units(quota.resource, wanted.tokens, wanted.cost_nano),
            )
            for quota, span in zip(quotas, spans, strict=True)
        ]
        if len(self._over) >= OVER_MAX:
            raise StoreAway("too much waits to be given back")
        held = Held(wanted.request_id, self._writer, at_us, _text(wanted.opening))
        taking = asyncio.get_running_loop().create_task(self._take(held, lines))
        try:
            short = await asyncio.shield(taking)
        except BaseException:
            # The client has left, or nobody knows whether the commit was done: give back whatever
            # the database took in the end.
            taking.add_done_callback(lambda task: self._undo(wanted.request_id, task))
            raise
        if short is not None:
            ends_us = spans[lines.index(short.line)].ends_us
            line = short.line
            return Exhausted(line.quota, short.used, short.held, line.amount, ends_us)
        self._open += 1
        return SharedQuotaHold(
            wanted.request_id,
            max(span.begins_us for span in spans),
            min(span.ends_us for span in spans),
        )

    async def _take(self, held: Held, lines: Sequence[Line]) -> Short | None:
        if held.request_id in self._over:  # Else its first hold's end would end this one too.
            await self._given_back(held.request_id)
        return await self._store.hold_quotas(held, lines)

    async def _given_back(self, request_id: str) -> None:
        try:
            async with asyncio.timeout(GIVEN_BACK_SECONDS):
                await self._end_of(request_id)
        except TimeoutError:
            raise StoreAway("what it held is not given back yet") from None

    async def _end_of(self, request_id: str) -> None:
        while request_id in self._over:
            await self._gave.wait()

    def release(self, hold: QuotaHold) -> None:
        assert isinstance(hold, SharedQuotaHold)
        if not hold.is_over:
            hold.is_over = True
            self._open -= 1
            self._give_back(hold.request_id)

    def settle(self, hold: QuotaHold, usage: Usage) -> None:
        assert isinstance(hold, SharedQuotaHold)
        if not hold.is_over:
            hold.is_over = True
            self._open -= 1

    def committed(self, batch: Sequence[Usage], used: Sequence[QuotaUse]) -> None:
        """The transaction itself has ended their holds."""

    def open_holds(self) -> int:
        return self._open

    async def close(self) -> None:
        """Give back what is left to give back. What the database does not take in time is given
        back by the next process that has this one's journal."""
        if (giving := self._giving) is not None:
            await asyncio.wait({giving}, timeout=CLOSE_SECONDS)
            giving.cancel()
            await asyncio.wait({giving})

    def _undo(self, request_id: str, task: "asyncio.Task[Short | None]") -> None:
        _ = task.cancelled() or task.exception()  # Whoever asked has left: nobody needs to hear.
        self._give_back(request_id)

    def _give_back(self, request_id: str) -> None:
        self._over[request_id] = None
        if self._giving is None:
            self._giving = asyncio.get_running_loop().create_task(self._give(), name="quota holds")

    async def _give(self) -> None:
        try:
            while self._over:
                batch = list(islice(self._over, BATCH))
                try:
                    await self._store.end_quota_holds(batch)
                except StoreAway:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for request_id in batch:
                    del self._over[request_id]
                self._gave.set()  # Whoever waits now; the next one waits for the next batch.
                self._gave.clear()
        finally:
            self._giving = None


def _writer(folder: str, journal: str) -> str:
    return f"{folder}/{journal}"


def _text(opening: HeldOpening) -> str:
    return msgspec.json.encode(opening).decode()
