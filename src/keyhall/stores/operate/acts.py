"""The audit as people look through it: newest first, page by page.

Whoever is no operator sees the rows of their organization. Rows older than the column that says so
are found by what they changed: the organization itself, its projects and keys.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.verify.chains import ANCHOR
from keyhall.ports.records import AuditRow
from keyhall.stores.tables import accounts, audit, keys, organizations, projects

_SHOWN = tuple(column for column in audit.c if column.name != "digest")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which acts. Empty texts mean all. `action` is one, or a noun: `key` is all of keys. Anchors
    of chains are not among them unless they are named."""

    action: str = ""
    who: str = ""
    target: str = ""
    since_us: int | None = None
    until_us: int | None = None
    before_number: int | None = None


async def page(
    connection: AsyncConnection, organization_id: str | None, wanted: Wanted, limit: int
) -> list[AuditRow]:
    """Newest first; `organization_id` of None is all of the hall's."""
    query = select(*_SHOWN).order_by(audit.c.number.desc()).limit(limit)
    if organization_id is not None:
        query = query.where(_of_organization(organization_id))
    query = query.where(*_filters(wanted))
    if wanted.who:
        query = query.where(_by(wanted.who))
    return [AuditRow(**row) for row in (await connection.execute(query)).mappings()]


def _of_organization(organization_id: str) -> ColumnElement[bool]:
    own: Select[tuple[str]] = select(projects.c.id).where(
        projects.c.organization_id == organization_id
    )
    its_keys = select(keys.c.id).where(keys.c.project_id.in_(own))
    older = union_all(own, its_keys, select(organizations.c.id).where(
        organizations.c.id == organization_id
    ))  # fmt: skip
    return or_(
        audit.c.organization_id == organization_id,
        and_(audit.c.organization_id.is_(None), audit.c.target.in_(older)),
    )


def _filters(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.action:
        noun = audit.c.action.startswith(f"{wanted.action}.", autoescape=True)
        found.append(or_(audit.c.action == wanted.action, noun))
    else:
        found.append(audit.c.action != ANCHOR)  # One a minute, of nobody's doing.
    if wanted.target:
        found.append(audit.c.target.contains(wanted.target, autoescape=True))
    if wanted.since_us is not None:
        found.append(audit.c.at_us >= wanted.since_us)
    if wanted.until_us is not None:
        found.append(audit.c.at_us < wanted.until_us)
    if wanted.before_number is not None:
        found.append(audit.c.number < wanted.before_number)
    return found


def _by(who: str) -> ColumnElement[bool]:
    """By what stands in the row, or by the name of an account."""
    named = select(literal("account:").concat(accounts.c.id)).where(
        accounts.c.name.icontains(who, autoescape=True)
    )
    return or_(audit.c.who.icontains(who, autoescape=True), audit.c.who.in_(named))


async def names(connection: AsyncConnection, ids: Collection[str]) -> dict[str, str]:
    """What accounts, organizations, projects and keys are called, by id."""
    found: dict[str, str] = {}
    for table in (accounts, organizations, projects, keys):
        query = select(table.c.id, table.c.name).where(table.c.id.in_(ids))
        found |= {row.id: row.name for row in await connection.execute(query)}
    return found
