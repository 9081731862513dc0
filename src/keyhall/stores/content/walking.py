"""Kept conversations one after the other, for what looks at many of them and shows none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.content import Unreadable
from keyhall.stores.content.sealing import ContentKey, Vault
from keyhall.stores.content.tables import content, content_keys


@dataclass(frozen=True, slots=True)
class Span:
    """Which conversations: from when on, and whose; None: of everybody."""

    since_us: int
    organization_id: str | None = None
    project_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """One that is not opened yet."""

    id: str
    organization_id: str
    created_at_us: int
    key_number: int
    sealed: bytes


def _within(span: Span, now_us: int) -> Sequence[ColumnElement[bool]]:
    columns = content.c
    found = [
        columns.kind == "conversation",
        columns.created_at_us >= span.since_us,
        or_(columns.keep_until_us > now_us, columns.held_until_us > now_us),
    ]
    if span.organization_id is not None:
        found.append(columns.organization_id == span.organization_id)
    if span.project_id is not None:
        found.append(columns.project_id == span.project_id)
    return found


async def by_organization(connection: AsyncConnection, span: Span, now_us: int) -> dict[str, int]:
    """How many are kept of each organization."""
    column = content.c.organization_id
    query = select(column, func.count()).where(*_within(span, now_us))
    query = query.group_by(column).order_by(column)
    return {row[0]: int(row[1]) for row in await connection.execute(query)}


async def page(
    connection: AsyncConnection,
    span: Span,
    now_us: int,
    *,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Sealed]:
    """Newest first, behind a place: when the last one was said, and its id."""
    columns = content.c
    query = select(
        columns.id,
        columns.organization_id,
        columns.created_at_us,
        columns.content_key,
        columns.sealed,
    ).where(*_within(span, now_us))
    if before is not None:
        query = query.where(tuple_(columns.created_at_us, columns.id) < tuple_(*before))
    query = query.order_by(columns.created_at_us.desc(), columns.id.desc()).limit(limit)
    return [Sealed(*row) for row in await connection.execute(query)]


class Opener:
    """Opens what was sealed; of each organization the key is unwrapped once."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._keys: dict[str, tuple[int, ContentKey] | None] = {}

    async def know(self, connection: AsyncConnection, found: Sequence[Sealed]) -> None:
        """Fetch the keys of these."""
        for organization_id in {each.organization_id for each in found} - self._keys.keys():
            query = select(content_keys).where(content_keys.c.organization_id == organization_id)
            row = (await connection.execute(query)).mappings().first()
            self._keys[organization_id] = None if row is None else self._unwrapped(row)

    def _unwrapped(self, row: Any) -> tuple[int, ContentKey] | None:
        try:
            key = self._vault.open(row["wrapped"], row["pepper"], row["organization_id"])
        except Unreadable:
            return None
        return row["number"], key

    def text(self, each: Sealed) -> bytes | None:
        """None: it cannot be read, by anybody or with the pepper that is here."""
        key = self._keys[each.organization_id]
        if key is None or key[0] != each.key_number:
            return None
        try:
            return key[1].read(each.id, "conversation", each.sealed)
        except Unreadable:
            return None
