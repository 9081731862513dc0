"""Words for limits, budgets, prices and times that span: filters of the pages of administrators."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from keyhall.flows.manage.statement_text import overage_price
from keyhall.policy.catalogue import Price
from keyhall.policy.limits import Limits
from keyhall.policy.people.acts import says
from keyhall.policy.pricing import NANO_DIGITS, decimal
from keyhall.policy.quotas import Quota
from keyhall.ports.records import QuotaStanding

THIN = "\N{THIN SPACE}"
MICRO_DIGITS = 6
_TICKS = re.compile(r"`([^`]+)`")
_RESOURCES = {"requests": "Requests", "tokens": "Tokens", "money": "Money"}


def thin(number: int) -> str:
    return f"{number:,}".replace(",", THIN)


def limits(given: Limits) -> str:
    """`20 requests/min, 40 000 tokens/min`, or `none`."""
    said = [
        f"{thin(amount)} {what}"
        for amount, what in (
            (given.requests_per_minute, "requests/min"),
            (given.tokens_per_minute, "tokens/min"),
            (given.in_flight, "at once"),
        )
        if amount is not None
    ]
    return ", ".join(said) or "none"


def amount(units: int, resource: str) -> str:
    """Of a budget, in its own unit."""
    return decimal(units, NANO_DIGITS, THIN) if resource == "money" else thin(units)


def brief(units: int, resource: str = "money") -> str:
    """Of a budget or a cost, where the exact number would be noise: money to two places, or to four
    where it is less than one.

    >>> brief(14_737_260_703), brief(-4_200_000), brief(6_000, "tokens")
    ('14.74', '-0.0042', '6\u2009000')
    """
    if resource != "money":
        return thin(units)
    step = 10**7 if abs(units) >= 10**NANO_DIGITS else 10**5
    rounded = (abs(units) + step // 2) // step * step
    if units and not rounded:
        return amount(units, resource)
    return amount(-rounded if units < 0 else rounded, resource)


def quota_name(quota: Quota) -> str:
    if quota.period == "ever":
        return "Prepaid credit"
    return f"{_RESOURCES[quota.resource]} per {quota.period}"


def share(standing: QuotaStanding) -> int:
    """Used and held, in percent of the amount, rounded down."""
    whole = standing.quota.amount
    return (standing.used + standing.held) * 100 // whole if whole else 100


def beyond(quota: Quota) -> str:
    """What happens beyond a budget."""
    if quota.policy == "suspend":
        return "refused"
    return f"charged: {overage_price(quota.resource, quota.overage_price)}"


def price(given: Price | None) -> str:
    """Units of the currency per million tokens, input and output."""
    if given is None:
        return "none"
    return " / ".join(decimal(each, MICRO_DIGITS, THIN) for each in (given.input, given.output))


def exact(at_us: int) -> str:
    """`2026-11-30 07:28 UTC`"""
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def millis(us: int | None) -> str:
    return "" if us is None else f"{us / 1000:,.1f}{THIN}ms".replace(",", THIN)


def ticks(text: str) -> Markup:
    """What stands between backticks, as code."""
    return Markup(_TICKS.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def hours(us: int) -> str:
    return f"{us // 3_600_000_000}{THIN}h"


FILTERS: dict[str, Callable[..., Any]] = {
    "limits": limits,
    "amount": amount,
    "brief": brief,
    "quota_name": quota_name,
    "share": share,
    "beyond": beyond,
    "price": price,
    "exact": exact,
    "millis": millis,
    "hours": hours,
    "ticks": ticks,
    "does": says,
    "overage_price": lambda micro, resource: overage_price(resource, micro),
}
