"""Keys as management sees them: one function per query."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.records import Key
from keyhall.stores.grants import limit_columns, limits, texts
from keyhall.stores.tables import keys, projects

QUERY = select(keys, projects.c.name.label("project_name"), projects.c.organization_id).join_from(
    keys, projects, keys.c.project_id == projects.c.id
)

_AT_ONCE = 500  # bound values of one statement


def key_of(row: RowMapping) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        mode=row["mode"],
        masked=row["masked"],
        fingerprint=row["digest"].hex()[:12],
        account_id=row["account_id"],
        project_id=row["project_id"],
        project_name=row["project_name"],
        organization_id=row["organization_id"],
        lineage=row["lineage"],
        tier=row["tier"],
        created_at_us=row["created_at_us"],
        rotated_from=row["rotated_from"],
        networks=texts(row["networks"]),
        endpoints=texts(row["endpoints"]),
        models=texts(row["models"]),
        limits=limits(row),
        expires_at_us=row["expires_at_us"],
        paused_at_us=row["paused_at_us"],
        paused_by=row["paused_by"],
        revoked_at_us=row["revoked_at_us"],
        revoked_reason=row["revoked_reason"],
        last_used_at_us=row["last_used_at_us"],
        retention_days=row["retention_days"],
    )


def stored_list(values: Sequence[str] | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()


def _columns(key: Key) -> dict[str, Any]:
    """What may change after a key was made."""
    return {
        "name": key.name,
        "tier": key.tier,
        "networks": stored_list(key.networks),
        "endpoints": stored_list(key.endpoints),
        "models": stored_list(key.models),
        **limit_columns(key.limits),
        "expires_at_us": key.expires_at_us,
        "paused_at_us": key.paused_at_us,
        "paused_by": key.paused_by,
        "revoked_at_us": key.revoked_at_us,
        "revoked_reason": key.revoked_reason,
        "retention_days": key.retention_days,
    }


async def add(connection: AsyncConnection, key: Key, *, digest: bytes, pepper: str) -> None:
    await add_all(connection, [(key, digest)], pepper=pepper)


async def add_all(
    connection: AsyncConnection, made: Sequence[tuple[Key, bytes]], *, pepper: str
) -> None:
    """Keys, each with its digest."""
    rows = [
        {
            "id": key.id,
            "mode": key.mode,
            "masked": key.masked,
            "digest": digest,
            "pepper": pepper,
            "account_id": key.account_id,
            "project_id": key.project_id,
            "lineage": key.lineage,
            "rotated_from": key.rotated_from,
            "created_at_us": key.created_at_us,
            **_columns(key),
        }
        for key, digest in made
    ]
    await connection.execute(insert(keys), rows)


async def replace(connection: AsyncConnection, key: Key) -> None:
    """Store a key's new state."""
    await connection.execute(update(keys).where(keys.c.id == key.id).values(**_columns(key)))


async def find(connection: AsyncConnection, key_id: str) -> Key | None:
    return await _first(connection, QUERY.where(keys.c.id == key_id))


async def successor(connection: AsyncConnection, key_id: str) -> Key | None:
    """The key that this one was rotated into."""
    return await _first(connection, QUERY.where(keys.c.rotated_from == key_id))


async def detach(connection: AsyncConnection, key_id: str) -> None:
    """It is nobody's successor any more: the key that it came from may be rotated again."""
    await connection.execute(update(keys).where(keys.c.id == key_id).values(rotated_from=None))


async def _first(connection: AsyncConnection, query: Select[Any]) -> Key | None:
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else key_of(row)


async def of_lineage(connection: AsyncConnection, lineage: str) -> list[Key]:
    """A key and what it was rotated into, oldest first."""
    query = QUERY.where(keys.c.lineage == lineage).order_by(keys.c.created_at_us, keys.c.id)
    return [key_of(row) for row in (await connection.execute(query)).mappings()]


async def named(connection: AsyncConnection, name: str, limit: int) -> list[Key]:
    """Keys of that name, newest first."""
    query = QUERY.where(keys.c.name == name).order_by(keys.c.created_at_us.desc()).limit(limit)
    return [key_of(row) for row in (await connection.execute(query)).mappings()]


async def of_account(
    connection: AsyncConnection,
    account_id: str,
    organization_id: str,
    *,
    name: str | None = None,
    usable_at_us: int,
    limit: int,
) -> list[Key]:
    """Keys in use of one account in one organization, newest first; perhaps of one name only."""
    query = QUERY.where(
        keys.c.account_id == account_id, projects.c.organization_id == organization_id
    )
    if name is not None:
        query = query.where(keys.c.name == name)
    query = query.order_by(keys.c.created_at_us.desc(), keys.c.id).limit(limit)
    found = await connection.execute(_kept(query, None, usable_at_us))
    return [key_of(row) for row in found.mappings()]


async def newest(
    connection: AsyncConnection,
    *,
    project_id: str | None,
    usable_at_us: int | None,
    limit: int,
) -> list[Key]:
    """Keys, newest first; with `usable_at_us` only those neither revoked nor expired then."""
    query = QUERY.order_by(keys.c.created_at_us.desc(), keys.c.id).limit(limit)
    return [
        key_of(row)
        for row in (await connection.execute(_kept(query, project_id, usable_at_us))).mappings()
    ]


async def count(
    connection: AsyncConnection, *, project_id: str | None, usable_at_us: int | None
) -> int:
    query = select(func.count()).select_from(keys)
    return await connection.scalar(_kept(query, project_id, usable_at_us)) or 0


async def is_admin(connection: AsyncConnection, digest: bytes, now_us: int) -> bool:
    """Whether this is the digest of an admin key that is good now."""
    query = select(keys.c.id).where(
        keys.c.digest == digest, keys.c.mode == "admin", keys.c.paused_at_us.is_(None)
    )
    return await connection.scalar(_kept(query, None, now_us)) is not None


def _kept(query: Select[Any], project_id: str | None, usable_at_us: int | None) -> Select[Any]:
    if project_id is not None:
        query = query.where(keys.c.project_id == project_id)
    if usable_at_us is not None:
        lives = keys.c.expires_at_us.is_(None) | (keys.c.expires_at_us > usable_at_us)
        query = query.where(keys.c.revoked_at_us.is_(None), lives)
    return query


# --- Of people ------------------------------------------------------------------------------------


async def of_accounts(
    connection: AsyncConnection, account_ids: Sequence[str], organization_id: str | None
) -> list[Key]:
    """Keys of accounts that were not revoked, oldest first: in one organization, or in all."""
    query = QUERY.where(keys.c.account_id.in_(account_ids), keys.c.revoked_at_us.is_(None))
    if organization_id is not None:
        query = query.where(projects.c.organization_id == organization_id)
    query = query.order_by(keys.c.created_at_us, keys.c.id)
    return [key_of(row) for row in (await connection.execute(query)).mappings()]


async def set_all(connection: AsyncConnection, ids: Sequence[str], **values: Any) -> None:
    """Change columns of many keys."""
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        await connection.execute(update(keys).where(keys.c.id.in_(part)).values(**values))


async def give(connection: AsyncConnection, key_id: str, account_id: str) -> None:
    """Let a key belong to somebody else."""
    given = update(keys).where(keys.c.id == key_id).values(account_id=account_id)
    await connection.execute(given)
