"""Quotas, their totals, credits and alerts: one function per query."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy import quotas as rules
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.policy.pricing import cost_nano
from keyhall.policy.quotas import Quota
from keyhall.ports.quotas import HeldOpening
from keyhall.ports.records import Credit, QuotaStanding
from keyhall.stores.spending.holds import lock_number
from keyhall.stores.spending.tables import credits, overage, quota_holds, quota_totals, quotas
from keyhall.stores.spending.take_in import USAGE_LOCK, quota_of
from keyhall.stores.tables import keys, organizations, projects, usage
from keyhall.stores.usage import COLUMNS, usage_of

LOST_MAX = 1_000  # looked at in one go
_FIELDS = tuple(name for name in Quota.__struct_fields__ if name != "zone")
_QUERY = select(
    *(
        organizations.c.time_zone if name == "zone" else quotas.c[name]
        for name in Quota.__struct_fields__
    )
).join_from(quotas, organizations, quotas.c.organization_id == organizations.c.id)


async def find(connection: AsyncConnection, quota_id: str) -> Quota | None:
    row = (await connection.execute(_QUERY.where(quotas.c.id == quota_id))).first()
    return None if row is None else quota_of(row)


async def list_all(
    connection: AsyncConnection, *, owners: Sequence[str] | None = None, limit: int | None = None
) -> list[Quota]:
    """Those of these keys' lineages, projects or organizations; all of them by default."""
    query = _QUERY.order_by(quotas.c.organization_id, quotas.c.created_at_us, quotas.c.id)
    if owners is not None:
        query = query.where(quotas.c.scope_id.in_(owners))
    return [quota_of(row) for row in await connection.execute(query.limit(limit))]


async def of_organization(connection: AsyncConnection, organization_id: str) -> list[Quota]:
    """All within an organization, whatever their scope."""
    query = _QUERY.where(quotas.c.organization_id == organization_id)
    return [quota_of(row) for row in await connection.execute(query)]


async def add(connection: AsyncConnection, quota: Quota, now_us: int) -> None:
    """Store a new quota. What was used before in its period counts from the start."""
    await connection.execute(insert(quotas).values(**_columns(quota)))
    await recompute(connection, quota, now_us)


async def replace(connection: AsyncConnection, quota: Quota) -> None:
    await connection.execute(
        update(quotas).where(quotas.c.id == quota.id).values(**_columns(quota))
    )


async def remove(connection: AsyncConnection, quota_id: str) -> None:
    """Its totals and holds go too; its overage and alerts stay, for the statements."""
    for table in (quota_holds, quota_totals):
        await connection.execute(delete(table).where(table.c.quota_id == quota_id))
    await connection.execute(delete(quotas).where(quotas.c.id == quota_id))


def _columns(quota: Quota) -> dict[str, Any]:
    columns = {name: getattr(quota, name) for name in _FIELDS}
    columns["is_operators"] = int(quota.is_operators)
    return {**columns, "thresholds": msgspec.json.encode(quota.thresholds).decode()}


# --- What was used --------------------------------------------------------------------------------


async def used(connection: AsyncConnection, quota_id: str, begins_us: int) -> int:
    query = select(quota_totals.c.used).where(
        quota_totals.c.quota_id == quota_id, quota_totals.c.period_us == begins_us
    )
    return await connection.scalar(query) or 0


async def standing(connection: AsyncConnection, quota: Quota, now_us: int) -> QuotaStanding:
    """What is used and held of a quota in the period that runs."""
    span = rules.span(quota.period, now_us, quota.zone)
    query = select(quota_totals.c.used, quota_totals.c.held).where(
        quota_totals.c.quota_id == quota.id, quota_totals.c.period_us == span.begins_us
    )
    row = (await connection.execute(query)).first()
    taken, held = (0, 0) if row is None else row
    return QuotaStanding(quota, span.begins_us, span.ends_us, taken, held)


async def recompute(connection: AsyncConnection, quota: Quota, now_us: int) -> None:
    """Sum up the running period again, and those in which something is held, from the ledger and
    the open holds: a quota is new, or its organization's days begin at another time. In a writing
    transaction; batches and holds of other processes come wholly before it or wholly after."""
    if connection.dialect.name == "postgresql":
        # Whoever holds or ends a hold at this moment is waited for, and others wait for us.
        for lock in (lock_number(quota.organization_id), USAGE_LOCK):
            await connection.execute(select(func.pg_advisory_xact_lock(lock)))
    await connection.execute(delete(quota_totals).where(quota_totals.c.quota_id == quota.id))
    running = rules.span(quota.period, now_us, quota.zone)
    held = {running: 0}
    for span, amount in await _moved(connection, quota):
        held[span] = held.get(span, 0) + amount
    for span, amount in held.items():
        taken = await used_by_ledger(connection, quota, span.begins_us, span.ends_us)
        await connection.execute(
            insert(quota_totals).values(
                quota_id=quota.id, period_us=span.begins_us, used=taken, held=amount
            )
        )


async def _moved(connection: AsyncConnection, quota: Quota) -> list[tuple[rules.Span, int]]:
    """Each open hold goes into the period in which it was admitted; that period, and its amount."""
    holds = quota_holds.c
    rows = await connection.execute(
        select(holds.request_id, holds.admitted_at_us, holds.period_us, holds.amount).where(
            holds.quota_id == quota.id
        )
    )
    found = []
    for row in rows.all():
        span = rules.span(quota.period, row.admitted_at_us, quota.zone)
        if span.begins_us != row.period_us:
            await connection.execute(
                update(quota_holds)
                .where(holds.quota_id == quota.id, holds.request_id == row.request_id)
                .values(period_us=span.begins_us)
            )
        found.append((span, row.amount))
    return found


async def used_by_ledger(
    connection: AsyncConnection, quota: Quota, begins_us: int, ends_us: int
) -> int:
    """The sum of the ledger's rows that count in a quota between two times."""
    unit = {
        "requests": func.count(),
        "tokens": func.coalesce(func.sum(usage.c.input_tokens + usage.c.output_tokens), 0),
        "money": func.coalesce(func.sum(usage.c.cost_nano), 0),
    }[quota.resource]
    query = _counted(select(unit), quota, begins_us, ends_us)
    return int(await connection.scalar(query) or 0)


async def rows_of(
    connection: AsyncConnection, quota: Quota, begins_us: int, ends_us: int
) -> list[Usage]:
    """The ledger's rows that count in a quota between two times, in the order of their commits."""
    query = _counted(select(*(usage.c[name] for name in COLUMNS)), quota, begins_us, ends_us)
    return [usage_of(row) for row in await connection.execute(query.order_by(usage.c.number))]


def _counted(query: Select[Any], quota: Quota, begins_us: int, ends_us: int) -> Select[Any]:
    owner = {
        "key": usage.c.key_id.in_(select(keys.c.id).where(keys.c.lineage == quota.scope_id)),
        "project": usage.c.project_id == quota.scope_id,
        "organization": usage.c.organization_id == quota.scope_id,
    }[quota.scope]
    return query.where(
        owner,
        usage.c.is_test == 0,
        usage.c.admitted_at_us >= max(begins_us, quota.since_us),
        usage.c.admitted_at_us < ends_us,
    )


async def overage_of(
    connection: AsyncConnection, organization_id: str, begins_us: int, ends_us: int
) -> list[dict[str, Any]]:
    """Overage records of an organization between two times, oldest first."""
    query = (
        select(overage)
        .where(
            overage.c.organization_id == organization_id,
            overage.c.admitted_at_us >= begins_us,
            overage.c.admitted_at_us < ends_us,
        )
        .order_by(overage.c.admitted_at_us, overage.c.number)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def lost(connection: AsyncConnection, before_us: int) -> list[Usage]:
    """Requests admitted before that time that still hold, with all that they held as used."""
    holds = quota_holds.c
    query = select(holds.request_id, holds.admitted_at_us, holds.opening).distinct()
    rows = await connection.execute(query.where(holds.admitted_at_us < before_us).limit(LOST_MAX))
    return [_all_used(row.request_id, row.admitted_at_us, row.opening) for row in rows]


def _all_used(request_id: str, admitted_at_us: int, opening: str) -> Usage:
    """R17: the input and the full cap."""
    known = msgspec.json.decode(opening, type=HeldOpening)
    return Usage(
        request_id=request_id,
        key_id=known.key_id,
        project_id=known.project_id,
        organization_id=known.organization_id,
        version=known.version,
        endpoint=Endpoint.CHAT,
        is_test=False,
        is_stream=False,  # nobody knows
        admitted_at_us=admitted_at_us,
        finished_at_us=admitted_at_us,
        first_byte_us=0,
        input_tokens=known.input_tokens,
        output_tokens=known.output_cap,
        held_tokens=known.held_tokens,
        output_cap=known.output_cap,
        cost_nano=cost_nano(
            known.input_tokens, known.output_cap, known.price_input, known.price_output
        ),
        outcome=Outcome.CRASHED,
        usage_source=UsageSource.LOST,
    )


# --- Credit ---------------------------------------------------------------------------------------


async def add_credit(connection: AsyncConnection, credit: Credit) -> None:
    await connection.execute(
        insert(credits).values(
            organization_id=credit.organization_id,
            amount_nano=credit.amount_nano,
            note=credit.note,
            at_us=credit.at_us,
        )
    )


async def credits_of(connection: AsyncConnection, organization_id: str) -> list[Credit]:
    """Oldest first."""
    query = select(credits).where(credits.c.organization_id == organization_id)
    rows = await connection.execute(query.order_by(credits.c.number))
    return [Credit(row.organization_id, row.amount_nano, row.note, row.at_us) for row in rows]


# --- For people -----------------------------------------------------------------------------------


async def owner_names(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, str]:
    """What keys (the newest of a lineage), projects and organizations are called, by id."""
    named = select(keys.c.lineage, keys.c.name).where(keys.c.lineage.in_(ids))
    rows = list(await connection.execute(named.order_by(keys.c.created_at_us)))
    for table in (projects, organizations):
        rows += await connection.execute(
            select(table.c.id, table.c.name).where(table.c.id.in_(ids))
        )
    return {row[0]: row[1] for row in rows}
