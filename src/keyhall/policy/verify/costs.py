"""What a usage row may have cost, and which of its values cannot be."""

from collections.abc import Sequence

import msgspec

from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.policy.pricing import cost_nano
from keyhall.policy.verify.chains import Difference

# A server follows a new price within a second, or when its database is back; clocks of two machines
# may differ. So near a change both prices are right.
CHANGE_US = 60_000_000
TIMES_US_MAX = 250_000_000_000_000_000  # the year 9892: calendars know it and the day after it


class PriceStep(msgspec.Struct, frozen=True):
    """A price of a version from some time on: micro-units per million tokens (R18)."""

    since_us: int
    input: int
    output: int


def possible_costs(steps: Sequence[PriceStep], usage: Usage) -> list[int]:
    """Nano-units, by the prices that were in force when the request was admitted, oldest first.
    Test keys cost nothing (R19), and so does a version before it has a price."""
    if usage.is_test:
        return [0]
    at_us = usage.admitted_at_us
    found = []
    if not steps or at_us < steps[0].since_us + CHANGE_US:
        found.append(0)
    for number, step in enumerate(steps, start=1):
        is_over = number < len(steps) and at_us >= steps[number].since_us + CHANGE_US
        if at_us >= step.since_us - CHANGE_US and not is_over:
            cost = cost_nano(usage.input_tokens, usage.output_tokens, step.input, step.output)
            found.append(cost)
    return found


def cost_differs(steps: Sequence[PriceStep], usage: Usage) -> Difference | None:
    possible = possible_costs(steps, usage)
    if usage.cost_nano in possible:
        return None
    return Difference(
        "cost",
        f"request {usage.request_id}",
        " or ".join(f"{cost} nano-units" for cost in dict.fromkeys(possible)),
        f"{usage.cost_nano} nano-units",
        f"its tokens at the price of {usage.version} then cost something else",
    )


_AMOUNTS = (
    "first_byte_us", "input_tokens", "output_tokens", "held_tokens", "output_cap", "cost_nano",
)  # fmt: skip
_KINDS = {
    "endpoint": frozenset(map(int, Endpoint)),
    "outcome": frozenset(map(int, Outcome)),
    "usage_source": frozenset(map(int, UsageSource)),
}


def impossible(usage: Usage) -> str | None:
    """What of a row cannot be, whatever the request was: a sentence's end, or None."""
    for name in _AMOUNTS:
        if getattr(usage, name) < 0:
            return f"{name} is {getattr(usage, name)}, below zero"
    for name, known in _KINDS.items():
        if getattr(usage, name) not in known:
            return f"{name} is {getattr(usage, name)}, which means nothing"
    if not 0 <= usage.admitted_at_us < TIMES_US_MAX:
        return f"admitted_at_us is {usage.admitted_at_us}, which is no time"
    if usage.finished_at_us < usage.admitted_at_us:
        return "it ended before it was admitted"
    return None
