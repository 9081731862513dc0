"""Keys as their holders list them: searched, filtered and sorted; and those that need care."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Sight
from keyhall.ports.records import Key
from keyhall.stores.keys import QUERY, key_of
from keyhall.stores.tables import accounts, keys, projects

State = Literal["in-use", "active", "paused", "expired", "revoked", "all"]
Sort = Literal["created", "name", "used", "expires"]
STATES: tuple[State, ...] = get_args(State)
SORTS: tuple[Sort, ...] = get_args(Sort)

_successors = keys.alias("successors")
_ORDER: dict[Sort, tuple[ColumnElement[Any], ...]] = {
    "created": (keys.c.created_at_us.desc(),),
    "name": (func.lower(keys.c.name),),
    "used": (func.coalesce(keys.c.last_used_at_us, 0).desc(),),
    "expires": (keys.c.expires_at_us.is_(None), keys.c.expires_at_us),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which keys of a sight, and in which order. Empty texts filter nothing."""

    search: str = ""
    state: State = "in-use"
    project_id: str = ""
    owner_id: str = ""
    sort: Sort = "created"


@dataclass(frozen=True, slots=True)
class Listed:
    key: Key
    owner: str  # the account's name
    is_rotating: bool  # it has a successor


def seen(sight: Sight) -> ColumnElement[bool]:
    """The keys that somebody may see; `projects` must be joined."""
    kept = projects.c.organization_id == sight.organization_id
    if sight.account_id is None:
        return kept
    return and_(kept, keys.c.account_id == sight.account_id)


def ids_of(sight: Sight) -> Select[Any]:
    """The ids of these keys, for `IN`."""
    joined = keys.join(projects, keys.c.project_id == projects.c.id)
    return select(keys.c.id).select_from(joined).where(seen(sight))


def _is_in(state: State, now_us: int) -> ColumnElement[bool] | None:
    lives = or_(keys.c.expires_at_us.is_(None), keys.c.expires_at_us > now_us)
    stays = keys.c.revoked_at_us.is_(None)
    paused = keys.c.paused_at_us
    return {
        "in-use": and_(stays, lives),
        "active": and_(stays, lives, paused.is_(None)),
        "paused": and_(stays, lives, paused.is_not(None)),
        "expired": and_(stays, keys.c.expires_at_us <= now_us),
        "revoked": keys.c.revoked_at_us.is_not(None),
    }.get(state)


def _kept(query: Select[Any], sight: Sight, wanted: Filter, now_us: int) -> Select[Any]:
    query = query.where(seen(sight))
    state = _is_in(wanted.state, now_us)
    if state is not None:
        query = query.where(state)
    if wanted.project_id:
        query = query.where(keys.c.project_id == wanted.project_id)
    if wanted.owner_id:
        query = query.where(keys.c.account_id == wanted.owner_id)
    if wanted.search:
        text = wanted.search.lower()
        query = query.where(
            or_(
                func.lower(keys.c.name).contains(text, autoescape=True),
                func.lower(keys.c.masked).contains(text, autoescape=True),
                func.lower(keys.c.id) == text,
            )
        )
    return query


async def listed(
    connection: AsyncConnection,
    sight: Sight,
    wanted: Filter,
    now_us: int,
    *,
    limit: int,
    offset: int = 0,
) -> list[Listed]:
    is_rotating = exists().where(_successors.c.rotated_from == keys.c.id)
    query = QUERY.add_columns(
        accounts.c.name.label("owner_name"), is_rotating.label("is_rotating")
    ).join(accounts, keys.c.account_id == accounts.c.id)
    query = _kept(query, sight, wanted, now_us).order_by(*_ORDER[wanted.sort], keys.c.id)
    rows = (await connection.execute(query.limit(limit).offset(offset))).mappings()
    return [Listed(key_of(row), row["owner_name"], bool(row["is_rotating"])) for row in rows]


async def count(connection: AsyncConnection, sight: Sight, wanted: Filter, now_us: int) -> int:
    joined = keys.join(projects, keys.c.project_id == projects.c.id)
    query = _kept(select(func.count()).select_from(joined), sight, wanted, now_us)
    return await connection.scalar(query) or 0


async def find(connection: AsyncConnection, sight: Sight, key_id: str) -> Key | None:
    """None for another's, as for one that never was."""
    row = (await connection.execute(QUERY.where(seen(sight), keys.c.id == key_id))).mappings()
    found = row.first()
    return None if found is None else key_of(found)


async def owner_name(connection: AsyncConnection, key: Key) -> str:
    query = select(accounts.c.name).where(accounts.c.id == key.account_id)
    return await connection.scalar(query) or ""


async def owners(connection: AsyncConnection, sight: Sight, limit: int) -> list[tuple[str, str]]:
    """Accounts that have keys: id and name."""
    query = (
        select(accounts.c.id, accounts.c.name)
        .join_from(accounts, keys, keys.c.account_id == accounts.c.id)
        .join(projects, keys.c.project_id == projects.c.id)
        .where(seen(sight))
        .distinct()
        .order_by(accounts.c.name, accounts.c.id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def last_used(
    connection: AsyncConnection, sight: Sight, now_us: int, limit: int
) -> list[Key]:
    """Keys in use that call models, most recently used first."""
    wanted = Filter(sort="used")
    query = _kept(QUERY, sight, wanted, now_us).where(keys.c.mode != "admin")
    order = (*_ORDER["used"], keys.c.created_at_us.desc(), keys.c.id)
    rows = (await connection.execute(query.order_by(*order).limit(limit))).mappings()
    return [key_of(row) for row in rows]


async def unused(
    connection: AsyncConnection, sight: Sight, since_us: int, now_us: int, limit: int
) -> list[Key]:
    """Active keys without a use since then; never used ones count from when they were made."""
    used = func.coalesce(keys.c.last_used_at_us, keys.c.created_at_us)
    query = _kept(QUERY, sight, Filter(state="active"), now_us).where(used < since_us)
    rows = (await connection.execute(query.order_by(used, keys.c.id).limit(limit))).mappings()
    return [key_of(row) for row in rows]


async def ending(
    connection: AsyncConnection, sight: Sight, until_us: int, now_us: int, limit: int
) -> list[Listed]:
    """Keys in use that end before then, soonest first; also those that were rotated."""
    is_rotating = exists().where(_successors.c.rotated_from == keys.c.id)
    query = QUERY.add_columns(is_rotating.label("is_rotating"))
    query = _kept(query, sight, Filter(), now_us).where(keys.c.expires_at_us <= until_us)
    query = query.order_by(keys.c.expires_at_us, keys.c.id).limit(limit)
    rows = (await connection.execute(query)).mappings()
    return [Listed(key_of(row), "", bool(row["is_rotating"])) for row in rows]
