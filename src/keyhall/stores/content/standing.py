"""What was said of content that waits to be written: erased meanwhile, or kept for fewer days."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.content import retention
from keyhall.stores.tables import audit, keys, organizations, projects, usage

_ERASED = ("content.erase", "account.delete")


async def erased_at(connection: AsyncConnection, targets: Collection[str]) -> dict[str, int]:
    """When what is kept of these was erased last: `req_…`, keys, projects, organizations and
    accounts. The audit is where every process finds it, and it is written with the erasure."""
    query = (
        select(audit.c.target, func.max(audit.c.at_us))
        .where(audit.c.target.in_(targets), audit.c.action.in_(_ERASED))
        .group_by(audit.c.target)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def days_of(connection: AsyncConnection, key_ids: Collection[str]) -> dict[str, int]:
    """For how many days what these keys say is kept by now."""
    query = (
        select(
            keys.c.id,
            projects.c.retention_days,
            keys.c.retention_days,
            organizations.c.retention_days_max,
        )
        .join_from(keys, projects, keys.c.project_id == projects.c.id)
        .join(organizations, projects.c.organization_id == organizations.c.id)
        .where(keys.c.id.in_(key_ids))
    )
    return {
        row[0]: retention.days(project=row[1], key=row[2], organization_max=row[3])
        for row in await connection.execute(query)
    }


async def asked_in(connection: AsyncConnection, request_id: str) -> str | None:
    """In which organization a request was answered, whether anything is kept of it or not."""
    found: str | None = await connection.scalar(
        select(usage.c.organization_id).where(usage.c.request_id == request_id)
    )
    return found
