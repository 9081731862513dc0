"""The store's own notes: the audit, the list of changes, and small facts.

A management act writes its row, its audit row and its change row in one transaction (I-15): who
reads the change sees the act, and no act is without a witness.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.records import Actor, AuditRow
from keyhall.ports.store import ChangeKind
from keyhall.stores.tables import audit, changes, meta

CHANNEL = "keyhall_changes"  # of PostgreSQL: wakes everybody who follows changes
NOTHING = bytes(32)  # before the first row of the chain

_CHAINED = ("at_us", "who", "origin", "action", "target", "before", "after", "organization_id")
_SHOWN = tuple(column for column in audit.c if column.name != "digest")


def chained(previous: bytes, row: Sequence[int | str | None]) -> bytes:
    """The digest of an audit row: SHA-256 over the row's before it and its values (R24). The
    organization comes last, and is left out where a row has none: rows older than that column keep
    their digests. The caller's transaction excludes other writers, so there is one chain."""
    covered = row[:-1] if row[-1] is None else row
    return hashlib.sha256(previous + msgspec.msgpack.encode(covered)).digest()


def organization_of(target: str, *records: object | None) -> str | None:
    """Whose members may see an act: its organization, as what was changed or the target says it.
    None for acts of the hall: versions, engines, sign-ins."""
    if target.startswith("org_"):  # The organization itself, or `org_.../acct_...`: a member.
        return target.partition("/")[0]
    for record in records:
        found = getattr(record, "organization_id", None)
        if isinstance(found, str):
            return found
    return None


def _json(facts: dict[str, Any] | None) -> str | None:
    return None if facts is None else msgspec.json.encode(facts).decode()


def _facts(record: object | None) -> dict[str, Any] | None:
    if record is None:
        return None
    assert is_dataclass(record)
    return {field.name: getattr(record, field.name) for field in fields(record)}


def difference(
    before: object | None, after: object | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What two records of one thing differ in; all of it where one of them is missing."""
    old, new = _facts(before), _facts(after)
    if old is None or new is None:
        return old, new
    changed = [name for name in old if old[name] != new[name]]
    return {name: old[name] for name in changed}, {name: new[name] for name in changed}


async def record(
    connection: AsyncConnection,
    actor: Actor,
    now_us: int,
    *,
    action: str,
    target: str,
    before: object | None,
    after: object | None,
    changed: ChangeKind | None = None,
) -> None:
    """Write one audit row and, for what the server has snapshots of, one change row."""
    done = [(target, before, after)]
    await record_all(connection, actor, now_us, action=action, done=done, changed=changed)


async def record_all(
    connection: AsyncConnection,
    actor: Actor,
    now_us: int,
    *,
    action: str,
    done: Sequence[tuple[str, object | None, object | None]],
    changed: ChangeKind | None = None,
) -> None:
    """`record` of many at once: a target, and what it was before and after."""
    if not done:
        return
    last = select(audit.c.digest).where(audit.c.digest.is_not(None))
    newest = last.order_by(audit.c.number.desc()).limit(1)
    digest = await connection.scalar(newest) or NOTHING
    written = []
    for target, before, after in done:
        old, new = difference(before, after)
        row = (
            *(now_us, actor.who, actor.origin, action, target, _json(old), _json(new)),
            organization_of(target, after, before),
        )
        digest = chained(digest, row)
        written.append({"digest": digest, **dict(zip(_CHAINED, row, strict=True))})
    # One after the other: the chain is read in the order of their numbers.
    await connection.execute(insert(audit), written)
    if changed is not None:
        await announce(connection, changed, [target for target, _, _ in done])


async def announce(connection: AsyncConnection, kind: ChangeKind, ids: Sequence[str]) -> None:
    """Tell servers what to read again."""
    if ids:
        await connection.execute(insert(changes), [{"kind": kind, "id": each} for each in ids])
        if connection.dialect.name == "postgresql":  # Told to others when this commits.
            await connection.execute(select(func.pg_notify(CHANNEL, "")))


async def audit_rows(
    connection: AsyncConnection, *, action: str | None = None, limit: int = 100
) -> list[AuditRow]:
    """The newest rows, newest first."""
    query = select(*_SHOWN).order_by(audit.c.number.desc()).limit(limit)
    if action is not None:
        query = query.where(audit.c.action == action)
    return [AuditRow(**row) for row in (await connection.execute(query)).mappings()]


async def last_change(connection: AsyncConnection) -> int:
    newest = await connection.scalar(select(func.max(changes.c.number)))
    return newest or 0


async def fact(connection: AsyncConnection, name: str) -> str | None:
    """A small fact by name; None when it was never set."""
    return await connection.scalar(select(meta.c.value).where(meta.c.name == name))


async def facts(connection: AsyncConnection, names: Sequence[str]) -> dict[str, str]:
    """Those of these facts that were set."""
    query = select(meta.c.name, meta.c.value).where(meta.c.name.in_(names))
    return {row[0]: row[1] for row in await connection.execute(query)}


async def set_fact(connection: AsyncConnection, name: str, value: str) -> None:
    replaced = await connection.execute(
        meta.update().where(meta.c.name == name).values(value=value)
    )
    if replaced.rowcount == 0:
        await connection.execute(insert(meta).values(name=name, value=value))
