"""Alerts: thresholds that were reached, and who has been told. One function per query."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import RowMapping, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.quotas import FOREVER_US, Quota
from keyhall.ports.records import Alert
from keyhall.stores import telling
from keyhall.stores.spending.tables import alerts

PERCENT_MOST = 1_000_000_000  # beyond every threshold, and small enough for any column


def _alert(row: RowMapping) -> Alert:
    trouble = row["trouble"]
    return Alert(
        number=row["number"],
        quota_id=row["quota_id"],
        organization_id=row["organization_id"],
        begins_us=row["period_us"],
        threshold=row["threshold"],
        used=row["used"],
        amount=row["amount"],
        at_us=row["at_us"],
        told_at_us=row["told_at_us"],
        attempts=row["attempts"],
        next_try_us=row["next_try_us"],
        trouble=None if trouble is None else msgspec.json.decode(trouble, type=dict[str, str]),
    )


async def add(
    connection: AsyncConnection, quota: Quota, begins_us: int, threshold: int, used: int, at_us: int
) -> None:
    """A threshold that a change of the quota reached. One is told once per period and amount."""
    into = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "quota_id": quota.id,
        "organization_id": quota.organization_id,
        "period_us": begins_us,
        "threshold": threshold,
        "used": used,
        "amount": quota.amount,
        "at_us": at_us,
        "attempts": 0,
        "next_try_us": at_us,
    }
    await connection.execute(into(alerts).values(**row).on_conflict_do_nothing())


async def retire(connection: AsyncConnection, quota: Quota, begins_us: int, used: int) -> None:
    """Nobody is told any more of thresholds of this period that a larger amount has moved out of
    reach. What was told stays on record; they are told again when they are reached again."""
    if quota.amount:
        reach = min(used * 100 // quota.amount, PERCENT_MOST)
        said = msgspec.json.encode({"all": "a larger amount came before anybody was told"})
        await connection.execute(
            update(alerts)
            .where(
                alerts.c.quota_id == quota.id,
                alerts.c.period_us == begins_us,
                alerts.c.threshold > reach,
                alerts.c.told_at_us.is_(None),
                alerts.c.next_try_us < FOREVER_US,
            )
            .values(next_try_us=FOREVER_US, trouble=said.decode())
        )


async def due(connection: AsyncConnection, now_us: int, limit: int) -> list[Alert]:
    """What somebody is to be told now, in the order in which it waits."""
    query = telling.due(alerts, now_us, limit)
    return [_alert(row) for row in (await connection.execute(query)).mappings()]


async def claim(connection: AsyncConnection, alert: Alert, until_us: int) -> bool:
    """Take one try of an alert; False if another process has taken it."""
    return await telling.claim(connection, alerts, alert, until_us)


async def note(
    connection: AsyncConnection,
    alert: Alert,
    *,
    told_at_us: int | None,
    next_try_us: int,
    trouble: Mapping[str, str] | None,
) -> None:
    """How a claimed try ended; nothing if its lease ended first and another process has it."""
    said = None if trouble is None else msgspec.json.encode(trouble).decode()
    await telling.note(
        connection, alerts, alert, told_at_us=told_at_us, next_try_us=next_try_us, trouble=said
    )


async def newest(
    connection: AsyncConnection, *, organization_id: str | None, limit: int
) -> list[Alert]:
    """Newest first."""
    query = select(alerts).order_by(alerts.c.number.desc()).limit(limit)
    if organization_id is not None:
        query = query.where(alerts.c.organization_id == organization_id)
    return [_alert(row) for row in (await connection.execute(query)).mappings()]


async def of_quota(connection: AsyncConnection, quota_id: str, limit: int) -> list[Alert]:
    """Newest first."""
    query = select(alerts).where(alerts.c.quota_id == quota_id)
    rows = await connection.execute(query.order_by(alerts.c.number.desc()).limit(limit))
    return [_alert(row) for row in rows.mappings()]
