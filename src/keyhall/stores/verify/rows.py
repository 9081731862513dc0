"""Pages of the ledger, its batches and the audit, in the order of their numbers.

By number and not by a cursor: a page holds a bounded number of rows whatever the driver does, and
every statement runs in the caller's one snapshot (`SqlStore.reading`).
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.verify.chains import Batch, Head
from keyhall.stores.spending.tables import overage
from keyhall.stores.tables import audit, prices, usage, usage_batches, versions
from keyhall.stores.usage import COLUMNS

PAGE_ROWS = 5_000  # about 5 MB of usage rows
PAIRS = 300  # places asked for at once; SQLite allows 1,000 terms in an expression

Row = Sequence[Any]

_BEFORE_ALL = -(2**63)
_BATCHES = select(*(usage_batches.c[name] for name in Batch.__struct_fields__))
_USAGE = select(usage.c.number, usage.c.batch, *(usage.c[name] for name in COLUMNS))
_AUDIT = select(
    *(audit.c[name] for name in ("number", "digest")),
    *(audit.c[name] for name in ("at_us", "who", "origin", "action", "target", "before", "after")),
    audit.c.organization_id,
)
_OVERAGE = select(
    *overage.c,
    *(
        usage.c[name].label(f"usage_{name}")
        for name in ("key_id", "organization_id", "admitted_at_us")
    ),
    usage.c.input_tokens,
    usage.c.output_tokens,
    usage.c.cost_nano.label("usage_cost_nano"),
).join_from(overage, usage, overage.c.request_id == usage.c.request_id, isouter=True)


async def _pages(
    connection: AsyncConnection, query: Select[Any], number: Any
) -> AsyncIterator[Sequence[Row]]:
    after = _BEFORE_ALL
    while True:
        page = query.where(number > after).order_by(number).limit(PAGE_ROWS)
        found = (await connection.execute(page)).all()
        if not found:
            return
        yield found
        after = found[-1][0]


def usage_pages(connection: AsyncConnection) -> AsyncIterator[Sequence[Row]]:
    """(number, batch, *COLUMNS)."""
    return _pages(connection, _USAGE, usage.c.number)


async def usage_of_batches(connection: AsyncConnection, numbers: Sequence[int]) -> Sequence[Row]:
    """(number, batch, *COLUMNS) of these batches, wherever their rows are."""
    return (await connection.execute(_USAGE.where(usage.c.batch.in_(numbers)))).all()


def batch_pages(connection: AsyncConnection) -> AsyncIterator[Sequence[Row]]:
    """The fields of `Batch`."""
    return _pages(connection, _BATCHES, usage_batches.c.number)


def audit_pages(connection: AsyncConnection) -> AsyncIterator[Sequence[Row]]:
    """(number, digest, and the values that the digest covers)."""
    return _pages(connection, _AUDIT, audit.c.number)


def overage_pages(connection: AsyncConnection) -> AsyncIterator[Sequence[Any]]:
    """Overage rows, each with what its request used; None where it is not in the ledger."""
    return _pages(connection, _OVERAGE, overage.c.number)


async def count(connection: AsyncConnection) -> tuple[int, int]:
    """Usage rows and audit rows."""
    rows = await connection.scalar(select(func.count()).select_from(usage))
    acts = await connection.scalar(select(func.count()).select_from(audit))
    return rows or 0, acts or 0


async def batches_there(connection: AsyncConnection, numbers: Sequence[int]) -> set[int]:
    query = select(usage_batches.c.number).where(usage_batches.c.number.in_(numbers))
    return {row[0] for row in await connection.execute(query)}


async def digests_at(
    connection: AsyncConnection, heads: Sequence[Head]
) -> dict[tuple[str, int], str]:
    """The digests that writers' chains have at these places; a place that is not there is not in
    the answer."""
    found: dict[tuple[str, int], str] = {}
    columns = usage_batches.c
    for start in range(0, len(heads), PAIRS):
        places = [
            and_(columns.writer == head.writer, columns.sequence == head.sequence)
            for head in heads[start : start + PAIRS]
        ]
        query = select(columns.writer, columns.sequence, columns.digest).where(or_(*places))
        for row in await connection.execute(query):
            found[row.writer, row.sequence] = bytes(row.digest).hex()
    return found


async def audit_digest(connection: AsyncConnection, number: int) -> str | None:
    digest = await connection.scalar(select(audit.c.digest).where(audit.c.number == number))
    return None if digest is None else bytes(digest).hex()


async def prices_of_versions(connection: AsyncConnection) -> Sequence[Row]:
    """(version's name, since_us, input, output) in the order in which they were set; versions
    without a price have None for the three."""
    query = (
        select(versions.c.name, prices.c.since_us, prices.c.input, prices.c.output)
        .join_from(versions, prices, prices.c.version_number == versions.c.number, isouter=True)
        .order_by(prices.c.number)
    )
    return (await connection.execute(query)).all()


async def damages(connection: AsyncConnection) -> list[str]:
    """What SQLite itself finds wrong with its file; PostgreSQL has checksums of its own."""
    if connection.dialect.name != "sqlite":
        return []
    found = [row[0] for row in await connection.execute(text("PRAGMA integrity_check"))]
    broken = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    said = [] if found == ["ok"] else [str(each) for each in found]
    return said + [f"{row[0]} row {row[1]} names a {row[2]} that is not there" for row in broken]


async def last_audit_given(connection: AsyncConnection) -> int | None:
    """The last number that the audit ever gave, where the database remembers it beside the rows.
    PostgreSQL does too, but counts what was rolled back."""
    if connection.dialect.name != "sqlite":
        return None
    query = text("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
    found: int | None = await connection.scalar(query)
    return found


async def known(connection: AsyncConnection, request_ids: Sequence[str]) -> int:
    """How many of these requests have a usage row."""
    found = 0
    for start in range(0, len(request_ids), PAIRS):
        portion = request_ids[start : start + PAIRS]
        query = select(func.count()).where(usage.c.request_id.in_(portion))
        found += await connection.scalar(query) or 0
    return found
