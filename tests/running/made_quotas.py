"""Quotas for tests, entered as management does but without its checks."""

from typing import Any

from keyhall.policy.quotas import Quota
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.spending import quotas
from keyhall.stores.spending.take_in import zone_of
from keyhall.stores.sql import SqlStore


async def make_quota(
    store: SqlStore, organization_id: str, scope: Any, scope_id: str, amount: int, now_us: int,
    **more: Any,
) -> Quota:  # fmt: skip
    """A quota of a key's lineage, a project or an organization; servers hear of it."""
    made = Quota(
        id=f"quota_{scope}_{more.get('resource', 'tokens')}_{more.get('period', 'month')}",
        organization_id=organization_id,
        scope=scope,
        scope_id=scope_id,
        resource=more.get("resource", "tokens"),
        period=more.get("period", "month"),
        amount=amount,
        policy=more.get("policy", "suspend"),
        overage_price=more.get("overage_price", 0),
        thresholds=more.get("thresholds", ()),
        zone=zone_of(more.get("zone", "UTC")),
    )
    async with store.writing() as connection:
        await quotas.add(connection, made, now_us)
        await notes.record(
            connection, Actor("tester", "tests"), now_us,
            action="quota.set", target=scope_id, before=None, after=None, changed=scope,
        )  # fmt: skip
    return made
