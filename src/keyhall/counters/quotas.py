"""Quotas of one process: what is used is the ledger's, what is held is in this memory (R23, I-6).

One process writes its ledger alone, so the sum of a quota is what the store has recorded, plus what
was settled here and is not committed yet, plus what is held. The first is read once per quota and
period and then told with every commit; nothing is added up twice, and a crash leaves nothing that
could drift: the journal becomes records, and the sum is theirs.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from keyhall.policy import quotas as rules
from keyhall.policy.metering import Usage
from keyhall.policy.quotas import Exhausted, Quota
from keyhall.ports.quotas import QuotaHold, Quotas, Wanted
from keyhall.ports.store import LaneStore, QuotaUse

_SWEEP_EVERY = 1_000  # new sums between two looks for those whose period is over


class _Sum(msgspec.Struct, eq=False):
    """One quota in one period. `used` is None until it has been read."""

    quota: Quota
    span: rules.Span
    used: int | None = None
    settled: int = 0  # and not committed yet
    held: int = 0
    loading: "asyncio.Task[None] | None" = None

    def is_idle(self) -> bool:
        return not (self.settled or self.held or self.loading)


class _Line(msgspec.Struct, eq=False):
    """One request in one quota."""

    sum: _Sum
    amount: int


def _told(loading: "asyncio.Task[None]") -> None:
    """Whoever waited has heard of its failure; if all have left, nobody needs to."""
    _ = loading.cancelled() or loading.exception()


class MemoryQuotaHold(msgspec.Struct, eq=False):
    request_id: str
    admitted_at_us: int
    begins_us: int
    ends_us: int
    lines: list[_Line]
    is_settled: bool = False


class MemoryQuotas:
    """`ports.quotas.Quotas` for the only process that writes to its store."""

    def __init__(self, store: LaneStore) -> None:
        self._store = store
        self._sums: dict[tuple[str, int], _Sum] = {}
        self._now: dict[str, _Sum] = {}  # the latest sum of each quota
        self._holds: dict[str, MemoryQuotaHold] = {}
        self._made = 0

    async def hold(
        self, quotas: tuple[Quota, ...], wanted: Wanted, at_us: int
    ) -> MemoryQuotaHold | Exhausted:
        sums = [self._sum(quota, at_us) for quota in quotas]
        while any(each.used is None for each in sums):
            for each in sums:
                await self._loaded(each)
            sums = [self._sum(quota, at_us) for quota in quotas]  # A zone may have changed.
        lines = []
        begins_us, ends_us = rules.EVER_US, rules.FOREVER_US
        for quota, each in zip(quotas, sums, strict=True):
            amount = rules.units(quota.resource, wanted.tokens, wanted.cost_nano)
            used = (each.used or 0) + each.settled
            if not rules.fits(quota, used, each.held, amount):
                return Exhausted(quota, used, each.held, amount, each.span.ends_us)
            lines.append(_Line(each, amount))
            begins_us = max(begins_us, each.span.begins_us)
            ends_us = min(ends_us, each.span.ends_us)
        for line in lines:
            line.sum.held += line.amount
        hold = MemoryQuotaHold(wanted.request_id, at_us, begins_us, ends_us, lines)
        self._holds[wanted.request_id] = hold
        return hold

    def release(self, hold: QuotaHold) -> None:
        assert isinstance(hold, MemoryQuotaHold)
        if not hold.is_settled and self._holds.get(hold.request_id) is hold:
            del self._holds[hold.request_id]
            for line in hold.lines:
                line.sum.held -= line.amount

    def settle(self, hold: QuotaHold, usage: Usage) -> None:
        assert isinstance(hold, MemoryQuotaHold)
        if hold.is_settled:
            return
        hold.is_settled = True
        for line in hold.lines:
            line.sum.held -= line.amount
            line.amount = rules.used_by(line.sum.quota, usage)
            line.sum.settled += line.amount

    def committed(self, batch: Sequence[Usage], used: Sequence[QuotaUse]) -> None:
        if self._holds:
            for usage in batch:
                hold = self._holds.pop(usage.request_id, None)
                if hold is not None:
                    for line in hold.lines:
                        line.sum.settled -= line.amount
                        if line.sum.used is not None:  # Told below, unless its days have moved.
                            line.sum.used += line.amount
        for use in used:
            found = self._sums.get((use.quota_id, use.begins_us))
            if found is not None:
                found.used = use.used

    def open_holds(self) -> int:
        """Holds that are not committed yet."""
        return len(self._holds)

    # --- Sums -----------------------------------------------------------------------------------

    def _sum(self, quota: Quota, at_us: int) -> _Sum:
        found = self._now.get(quota.id)
        if found is not None and found.quota.zone == quota.zone:
            if found.span.begins_us <= at_us < found.span.ends_us:
                return found
        elif found is not None:
            self._now[quota.id] = self._in_zone(quota, at_us)
            return self._now[quota.id]
        found = self._now[quota.id] = self._place(
            quota, rules.span(quota.period, at_us, quota.zone)
        )
        return found

    def _place(self, quota: Quota, span: rules.Span) -> _Sum:
        place = quota.id, span.begins_us
        found = self._sums.get(place)
        if found is None:
            self._made += 1
            if self._made % _SWEEP_EVERY == 0:
                self._sweep(span.begins_us)
            found = self._sums[place] = _Sum(quota, span)
        return found

    def _in_zone(self, quota: Quota, at_us: int) -> _Sum:
        """Its organization's days begin at another time: what is held and settled moves into the
        period in which it was admitted, and what is used is read again."""
        for place in [place for place in self._sums if place[0] == quota.id]:
            del self._sums[place]
        for hold in self._holds.values():
            for line in hold.lines:
                if line.sum.quota.id == quota.id:
                    span = rules.span(quota.period, hold.admitted_at_us, quota.zone)
                    line.sum = self._place(quota, span)
                    if hold.is_settled:
                        line.sum.settled += line.amount
                    else:
                        line.sum.held += line.amount
        return self._place(quota, rules.span(quota.period, at_us, quota.zone))

    async def _loaded(self, wanted: _Sum) -> None:
        """Read what is used, once for all that wait. One who leaves does not end the reading."""
        if wanted.used is None:
            if wanted.loading is None:
                loop = asyncio.get_running_loop()
                wanted.loading = loop.create_task(self._load(wanted))
                wanted.loading.add_done_callback(_told)
            await asyncio.shield(wanted.loading)

    async def _load(self, wanted: _Sum) -> None:
        try:
            used = await self._store.quota_used(wanted.quota.id, wanted.span.begins_us)
            if wanted.used is None:  # Else a commit has told it meanwhile, and is newer.
                wanted.used = used
        finally:
            wanted.loading = None

    def _sweep(self, now_us: int) -> None:
        """Forget sums whose period is over and that nothing is held in."""
        over = [
            place
            for place, each in self._sums.items()
            if each.span.ends_us <= now_us and each.is_idle()
        ]
        for place in over:
            del self._sums[place]
            if self._now.get(place[0]) is not None and self._now[place[0]].span.ends_us <= now_us:
                del self._now[place[0]]


class QuotaSink:
    """The ledger's way to the store: what it commits ends the holds of quotas."""

    def __init__(self, store: LaneStore, quotas: Quotas) -> None:
        self._store = store
        self._quotas = quotas

    async def record_usage(self, batch: Sequence[Usage]) -> None:
        self._quotas.committed(batch, await self._store.record_usage(batch))
