"""Sums against what they sum up: totals of usage, totals and holds of quotas, overage."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.verify.findings import Findings, Progress
from keyhall.policy import quotas
from keyhall.policy.quotas import Quota
from keyhall.policy.verify.chains import Difference
from keyhall.policy.verify.quotas import Replay, where
from keyhall.policy.verify.totals import count_differs, total_differs
from keyhall.stores.verify import rows as stored
from keyhall.stores.verify import sums

WHAT = "balances"


async def verify(
    connection: AsyncConnection, findings: Findings, replay: Replay, progress: Progress
) -> None:
    progress(WHAT, 0, 3)
    await _usage(connection, findings)
    await _refusals(connection, findings)
    progress(WHAT, 1, 3)
    await _totals(connection, findings, replay)
    progress(WHAT, 2, 3)
    await _overage(connection, findings, replay)
    progress(WHAT, 3, 3)


async def _usage(connection: AsyncConnection, findings: Findings) -> None:
    for name, kept in sums.TOTALS.items():
        for place, by_rows, by_total in await sums.totals_that_differ(connection, kept):
            findings.add(total_differs(name, place, by_rows, by_total))


async def _refusals(connection: AsyncConnection, findings: Findings) -> None:
    for row in await sums.counts_that_differ(connection):
        minute_us, key_id, error, count, project_id, organization_id, *owners = row
        theirs = [] if None in owners else owners
        named = (project_id, organization_id)
        findings.add(count_differs(minute_us, key_id, error, count, named, theirs))


async def _totals(connection: AsyncConnection, findings: Findings, replay: Replay) -> None:
    findings.quotas = len(replay.since)
    held = await sums.held(connection)
    async for page in sums.total_pages(connection):
        for quota_id, period_us, used, kept in page:
            place = (quota_id, period_us)
            findings.totals += 1
            quota = replay.quotas.get(quota_id)
            if quota is None:
                findings.add(_orphan(quota_id, "a total"))
                continue
            findings.add(replay.total_differs(place, used))
            holds = held.pop(place, 0)
            if holds != kept:
                findings.add(_held(place, quota, holds, kept))
    findings.add_all(replay.missing())
    for place, holds in held.items():
        quota = replay.quotas.get(place[0])
        if quota is None:
            findings.add(_orphan(place[0], "holds"))
        else:
            findings.add(_held(place, quota, holds, 0))


def _orphan(quota_id: str, what: str) -> Difference:
    return Difference(
        "quota",
        f"quota {quota_id}",
        "a quota, or nothing that belongs to it",
        f"{what} and no quota",
        "the quota was removed past Keyhall",
    )


def _held(place: tuple[str, int], quota: Quota, holds: int, kept: int) -> Difference:
    means = "holds were removed, added or changed, or their sum was"
    return Difference("quota", where(place, quota), f"{holds} held", f"{kept} held", means)


async def _overage(connection: AsyncConnection, findings: Findings, replay: Replay) -> None:
    async for page in stored.overage_pages(connection):
        for row in page:
            findings.overage_rows += 1
            findings.add(_row_differs(row, replay))
            if row.quota_id in replay.quotas:
                replay.recorded((row.quota_id, row.period_us), row.units)
    findings.add_all(replay.overage_differs())


def _row_differs(row: Any, replay: Replay) -> Difference | None:
    """An overage row against the request that it is about. Its quota may be gone by now."""
    place = f"overage of request {row.request_id} in quota {row.quota_id}"
    if row.usage_key_id is None:
        means = "the usage row was removed, or this row was added"
        return Difference("overage", place, "a usage row of that request", "none", means)
    ours = (row.key_id, row.organization_id, row.admitted_at_us)
    theirs = (row.usage_key_id, row.usage_organization_id, row.usage_admitted_at_us)
    cost = quotas.beyond_nano(row.units, row.price)
    quota = replay.quotas.get(row.quota_id)
    if ours != theirs:
        expected, found = "the key, organization and time of its request", "others"
    elif row.cost_nano != cost:
        expected, found = f"{cost} nano-units", f"{row.cost_nano} nano-units"
    elif quota is not None and row.units > _units(row, quota):
        expected, found = f"at most {_units(row, quota)} units", f"{row.units} units"
    else:
        return None
    return Difference("overage", place, expected, found, "the overage row was changed")


def _units(row: Any, quota: Quota) -> int:
    return quotas.units(quota.resource, row.input_tokens + row.output_tokens, row.usage_cost_nano)
