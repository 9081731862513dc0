"""Whose key is it? The one place that finds a key or project for somebody who may see it.

What is another's answers exactly as what never was.
"""

from keyhall.flows.manage.checks import NotFound
from keyhall.ports.people import Sight
from keyhall.ports.records import Key, Project
from keyhall.stores import organizations
from keyhall.stores.holders import keys
from keyhall.stores.sql import SqlStore

PROJECTS_MAX = 500  # in a list to choose from


async def visible_key(store: SqlStore, sight: Sight, key_id: str) -> Key:
    """Raises NotFound. Organization and account of a key never change: who may see it now may act
    on it in a later transaction."""
    async with store.reading() as connection:
        found = await keys.find(connection, sight, key_id)
    if found is None:
        raise NotFound("There is no such key.")
    return found


async def visible_keys(store: SqlStore, sight: Sight, key_ids: list[str]) -> list[Key]:
    """All of them, or NotFound."""
    return [await visible_key(store, sight, key_id) for key_id in dict.fromkeys(key_ids)]


async def projects(store: SqlStore, sight: Sight) -> list[Project]:
    """Those in which a key may be made: the organization's."""
    async with store.reading() as connection:
        return await organizations.list_projects(
            connection, organization_id=sight.organization_id, limit=PROJECTS_MAX
        )


async def visible_project(store: SqlStore, sight: Sight, project_id: str) -> Project:
    async with store.reading() as connection:
        found = await organizations.find_project(connection, project_id)
    for project in found:
        if (project.id, project.organization_id) == (project_id, sight.organization_id):
            return project
    raise NotFound("There is no such project.")
