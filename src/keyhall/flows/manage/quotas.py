"""Quotas as people set them: how much per day or month, and what happens beyond it (R23).

A quota belongs to a key (and to what it is rotated into), a project or an organization; there is
one for each resource and period. What was used before it was made counts from the start, and what
is used is never forgotten because an amount changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.flows.manage.keys import key_by
from keyhall.flows.manage.organizations import organization_by, project_by
from keyhall.policy import quotas as rules
from keyhall.policy.catalogue import Catalogue, Version, status_at
from keyhall.policy.keys import draw
from keyhall.policy.limits import Scope
from keyhall.policy.quotas import PERCENT_MAX, Hand, Period, Quota, QuotaPolicy, QuotaResource
from keyhall.policy.tiers import LIMIT_MAX
from keyhall.ports.records import Actor, Organization, QuotaStanding
from keyhall.ports.store import ChangeKind
from keyhall.stores import keys, notes, organizations
from keyhall.stores.spending import alerts
from keyhall.stores.spending import quotas as rows
from keyhall.stores.spending.take_in import zone_of
from keyhall.stores.sql import SqlStore

MONEY_MAX = 10**18  # nano-units: a thousand million of the currency
PRICE_MAX = 10**12  # micro-units per million units: a million of the currency
SURCHARGE_MAX = 10_000  # the same of money: 1,000 % on top of it
THRESHOLDS = (50, 80, 100)
THRESHOLDS_MAX = 10  # alerts per period that somebody still reads
LISTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose quota it is; `wanted` is an id or a name."""

    scope: Scope
    wanted: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a quota. None leaves it as it is, or as a new quota begins."""

    amount: int | None = None
    policy: QuotaPolicy | None = None
    overage_price: int | None = None  # micro-units per million units
    thresholds: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A quota as lists show it."""

    standing: QuotaStanding
    owner_name: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A quota as the audit tells it."""

    organization_id: str
    scope: Scope
    scope_id: str
    resource: QuotaResource
    period: Period
    amount: int
    policy: QuotaPolicy
    overage_price: int
    thresholds: tuple[int, ...]
    is_operators: bool


def facts_of(quota: Quota) -> Facts:
    return Facts(**{name: getattr(quota, name) for name in Facts.__dataclass_fields__})


# --- Setting --------------------------------------------------------------------------------------


async def put(
    store: SqlStore,
    owner: Owner,
    resource: QuotaResource,
    period: Period,
    terms: Terms,
    *,
    entropy: bytes,
    actor: Actor,
    now_us: int,
    hand: Hand = "operator",
) -> tuple[Seen, bool]:
    """Make a quota, or change the one of this owner, resource and period. Also tells whether it is
    a new one. Raises Refused for an organization that would change the operators'."""
    async with store.writing() as connection:
        organization_id, scope_id = await _place(connection, owner, now_us)
        there = await rows.list_all(connection, owners=[scope_id])
        before = next((q for q in there if (q.resource, q.period) == (resource, period)), None)
        _theirs(before, hand)
        if before is None:
            if terms.amount is None:
                raise Invalid("There is no such quota yet: say how much it allows.")
            organization = await organization_by(connection, organization_id)
            start = Quota(
                id=f"quota_{draw(entropy, 12)}",
                organization_id=organization_id,
                scope=owner.scope,
                scope_id=scope_id,
                resource=resource,
                period=period,
                amount=terms.amount,
                policy="suspend",
                overage_price=0,
                thresholds=THRESHOLDS,
                zone=zone_of(organization.time_zone),
                created_at_us=now_us,
                is_operators=rules.is_operators(None, hand),
            )
            after = _checked(start, terms)
            await rows.add(connection, after, now_us)
            await record(connection, "quota.create", None, after, actor, now_us)
        else:
            owned = msgspec.structs.replace(before, is_operators=rules.is_operators(before, hand))
            after = _checked(owned, terms)
            if after != before:
                await rows.replace(connection, after)
                await record(connection, "quota.change", before, after, actor, now_us)
        if after != before:
            await note_reached(connection, before, after, now_us)
        return await _seen(connection, after, now_us), before is None


def _theirs(quota: Quota | None, hand: Hand) -> None:
    if not rules.may_set(quota, hand):
        raise Refused("Whoever runs this server has set this budget, and nobody else changes it.")


def _checked(quota: Quota, terms: Terms) -> Quota:
    """The quota on these terms."""
    policy = quota.policy if terms.policy is None else terms.policy
    price = quota.overage_price if terms.overage_price is None else terms.overage_price
    told = quota.thresholds if terms.thresholds is None else terms.thresholds
    changed = msgspec.structs.replace(
        quota,
        amount=_amount(quota.resource, quota.amount if terms.amount is None else terms.amount),
        policy=policy,
        overage_price=price if policy == "overage" else 0,
        thresholds=_thresholds(told, policy),
    )
    if quota.resource == "money":
        if not 0 <= changed.overage_price <= SURCHARGE_MAX:
            raise Invalid("Overage of money adds between 0 and 1,000 % to it.")
    elif not 0 <= changed.overage_price <= PRICE_MAX:
        raise Invalid("A price is between 0 and 1,000,000 per million.")
    return changed


def _amount(resource: QuotaResource, amount: int) -> int:
    most = MONEY_MAX if resource == "money" else LIMIT_MAX
    if not 0 <= amount <= most:
        said = "1,000,000,000 of the currency" if resource == "money" else f"{most:,} {resource}"
        raise Invalid(f"A quota is from 0 to {said}.")
    return amount


def _thresholds(wanted: Sequence[int], policy: QuotaPolicy) -> tuple[int, ...]:
    most = PERCENT_MAX if policy == "overage" else 100
    for percent in wanted:
        if not 1 <= percent <= most:
            raise Invalid(
                f"An alert at {percent} % makes no sense: 1 to {most:,} % of a quota can be used"
                + (" before it suspends." if policy == "suspend" else ".")
            )
    found = tuple(sorted(set(wanted)))
    if len(found) > THRESHOLDS_MAX:
        raise Invalid(f"{len(found)} alerts are too many; {THRESHOLDS_MAX} fit.")
    return found


async def _place(connection: AsyncConnection, owner: Owner, now_us: int) -> tuple[str, str]:
    """The organization's id, and that of whom the quota belongs to."""
    if owner.scope == "key":
        key = await key_by(connection, owner.wanted, now_us)
        if key.mode != "live":
            why = "calls no models" if key.mode == "admin" else "costs nothing and counts nowhere"
            raise Invalid(f"{key.id} is a {key.mode} key: it {why}, so a quota would be idle.")
        return key.organization_id, key.lineage
    if owner.scope == "project":
        project = await project_by(connection, owner.wanted)
        return project.organization_id, project.id
    found = await organization_by(connection, owner.wanted)
    return found.id, found.id


async def record(
    connection: AsyncConnection,
    action: str,
    before: Quota | None,
    after: Quota | None,
    actor: Actor,
    now_us: int,
) -> None:
    """The audit row of an act, and a change row for everybody whose quotas it changes."""
    quota = after or before
    assert quota is not None
    await notes.record(
        connection,
        actor,
        now_us,
        action=action,
        target=quota.id,
        before=before and facts_of(before),
        after=after and facts_of(after),
    )
    await announce(connection, quota)


async def announce(connection: AsyncConnection, quota: Quota) -> None:
    """Every key of a lineage, or the project or organization."""
    kind: ChangeKind = quota.scope
    ids = [quota.scope_id]
    if quota.scope == "key":
        ids = [key.id for key in await keys.of_lineage(connection, quota.scope_id)]
    await notes.announce(connection, kind, ids)


async def note_reached(
    connection: AsyncConnection, before: Quota | None, quota: Quota, now_us: int
) -> None:
    """What a changed quota means for its alerts: those that are out of reach may come again, and
    of those that it has reached at one stroke the highest is told. One that had been reached
    `before` is not: that was told then."""
    now = await rows.standing(connection, quota, now_us)
    await alerts.retire(connection, quota, now.begins_us, now.used)
    reached = [each.threshold for each in rules.reached(quota, now.begins_us, 0, now.used)]
    known = rules.reached(before, now.begins_us, 0, now.used) if before else []
    highest = max(reached, default=None)
    if highest is not None and highest not in [each.threshold for each in known]:
        await alerts.add(connection, quota, now.begins_us, highest, now.used, now_us)


async def remove(
    store: SqlStore, quota_id: str, *, actor: Actor, now_us: int, hand: Hand = "operator"
) -> Seen:
    """As it stood at its end. Its overage stays on the statements. Raises Refused as `put`."""
    async with store.writing() as connection:
        quota = await _quota_by(connection, quota_id)
        _theirs(quota, hand)
        seen = await _seen(connection, quota, now_us)
        await rows.remove(connection, quota.id)
        await record(connection, "quota.remove", quota, None, actor, now_us)
        return seen


# --- Reading --------------------------------------------------------------------------------------


async def _quota_by(connection: AsyncConnection, quota_id: str) -> Quota:
    quota = await rows.find(connection, quota_id)
    if quota is None:
        raise NotFound(f"No quota with id {quota_id}. `keyhall quotas list` shows them.")
    return quota


async def find(store: SqlStore, quota_id: str, now_us: int) -> Seen:
    async with store.reading() as connection:
        return await _seen(connection, await _quota_by(connection, quota_id), now_us)


async def listed(
    store: SqlStore, owner: Owner | None, now_us: int, limit: int = LISTED_MAX
) -> list[Seen]:
    """All quotas, those of one owner, or those within an organization."""
    async with store.reading() as connection:
        if owner is None:
            found = await rows.list_all(connection, limit=limit)
        else:
            organization_id, scope_id = await _place(connection, owner, now_us)
            if owner.scope == "organization":
                found = await rows.of_organization(connection, organization_id)
            else:
                found = await rows.list_all(connection, owners=[scope_id])
        names = await rows.owner_names(connection, [quota.scope_id for quota in found])
        return [
            Seen(await rows.standing(connection, quota, now_us), names.get(quota.scope_id, ""))
            for quota in found[:limit]
        ]


async def _seen(connection: AsyncConnection, quota: Quota, now_us: int) -> Seen:
    names = await rows.owner_names(connection, [quota.scope_id])
    standing = await rows.standing(connection, quota, now_us)
    return Seen(standing, names.get(quota.scope_id, ""))


def unpriced(catalogue: Catalogue, now_us: int) -> list[Version]:
    """Versions that answer and cost nobody knows what: a key under a quota of money is refused
    them."""
    return [
        version
        for version in catalogue.versions.values()
        if version.price is None and status_at(version, now_us) != "retired"
    ]


# --- Where days begin -----------------------------------------------------------------------------


async def set_zone(
    store: SqlStore, wanted: str, zone: str, *, actor: Actor, now_us: int
) -> Organization:
    """Let an organization's days and months begin in another time zone, from now on: what its
    quotas have used in the periods that now run is summed up again."""
    zone = checks.zone(zone)
    async with store.writing() as connection:
        before = await organization_by(connection, wanted)
        after = replace(before, time_zone=zone)
        if after != before:
            await organizations.replace_organization(connection, after)
            for quota in await rows.of_organization(connection, after.id):
                await rows.recompute(connection, quota, now_us)
                await note_reached(connection, None, quota, now_us)
            await notes.record(
                connection,
                actor,
                now_us,
                action="organization.zone",
                target=after.id,
                before=before,
                after=after,
                changed="organization",
            )
        return after
