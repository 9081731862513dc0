"""Organizations and projects with what people ask of them first: members, keys, use of a month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Sight
from keyhall.ports.records import Organization, Project
from keyhall.stores.organizations import organization_of, project_of
from keyhall.stores.tables import (
    accounts,
    keys,
    members,
    organizations,
    project_hours,
    projects,
)


@dataclass(frozen=True, slots=True)
class Use:
    """What was used; test keys are not counted."""

    requests: int = 0
    tokens: int = 0
    cost_nano: int = 0


@dataclass(frozen=True, slots=True)
class SeenProject:
    project: Project
    keys: int  # that are not revoked
    use: Use


@dataclass(frozen=True, slots=True)
class SeenOrganization:
    organization: Organization
    members: int
    keys: int
    use: Use


def _lives() -> ColumnElement[bool]:
    return keys.c.revoked_at_us.is_(None)


async def _use(
    connection: AsyncConnection,
    by: ColumnElement[str],
    ids: Sequence[str],
    owners: Sequence[str],
    since_us: int,
) -> Mapping[str, Use]:
    """By project or organization; the owners are the organizations of all of them."""
    if not ids:
        return {}
    hours = project_hours.c
    sums = [
        func.coalesce(func.sum(column), 0)
        for column in (hours.requests, hours.input_tokens + hours.output_tokens, hours.cost_nano)
    ]
    query = (
        select(by, *sums)
        .where(
            hours.organization_id.in_(owners),
            hours.hour_us >= since_us,
            by.in_(ids),
            hours.is_test == 0,
        )
        .group_by(by)
    )
    found = (await connection.execute(query)).all()
    return {row[0]: Use(*(int(each) for each in row[1:])) for row in found}


async def list_projects(
    connection: AsyncConnection, sight: Sight, since_us: int, limit: int
) -> list[SeenProject]:
    """Those of an organization by name, with what was used since a time."""
    query = select(projects).where(projects.c.organization_id == sight.organization_id)
    rows = (await connection.execute(query.order_by(projects.c.name).limit(limit))).mappings()
    return await _seen_projects(connection, [project_of(row) for row in rows], since_us)


async def find_project(
    connection: AsyncConnection, sight: Sight, project_id: str, since_us: int
) -> SeenProject | None:
    """None for one that is not there, or is another organization's."""
    query = select(projects).where(
        projects.c.id == project_id, projects.c.organization_id == sight.organization_id
    )
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    return (await _seen_projects(connection, [project_of(row)], since_us))[0]


async def _seen_projects(
    connection: AsyncConnection, found: Sequence[Project], since_us: int
) -> list[SeenProject]:
    ids = [each.id for each in found]
    counted = (
        select(keys.c.project_id, func.count())
        .where(keys.c.project_id.in_(ids), _lives())
        .group_by(keys.c.project_id)
    )
    of = {row[0]: int(row[1]) for row in await connection.execute(counted)}
    owners = list({each.organization_id for each in found})
    use = await _use(connection, project_hours.c.project_id, ids, owners, since_us)
    return [SeenProject(each, of.get(each.id, 0), use.get(each.id, Use())) for each in found]


async def list_organizations(
    connection: AsyncConnection,
    *,
    search: str,
    state: str,
    since_us: int,
    offset: int,
    limit: int,
) -> list[SeenOrganization]:
    """By name; found by name, id, or the address of a member."""
    query = select(organizations).order_by(organizations.c.name, organizations.c.id)
    if search:
        mine = (
            select(members.c.organization_id)
            .join_from(members, accounts, members.c.account_id == accounts.c.id)
            .where(accounts.c.email.icontains(search, autoescape=True))
        )
        query = query.where(
            or_(
                organizations.c.name.icontains(search, autoescape=True),
                organizations.c.id == search,
                organizations.c.id.in_(mine),
            )
        )
    if state:
        is_active = organizations.c.suspended_at_us.is_(None)
        query = query.where(is_active if state == "active" else ~is_active)
    rows = (await connection.execute(query.offset(offset).limit(limit))).mappings()
    return await _seen(connection, [organization_of(row) for row in rows], since_us)


async def find_organization(
    connection: AsyncConnection, organization_id: str, since_us: int
) -> SeenOrganization | None:
    query = select(organizations).where(organizations.c.id == organization_id)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else (await _seen(connection, [organization_of(row)], since_us))[0]


async def _seen(
    connection: AsyncConnection, found: Sequence[Organization], since_us: int
) -> list[SeenOrganization]:
    ids = [each.id for each in found]
    people = await _counts(connection, members.c.organization_id, ids)
    their_keys = (
        select(projects.c.organization_id, func.count())
        .join_from(keys, projects, keys.c.project_id == projects.c.id)
        .where(projects.c.organization_id.in_(ids), _lives())
        .group_by(projects.c.organization_id)
    )
    of = {row[0]: int(row[1]) for row in await connection.execute(their_keys)}
    use = await _use(connection, project_hours.c.organization_id, ids, ids, since_us)
    return [
        SeenOrganization(each, people.get(each.id, 0), of.get(each.id, 0), use.get(each.id, Use()))
        for each in found
    ]


async def _counts(
    connection: AsyncConnection, by: ColumnElement[Any], ids: Sequence[str]
) -> dict[str, int]:
    query = select(by, func.count()).where(by.in_(ids)).group_by(by)
    return {row[0]: int(row[1]) for row in await connection.execute(query)}


async def has_key(connection: AsyncConnection, sight: Sight, key_id: str) -> bool:
    """Whether a key is the organization's."""
    query = (
        select(keys.c.id)
        .join_from(keys, projects, keys.c.project_id == projects.c.id)
        .where(keys.c.id == key_id, projects.c.organization_id == sight.organization_id)
    )
    return await connection.scalar(query) is not None


async def live_keys(
    connection: AsyncConnection, organization_id: str, project_id: str | None, limit: int
) -> list[tuple[str, str, str]]:
    """Id, name and project of live keys that are not revoked, by name: for choosing one."""
    query = (
        select(keys.c.id, keys.c.name, projects.c.name)
        .join_from(keys, projects, keys.c.project_id == projects.c.id)
        .where(projects.c.organization_id == organization_id, _lives(), keys.c.mode == "live")
        .order_by(keys.c.name, keys.c.id)
        .limit(limit)
    )
    if project_id is not None:
        query = query.where(keys.c.project_id == project_id)
    return [(row[0], row[1], row[2]) for row in await connection.execute(query)]


async def tier_use(connection: AsyncConnection) -> dict[str, tuple[int, int]]:
    """How many keys that are not revoked, and how many organizations, name each tier."""
    of_keys = select(keys.c.tier, func.count()).where(_lives()).group_by(keys.c.tier)
    of_places = (
        select(organizations.c.tier, func.count())
        .where(organizations.c.tier.is_not(None))
        .group_by(organizations.c.tier)
    )
    first = {row[0]: int(row[1]) for row in await connection.execute(of_keys)}
    second = {row[0]: int(row[1]) for row in await connection.execute(of_places)}
    return {name: (first.get(name, 0), second.get(name, 0)) for name in {*first, *second}}
