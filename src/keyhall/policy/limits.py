"""Limits: what a window allows, and what a hold or a refusal says (R1-R4, R20).

Types only; the arithmetic of a window is in `policy/window.py`. Units: tokens and requests are
whole numbers, times are microseconds since 1970, waits are microseconds. `Facts` and `Refused` are
made for every request, so they are msgspec structs: a seventh of a frozen dataclass's cost.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

Scope = Literal["key", "project", "organization"]
Resource = Literal["requests", "tokens", "in_flight"]

WINDOW_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one tier, key, project or organization; None means none."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """One window that a request is held against.

    `id` names the counters: `key:<lineage>`, `project:<id>` or `organization:<id>`, with `test:`
    before it for test keys (R19). A rotated key and its successor share the lineage (R10). `group`
    is the organization: the windows of one group are kept in one place, so that one step can hold
    over all of them.
    """

    scope: Scope
    id: str
    limits: Limits
    group: str = ""


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What the `x-ratelimit-*` headers say: the scope with the least remaining (R20).

    `reset_*_us` is the time until that window is empty. A limit of None is not shown.
    is_degraded: processes count by themselves, because what counts for all of them is away (R7).
    """

    limit_requests: int | None = None
    remaining_requests: int = 0
    reset_requests_us: int = 0
    limit_tokens: int | None = None
    remaining_tokens: int = 0
    reset_tokens_us: int = 0
    is_degraded: bool = False


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A hold that was not taken; nothing was counted anywhere.

    The limit named is the one that binds longest. used: settled requests/tokens in the window;
    held: those of open holds. For `in_flight` used is the number of open requests. wait_us: after
    that time a retry succeeds if no open hold is given back and nothing else is admitted (R2).
    fits_now: tokens that would fit at this moment, in all scopes; 0 if not even a request would.
    never: the request is above the limit itself, and wait_us is 0. is_degraded: it is not the limit
    that binds but this process's share of it (R7); wait_us is when to ask again.
    """

    resource: Resource
    scope: Scope
    limit: int
    used: int
    held: int
    requested: int
    remaining: int
    fits_now: int
    wait_us: int
    never: bool
    facts: Facts
    is_degraded: bool = False
