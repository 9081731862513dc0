"""Prepaid credit: what an organization has paid in advance, and what is left of it.

Credit is a quota of the organization with resource `money` and period `ever`, which suspends. It is
made with the first credit and counts what is admitted from then on; its amount is the sum of the
credits since. Removing the quota ends it: the organization is no longer held to what it has paid.
"""

from dataclasses import dataclass

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.organizations import organization_by
from keyhall.flows.manage.quotas import MONEY_MAX, THRESHOLDS, note_reached
from keyhall.policy.keys import draw
from keyhall.policy.quotas import Quota
from keyhall.ports.records import Actor, Credit, Organization, QuotaStanding
from keyhall.stores import notes
from keyhall.stores.spending import quotas as rows
from keyhall.stores.spending.take_in import zone_of
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Balance:
    """An organization's credits, oldest first, and where they stand; None: it is not prepaid."""

    organization: Organization
    credits: tuple[Credit, ...]
    standing: QuotaStanding | None


async def quota_of(connection: AsyncConnection, organization_id: str) -> Quota | None:
    """The quota that holds an organization to its credit."""
    for quota in await rows.list_all(connection, owners=[organization_id]):
        if (quota.resource, quota.period) == ("money", "ever"):
            return quota
    return None


async def add(
    store: SqlStore,
    wanted: str,
    amount_nano: int,
    note: str,
    *,
    entropy: bytes,
    actor: Actor,
    now_us: int,
) -> Balance:
    """Add credit, or take it back: below zero. No more is taken back than is left."""
    note = checks.note(note)
    if amount_nano == 0:
        raise Invalid("A credit of 0 says nothing.")
    async with store.writing() as connection:
        organization = await organization_by(connection, wanted)
        quota = await quota_of(connection, organization.id)
        if quota is None:
            await _begin(connection, organization, amount_nano, entropy, now_us)
        else:
            await _change(connection, quota, amount_nano, now_us)
        credit = Credit(organization.id, amount_nano, note, now_us)
        await rows.add_credit(connection, credit)
        await notes.record(
            connection,
            actor,
            now_us,
            action="credit.add" if amount_nano > 0 else "credit.take",
            target=organization.id,
            before=None,
            after=credit,
            changed="organization",
        )
        return await _balance(connection, organization, now_us)


async def _begin(
    connection: AsyncConnection,
    organization: Organization,
    amount_nano: int,
    entropy: bytes,
    now_us: int,
) -> None:
    if amount_nano < 0:
        raise Invalid(f"{organization.id} has no credit that could be taken back.")
    quota = Quota(
        id=f"quota_{draw(entropy, 12)}",
        organization_id=organization.id,
        scope="organization",
        scope_id=organization.id,
        resource="money",
        period="ever",
        amount=_bounded(amount_nano),
        policy="suspend",
        overage_price=0,
        thresholds=THRESHOLDS,
        zone=zone_of(organization.time_zone),
        created_at_us=now_us,
        is_operators=True,
    )
    await rows.add(connection, quota, now_us)


async def _change(connection: AsyncConnection, quota: Quota, amount_nano: int, now_us: int) -> None:
    now = await rows.standing(connection, quota, now_us)
    if amount_nano < -now.remaining:
        raise Invalid("That is more than is left of the credit.")
    changed = msgspec.structs.replace(quota, amount=_bounded(quota.amount + amount_nano))
    await rows.replace(connection, changed)
    await note_reached(connection, quota, changed, now_us)


def _bounded(amount_nano: int) -> int:
    if amount_nano > MONEY_MAX:
        raise Invalid("Credit is at most 1,000,000,000 of the currency.")
    return amount_nano


async def find(store: SqlStore, wanted: str, now_us: int) -> Balance:
    async with store.reading() as connection:
        organization = await organization_by(connection, wanted)
        return await _balance(connection, organization, now_us)


async def _balance(connection: AsyncConnection, organization: Organization, now_us: int) -> Balance:
    quota = await quota_of(connection, organization.id)
    given = tuple(await rows.credits_of(connection, organization.id))
    standing = None if quota is None else await rows.standing(connection, quota, now_us)
    return Balance(organization, given, standing)
