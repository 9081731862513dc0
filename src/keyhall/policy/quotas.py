"""Quotas: what may be used in a day, a month or ever, and what happens beyond it (R23).

A request belongs to the day and month in which it was admitted, in its organization's time zone.
`suspend` is hard: used and held together never pass the amount. `overage` lets it pass, and every
unit beyond the amount is recorded with a price of its own, on top of what the request costs.

Amounts are whole numbers: requests, tokens (input and output), or nano-units of money. Times are
microseconds since 1970. No zone is looked up here: it is a value like the others.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

import msgspec

from keyhall.policy.limits import Scope
from keyhall.policy.metering import Usage

QuotaResource = Literal["requests", "tokens", "money"]
Period = Literal["day", "month", "ever"]
QuotaPolicy = Literal["suspend", "overage"]

# In whose name a quota is set: the hall's, an organization's, or that of one that the operator who
# acts is a member of.
Hand = Literal["operator", "organization", "host"]

FOREVER_US = 1 << 62
EVER_US = 0  # the one period of `ever` begins here
PERCENT_MAX = 1_000  # of an amount: overage may pass it several times


class Quota(msgspec.Struct, frozen=True):
    """One quota of a key (its lineage: rotations share it), a project or an organization."""

    id: str
    organization_id: str
    scope: Scope
    scope_id: str
    resource: QuotaResource
    period: Period
    amount: int
    policy: QuotaPolicy
    overage_price: int  # micro-units per million units beyond the amount
    thresholds: tuple[int, ...]  # percents of the amount at which somebody is told
    zone: tzinfo
    created_at_us: int = 0
    is_operators: bool = False  # set by whoever runs the hall

    @property
    def since_us(self) -> int:
        """Days and months count from their beginning, `ever` from when the quota was made: credit
        pays for what comes after it."""
        return self.created_at_us if self.period == "ever" else 0


def may_set(before: Quota | None, hand: Hand) -> bool:
    """What whoever runs the hall has set, nobody else changes or removes."""
    return before is None or not before.is_operators or hand != "organization"


def is_operators(before: Quota | None, hand: Hand) -> bool:
    """Whose a quota is once it is set: what an operator touches in others' organizations is the
    operators' from then on, and stays it."""
    return hand == "operator" or (before is not None and before.is_operators)


class Span(msgspec.Struct, frozen=True, gc=False):
    """One period: begins <= t < ends."""

    begins_us: int
    ends_us: int


_EVER = Span(EVER_US, FOREVER_US)


def span(period: Period, at_us: int, zone: tzinfo) -> Span:
    """The period that a time lies in. Calendar days: one has 23 or 25 hours when clocks change."""
    if period == "ever":
        return _EVER
    local = datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).astimezone(zone)
    first = datetime(local.year, local.month, local.day if period == "day" else 1, tzinfo=zone)
    return Span(_us(first), _us(_next(period, first)))


def _next(period: Period, first: datetime) -> datetime:
    """The first instant after the period: on the calendar, whatever the clocks do meanwhile."""
    if period == "day":
        day = first.replace(tzinfo=None) + timedelta(days=1)
    else:
        day = (first.replace(tzinfo=None) + timedelta(days=32)).replace(day=1)
    return day.replace(tzinfo=first.tzinfo)


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def units(resource: QuotaResource, tokens: int, cost_nano: int) -> int:
    """What one request is in a quota's own unit."""
    if resource == "requests":
        return 1
    return tokens if resource == "tokens" else cost_nano


def used_by(quota: Quota, usage: Usage) -> int:
    """What a settled request used of a quota."""
    return units(quota.resource, usage.input_tokens + usage.output_tokens, usage.cost_nano)


# --- Holds ----------------------------------------------------------------------------------------


class Exhausted(msgspec.Struct, frozen=True):
    """A hold that was not taken, and nothing was counted: the quota in whose way it was.

    used: settled in this period; held: by open requests; requested: what did not fit any more.
    """

    quota: Quota
    used: int
    held: int
    requested: int
    ends_us: int

    @property
    def remaining(self) -> int:
        return max(0, self.quota.amount - self.used - self.held)


def fits(quota: Quota, used: int, held: int, requested: int) -> bool:
    """Whether a hold may be taken. The one comparison of all scopes, resources and stores."""
    return used + held + requested <= quota.amount


# --- Charging -------------------------------------------------------------------------------------


class Beyond(msgspec.Struct, frozen=True):
    """What of one request lay beyond a quota with `overage`."""

    usage: Usage
    quota: Quota
    begins_us: int
    units: int
    cost_nano: int


class Reached(msgspec.Struct, frozen=True):
    """A threshold that was passed by what was just charged."""

    quota: Quota
    begins_us: int
    threshold: int
    used: int


class Charge(msgspec.Struct, frozen=True):
    """One request's share in one quota and period."""

    usage: Usage
    quota: Quota
    begins_us: int
    units: int


def charges(usages: Sequence[Usage], quotas: dict[str, list[Quota]]) -> list[Charge]:
    """What each request counts where; `quotas` by the id of a key, project or organization. Test
    keys count nowhere (R19)."""
    found: list[Charge] = []
    spans: dict[tuple[Period, tzinfo], Span] = {}
    for usage in usages:
        if usage.is_test:
            continue
        for owner in (usage.key_id, usage.project_id, usage.organization_id):
            for quota in quotas.get(owner, ()):
                if usage.admitted_at_us < quota.since_us:
                    continue
                begins_us = _begins_us(spans, quota, usage.admitted_at_us)
                found.append(Charge(usage, quota, begins_us, used_by(quota, usage)))
    return found


def _begins_us(spans: dict[tuple[Period, tzinfo], Span], quota: Quota, at_us: int) -> int:
    """Requests of one batch mostly lie in one period: look at the calendar once."""
    place = quota.period, quota.zone
    found = spans.get(place)
    if found is None or not found.begins_us <= at_us < found.ends_us:
        found = spans[place] = span(quota.period, at_us, quota.zone)
    return found.begins_us


def beyond(charged: Sequence[Charge], before: int) -> Iterator[Beyond]:
    """The overage of one quota and period, request by request; `before` was used already."""
    used = before
    for charge in charged:
        quota = charge.quota
        over = min(charge.units, used + charge.units - quota.amount)
        used += charge.units
        if quota.policy == "overage" and over > 0:
            cost = beyond_nano(over, quota.overage_price)
            yield Beyond(charge.usage, quota, charge.begins_us, over, cost)


def beyond_nano(over: int, price: int) -> int:
    """Nano-units for units beyond the amount, rounded up once per request (R18). The price is in
    micro-units per million units."""
    return (over * price + 999) // 1000


def reached(quota: Quota, begins_us: int, before: int, after: int) -> list[Reached]:
    """The thresholds between two sums."""
    return [
        Reached(quota, begins_us, percent, after)
        for percent in quota.thresholds
        if before * 100 < percent * quota.amount <= after * 100
    ]
