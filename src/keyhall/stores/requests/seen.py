"""What somebody may see, as conditions of queries, and the names of what is filtered by.

Whatever is not in sight is not there: another organization's key is an unknown one.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Sight
from keyhall.ports.usage import Filter
from keyhall.stores.tables import accounts, keys, members, projects

NAMED_MAX = 200  # in a list to choose from


def own_keys(sight: Sight, account_id: str) -> Select[Any]:
    """The ids of an account's keys in the organization."""
    return (
        select(keys.c.id)
        .join_from(keys, projects, keys.c.project_id == projects.c.id)
        .where(projects.c.organization_id == sight.organization_id, keys.c.account_id == account_id)
    )


def rows_of(
    table: FromClause, sight: Sight, only: Filter, *, of_few: bool = False
) -> ColumnElement[bool]:
    """The rows of a table of usage or refusals that are in sight and wanted. Where these are those
    of a few keys, their index is to be used and not the organization's: hence the expression."""
    owner: ColumnElement[str] = table.c.organization_id
    if of_few or (sight.account_id, only.account_id, only.key_id) != (None, None, None):
        owner = func.coalesce(owner, "")
    wanted = [owner == sight.organization_id]
    for account_id in (sight.account_id, only.account_id):
        if account_id is not None:
            wanted.append(table.c.key_id.in_(own_keys(sight, account_id)))
    if only.key_id is not None:
        wanted.append(table.c.key_id == only.key_id)
    if only.version is not None:
        wanted.append(table.c.version == only.version)
    if only.project_id is not None:
        wanted.append(table.c.project_id == only.project_id)
    return and_(true(), *wanted)


def _keys(sight: Sight) -> Select[Any]:
    query = (
        select(keys.c.id, keys.c.name)
        .join_from(keys, projects, keys.c.project_id == projects.c.id)
        .where(projects.c.organization_id == sight.organization_id)
    )
    if sight.account_id is not None:
        query = query.where(keys.c.account_id == sight.account_id)
    return query


async def find_key(connection: AsyncConnection, sight: Sight, wanted: str) -> str | None:
    """The id of a key in sight with that id, or with that name: the newest, if there are more."""
    by_id = await connection.scalar(_keys(sight).where(keys.c.id == wanted))
    if by_id is not None:
        return str(by_id)
    by_name = _keys(sight).where(keys.c.name == wanted).order_by(keys.c.created_at_us.desc())
    found: str | None = await connection.scalar(by_name.limit(1))
    return found


async def newest_keys(connection: AsyncConnection, sight: Sight) -> list[tuple[str, str]]:
    """Ids and names, to choose from."""
    query = _keys(sight).order_by(keys.c.created_at_us.desc()).limit(NAMED_MAX)
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def project_names(connection: AsyncConnection, sight: Sight) -> list[tuple[str, str]]:
    query = select(projects.c.id, projects.c.name).where(
        projects.c.organization_id == sight.organization_id
    )
    if sight.account_id is not None:
        own = select(keys.c.project_id).where(keys.c.account_id == sight.account_id)
        query = query.where(projects.c.id.in_(own))
    query = query.order_by(projects.c.name).limit(NAMED_MAX)
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def has_project(connection: AsyncConnection, sight: Sight, project_id: str) -> bool:
    query = select(projects.c.id).where(
        projects.c.id == project_id, projects.c.organization_id == sight.organization_id
    )
    return await connection.scalar(query) is not None


async def has_person(connection: AsyncConnection, sight: Sight, account_id: str) -> bool:
    """Whether somebody is a member, or has been one with keys."""
    if sight.account_id is not None:
        return account_id == sight.account_id
    member = select(members.c.account_id).where(
        members.c.account_id == account_id, members.c.organization_id == sight.organization_id
    )
    if await connection.scalar(member) is not None:
        return True
    return await connection.scalar(own_keys(sight, account_id).limit(1)) is not None


async def people_names(connection: AsyncConnection, sight: Sight) -> list[tuple[str, str]]:
    if sight.account_id is not None:
        return []
    query = (
        select(accounts.c.id, accounts.c.name)
        .join_from(accounts, members, members.c.account_id == accounts.c.id)
        .where(members.c.organization_id == sight.organization_id)
        .order_by(accounts.c.name)
        .limit(NAMED_MAX)
    )
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def names(connection: AsyncConnection, by: str, ids: list[str]) -> dict[str, str]:
    """What keys, projects or people of these ids are called."""
    table = {"key": keys, "project": projects, "person": accounts}.get(by)
    if table is None or not ids:
        return {}
    rows = await connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
    return {row[0]: row[1] for row in rows}
