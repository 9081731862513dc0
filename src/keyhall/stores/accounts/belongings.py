"""What belongs to an account: its links, what it asked for, where it works."""

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.stores.accounts.tables import asks, links
from keyhall.stores.tables import projects


async def forget_links(connection: AsyncConnection, account_id: str, email: str | None) -> None:
    """Those that were made for somebody, used or not."""
    theirs = links.c.account_id == account_id
    if email is not None:
        theirs = or_(theirs, links.c.email == email)
    await connection.execute(delete(links).where(theirs))


async def forget_reasons(connection: AsyncConnection, account_id: str) -> None:
    """What somebody wrote when they asked for more."""
    await connection.execute(update(asks).where(asks.c.account_id == account_id).values(why=""))


async def known_projects(connection: AsyncConnection, organization_id: str) -> dict[str, str]:
    """Ids of an organization's projects by name and by id."""
    query = select(projects.c.id, projects.c.name).where(
        projects.c.organization_id == organization_id
    )
    found = (await connection.execute(query)).all()
    return {row.name: row.id for row in found} | {row.id: row.id for row in found}
