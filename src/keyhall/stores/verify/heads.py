"""The heads of the chains: what anchors write down, and what an operator keeps elsewhere."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.verify.chains import ANCHOR, AUDIT, Head
from keyhall.stores.tables import audit, usage_batches

_HEAD = select(usage_batches.c.writer, usage_batches.c.sequence, usage_batches.c.digest)


def _head(row: Sequence[object]) -> Head:
    writer, sequence, digest = row
    assert isinstance(writer, str)
    assert isinstance(sequence, int)
    assert isinstance(digest, bytes)
    return Head(writer, sequence, digest.hex())


async def of_writer(connection: AsyncConnection, writer: str) -> Head | None:
    query = _HEAD.where(usage_batches.c.writer == writer)
    newest = query.order_by(usage_batches.c.sequence.desc()).limit(1)
    row = (await connection.execute(newest)).first()
    return None if row is None else _head(row)


async def newest_of_others(connection: AsyncConnection, writer: str) -> Head | None:
    """The newest batch that another writer committed, unless it is anchored."""
    query = _HEAD.where(usage_batches.c.writer != writer)
    row = (await connection.execute(query.order_by(usage_batches.c.number.desc()).limit(1))).first()
    if row is None:
        return None
    head = _head(row)
    anchors = select(audit.c.after).where(audit.c.target == head.writer, audit.c.action == ANCHOR)
    last = await connection.scalar(anchors.order_by(audit.c.number.desc()).limit(1))
    return None if last is not None and head.digest in last else head


async def of_all(connection: AsyncConnection) -> list[Head]:
    """Each writer's, in the order of their newest batches; the audit's last."""
    newest = (
        select(usage_batches.c.writer, func.max(usage_batches.c.sequence).label("sequence"))
        .group_by(usage_batches.c.writer)
        .subquery()
    )
    is_newest = (usage_batches.c.writer == newest.c.writer) & (
        usage_batches.c.sequence == newest.c.sequence
    )
    query = _HEAD.join(newest, is_newest).order_by(usage_batches.c.number)
    found = [_head(row) for row in await connection.execute(query)]
    last = select(audit.c.number, audit.c.digest).where(audit.c.digest.is_not(None))
    row = (await connection.execute(last.order_by(audit.c.number.desc()).limit(1))).first()
    return found if row is None else [*found, Head(AUDIT, row.number, bytes(row.digest).hex())]
