"""R1 to R3 and R6 against a model that keeps every request and recounts everything each time.

The model is slow and obvious. Random histories run through it and the real counters; both must
decide alike, say the same numbers, and in no interval of 60 s may more be admitted than allowed.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyhall.clock import Clock, ManualClock
from keyhall.counters.memory import MemoryCounters, MemoryHold
from keyhall.lane.steps import drive
from keyhall.policy.limits import WINDOW_US, Facts, Limits, Refused, WindowLimits
from keyhall.ports.counters import Counters, Hold, Past

SECOND_US = 1_000_000

Windows = tuple[WindowLimits, ...]


@dataclass(slots=True)
class Logged:
    """An admitted request. `counted`: tokens held, then tokens used."""

    at_us: int
    windows: Windows
    counted: int
    hold: Hold
    is_open: bool = True


class Model:
    """The full log, and the rules in their plainest form."""

    def __init__(self) -> None:
        self.log: list[Logged] = []

    def of(self, id: str) -> list[Logged]:
        return [each for each in self.log if any(window.id == id for window in each.windows)]

    def in_window(self, id: str, now_us: int) -> list[Logged]:
        """R2: those whose slot's last admission is less than 60 s ago."""
        mine = self.of(id)
        last_of = {each.at_us // SECOND_US: each.at_us for each in mine}  # in order of time
        return [each for each in mine if last_of[each.at_us // SECOND_US] + WINDOW_US > now_us]

    def left(self, window: WindowLimits, now_us: int) -> tuple[int | None, int | None]:
        """Requests and tokens that this window has left; may be below zero."""
        counted = self.in_window(window.id, now_us)
        requests, tokens = window.limits.requests_per_minute, window.limits.tokens_per_minute
        return (
            None if requests is None else requests - len(counted),
            None if tokens is None else tokens - sum(each.counted for each in counted),
        )

    def has_room(self, windows: Windows, tokens: int, now_us: int) -> bool:
        for window in windows:
            requests_left, tokens_left = self.left(window, now_us)
            if requests_left is not None and requests_left < 1:
                return False
            if tokens_left is not None and tokens_left < tokens:
                return False
        return True

    def has_lanes(self, windows: Windows) -> bool:
        """Requests in flight."""
        return all(
            window.limits.in_flight is None
            or sum(each.is_open for each in self.of(window.id)) < window.limits.in_flight
            for window in windows
        )

    def check_theorem(self, windows: Windows) -> None:
        """R1, for every interval of 60 s that begins with an admission: no other holds more."""
        for window in windows:
            mine = self.of(window.id)
            requests, tokens = window.limits.requests_per_minute, window.limits.tokens_per_minute
            for first in mine:
                end_us = first.at_us + WINDOW_US
                inside = [each for each in mine if first.at_us <= each.at_us < end_us]
                assert requests is None or len(inside) <= requests
                assert tokens is None or sum(each.counted for each in inside) <= tokens


class Trial:
    """The real counters and the model, side by side."""

    def __init__(self, make: Callable[[Clock], Counters] = MemoryCounters) -> None:
        self.clock = ManualClock()
        self._make = make
        self._runner = asyncio.Runner()
        self.counters = make(self.clock)
        self.model = Model()

    def close(self) -> None:
        self.counters.close()
        self._runner.close()

    def hold(self, windows: Windows, tokens: int) -> Hold | Refused:
        async def ask() -> Hold | Refused:
            taken: Hold | Refused = await drive(self.counters.hold(windows, tokens))
            return taken

        return self._runner.run(ask())

    def ask(self, windows: Windows, tokens: int) -> Refused | None:
        now_us = self.clock.now_us()
        before = {window.id: self.model.left(window, now_us) for window in windows}
        fits = self.model.has_room(windows, tokens, now_us) and self.model.has_lanes(windows)
        taken = self.hold(windows, tokens)
        assert isinstance(taken, Refused) != fits
        if not isinstance(taken, Refused):
            self.model.log.append(Logged(now_us, windows, tokens, taken))
            self.model.check_theorem(windows)
            self.check_facts(taken.facts, windows)
            return None
        assert before == {window.id: self.model.left(window, now_us) for window in windows}
        self.check_refused(taken, windows, tokens)
        self.check_facts(taken.facts, windows)
        return taken

    def check_facts(self, facts: Facts, windows: Windows) -> None:
        """R20."""
        now_us = self.clock.now_us()
        left = [self.model.left(window, now_us) for window in windows]
        requests = [each for each, _ in left if each is not None]
        tokens = [each for _, each in left if each is not None]
        assert (facts.limit_requests is None) == (not requests)
        assert (facts.limit_tokens is None) == (not tokens)
        assert facts.remaining_requests == (max(0, min(requests)) if requests else 0)
        assert facts.remaining_tokens == (max(0, min(tokens)) if tokens else 0)

    def check_refused(self, refused: Refused, windows: Windows, tokens: int) -> None:
        now_us = self.clock.now_us()
        (window,) = (each for each in windows if each.scope == refused.scope)
        counted = self.model.in_window(window.id, now_us)
        held = [each for each in counted if each.is_open]
        used = [each for each in counted if not each.is_open]
        if refused.resource == "requests":
            assert (refused.used, refused.held) == (len(used), len(held))
        elif refused.resource == "tokens":
            assert refused.used == sum(each.counted for each in used)
            assert refused.held == sum(each.counted for each in held)
        else:
            assert refused.used == sum(each.is_open for each in self.model.of(window.id))
        fits_now = refused.fits_now
        nothing = not self.model.has_room(windows, 0, now_us) or not self.model.has_lanes(windows)
        if nothing:
            assert fits_now == 0
        else:
            assert self.model.has_room(windows, fits_now, now_us)
            assert not self.model.has_room(windows, fits_now + 1, now_us)
        assert refused.never == any(
            tokens > window.limits.tokens_per_minute
            for window in windows
            if window.limits.tokens_per_minute is not None
        )
        if not refused.never:
            assert 0 < refused.wait_us <= WINDOW_US
            assert self.model.has_room(windows, tokens, now_us + refused.wait_us)
            if refused.resource != "in_flight":  # the wait is no longer than it must be
                assert not self.model.has_room(windows, tokens, now_us + refused.wait_us - 1)

    def end(self, which: int, used_percent: int) -> None:
        """Settle the n-th open request, if there is one; 0 % is a cancel."""
        still_open = [each for each in self.model.log if each.is_open]
        if which >= len(still_open):
            return
        ended = still_open[which]
        ended.is_open = False
        ended.counted = ended.counted * used_percent // 100
        if used_percent:
            self.counters.settle(ended.hold, ended.counted)
        else:
            self.counters.cancel(ended.hold)
            self.counters.settle(ended.hold, 1_000_000)  # ignored: it has ended

    def restart(self, used_percent: int) -> None:
        """R6: open requests are settled from the journal; the last 61 s come back."""
        for each in self.model.log:
            if each.is_open:
                each.is_open = False
                each.counted = each.counted * used_percent // 100
        self.counters.close()
        self.counters = self._make(self.clock)
        since_us = self.clock.now_us() - 61 * SECOND_US
        self.counters.rebuild(
            Past(each.windows, each.at_us, each.counted)
            for each in reversed(self.model.log)
            if each.at_us >= since_us
        )


def hold(counters: MemoryCounters, windows: Windows, tokens: int) -> MemoryHold | Refused:
    try:
        counters.hold(windows, tokens).send(None)
    except StopIteration as ended:
        taken: MemoryHold | Refused = ended.value
        return taken
    raise AssertionError("hold suspended")


# --- Random histories ---------------------------------------------------------------------------

maybe_requests = st.none() | st.integers(1, 7)
maybe_tokens = st.none() | st.integers(10, 150)
maybe_lanes = st.none() | st.none() | st.integers(1, 4)
limits = st.builds(Limits, maybe_requests, maybe_tokens, maybe_lanes)


@st.composite
def callers(draw: st.DrawFn) -> list[Windows]:
    """Three keys: two of one project, one of another, all of one organization."""
    organization = WindowLimits("organization", "organization:1", draw(limits))
    projects = [WindowLimits("project", f"project:{n}", draw(limits)) for n in range(2)]
    keys = [WindowLimits("key", f"key:{n}", draw(limits)) for n in range(3)]
    return [(keys[n], projects[n // 2], organization) for n in range(3)]


passing = st.sampled_from(
    [1, 300_000, 999_999, SECOND_US, 7_300_000, 59_000_000, WINDOW_US - 1, WINDOW_US]
) | st.integers(0, 61 * SECOND_US)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 2), st.integers(1, 60)),
        st.tuples(st.just("ask"), st.integers(0, 2), st.integers(1, 60)),
        st.tuples(st.just("ask and wait"), st.integers(0, 2), st.integers(1, 160)),
        st.tuples(st.just("pass"), passing, st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 3), st.sampled_from([0, 1, 40, 100])),
        st.tuples(st.just("restart"), st.integers(0, 100), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(callers=callers(), steps=steps)
def test_r1_no_interval_of_sixty_seconds_admits_more_than_the_limits(
    callers: list[Windows], steps: list[tuple[str, int, int]]
):
    """For key, project and organization at once, whatever is asked, settled, cancelled, waited
    for or restarted; and nothing is refused that the window of slots has room for."""
    go_through(Trial(), callers, steps)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(callers=callers(), steps=steps)
def test_r1_one_script_in_redis_decides_as_the_model_does(
    redis_server: Any, callers: list[Windows], steps: list[tuple[str, int, int]]
):
    go_through(Trial(redis_server.counters), callers, steps)


def go_through(trial: Trial, callers: list[Windows], steps: list[tuple[str, int, int]]) -> None:
    with contextlib.closing(trial):
        take(trial, callers, steps)


def take(trial: Trial, callers: list[Windows], steps: list[tuple[str, int, int]]) -> None:
    for step, one, two in steps:
        match step:
            case "ask":
                trial.ask(callers[one], two)
            case "ask and wait":
                refused = trial.ask(callers[one], two)
                if refused is None or refused.never or refused.resource == "in_flight":
                    continue
                trial.clock.advance(refused.wait_us / SECOND_US)
                if trial.model.has_lanes(callers[one]):
                    assert trial.ask(callers[one], two) is None  # R2: the retry succeeds
            case "pass":
                trial.clock.advance(one / SECOND_US)
            case "end":
                trial.end(one, two)
            case "restart":
                trial.restart(one)


# --- How much of a limit can be used ------------------------------------------------------------


def one_by_one(dice: random.Random) -> Iterator[int]:
    """Arrivals at an even pace, 1.3 times as many as the limit allows: microseconds between."""
    while True:
        yield 13_000


def at_random(dice: random.Random) -> Iterator[int]:
    while True:
        yield round(dice.expovariate(1 / 13_000))


def in_bursts(dice: random.Random) -> Iterator[int]:
    """A few hundred at once, then nothing for seconds."""
    while True:
        for _ in range(300):
            yield 0
        yield dice.randrange(3_900_000)


@pytest.mark.parametrize("arrivals", [one_by_one, at_random, in_bursts])
@pytest.mark.parametrize(
    ("limits", "tokens_of"),
    [
        (Limits(requests_per_minute=3_500), lambda dice: 1),
        (Limits(tokens_per_minute=90_000), lambda dice: 25),
        (Limits(tokens_per_minute=16_000), lambda dice: dice.randint(1, 80)),
        (Limits(tokens_per_minute=25_007), lambda dice: 7),
    ],
    ids=["requests", "equal holds", "holds up to 0.5 %", "holds that leave a rest"],
)
def test_r1_at_least_98_percent_of_a_limit_can_be_used(
    limits: Limits,
    tokens_of: Callable[[random.Random], int],
    arrivals: Callable[[random.Random], Iterator[int]],
):
    """Where one limit binds and no request is more than 0.5 % of it (a slot may stay up to a
    second longer than its first request)."""
    dice = random.Random(20)
    clock = ManualClock()
    counters = MemoryCounters(clock)
    windows = (WindowLimits("key", "key:1", limits),)
    start_us = clock.now_us()
    minutes = 6
    used = 0
    gaps = arrivals(dice)
    while (passed_us := clock.now_us() - start_us) < minutes * WINDOW_US:
        tokens = tokens_of(dice)
        taken = hold(counters, windows, tokens)
        if isinstance(taken, MemoryHold):
            counters.settle(taken, tokens)
            if passed_us >= WINDOW_US:  # the first minute fills an empty window
                used += 1 if limits.requests_per_minute else tokens
        clock.advance(next(gaps) / SECOND_US)
    limit = limits.requests_per_minute or limits.tokens_per_minute
    assert limit is not None
    assert used >= 0.98 * limit * (minutes - 1)


def test_r2_a_caller_who_waits_as_told_uses_all_of_a_limit():
    """Retrying exactly after `wait_us` never meets a second refusal, and wastes nothing."""
    clock = ManualClock()
    counters = MemoryCounters(clock)
    windows = (WindowLimits("key", "key:1", Limits(20, 40_000)),)
    dice = random.Random(4)
    start_us = clock.now_us()
    admitted = 0
    while clock.now_us() - start_us < 60 * WINDOW_US:
        taken = hold(counters, windows, 1500)
        if isinstance(taken, Refused):
            clock.advance(taken.wait_us / SECOND_US)
            taken = hold(counters, windows, 1500)
        assert isinstance(taken, MemoryHold)
        admitted += 1
        clock.advance(dice.random() * 3)
        counters.settle(taken, dice.randint(0, 1500))
    assert admitted >= 0.98 * 60 * 20
