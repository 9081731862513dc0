"""Levels: what is counted in a window at one moment, when it is free again, and what still fits.

The arithmetic is that of a hold (R1, R2), which is why its answers are those of the API; nothing
here takes anything. Times are microseconds.

>>> from keyhall.policy.limits import Limits, WindowLimits
>>> key = WindowLimits("key", "key:1", Limits(20, 40_000))
>>> pace([key], 800)
20
>>> pace([key], 4_000)
10
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import get_args

import msgspec

from keyhall.policy.limits import WINDOW_US, Limits, Resource, WindowLimits
from keyhall.policy.window import Window

RESOURCES: tuple[Resource, ...] = get_args(Resource)
IN_FLIGHT_WAIT_US = 1_000_000  # Nobody knows when an open request ends.


class Level(msgspec.Struct, frozen=True, gc=False):
    """One window. `requests` and `tokens` are used and held together; `slots` say what leaves
    when, oldest first: time, requests, tokens."""

    requests: int = 0
    tokens: int = 0
    held_requests: int = 0
    held_tokens: int = 0
    in_flight: int = 0
    slots: tuple[tuple[int, int, int], ...] = ()

    def counted(self, resource: Resource) -> int:
        return {"requests": self.requests, "tokens": self.tokens}.get(resource, self.in_flight)

    def held(self, resource: Resource) -> int:
        return {"requests": self.held_requests, "tokens": self.held_tokens}.get(resource, 0)


EMPTY = Level()


def level_of(window: Window, now_us: int) -> Level:
    """What a window counts now."""
    if now_us >= window.turn_us:
        window.turn(now_us)
    slots = tuple(
        (at_us + WINDOW_US, count, tokens) for at_us, tokens, _, count, _ in window.slots()
    )
    return Level(
        requests=window.past_requests + window.requests,
        tokens=window.past_tokens + window.tokens,
        held_requests=window.held_requests(),
        held_tokens=window.held_tokens(),
        in_flight=window.open_holds(),
        slots=slots,
    )


def limit_of(limits: Limits, resource: Resource) -> int | None:
    if resource == "requests":
        return limits.requests_per_minute
    return limits.tokens_per_minute if resource == "tokens" else limits.in_flight


# --- Bars -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """One limit of one window and how full it is. `some_us` is how long until something comes
    back, `all_us` until everything has; 0 where nothing is used, or nobody can know."""

    window: WindowLimits
    resource: Resource
    limit: int
    counted: int
    held: int
    some_us: int
    all_us: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.counted)

    @property
    def percent(self) -> int:
        return min(100, self.counted * 100 // self.limit) if self.limit else 100


def bars(windows: Sequence[WindowLimits], levels: Sequence[Level], now_us: int) -> list[Bar]:
    """Every limit in force, window by window."""
    found = []
    for window, level in zip(windows, levels, strict=True):
        for resource in RESOURCES:
            limit = limit_of(window.limits, resource)
            if limit is None:
                continue
            some_us = all_us = 0
            if resource != "in_flight" and level.slots:
                some_us = max(0, level.slots[0][0] - now_us)
                all_us = max(0, level.slots[-1][0] - now_us)
            found.append(
                Bar(
                    window, resource, limit, level.counted(resource), level.held(resource),
                    some_us, all_us,
                )
            )  # fmt: skip
    return found


# --- Would it fit? --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request fits every window now. If not: the limit that binds longest, and how long
    until it fits if nothing else is admitted; `never`: it is above the limit itself."""

    fits: bool
    binding: WindowLimits | None = None
    resource: Resource = "requests"
    limit: int = 0
    wait_us: int = 0
    never: bool = False


def verdict(
    windows: Sequence[WindowLimits], levels: Sequence[Level], tokens: int, now_us: int
) -> Verdict:
    """What a hold of one request and so many tokens would say."""
    shorts = []
    for window, level in zip(windows, levels, strict=True):
        for resource in RESOURCES:
            limit = limit_of(window.limits, resource)
            more = tokens if resource == "tokens" else 1
            excess = 0 if limit is None else level.counted(resource) + more - limit
            if limit is None or excess <= 0:
                continue
            never = more > limit
            wait_us = 0 if never else _wait_us(level, resource, excess, now_us)
            shorts.append(Verdict(False, window, resource, limit, wait_us, never))
    return max(shorts, key=lambda each: (each.never, each.wait_us), default=Verdict(True))


def _wait_us(level: Level, resource: Resource, excess: int, now_us: int) -> int:
    if resource == "in_flight":
        return IN_FLIGHT_WAIT_US
    column = 1 if resource == "requests" else 2
    freed = accumulate(slot[column] for slot in level.slots)
    leaving = zip(level.slots, freed, strict=True)
    leaves_us = next((slot[0] for slot, sum_ in leaving if sum_ >= excess), now_us)
    return max(0, leaves_us - now_us)


def pace(windows: Sequence[WindowLimits], tokens: int) -> int | None:
    """Requests of so many tokens that fit into a minute, for ever; None: no limit is in force."""
    most = [
        limit
        for window in windows
        for limit in (
            window.limits.requests_per_minute,
            None
            if window.limits.tokens_per_minute is None
            else window.limits.tokens_per_minute // max(1, tokens),
        )
        if limit is not None
    ]
    return min(most, default=None)
