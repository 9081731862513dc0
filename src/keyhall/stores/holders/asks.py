"""What holders ask for: one function per query."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Ask, Sight
from keyhall.stores.accounts.tables import asks


async def add(connection: AsyncConnection, ask: Ask) -> None:
    """Its number is the table's to give."""
    await connection.execute(
        asks.insert().values(
            organization_id=ask.organization_id,
            account_id=ask.account_id,
            key_id=ask.key_id,
            wanted=ask.wanted,
            why=ask.why,
            state=ask.state,
            asked_at_us=ask.asked_at_us,
        )
    )


async def of_account(
    connection: AsyncConnection, sight: Sight, account_id: str, limit: int
) -> list[Ask]:
    """What one person has asked for in that organization, newest first."""
    query = (
        select(asks)
        .where(asks.c.organization_id == sight.organization_id, asks.c.account_id == account_id)
        .order_by(asks.c.number.desc())
        .limit(limit)
    )
    return [Ask(**row) for row in (await connection.execute(query)).mappings()]


async def open_of(connection: AsyncConnection, account_id: str) -> int:
    query = select(func.count()).where(asks.c.account_id == account_id, asks.c.state == "open")
    return await connection.scalar(query) or 0
