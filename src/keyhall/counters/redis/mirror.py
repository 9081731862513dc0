"""What this process itself has counted: the same windows, without those of other processes.

Kept beside Redis for the moment when Redis is away or has forgotten: then a process goes on within
its share (R7) and tells Redis afterwards what it never heard of (R6).

**The share.** At most limit / processes; in the first minute no more than the process itself had
used when it lost Redis. All processes together had used no more than the limit then, so however
that was spread over them, they stay below it.
"""

from struct import Struct
from typing import Literal

from keyhall.counters.plans import Plan, Shared
from keyhall.counters.redis import resp, scripts
from keyhall.policy.limits import NO_LIMITS, Facts, Refused, Resource, WindowLimits
from keyhall.policy.window import Slot, Window

Degraded = Literal["share", "open"]

AWAY_WAIT_US = 1_000_000  # Redis is looked for every second.

_LIMITS = Struct("<ddd")
_SLOT = Struct("<ddddd")
_HEADER = Struct("<ddddddddd")


class Mirrored(Shared):
    """`alone` counts what was admitted while Redis was away and has not been told it yet. The caps
    are what the process had used when `capped_in`, the outage they are of, began."""

    __slots__ = ("alone", "asking", "cap_requests", "cap_tokens", "capped_in")

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.alone: Window | None = None
        self.asking = 0  # requests that Redis is being asked for just now
        self.cap_requests = self.cap_tokens = self.capped_in = 0

    def is_idle(self) -> bool:
        return super().is_idle() and self.alone is None and not self.asking

    def cap(self, outage: int) -> None:
        if self.capped_in != outage:
            self.capped_in = outage
            self.cap_requests = self.past_requests + self.requests
            self.cap_tokens = self.past_tokens + self.tokens


class RedisPlan(Plan[Mirrored]):
    """With the pieces of its commands that are always the same."""

    group: str = ""
    hold: bytes = b""
    limits: bytes = b""
    settle: bytes = b""
    # Windows with a limit on what is in flight, each with the key of its leases.
    leases: tuple[tuple[str, Mirrored], ...] = ()
    has_limits: bool = True


def epoch_key(group: str) -> str:
    return f"kh:{{{group or '-'}}}:epoch"


def window_key(each: WindowLimits) -> str:
    """Keys of one group carry one hash tag: a cluster keeps them in one place."""
    return f"kh:{{{each.group or '-'}}}:{each.id}"


def plan_of(asked: tuple[WindowLimits, ...], windows: tuple[Mirrored, ...]) -> RedisPlan:
    group = asked[0].group if asked else ""
    keys = [epoch_key(group), *map(window_key, asked)]
    leases = tuple(
        (window_key(each) + ":open", window)
        for each, window in zip(asked, windows, strict=True)
        if each.limits.in_flight is not None
    )
    keys += [key for key, _ in leases]
    more = len(leases) + 2 if leases else 0
    return RedisPlan(
        asked,
        windows,
        group=group,
        hold=scripts.HOLD.head(keys, 5 + more),
        limits=resp.arguments(b"".join(map(_limits, asked))),
        settle=scripts.SETTLE.head(keys, 2 + more),
        leases=leases,
        has_limits=any(each.limits != NO_LIMITS for each in asked),
    )


def _limits(each: WindowLimits) -> bytes:
    limits = each.limits
    numbers = limits.requests_per_minute, limits.tokens_per_minute, limits.in_flight
    return _LIMITS.pack(*(-1 if number is None else number for number in numbers))


def slots_of(slots: list[Slot]) -> bytes:
    """As the push script takes them."""
    return b"".join(_SLOT.pack(*slot) for slot in slots)


def read_window(blob: bytes, open_holds: int | None) -> Window:
    """What a refusal brings: a window as Redis keeps it. `open_holds`: all that are in flight."""
    begins, last, requests, tokens, held, open_, _, _, _ = map(int, _HEADER.unpack_from(blob))
    closed = [_whole(slot) for slot in _SLOT.iter_unpack(blob[_HEADER.size :])]
    window = Window.of((last, tokens, held, requests, open_), closed, begins)
    if open_holds is not None:
        window.past_open = open_holds - open_
    return window


def _whole(slot: tuple[float, ...]) -> Slot:
    last_us, tokens, held, requests, open_ = map(int, slot)
    return last_us, tokens, held, requests, open_


def short_of_share(
    plan: RedisPlan,
    tokens: int,
    now_us: int,
    *,
    processes: int,
    outage: int,
    is_first_minute: bool,
    degraded: Degraded,
) -> Refused | None:
    """The first limit whose share of this process a request does not fit, if there is one (R7)."""
    for each, window in zip(plan.asked, plan.windows, strict=True):
        if now_us >= window.turn_us:
            window.turn(now_us)
        window.cap(outage)
        counted: Window | None = window
        if degraded == "open":
            counted = window.alone
            if counted is not None and now_us >= counted.turn_us:
                counted.turn(now_us)
        requests = tokens_counted = 0
        if counted is not None:
            requests = counted.past_requests + counted.requests
            tokens_counted = counted.past_tokens + counted.tokens
        checks: tuple[tuple[Resource, int | None, int, int, int], ...] = (
            ("requests", each.limits.requests_per_minute, requests, 1, window.cap_requests),
            ("tokens", each.limits.tokens_per_minute, tokens_counted, tokens, window.cap_tokens),
            ("in_flight", each.limits.in_flight, window.open_holds(), 1, 0),
        )
        for resource, limit, used, more, cap in checks:
            if limit is None:
                continue
            if degraded == "open":
                most = -(-limit // processes)
            else:
                most = limit // processes
                if is_first_minute and resource != "in_flight":
                    most = min(most, cap)
            if used + more > most:
                return away(each, resource, limit, used, more, max(0, most - used))
    return None


def away(
    each: WindowLimits | None, resource: Resource, limit: int, used: int, more: int, left: int
) -> Refused:
    """A refusal that Redis might not have made: the caller may well be within its limits."""
    return Refused(
        resource=resource,
        scope="key" if each is None else each.scope,
        limit=limit,
        used=used,
        held=0,
        requested=more,
        remaining=left,
        fits_now=left if resource == "tokens" else 0,
        wait_us=AWAY_WAIT_US,
        never=False,
        facts=Facts(is_degraded=True),
        is_degraded=True,
    )
