"""Counters in this process's memory: the default, for one process.

A hold is checked and taken without suspending, so on one event loop it is atomic. What a restart
forgets, `rebuild` brings back from ledger and journal (R6). Nothing here can be away or fail.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from keyhall.clock import Clock
from keyhall.counters.plans import Plan, Plans, Shared
from keyhall.counters.refusal import refuse
from keyhall.policy.holders.levels import EMPTY, Level, level_of
from keyhall.policy.limits import WINDOW_US, Facts, Refused, WindowLimits
from keyhall.policy.window import Window
from keyhall.ports.counters import Hold, Past

# Stands for "no limit" in sums; what real numbers leave of it stays above `_UNLIMITED`. Both are
# below 2^60, where CPython's integers take a third digit and slow down.
_NO_LIMIT = 1 << 59
_UNLIMITED = 1 << 58


class _Plan(Plan[Shared]):
    """The same again in the hot path's shape: window, requests, tokens, in flight."""

    parts: tuple[tuple[Shared, int, int, int], ...] = ()


def _plan(asked: tuple[WindowLimits, ...], windows: tuple[Shared, ...]) -> _Plan:
    parts = tuple(
        (
            window,
            _or_none(each.limits.requests_per_minute),
            _or_none(each.limits.tokens_per_minute),
            _or_none(each.limits.in_flight),
        )
        for each, window in zip(asked, windows, strict=True)
    )
    return _Plan(asked, windows, parts=parts)


class MemoryHold(msgspec.Struct, eq=False, gc=False):
    """A reservation; `windows` is None once it has ended."""

    admitted_at_us: int
    tokens: int
    facts: Facts
    windows: tuple[Window, ...] | None


class MemoryCounters:
    """`keyhall.ports.counters.Counters` for one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now_us = clock.now_us
        self._table = Plans(Shared, _plan)
        self._plans = self._table.by_id
        self._open_holds = 0

    async def hold(self, windows: tuple[WindowLimits, ...], tokens: int) -> MemoryHold | Refused:
        """One pass that only reads, one that only writes: all windows or none. Never suspends.

        Written out rather than split into calls, because it runs for every request.
        """
        now_us = self._now_us()
        plan = self._plans.get(id(windows)) or self._table.make(windows, now_us)
        plan.is_used = True
        limit_requests = limit_tokens = None
        least_requests = least_tokens = _UNLIMITED
        for window, requests_max, tokens_max, in_flight_max in plan.parts:
            if now_us >= window.turn_us:
                window.turn(now_us)
            requests_left = requests_max - window.past_requests - window.requests - 1
            tokens_left = tokens_max - window.past_tokens - window.tokens - tokens
            if (
                requests_left < 0
                or tokens_left < 0
                or window.past_open + window.open >= in_flight_max
            ):
                return refuse(plan.asked, plan.windows, tokens, now_us)
            if requests_left < least_requests:
                least_requests, limit_requests = requests_left, requests_max
            if tokens_left < least_tokens:
                least_tokens, limit_tokens = tokens_left, tokens_max
        for window in plan.windows:
            window.requests += 1
            window.tokens += tokens
            window.held += tokens
            window.open += 1
            window.last_us = now_us
        self._open_holds += 1
        # This admission is the newest, so each window is empty in 60 s.
        facts = Facts(
            limit_requests,
            0 if limit_requests is None else least_requests,
            WINDOW_US,
            limit_tokens,
            0 if limit_tokens is None else least_tokens,
            WINDOW_US,
        )
        return MemoryHold(now_us, tokens, facts, plan.windows)

    def settle(self, hold: Hold, tokens: int) -> None:
        assert isinstance(hold, MemoryHold)
        windows = hold.windows
        if windows is None:
            return
        hold.windows = None
        self._open_holds -= 1
        admitted_at_us = hold.admitted_at_us
        held = hold.tokens
        for window in windows:
            if admitted_at_us >= window.begins_us:
                window.tokens += tokens - held
                window.held -= held
                window.open -= 1
            else:
                window.settle_closed(admitted_at_us, held, tokens)

    def cancel(self, hold: Hold) -> None:
        self.settle(hold, 0)

    async def levels(self, windows: Sequence[WindowLimits]) -> list[Level]:
        now_us = self._now_us()
        found = (self._table.windows.get(each.id) for each in windows)
        return [EMPTY if window is None else level_of(window, now_us) for window in found]

    def rebuild(self, past: Iterable[Past]) -> None:
        """Also moves the clock to the newest record's time, should it be behind (R6)."""
        newest_us = 0
        for record in sorted(past, key=attrgetter("admitted_at_us")):
            newest_us = record.admitted_at_us
            plan = self._plans.get(id(record.windows)) or self._table.make(
                record.windows, newest_us
            )
            for window in plan.windows:
                window.turn(newest_us)
                window.take(newest_us, record.tokens)
                window.settle(newest_us, record.tokens, record.tokens)
        self._clock.not_before(newest_us)

    async def start(self) -> None:
        """There is nothing to wait for."""

    def degraded(self) -> str | None:
        return None

    def open_holds(self) -> int:
        return self._open_holds

    def close(self) -> None:
        """There is nothing to close."""

    def kept_windows(self) -> int:
        """Windows in memory: those that count something, and a few that will be forgotten."""
        return len(self._table.windows)


def _or_none(limit: int | None) -> int:
    return _NO_LIMIT if limit is None else limit
