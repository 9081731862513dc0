"""The limits that a chart of usage by the minute is drawn under."""

from collections.abc import Mapping
from dataclasses import dataclass

from keyhall.policy import tiers
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.tiers import Tier
from keyhall.ports.people import Sight
from keyhall.ports.usage import Filter
from keyhall.stores import organizations
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Line:
    """The limits that hold for what is shown: of whom, and how much a minute."""

    scope: str
    limits: Limits


async def line(
    store: SqlStore, sight: Sight, only: Filter, tier_table: Mapping[str, Tier], now_us: int
) -> Line | None:
    """Of the key, project or organization whose usage is shown; None where there are none, or what
    is shown is only a part of what they count."""
    if only.version is not None:
        return None
    if only.key_id is not None:
        grant = await store.find_grant_by_id(only.key_id)
        if grant is None:
            return None
        window = tiers.effective(grant, tier_table, now_us).windows[0]
        return _line("key", window.limits)
    if only.account_id is not None or sight.account_id is not None:
        return None
    async with store.reading() as connection:
        if only.project_id is not None:
            (project,) = await organizations.find_project(connection, only.project_id)
            return _line("project", project.limits)
        (owner,) = await organizations.find_organization(connection, sight.organization_id)
    limits = owner.limits
    if owner.tier is not None:
        tier = tier_table.get(owner.tier, tiers.FREE_TRIAL)
        now = tiers.tier_now(tier, owner.billing_activated_at_us, now_us)
        limits = tiers.lowest(limits, now.limits)
    return _line("organization", limits)


def _line(scope: str, limits: Limits) -> Line | None:
    return None if limits == NO_LIMITS else Line(scope, limits)
