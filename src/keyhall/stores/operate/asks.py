"""What holders ask for, as whoever answers sees it. One function per query."""

import msgspec
from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Ask, AskState
from keyhall.stores.accounts.tables import asks


def ask_of(row: RowMapping) -> Ask:
    return Ask(
        number=row["number"],
        organization_id=row["organization_id"],
        account_id=row["account_id"],
        key_id=row["key_id"],
        wanted=row["wanted"],
        why=row["why"],
        state=row["state"],
        asked_at_us=row["asked_at_us"],
        answered_by=row["answered_by"],
        answer=row["answer"],
        answered_at_us=row["answered_at_us"],
    )


async def newest(connection: AsyncConnection, *, state: AskState | None, limit: int) -> list[Ask]:
    """Open ones oldest first, for they wait; others newest first."""
    order = asks.c.number if state == "open" else asks.c.number.desc()
    query = select(asks).order_by(order).limit(limit)
    if state is not None:
        query = query.where(asks.c.state == state)
    return [ask_of(row) for row in (await connection.execute(query)).mappings()]


async def find(connection: AsyncConnection, number: int) -> Ask | None:
    query = select(asks).where(asks.c.number == number)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else ask_of(row)


async def count_open(connection: AsyncConnection) -> int:
    query = select(func.count()).select_from(asks).where(asks.c.state == "open")
    return await connection.scalar(query) or 0


async def answer(
    connection: AsyncConnection, number: int, state: AskState, by: str, said: str, now_us: int
) -> None:
    changed = update(asks).where(asks.c.number == number, asks.c.state == "open")
    await connection.execute(
        changed.values(state=state, answered_by=by, answer=said, answered_at_us=now_us)
    )


def wanted_of(ask: Ask) -> dict[str, int]:
    """The limits that were asked for, by name; what cannot be read asks for nothing."""
    try:
        told = msgspec.json.decode(ask.wanted, type=dict[str, object])
    except msgspec.MsgspecError:
        return {}
    names = ("requests_per_minute", "tokens_per_minute", "in_flight")
    amounts = {name: told.get(name) for name in names}
    return {
        name: amount
        for name, amount in amounts.items()
        if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 1
    }
