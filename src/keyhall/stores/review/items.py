"""Review items and what people think of them, row by row: one function per query.

An item is moved by an update that names the state and the claim it was read with: of two people
who move it at once one changes a row, and the other none.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.review import states
from keyhall.policy.review.rules import Reason
from keyhall.ports.review import Item, Made
from keyhall.stores.review.tables import review_items as items
from keyhall.stores.review.tables import reviews

Which = Literal["open", "mine", "closed", "all"]

_ITEM = tuple(column.name for column in items.c)
_MADE = tuple(column for column in reviews.c if column.name != "undone_at_us")


def _item(row: Any) -> Item:
    reasons = msgspec.json.decode(row["reasons"], type=tuple[Reason, ...])
    flags = msgspec.json.decode(row["flags"], type=tuple[str, ...])
    is_held = bool(row["is_held"])
    return Item(**{**row, "reasons": reasons, "flags": flags, "is_held": is_held})


def _made(row: Any) -> Made:
    return Made(**{**row, "has_note": bool(row["has_note"])})


def _values(item: Item) -> dict[str, Any]:
    row = {name: getattr(item, name) for name in _ITEM}
    for name in ("reasons", "flags"):
        row[name] = msgspec.json.encode(row[name]).decode()
    row["is_held"] = int(item.is_held)
    return row


async def add(connection: AsyncConnection, item: Item) -> None:
    await connection.execute(items.insert().values(**_values(item)))


async def find(connection: AsyncConnection, request_id: str) -> Item | None:
    """Whoever shows it looks whether it is theirs to see."""
    query = select(items).where(items.c.request_id == request_id)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _item(row)


async def move(connection: AsyncConnection, before: Item, after: Item) -> bool:
    """False: somebody else has moved it since it was read."""
    values = {name: value for name, value in _values(after).items() if name != "request_id"}
    done = await connection.execute(
        update(items)
        .where(
            items.c.request_id == before.request_id,
            items.c.state == before.state,
            items.c.claimed_until_us == before.claimed_until_us,
        )
        .values(**values)
    )
    return done.rowcount == 1


async def delivered(connection: AsyncConnection, request_id: str, now_us: int) -> None:
    """Its caller has the answer: from now on the decision is not taken back."""
    first = items.c.request_id == request_id, items.c.delivered_at_us.is_(None)
    await connection.execute(update(items).where(*first).values(delivered_at_us=now_us))


def _in_order(query: Select[Any]) -> Select[Any]:
    """Who waits comes first, then the most urgent reason, the nearest deadline, the oldest."""
    return query.order_by(
        items.c.urgency, items.c.deadline_us, items.c.entered_at_us, items.c.request_id
    )


def _claimable(who: str, now_us: int) -> ColumnElement[bool]:
    """Nobody else has claimed it, or not in time."""
    return or_(
        items.c.state.in_(states.FREE),
        and_(
            items.c.state.in_(states.CLAIMED),
            or_(items.c.claimed_by == who, items.c.claimed_until_us <= now_us),
        ),
    )


async def queue(
    connection: AsyncConnection,
    organization_id: str,
    *,
    which: Which,
    who: str,
    limit: int,
    project_id: str | None = None,
) -> list[Item]:
    """What is open, in the order in which it is to be looked at; what is closed, newest first."""
    query = select(items).where(items.c.organization_id == organization_id)
    if project_id is not None:
        query = query.where(items.c.project_id == project_id)
    if which == "open":
        query = _in_order(query.where(items.c.state.in_(states.OPEN)))
    elif which == "mine":
        query = _in_order(query.where(items.c.state.in_(states.CLAIMED), items.c.claimed_by == who))
    else:
        if which == "closed":
            query = query.where(items.c.state.not_in(states.OPEN))
        query = query.order_by(items.c.entered_at_us.desc(), items.c.request_id)
    rows = (await connection.execute(query.limit(limit))).mappings()
    return [_item(row) for row in rows]


async def next_for(
    connection: AsyncConnection, organization_id: str, who: str, now_us: int, *, skipped: str = ""
) -> Item | None:
    """The first that this person may claim: not of their own key, and not one that they were the
    first to review. Of several the one that was skipped comes last."""
    before = select(reviews.c.request_id).where(
        reviews.c.who == who, reviews.c.undone_at_us.is_(None)
    )
    may = or_(items.c.state != "second", items.c.request_id.not_in(before))
    query = _in_order(
        select(items).where(
            items.c.organization_id == organization_id,
            items.c.account_id != who.removeprefix("account:"),
            _claimable(who, now_us),
            may,
        )
    )
    found = [_item(row) for row in (await connection.execute(query.limit(2))).mappings()]
    others = [each for each in found if each.request_id != skipped]
    return next(iter(others or found), None)


async def due(connection: AsyncConnection, now_us: int, limit: int) -> list[Item]:
    """What nobody has decided in time."""
    query = select(items).where(items.c.state.in_(states.OPEN), items.c.deadline_us <= now_us)
    rows = (await connection.execute(query.order_by(items.c.deadline_us).limit(limit))).mappings()
    return [_item(row) for row in rows]


async def open_count(connection: AsyncConnection, organization_id: str) -> int:
    query = select(func.count()).where(
        items.c.organization_id == organization_id, items.c.state.in_(states.OPEN)
    )
    return await connection.scalar(query) or 0


# --- What people think ----------------------------------------------------------------------------


async def add_review(connection: AsyncConnection, made: Made) -> int:
    row = {column.name: getattr(made, column.name) for column in _MADE if column.name != "number"}
    row["has_note"] = int(made.has_note)
    done = await connection.execute(reviews.insert().values(**row).returning(reviews.c.number))
    number: int = done.scalar_one()
    return number


async def of_item(connection: AsyncConnection, request_id: str) -> list[Made]:
    """In the order in which they were made, without those that were taken back."""
    query = select(*_MADE).where(
        reviews.c.request_id == request_id, reviews.c.undone_at_us.is_(None)
    )
    rows = (await connection.execute(query.order_by(reviews.c.number))).mappings()
    return [_made(row) for row in rows]


async def take_back(connection: AsyncConnection, number: int, now_us: int) -> None:
    await connection.execute(
        update(reviews).where(reviews.c.number == number).values(undone_at_us=now_us)
    )


async def latest_of(connection: AsyncConnection, who: str, since_us: int) -> Made | None:
    """The last review that a person made, if it is not older than that."""
    query = select(*_MADE).where(
        reviews.c.who == who, reviews.c.undone_at_us.is_(None), reviews.c.at_us >= since_us
    )
    query = query.order_by(reviews.c.number.desc()).limit(1)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _made(row)


async def made_since(
    connection: AsyncConnection, organization_id: str, since_us: int
) -> Sequence[Made]:
    """All reviews of an organization's items since then, oldest first."""
    query = (
        select(*_MADE)
        .join_from(reviews, items, reviews.c.request_id == items.c.request_id)
        .where(
            items.c.organization_id == organization_id,
            reviews.c.at_us >= since_us,
            reviews.c.undone_at_us.is_(None),
        )
        .order_by(reviews.c.number)
    )
    return [_made(row) for row in (await connection.execute(query)).mappings()]


async def decided_pairs(
    connection: AsyncConnection, organization_id: str, project_ids: Sequence[str], limit: int
) -> list[Item]:
    """Items that people have released or edited, oldest first: what a model may learn from."""
    query = (
        select(items)
        .where(
            items.c.organization_id == organization_id,
            items.c.project_id.in_(project_ids),
            items.c.state == "decided",
            items.c.outcome.in_(("released", "edited")),
        )
        .order_by(items.c.decided_at_us, items.c.request_id)
        .limit(limit)
    )
    return [_item(row) for row in (await connection.execute(query)).mappings()]


def with_reason(item: Item, reason: Reason) -> Item:
    """The same item, which has one more reason to be there."""
    if reason in item.reasons:
        return item
    return replace(item, reasons=(*item.reasons, reason))
