"""Counters in this process's memory: the default, for one process.

A hold is checked and taken without suspending, so on one event loop it is atomic. The windows and
limits of a caller are looked up once per tuple of `WindowLimits` and kept as a plan, because
callers pass the same tuple until something about them changes. What a restart forgets, `rebuild`
brings back from ledger and journal (R6). Nothing here can be away or fail.

Memory is bounded by what is in use: with every new plan a few old ones are looked at, and those
that nothing needs any more are forgotten together with their windows.
"""

from collections import deque
from collections.abc import Iterable
from operator import attrgetter

import msgspec

from keyhall.clock import Clock
from keyhall.policy.limits import WINDOW_US, Facts, Refused, WindowLimits
from keyhall.policy.refusal import refuse
from keyhall.policy.window import Window
from keyhall.ports.counters import Hold, Past

# Stands for "no limit" in sums; what real numbers leave of it stays above `_UNLIMITED`. Both are
# below 2^60, where CPython's integers take a third digit and slow down.
_NO_LIMIT = 1 << 59
_UNLIMITED = 1 << 58

_SWEEP = 4  # Old plans looked at per new one: more than two, so that forgetting outruns making.


class _Shared(Window):
    """A window, its name, and how many plans use it."""

    __slots__ = ("id", "plans")

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id = id
        self.plans = 0


class _Plan(msgspec.Struct, eq=False):
    """One caller's windows with their limits, and the same again in the hot path's shape."""

    asked: tuple[WindowLimits, ...]  # The caller's tuple; kept alive, so that its id stays its own.
    windows: tuple[_Shared, ...]
    parts: tuple[tuple[_Shared, int, int, int], ...]  # window, requests, tokens, in flight
    is_used: bool = True  # since the sweep last came by


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
        self._windows: dict[str, _Shared] = {}
        self._plans: dict[int, _Plan] = {}  # By the id() of the tuple that a plan keeps alive.
        self._rounds: deque[_Plan] = deque()  # The same plans, in the order of the sweep.
        self._open_holds = 0

    async def hold(self, windows: tuple[WindowLimits, ...], tokens: int) -> MemoryHold | Refused:
        """One pass that only reads, one that only writes: all windows or none. Never suspends.

        Written out rather than split into calls, because it runs for every request.
        """
        now_us = self._now_us()
        plan = self._plans.get(id(windows)) or self._make_plan(windows, now_us)
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

    def rebuild(self, past: Iterable[Past]) -> None:
        """Also moves the clock to the newest record's time, should it be behind (R6)."""
        newest_us = 0
        for record in sorted(past, key=attrgetter("admitted_at_us")):
            newest_us = record.admitted_at_us
            plan = self._plans.get(id(record.windows)) or self._make_plan(record.windows, newest_us)
            for window in plan.windows:
                window.turn(newest_us)
                window.take(newest_us, record.tokens)
                window.settle(newest_us, record.tokens, record.tokens)
        self._clock.not_before(newest_us)

    def open_holds(self) -> int:
        return self._open_holds

    def close(self) -> None:
        """There is nothing to close."""

    def kept_windows(self) -> int:
        """Windows in memory: those that count something, and a few that will be forgotten."""
        return len(self._windows)

    def _make_plan(self, asked: tuple[WindowLimits, ...], now_us: int) -> _Plan:
        self._sweep(now_us)
        parts = []
        for each in asked:
            window = self._windows.get(each.id)
            if window is None:
                window = self._windows[each.id] = _Shared(each.id)
            window.plans += 1
            limits = each.limits
            parts.append(
                (
                    window,
                    _or_none(limits.requests_per_minute),
                    _or_none(limits.tokens_per_minute),
                    _or_none(limits.in_flight),
                )
            )
        plan = _Plan(asked, tuple(part[0] for part in parts), tuple(parts))
        self._plans[id(asked)] = plan
        self._rounds.append(plan)
        return plan

    def _sweep(self, now_us: int) -> None:
        """Forget a plan that was not used for a round, unless its windows still count something
        and nobody else would keep them. While windows are rebuilt, now is the record's time."""
        for _ in range(min(_SWEEP, len(self._rounds))):
            plan = self._rounds.popleft()
            if plan.is_used or any(_is_needed(window, now_us) for window in plan.windows):
                plan.is_used = False
                self._rounds.append(plan)
                continue
            del self._plans[id(plan.asked)]
            for window in plan.windows:
                window.plans -= 1
                if not window.plans:
                    del self._windows[window.id]


def _or_none(limit: int | None) -> int:
    return _NO_LIMIT if limit is None else limit


def _is_needed(window: _Shared, now_us: int) -> bool:
    """Only this plan keeps the window, and it counts something."""
    if window.plans > 1:
        return False
    if now_us >= window.turn_us:
        window.turn(now_us)
    return not window.is_idle()
