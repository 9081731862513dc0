"""Reports that a rule hit what it should not have: one function per query."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.filters import Report, ReportState
from keyhall.stores.filters.tables import filter_reports


def _report(row: RowMapping) -> Report:
    return Report(
        number=row["number"],
        rule_id=row["rule_id"],
        organization_id=row["organization_id"],
        said_by=row["said_by"],
        said=row["said"],
        said_at_us=row["said_at_us"],
        state=row["state"],
        answered_by=row["answered_by"],
        answer=row["answer"],
        answered_at_us=row["answered_at_us"],
        project_id=row["project_id"],
    )


async def add(
    connection: AsyncConnection,
    rule_id: str,
    organization_id: str | None,
    said_by: str,
    said: str,
    now_us: int,
    project_id: str | None = None,
) -> Report:
    values = {
        "rule_id": rule_id,
        "organization_id": organization_id,
        "said_by": said_by,
        "said": said,
        "said_at_us": now_us,
        "state": "open",
        "project_id": project_id,
    }
    added = await connection.execute(insert(filter_reports).values(values))
    assert added.inserted_primary_key is not None
    number = int(added.inserted_primary_key[0])
    return Report(number, rule_id, organization_id, said_by, said, now_us, project_id=project_id)


async def newest(
    connection: AsyncConnection,
    *,
    limit: int,
    state: ReportState | None = None,
    rule_id: str | None = None,
    organization_id: str | None = None,
    project_id: str | None = None,
) -> list[Report]:
    query = select(filter_reports).order_by(filter_reports.c.number.desc()).limit(limit)
    for column, wanted in (
        (filter_reports.c.state, state),
        (filter_reports.c.rule_id, rule_id),
        (filter_reports.c.organization_id, organization_id),
        (filter_reports.c.project_id, project_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return [_report(row) for row in (await connection.execute(query)).mappings()]


async def open_of(
    connection: AsyncConnection, rule_ids: Sequence[str], project_id: str | None = None
) -> dict[str, int]:
    """Open reports of these rules, by rule; without those that have none."""
    column = filter_reports.c.rule_id
    query = select(column, func.count()).where(
        filter_reports.c.state == "open", column.in_(rule_ids)
    )
    if project_id is not None:
        query = query.where(filter_reports.c.project_id == project_id)
    return {
        rule_id: int(count) for rule_id, count in await connection.execute(query.group_by(column))
    }


async def count_open(connection: AsyncConnection, organization_id: str, since_us: int) -> int:
    """How many an organization has open that are younger."""
    query = select(func.count()).where(
        filter_reports.c.organization_id == organization_id,
        filter_reports.c.state == "open",
        filter_reports.c.said_at_us >= since_us,
    )
    return await connection.scalar(query) or 0


async def find(connection: AsyncConnection, number: int) -> Report | None:
    query = select(filter_reports).where(filter_reports.c.number == number)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _report(row)


async def answer(
    connection: AsyncConnection,
    number: int,
    state: ReportState,
    by: str,
    said: str,
    now_us: int,
) -> None:
    changed = update(filter_reports).where(
        filter_reports.c.number == number, filter_reports.c.state == "open"
    )
    await connection.execute(
        changed.values(state=state, answered_by=by, answer=said, answered_at_us=now_us)
    )
