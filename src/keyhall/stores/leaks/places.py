"""From how many networks keys are used: sketches of this day's hours, and what is usual. One
function per query."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.notices import Habits
from keyhall.stores.leaks.tables import key_habits, key_networks, notices

PORTION = 500  # of rows in a statement


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(ids), PORTION):
        yield ids[start : start + PORTION]


async def sketches(
    connection: AsyncConnection, hour_us: int, key_ids: Sequence[str]
) -> dict[str, bytes]:
    """Of one hour, by key."""
    found: dict[str, bytes] = {}
    for part in _portions(key_ids):
        query = select(key_networks.c.key_id, key_networks.c.sketch).where(
            key_networks.c.hour_us == hour_us, key_networks.c.key_id.in_(part)
        )
        found |= {row.key_id: row.sketch for row in await connection.execute(query)}
    return found


async def keep(connection: AsyncConnection, hour_us: int, rows: Mapping[str, bytes]) -> None:
    """Put these in the place of what stood there."""
    into = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = [
        {"hour_us": hour_us, "key_id": key_id, "sketch": sketch} for key_id, sketch in rows.items()
    ]
    for start in range(0, len(values), PORTION):
        put = into(key_networks).values(values[start : start + PORTION])
        await connection.execute(
            put.on_conflict_do_update(
                index_elements=list(key_networks.primary_key),
                set_={"sketch": put.excluded["sketch"]},
            )
        )


async def of_key(
    connection: AsyncConnection, key_id: str, since_us: int, until_us: int
) -> list[bytes]:
    """The sketches of a key's hours."""
    query = select(key_networks.c.sketch).where(
        key_networks.c.key_id == key_id,
        key_networks.c.hour_us >= since_us,
        key_networks.c.hour_us <= until_us,
    )
    return list(await connection.scalars(query))


async def of_hours(
    connection: AsyncConnection, since_us: int, before_us: int
) -> list[tuple[int, str, bytes]]:
    """Hour, key and sketch, oldest first."""
    query = (
        select(key_networks)
        .where(key_networks.c.hour_us >= since_us, key_networks.c.hour_us < before_us)
        .order_by(key_networks.c.hour_us)
    )
    return [(row.hour_us, row.key_id, row.sketch) for row in await connection.execute(query)]


async def sweep(connection: AsyncConnection, before_us: int) -> None:
    """No hash of an address is older than a day."""
    await connection.execute(delete(key_networks).where(key_networks.c.hour_us < before_us))


async def habits(connection: AsyncConnection, key_ids: Sequence[str]) -> dict[str, Habits]:
    """Of keys that have any."""
    found: dict[str, Habits] = {}
    for part in _portions(key_ids):
        query = select(key_habits).where(key_habits.c.key_id.in_(part))
        rows = (await connection.execute(query)).mappings()
        found |= {row["key_id"]: Habits(**row) for row in rows}
    return found


async def keep_habits(connection: AsyncConnection, rows: Sequence[Habits]) -> None:
    into = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = [
        {"key_id": each.key_id, "usual_milli": each.usual_milli, "expected": each.expected}
        for each in rows
    ]
    for start in range(0, len(values), PORTION):
        put = into(key_habits).values(values[start : start + PORTION])
        await connection.execute(
            put.on_conflict_do_update(
                index_elements=list(key_habits.primary_key),
                set_={
                    "usual_milli": put.excluded["usual_milli"],
                    "expected": put.excluded["expected"],
                },
            )
        )


async def flagged(connection: AsyncConnection, key_ids: Sequence[str]) -> set[str]:
    """Of these keys those whose owner has a notice of it that is open."""
    found: set[str] = set()
    for part in _portions(key_ids):
        query = select(notices.c.key_id).where(
            notices.c.key_id.in_(part),
            notices.c.kind == "wandering",
            notices.c.closed_at_us.is_(None),
        )
        found |= set(await connection.scalars(query))
    return found
