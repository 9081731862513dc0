"""How quotas read: for people in a line or a column, for machines as JSON."""

from typing import Any

from keyhall.cli.manage import show, words
from keyhall.flows.manage.quotas import Seen
from keyhall.flows.manage.statement_text import overage_price
from keyhall.policy.quotas import Quota, QuotaResource
from keyhall.ports.records import QuotaStanding

UNITS: dict[QuotaResource, str] = {
    "requests": "requests",
    "tokens": "tokens",
    "money": "nano",
}
COLUMNS: tuple[show.Column, ...] = (
    "ID",
    ("Of", "wrap"),
    "Quota",
    ("Used", "right"),
    ("Held", "right"),
    ("Amount", "right"),
    ("%", "right"),
    "",
    ("Beyond it", "wrap"),
    "Resets",
)


def amount(quota: Quota, units: int) -> str:
    return units_of(quota.resource, units)


def units_of(resource: str, units: int) -> str:
    return words.money(units, words.NANO_DIGITS) if resource == "money" else f"{units:,}"


def what(quota: Quota) -> str:
    """`tokens per month`; a quota for ever is what was paid in advance."""
    return "prepaid credit" if quota.period == "ever" else f"{quota.resource} per {quota.period}"


def unit(quota: Quota) -> str:
    """`what`, behind an amount: money needs no name there."""
    return what(quota).removeprefix("money ")


def owner(seen: Seen) -> str:
    quota = seen.standing.quota
    return f"{quota.scope} {seen.owner_name or quota.scope_id}"


def sentence(seen: Seen) -> str:
    """`1,000,000 tokens per month of project web`, `12.50 per day of key app`"""
    quota = seen.standing.quota
    return f"{amount(quota, quota.amount)} {unit(quota)} of {owner(seen)}"


def beyond(quota: Quota) -> str:
    if quota.policy == "suspend":
        return "refused"
    return f"overage at {price(quota.resource, quota.overage_price)}"


price = overage_price


def percent(standing: QuotaStanding) -> int:
    """Used and held, of the amount, rounded down. All of nothing is used from the start."""
    quota = standing.quota
    return (standing.used + standing.held) * 100 // quota.amount if quota.amount else 100


def resets(standing: QuotaStanding) -> str:
    quota = standing.quota
    return "never" if quota.period == "ever" else words.when_in(standing.ends_us, quota.zone)


def row(seen: Seen) -> tuple[str, ...]:
    standing = seen.standing
    quota = standing.quota
    return (
        quota.id,
        owner(seen),
        what(quota),
        amount(quota, standing.used),
        amount(quota, standing.held) if standing.held else "",
        amount(quota, quota.amount),
        f"{percent(standing):,}",
        show.bar(percent(standing)),
        beyond(quota),
        resets(standing),
    )


def json_of(seen: Seen) -> dict[str, Any]:
    standing = seen.standing
    quota = standing.quota
    is_ever = quota.period == "ever"
    return {
        "id": quota.id,
        "organization": quota.organization_id,
        "scope": quota.scope,
        "owner": {"id": quota.scope_id, "name": seen.owner_name},
        "resource": quota.resource,
        "unit": UNITS[quota.resource],
        "period": quota.period,
        "amount": quota.amount,
        "used": standing.used,
        "held": standing.held,
        "remaining": standing.remaining,
        "percent": percent(standing),
        "policy": quota.policy,
        "set_by": "operator" if quota.is_operators else "organization",
        "overage_price_micro_per_million": quota.overage_price,
        "alerts_at_percent": list(quota.thresholds),
        "period_begins": words.stamp(quota.created_at_us if is_ever else standing.begins_us),
        "period_ends": None if is_ever else words.stamp(standing.ends_us),
        "time_zone": str(quota.zone),
        "created_at": words.stamp(quota.created_at_us),
    }
