"""Why a hold was not taken: which limit binds, and until when (R2, R20).

The same for every way of keeping counters: in memory the windows are the process's own, from Redis
they are copies. Looked at only when a request was refused, so it is written to be read.
"""

from collections.abc import Iterator, Sequence

import msgspec

from keyhall.policy.limits import Facts, Refused, Resource, WindowLimits
from keyhall.policy.window import Window

IN_FLIGHT_WAIT_US = 1_000_000  # Nobody knows when an open request ends; a second is a fair guess.


class _Short(msgspec.Struct, frozen=True, gc=False):
    """One limit that a request does not fit."""

    asked: WindowLimits
    resource: Resource
    limit: int
    used: int
    held: int
    requested: int
    never: bool
    wait_us: int


def refuse(
    asked: Sequence[WindowLimits], windows: Sequence[Window], tokens: int, now_us: int
) -> Refused:
    """Name the limit that binds longest; the wait is the longest of all, so that a retry fits.

    `windows` are those of `asked`, in the same order; at least one has no room. They are turned.
    """
    pairs = list(zip(asked, windows, strict=True))
    for window in windows:
        if now_us >= window.turn_us:
            window.turn(now_us)
    shorts = [short for pair in pairs for short in _shorts(*pair, tokens, now_us)]
    facts = facts_of(asked, windows, now_us)
    binding = max(shorts, key=lambda short: (short.never, short.wait_us))
    only_tokens = all(short.resource == "tokens" for short in shorts)
    return Refused(
        resource=binding.resource,
        scope=binding.asked.scope,
        limit=binding.limit,
        used=binding.used,
        held=binding.held,
        requested=binding.requested,
        remaining=max(0, binding.limit - binding.used - binding.held),
        fits_now=facts.remaining_tokens if only_tokens else 0,
        wait_us=binding.wait_us,
        never=binding.never,
        facts=facts,
    )


def _shorts(asked: WindowLimits, window: Window, tokens: int, now_us: int) -> Iterator[_Short]:
    """The limits of one window that a request of `tokens` does not fit."""
    limits = asked.limits
    limit = limits.requests_per_minute
    counted = window.past_requests + window.requests
    if limit is not None and counted >= limit:
        held = window.held_requests()
        never = limit < 1
        wait_us = 0 if never else window.requests_free_at_us(counted + 1 - limit) - now_us
        yield _Short(asked, "requests", limit, counted - held, held, 1, never, wait_us)
    limit = limits.tokens_per_minute
    counted = window.past_tokens + window.tokens
    if limit is not None and counted + tokens > limit:
        held = window.held_tokens()
        never = tokens > limit
        wait_us = 0 if never else window.tokens_free_at_us(counted + tokens - limit) - now_us
        yield _Short(asked, "tokens", limit, counted - held, held, tokens, never, wait_us)
    limit = limits.in_flight
    counted = window.open_holds()
    if limit is not None and counted >= limit:
        never = limit < 1
        wait_us = 0 if never else IN_FLIGHT_WAIT_US
        yield _Short(asked, "in_flight", limit, counted, 0, 1, never, wait_us)


def facts_of(asked: Sequence[WindowLimits], windows: Sequence[Window], now_us: int) -> Facts:
    """R20 for a request that was not admitted. The windows have been turned."""
    limit_requests = limit_tokens = None
    requests_left = tokens_left = reset_requests_us = reset_tokens_us = 0
    for each, window in zip(asked, windows, strict=True):
        limits = each.limits
        reset_us = max(0, window.empty_at_us() - now_us)
        limit = limits.requests_per_minute
        if limit is not None:
            left = max(0, limit - window.past_requests - window.requests)
            if limit_requests is None or left < requests_left:
                limit_requests, requests_left, reset_requests_us = limit, left, reset_us
        limit = limits.tokens_per_minute
        if limit is not None:
            left = max(0, limit - window.past_tokens - window.tokens)
            if limit_tokens is None or left < tokens_left:
                limit_tokens, tokens_left, reset_tokens_us = limit, left, reset_us
    return Facts(
        limit_requests, requests_left, reset_requests_us, limit_tokens, tokens_left, reset_tokens_us
    )
