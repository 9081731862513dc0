"""The limits that somebody's keys are held to, and how full they are just now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keyhall.flows.hall import Hall
from keyhall.flows.holders.visible import visible_key
from keyhall.flows.manage.keys import NewKey
from keyhall.policy.access import Grant
from keyhall.policy.holders import levels as rules
from keyhall.policy.holders.levels import Bar
from keyhall.policy.limits import WindowLimits
from keyhall.policy.tiers import Effective, Tier, effective
from keyhall.ports.people import Sight
from keyhall.ports.records import Key, Organization, Project, QuotaStanding
from keyhall.stores import grants
from keyhall.stores.holders import keys
from keyhall.stores.spending import quotas
from keyhall.stores.sql import SqlStore

KEYS_MAX = 6  # whose bars are shown: those that were used last


@dataclass(frozen=True, slots=True)
class Place:
    """A window, with the name of what it belongs to."""

    window: WindowLimits
    name: str


@dataclass(frozen=True, slots=True)
class Held:
    """A key, and what it is held to."""

    key: Key
    grant: Grant
    effective: Effective

    @property
    def places(self) -> list[Place]:
        grant = self.grant
        names = {
            "key": grant.name,
            "project": grant.project_name,
            "organization": grant.organization_name,
        }
        return [Place(window, names[window.scope]) for window in self.effective.windows]


@dataclass(frozen=True, slots=True)
class Named:
    """One limit as it stands, and whose it is."""

    name: str
    bar: Bar


async def held(
    store: SqlStore, found: Sequence[Key], tiers: Mapping[str, Tier], now_us: int
) -> list[Held]:
    """What each key is held to; admin keys call nothing and are left out."""
    async with store.reading() as connection:
        known = await grants.by_ids(connection, [key.id for key in found])
    return [
        Held(key, known[key.id], effective(known[key.id], tiers, now_us))
        for key in found
        if key.id in known
    ]


async def own(
    store: SqlStore, sight: Sight, account_id: str, tiers: Mapping[str, Tier], now_us: int
) -> list[Held]:
    """The person's own keys that were used last; of all they may see, if none is theirs."""
    async with store.reading() as connection:
        mine = Sight(sight.organization_id, account_id)
        found = await keys.last_used(connection, mine, now_us, KEYS_MAX)
        if not found:
            found = await keys.last_used(connection, sight, now_us, KEYS_MAX)
    return await held(store, found, tiers, now_us)


async def chosen(
    store: SqlStore,
    sight: Sight,
    account_id: str,
    key_id: str,
    tiers: Mapping[str, Tier],
    now_us: int,
) -> list[Held]:
    """One key, if it may be seen; without an id, `own`."""
    if key_id:
        return await held(store, [await visible_key(store, sight, key_id)], tiers, now_us)
    return await own(store, sight, account_id, tiers, now_us)


def places(found: Sequence[Held]) -> list[Place]:
    """Every window once: the organization's, then projects', then keys'."""
    order = ("organization", "project", "key")
    once = {place.window.id: place for each in found for place in each.places}
    return sorted(once.values(), key=lambda place: order.index(place.window.scope))


async def bars(hall: Hall, wanted: Sequence[Place]) -> list[Named]:
    """Every limit in force of these windows, as the running counters have it."""
    windows = [place.window for place in wanted]
    found = await hall.counters.levels(windows)
    names = {place.window.id: place.name for place in wanted}
    now_us = hall.clock.now_us()
    return [Named(names[bar.window.id], bar) for bar in rules.bars(windows, found, now_us)]


async def standings(
    store: SqlStore, found: Sequence[Held], now_us: int
) -> list[tuple[str, QuotaStanding]]:
    """The quotas of these keys, their projects and organization, with their owners' names."""
    owners = {place.window.id.rpartition(":")[2]: place.name for place in places(found)}
    if not owners:
        return []
    async with store.reading() as connection:
        listed = await quotas.list_all(connection, owners=list(owners), limit=50)
        return [
            (owners[quota.scope_id], await quotas.standing(connection, quota, now_us))
            for quota in listed
        ]


def preview(
    new: NewKey,
    project: Project,
    organization: Organization,
    tiers: Mapping[str, Tier],
    now_us: int,
) -> Effective:
    """What a key would be held to, were it made now."""
    grant = Grant(
        key_id="", name=new.name, masked="", mode="test" if new.mode == "test" else "live",
        lineage="new", account_id="", project_id=project.id, project_name=project.name,
        organization_id=organization.id, organization_name=organization.name, tier=new.tier,
        organization_tier=organization.tier,
        billing_activated_at_us=organization.billing_activated_at_us,
        key_limits=new.limits, project_limits=project.limits,
        organization_limits=organization.limits,
    )  # fmt: skip
    return effective(grant, tiers, now_us)
