"""Sessions, one-time links and failed tries: one function per query."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import RowMapping, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.people.letting_in import Tries
from keyhall.ports.people import Link, Session
from keyhall.stores.accounts.tables import failures, links, sessions
from keyhall.stores.tables import accounts


def _session(row: RowMapping) -> Session:
    return Session(
        id=row["id"],
        account_id=row["account_id"],
        organization_id=row["organization_id"],
        is_pending=bool(row["is_pending"]),
        created_at_us=row["created_at_us"],
        seen_at_us=row["seen_at_us"],
        ends_at_us=row["ends_at_us"],
        ip=row["ip"],
        user_agent=row["user_agent"],
    )


async def add(connection: AsyncConnection, digest: bytes, session: Session) -> None:
    await connection.execute(
        sessions.insert().values(
            digest=digest,
            id=session.id,
            account_id=session.account_id,
            organization_id=session.organization_id,
            is_pending=int(session.is_pending),
            created_at_us=session.created_at_us,
            seen_at_us=session.seen_at_us,
            ends_at_us=session.ends_at_us,
            ip=session.ip,
            user_agent=session.user_agent,
        )
    )


async def find(connection: AsyncConnection, digest: bytes, now_us: int) -> Session | None:
    query = select(sessions).where(sessions.c.digest == digest, sessions.c.ends_at_us > now_us)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _session(row)


async def of_account(connection: AsyncConnection, account_id: str, now_us: int) -> list[Session]:
    """Newest use first."""
    query = (
        select(sessions)
        .where(sessions.c.account_id == account_id, sessions.c.ends_at_us > now_us)
        .order_by(sessions.c.seen_at_us.desc(), sessions.c.id)
    )
    return [_session(row) for row in (await connection.execute(query)).mappings()]


async def places_of(connection: AsyncConnection, email: str, now_us: int) -> frozenset[str]:
    """From where an address is signed in now."""
    query = (
        select(sessions.c.ip)
        .join(accounts, accounts.c.id == sessions.c.account_id)
        .where(
            accounts.c.email == email, sessions.c.ends_at_us > now_us, sessions.c.is_pending == 0
        )
    )
    return frozenset(await connection.scalars(query))


async def seen(connection: AsyncConnection, session_id: str, now_us: int, ends_us: int) -> None:
    changed = update(sessions).where(sessions.c.id == session_id)
    await connection.execute(changed.values(seen_at_us=now_us, ends_at_us=ends_us))


async def renew(connection: AsyncConnection, session_id: str, digest: bytes) -> None:
    """The same session, known by another token."""
    changed = update(sessions).where(sessions.c.id == session_id)
    await connection.execute(changed.values(digest=digest))


async def look_at(connection: AsyncConnection, session_id: str, organization_id: str) -> None:
    changed = update(sessions).where(sessions.c.id == session_id)
    await connection.execute(changed.values(organization_id=organization_id))


async def end(connection: AsyncConnection, ids: Sequence[str]) -> None:
    await connection.execute(delete(sessions).where(sessions.c.id.in_(ids)))


async def end_all(connection: AsyncConnection, account_id: str, *, but: str | None = None) -> int:
    """Every session of an account, but perhaps the one that asks for it."""
    gone = delete(sessions).where(sessions.c.account_id == account_id)
    if but is not None:
        gone = gone.where(sessions.c.id != but)
    return (await connection.execute(gone)).rowcount


async def sweep(connection: AsyncConnection, now_us: int, forgotten_us: int) -> None:
    """What is over: sessions, and failures of long ago."""
    await connection.execute(delete(sessions).where(sessions.c.ends_at_us <= now_us))
    await connection.execute(delete(failures).where(failures.c.last_at_us <= forgotten_us))


# --- Links ----------------------------------------------------------------------------------------


def link_of(row: RowMapping) -> Link:
    return Link(
        id=row["id"],
        kind=row["kind"],
        account_id=row["account_id"],
        organization_id=row["organization_id"],
        email=row["email"],
        role=row["role"],
        made_by=row["made_by"],
        created_at_us=row["created_at_us"],
        ends_at_us=row["ends_at_us"],
        used_at_us=row["used_at_us"],
        facts=row["facts"],
    )


async def add_link(connection: AsyncConnection, digest: bytes, link: Link) -> None:
    await add_links(connection, [(digest, link)])


async def add_links(connection: AsyncConnection, found: Sequence[tuple[bytes, Link]]) -> None:
    rows = [{"digest": digest, **_columns(link)} for digest, link in found]
    await connection.execute(links.insert(), rows)


def _columns(link: Link) -> dict[str, Any]:
    return {field.name: getattr(link, field.name) for field in fields(link)}


async def find_link(connection: AsyncConnection, digest: bytes) -> Link | None:
    row = (await connection.execute(select(links).where(links.c.digest == digest))).mappings()
    found = row.first()
    return None if found is None else link_of(found)


async def use_link(connection: AsyncConnection, link_id: str, now_us: int) -> bool:
    """False if somebody was faster."""
    used = (
        update(links)
        .where(links.c.id == link_id, links.c.used_at_us.is_(None))
        .values(used_at_us=now_us)
    )
    return (await connection.execute(used)).rowcount == 1


async def open_links(
    connection: AsyncConnection, *, organization_id: str | None, kind: str, now_us: int
) -> list[Link]:
    """Links of a kind that can still be used, newest first."""
    query = select(links).where(
        links.c.kind == kind, links.c.used_at_us.is_(None), links.c.ends_at_us > now_us
    )
    if organization_id is not None:
        query = query.where(links.c.organization_id == organization_id)
    rows = await connection.execute(query.order_by(links.c.created_at_us.desc(), links.c.id))
    return [link_of(row) for row in rows.mappings()]


async def withdraw_links(
    connection: AsyncConnection, *, kind: str, account_id: str | None = None
) -> None:
    """Those of a kind that were not used, of an account if one is named."""
    gone = delete(links).where(links.c.kind == kind, links.c.used_at_us.is_(None))
    if account_id is not None:
        gone = gone.where(links.c.account_id == account_id)
    await connection.execute(gone)


async def end_link(
    connection: AsyncConnection, organization_id: str, link_id: str, now_us: int
) -> Link | None:
    """Withdraw one of an organization's open links; None if there is none of that id."""
    query = select(links).where(
        links.c.id == link_id,
        links.c.organization_id == organization_id,
        links.c.used_at_us.is_(None),
        links.c.ends_at_us > now_us,
    )
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    await connection.execute(update(links).where(links.c.id == link_id).values(ends_at_us=now_us))
    return link_of(row)


# --- Failed tries ---------------------------------------------------------------------------------


async def tries(connection: AsyncConnection, subjects: Sequence[str]) -> dict[str, Tries]:
    query = select(failures.c.subject, failures.c.count, failures.c.last_at_us).where(
        failures.c.subject.in_(subjects)
    )
    return {row.subject: Tries(row[1], row[2]) for row in await connection.execute(query)}


async def note_tries(connection: AsyncConnection, found: dict[str, Tries]) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    for subject, each in found.items():
        row = insert(failures).values(
            subject=subject, since_us=each.last_at_us, count=each.count, last_at_us=each.last_at_us
        )
        values = {"count": each.count, "last_at_us": each.last_at_us}
        await connection.execute(row.on_conflict_do_update(index_elements=["subject"], set_=values))


async def forget_tries(connection: AsyncConnection, subjects: Sequence[str]) -> None:
    await connection.execute(delete(failures).where(failures.c.subject.in_(subjects)))
