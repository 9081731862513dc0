"""Who calls which version, how engines do, and what versions cost before."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.catalogue import Price
from keyhall.policy.metering import Outcome
from keyhall.stores.requests.tables import refusals
from keyhall.stores.tables import keys, organizations, prices, usage, usage_hourly

DAY_US = 86_400_000_000  # how far back the last failure is looked for
ENGINE_ROWS = ("engine_failed", "engine_busy", "engine_timeout", "engine_rejected")


@dataclass(frozen=True, slots=True)
class Called:
    """What a key asked of a version."""

    key_id: str
    key: str
    organization: str
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Failures:
    """Of versions, since a time. `last` is the error table's row of the newest refusal."""

    requests: int = 0
    failed: int = 0
    last: str | None = None
    last_at_us: int | None = None

    @property
    def percent(self) -> float:
        return 100 * self.failed / self.requests if self.requests else 0.0


async def callers_of(
    connection: AsyncConnection, version: str, since_us: int, limit: int
) -> list[Called]:
    """The keys that used a version most, test keys left out."""
    hours = usage_hourly.c
    # Grouped by an expression, lest the index by key is read from end to end for its order.
    caller = func.coalesce(hours.key_id, "").label("caller")
    requests = func.sum(hours.requests).label("requests")
    most = (
        select(
            caller,
            func.max(hours.organization_id).label("organization_id"),
            requests,
            func.sum(hours.input_tokens + hours.output_tokens).label("tokens"),
        )
        .where(hours.version == version, hours.hour_us >= since_us, hours.is_test == 0)
        .group_by("caller")
        .order_by(requests.desc(), "caller")
        .limit(limit)
        .subquery("most")
    )
    query = (
        select(most.c.caller, keys.c.name, organizations.c.name, most.c.requests, most.c.tokens)
        .join_from(most, keys, keys.c.id == most.c.caller, isouter=True)
        .join(organizations, organizations.c.id == most.c.organization_id, isouter=True)
        .order_by(most.c.requests.desc(), most.c.caller)
    )
    return [
        Called(row[0], row[1] or row[0], row[2] or "", int(row[3]), int(row[4]))
        for row in await connection.execute(query)
    ]


async def requests_by_version(connection: AsyncConnection, since_us: int) -> dict[str, int]:
    query = (
        select(usage_hourly.c.version, func.sum(usage_hourly.c.requests))
        .where(usage_hourly.c.hour_us >= since_us, usage_hourly.c.is_test == 0)
        .group_by(usage_hourly.c.version)
    )
    return {row[0]: int(row[1]) for row in await connection.execute(query)}


async def failures_of(
    connection: AsyncConnection, versions: Sequence[str], since_us: int
) -> Failures:
    """How requests for these versions came out: of those that had begun by the ledger, of the
    others by what was refused."""
    if not versions:
        return Failures()
    broke = func.sum(case((usage.c.outcome == Outcome.ENGINE_FAILED.value, 1), else_=0))
    begun = select(func.count(), func.coalesce(broke, 0)).where(
        usage.c.admitted_at_us >= since_us, usage.c.version.in_(versions), usage.c.is_test == 0
    )
    answered, failed = (await connection.execute(begun)).one()
    told = refusals.c
    mine = (told.version.in_(versions), told.row.in_(ENGINE_ROWS))
    counted = select(func.count()).where(told.at_us >= since_us, *mine)
    refused = await connection.scalar(counted) or 0
    newest = select(told.row, told.at_us).where(told.at_us >= since_us - DAY_US, *mine)
    newest = newest.order_by(told.at_us.desc()).limit(1)
    last = (await connection.execute(newest)).first()
    row, at_us = (None, None) if last is None else (last[0], last[1])
    return Failures(int(answered) + refused, int(failed) + refused, row, at_us)


async def prices_of(connection: AsyncConnection, version_number: int) -> list[tuple[int, Price]]:
    """Since when each price held, newest first."""
    query = (
        select(prices.c.since_us, prices.c.input, prices.c.output)
        .where(prices.c.version_number == version_number)
        .order_by(prices.c.number.desc())
    )
    return [(row[0], Price(row[1], row[2])) for row in await connection.execute(query)]
