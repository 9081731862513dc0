"""Accounts, organizations, members and projects: one function per query."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.review.rules import NO_RULES, Rules
from keyhall.ports.records import Account, Organization, Project
from keyhall.stores import notes
from keyhall.stores.grants import limit_columns, limits, rules, texts
from keyhall.stores.keys import stored_list
from keyhall.stores.tables import accounts, members, organizations, projects

_DEFAULT_PROJECT = "default_project"


def organization_of(row: RowMapping) -> Organization:
    return Organization(
        id=row["id"],
        name=row["name"],
        created_at_us=row["created_at_us"],
        tier=row["tier"],
        limits=limits(row),
        billing_activated_at_us=row["billing_activated_at_us"],
        suspended_at_us=row["suspended_at_us"],
        time_zone=row["time_zone"],
        retention_days_max=row["retention_days_max"],
    )


def project_of(row: RowMapping) -> Project:
    return Project(
        id=row["id"],
        organization_id=row["organization_id"],
        name=row["name"],
        created_at_us=row["created_at_us"],
        models=texts(row["models"]),
        limits=limits(row),
        review=rules(row["review"]),
        retention_days=row["retention_days"],
    )


async def add_account(connection: AsyncConnection, account: Account) -> None:
    await connection.execute(
        insert(accounts).values(
            id=account.id,
            name=account.name,
            email=account.email,
            created_at_us=account.created_at_us,
        )
    )


async def add_organization(connection: AsyncConnection, organization: Organization) -> None:
    await connection.execute(
        insert(organizations).values(
            id=organization.id,
            created_at_us=organization.created_at_us,
            **_organization_columns(organization),
        )
    )


def _organization_columns(organization: Organization) -> dict[str, Any]:
    return {
        "name": organization.name,
        "tier": organization.tier,
        "billing_activated_at_us": organization.billing_activated_at_us,
        "suspended_at_us": organization.suspended_at_us,
        "time_zone": organization.time_zone,
        "retention_days_max": organization.retention_days_max,
        **limit_columns(organization.limits),
    }


async def replace_organization(connection: AsyncConnection, organization: Organization) -> None:
    await connection.execute(
        update(organizations)
        .where(organizations.c.id == organization.id)
        .values(**_organization_columns(organization))
    )


async def find_organization(connection: AsyncConnection, wanted: str) -> list[Organization]:
    """By id, else all of that name."""
    for column in (organizations.c.id, organizations.c.name):
        query = select(organizations).where(column == wanted).order_by(organizations.c.id)
        found = [organization_of(row) for row in (await connection.execute(query)).mappings()]
        if found:
            return found
    return []


async def list_organizations(connection: AsyncConnection, limit: int) -> list[Organization]:
    """Oldest first: the first run's comes first."""
    query = select(organizations).order_by(organizations.c.created_at_us, organizations.c.id)
    rows = (await connection.execute(query.limit(limit))).mappings()
    return [organization_of(row) for row in rows]


async def add_member(
    connection: AsyncConnection, organization_id: str, account_id: str, role: str, now_us: int
) -> None:
    await connection.execute(
        insert(members).values(
            organization_id=organization_id,
            account_id=account_id,
            role=role,
            created_at_us=now_us,
        )
    )


async def owner(connection: AsyncConnection, organization_id: str) -> str | None:
    """The account that has owned the organization longest."""
    return await connection.scalar(
        select(members.c.account_id)
        .where(members.c.organization_id == organization_id, members.c.role == "owner")
        .order_by(members.c.created_at_us, members.c.account_id)
        .limit(1)
    )


async def add_project(connection: AsyncConnection, project: Project) -> None:
    await connection.execute(
        insert(projects).values(
            id=project.id,
            organization_id=project.organization_id,
            created_at_us=project.created_at_us,
            **_project_columns(project),
        )
    )


def stored_rules(rules: Rules) -> str | None:
    return None if rules == NO_RULES else msgspec.json.encode(rules).decode()


def _project_columns(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "models": stored_list(project.models),
        "review": stored_rules(project.review),
        "retention_days": project.retention_days,
        **limit_columns(project.limits),
    }


async def replace_project(connection: AsyncConnection, project: Project) -> None:
    await connection.execute(
        update(projects).where(projects.c.id == project.id).values(**_project_columns(project))
    )


async def find_project(connection: AsyncConnection, wanted: str) -> list[Project]:
    """By id, else all of that name."""
    for column in (projects.c.id, projects.c.name):
        query = select(projects).where(column == wanted).order_by(projects.c.id)
        found = [project_of(row) for row in (await connection.execute(query)).mappings()]
        if found:
            return found
    return []


async def has_project_named(connection: AsyncConnection, organization_id: str, name: str) -> bool:
    """Whether the organization has a project of that name; what is elsewhere has no say."""
    query = select(projects.c.id).where(
        projects.c.organization_id == organization_id, projects.c.name == name
    )
    return await connection.scalar(query.limit(1)) is not None


async def set_default_project(connection: AsyncConnection, project_id: str) -> None:
    await notes.set_fact(connection, _DEFAULT_PROJECT, project_id)


async def default_project(connection: AsyncConnection) -> Project | None:
    """The project of the first run; None before it."""
    project_id = await notes.fact(connection, _DEFAULT_PROJECT)
    found = [] if project_id is None else await find_project(connection, project_id)
    return found[0] if found else None


async def list_projects(
    connection: AsyncConnection, *, organization_id: str | None, limit: int
) -> list[Project]:
    """Oldest first: the first run's comes first."""
    query = select(projects).order_by(projects.c.created_at_us, projects.c.id).limit(limit)
    if organization_id is not None:
        query = query.where(projects.c.organization_id == organization_id)
    return [project_of(row) for row in (await connection.execute(query)).mappings()]
