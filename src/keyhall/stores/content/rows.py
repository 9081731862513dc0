"""Kept conversations, row by row: one function per query. What is due reads as gone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.content.retention import DAY_US
from keyhall.ports.content import OWN_KINDS, ContentKind, Kept, KeptFacts, Unreadable
from keyhall.stores.content.sealing import ContentKey, Vault
from keyhall.stores.content.tables import content, content_keys
from keyhall.stores.tables import keys

_FACTS = tuple(column for column in content.c if column.name not in ("sealed", "content_key"))
_SIZE = func.length(content.c.sealed).label("bytes")


def _facts_of(row: Any) -> KeptFacts:
    return KeptFacts(**row)


def _is_readable(now_us: int) -> ColumnElement[bool]:
    return or_(content.c.keep_until_us > now_us, content.c.held_until_us > now_us)


def _is_due(now_us: int) -> ColumnElement[bool]:
    return (content.c.keep_until_us <= now_us) & (content.c.held_until_us <= now_us)


# --- Keys -----------------------------------------------------------------------------------------


async def _key(
    connection: AsyncConnection, vault: Vault, organization_id: str
) -> tuple[int, ContentKey] | None:
    """An organization's key and its number. Raises Unreadable."""
    query = select(content_keys).where(content_keys.c.organization_id == organization_id)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    return row["number"], vault.open(row["wrapped"], row["pepper"], organization_id)


async def _key_for(
    connection: AsyncConnection, vault: Vault, organization_id: str, now_us: int
) -> tuple[int, ContentKey]:
    """The same, made if there is none; the caller's transaction excludes other writers."""
    found = await _key(connection, vault, organization_id)
    if found is not None:
        return found
    wrapped = vault.draw(organization_id)
    made = await connection.execute(
        insert(content_keys)
        .values(
            organization_id=organization_id,
            wrapped=wrapped,
            pepper=vault.mark,
            created_at_us=now_us,
        )
        .returning(content_keys.c.number)
    )
    return made.scalar_one(), vault.open(wrapped, vault.mark, organization_id)


async def destroy_key(connection: AsyncConnection, organization_id: str) -> bool:
    """From when this commits nothing of the organization's can be read, by nobody. Whether it had
    a key."""
    gone = await connection.execute(
        delete(content_keys).where(content_keys.c.organization_id == organization_id)
    )
    return bool(gone.rowcount)


def _older(vault: Vault) -> ColumnElement[bool]:
    return (content_keys.c.pepper != vault.mark) & content_keys.c.pepper.in_(vault.marks)


async def is_wrapped_by_older(connection: AsyncConnection, vault: Vault) -> bool:
    """Whether `wrap_again` has anything to do."""
    query = select(content_keys.c.number).where(_older(vault)).limit(1)
    return await connection.scalar(query) is not None


async def wrap_again(connection: AsyncConnection, vault: Vault) -> int:
    """Wrap under the newest pepper what is wrapped under an older one. How many keys; those whose
    pepper is not here, or that somebody has changed, are left as they are."""
    query = select(content_keys).where(_older(vault))
    rows = (await connection.execute(query)).mappings().all()
    done = 0
    for row in rows:
        try:
            wrapped = vault.wrap_again(row["wrapped"], row["pepper"], row["organization_id"])
        except Unreadable:
            continue  # Whoever wants to read it is told.
        done += 1
        await connection.execute(
            update(content_keys)
            .where(content_keys.c.number == row["number"])
            .values(wrapped=wrapped, pepper=vault.mark)
        )
    return done


# --- Writing and reading --------------------------------------------------------------------------


async def write(
    connection: AsyncConnection, vault: Vault, kept: Sequence[Kept], now_us: int
) -> None:
    """Encrypt and store; what is there of the same request and kind is replaced. Raises
    Unreadable if an organization's key cannot be opened."""
    open_keys: dict[str, tuple[int, ContentKey]] = {}
    sealed = {}
    for each in kept:
        found = open_keys.get(each.organization_id)
        if found is None:
            found = await _key_for(connection, vault, each.organization_id, now_us)
            open_keys[each.organization_id] = found
        number, key = found
        row = {column.name: getattr(each, column.name) for column in _FACTS}
        text = key.seal(each.id, each.kind, each.conversation)
        sealed[each.organization_id, each.id, each.kind] = row | {
            "content_key": number,
            "sealed": text,
        }
    for organization_id, id, kind in sealed:
        await connection.execute(
            delete(content).where(
                content.c.id == id,
                content.c.kind == kind,
                content.c.organization_id == organization_id,
            )
        )
    if sealed:
        await connection.execute(insert(content), list(sealed.values()))


async def read(
    connection: AsyncConnection,
    vault: Vault,
    id: str,
    organization_id: str,
    kind: ContentKind,
    now_us: int,
) -> Kept | None:
    """None: there is none, its time is over, or its organization's key was destroyed. Raises
    Unreadable."""
    query = select(content).where(
        content.c.id == id,
        content.c.kind == kind,
        content.c.organization_id == organization_id,
        _is_readable(now_us),
    )
    row = (await connection.execute(query)).mappings().first()
    found = None if row is None else await _key(connection, vault, organization_id)
    if row is None or found is None or found[0] != row["content_key"]:
        return None
    text = found[1].read(id, kind, row["sealed"])
    return Kept(**{column.name: row[column.name] for column in _FACTS}, conversation=text)


async def find(
    connection: AsyncConnection, id: str, organization_id: str, now_us: int
) -> list[KeptFacts]:
    """What is kept of a request, without its words."""
    query = select(*_FACTS, _SIZE).where(
        content.c.id == id, content.c.organization_id == organization_id, _is_readable(now_us)
    )
    return [_facts_of(row) for row in (await connection.execute(query)).mappings()]


async def organization_of(connection: AsyncConnection, id: str) -> str | None:
    """Whose a request is of which anything is kept, due or not."""
    found: str | None = await connection.scalar(
        select(content.c.organization_id).where(content.c.id == id).limit(1)
    )
    return found


async def newest(
    connection: AsyncConnection,
    organization_id: str,
    now_us: int,
    *,
    limit: int,
    account_id: str | None = None,
    key_id: str | None = None,
) -> list[KeptFacts]:
    """Of an organization, newest first, without their words."""
    query = select(*_FACTS, _SIZE).where(
        content.c.organization_id == organization_id, _is_readable(now_us)
    )
    if account_id is not None:
        query = query.where(content.c.account_id == account_id)
    if key_id is not None:
        query = query.where(content.c.key_id == key_id)
    query = query.order_by(content.c.created_at_us.desc(), content.c.id).limit(limit)
    return [_facts_of(row) for row in (await connection.execute(query)).mappings()]


async def count(
    connection: AsyncConnection,
    organization_id: str,
    now_us: int,
    *,
    project_id: str | None = None,
) -> int:
    query = select(func.count()).select_from(content)
    query = query.where(content.c.organization_id == organization_id, _is_readable(now_us))
    if project_id is not None:
        query = query.where(content.c.project_id == project_id)
    return await connection.scalar(query) or 0


async def organizations_of(connection: AsyncConnection, account_id: str, now_us: int) -> list[str]:
    """In which anything is kept of what an account's keys said."""
    query = select(content.c.organization_id).distinct()
    query = query.where(content.c.account_id == account_id, _is_readable(now_us))
    found = await connection.execute(query.order_by(content.c.organization_id))
    return [row[0] for row in found]


async def of_account(
    connection: AsyncConnection, account_id: str, now_us: int, *, after: tuple[str, str], limit: int
) -> list[tuple[str, str, ContentKind]]:
    """Organization, id and kind of what an account's keys said, in a fixed order behind a place."""
    query = (
        select(content.c.organization_id, content.c.id, content.c.kind)
        .where(
            content.c.account_id == account_id,
            content.c.kind.in_(OWN_KINDS),
            _is_readable(now_us),
            tuple_(content.c.id, content.c.kind) > tuple_(*after),
        )
        .order_by(content.c.id, content.c.kind)
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in await connection.execute(query)]


# --- How long -------------------------------------------------------------------------------------


async def hold(
    connection: AsyncConnection, id: str, organization_id: str, until_us: int, now_us: int
) -> bool:
    """What is over stays over: between an erasure and its deletion nothing comes back."""
    held = update(content).where(
        content.c.id == id, content.c.organization_id == organization_id, _is_readable(now_us)
    )
    done = await connection.execute(held.values(held_until_us=until_us))
    return bool(done.rowcount)


async def shorten(
    connection: AsyncConnection,
    days: int,
    *,
    organization_id: str | None = None,
    project_id: str | None = None,
    lineage: str | None = None,
) -> int:
    """Keep nothing longer than so many days from when it was said; what is kept for less stays as
    it is. Of an organization, of one of its projects, of a key and what it was rotated from, or of
    everybody."""
    until_us = content.c.created_at_us + days * DAY_US
    query = update(content).where(content.c.keep_until_us > until_us)
    if organization_id is not None:
        query = query.where(content.c.organization_id == organization_id)
    if project_id is not None:
        query = query.where(content.c.project_id == project_id)
    if lineage is not None:
        query = query.where(
            content.c.key_id.in_(select(keys.c.id).where(keys.c.lineage == lineage))
        )
    return (await connection.execute(query.values(keep_until_us=until_us))).rowcount


# --- The end --------------------------------------------------------------------------------------


async def end(
    connection: AsyncConnection,
    *,
    organization_id: str | None = None,
    account_id: str | None = None,
    project_id: str | None = None,
    key_id: str | None = None,
) -> int:
    """Let the time of all that these name be over, reviews or not: from when this commits nobody
    reads it, and `delete_due` takes it away. How many rows that were."""
    wanted = {
        "organization_id": organization_id,
        "account_id": account_id,
        "project_id": project_id,
        "key_id": key_id,
    }
    which = [content.c[name] == value for name, value in wanted.items() if value is not None]
    if not which:
        raise ValueError("whose content ends is not said")
    ended = update(content).where(*which).values(keep_until_us=0, held_until_us=0)
    return (await connection.execute(ended)).rowcount


async def has_due(connection: AsyncConnection, now_us: int) -> bool:
    query = select(content.c.id).where(_is_due(now_us)).limit(1)
    return await connection.scalar(query) is not None


async def delete_due(connection: AsyncConnection, now_us: int, limit: int) -> int:
    """What nobody may read any more; so many rows at most, because others wait to write."""
    some = select(content.c.id, content.c.kind).where(_is_due(now_us)).limit(limit)
    gone = delete(content).where(tuple_(content.c.id, content.c.kind).in_(some))
    return (await connection.execute(gone)).rowcount


async def delete_ids(connection: AsyncConnection, ids: Sequence[str], organization_id: str) -> int:
    gone = delete(content).where(
        content.c.id.in_(ids), content.c.organization_id == organization_id
    )
    return (await connection.execute(gone)).rowcount
