"""Reports on usage: totals by key, model or day."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from keyhall.flows.manage.checks import Invalid
from keyhall.ports.records import Group, UsageLine
from keyhall.stores import usage as rows
from keyhall.stores.sql import SqlStore
from keyhall.stores.usage import HOUR_US


@dataclass(frozen=True, slots=True)
class Report:
    """Totals of the requests admitted in since <= time < until; None is open."""

    by: Group
    since_us: int | None
    until_us: int | None
    lines: tuple[UsageLine, ...]
    total: UsageLine


async def report(
    store: SqlStore,
    by: Group,
    *,
    since_us: int | None,
    until_us: int | None,
    key_ids: tuple[str, ...] | None = None,
    version: str | None = None,
    project_id: str | None = None,
    organization_id: str | None = None,
) -> Report:
    """Up to the newest settled request. Totals are kept by the hour, so `since` is moved back and
    `until` forth to a full hour; the report says which hours it covers."""
    since_us = None if since_us is None else since_us - since_us % HOUR_US
    until_us = None if until_us is None else until_us + -until_us % HOUR_US
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise Invalid("The report would end before it begins: look at --since and --until.")
    await store.roll_up()
    async with store.reading() as connection:
        lines = await rows.report(
            connection,
            by=by,
            since_us=since_us,
            until_us=until_us,
            key_ids=key_ids,
            version=version,
            project_id=project_id,
            organization_id=organization_id,
        )
    if by == "day":
        lines = [replace(line, group=_day(line.group), name=_day(line.group)) for line in lines]
    return Report(by, since_us, until_us, tuple(lines), _total(lines))


def _day(start_us: str) -> str:
    return datetime.fromtimestamp(int(start_us) // 1_000_000, tz=UTC).date().isoformat()


def _total(lines: list[UsageLine]) -> UsageLine:
    return UsageLine(
        group="total",
        name="total",
        requests=sum(line.requests for line in lines),
        input_tokens=sum(line.input_tokens for line in lines),
        output_tokens=sum(line.output_tokens for line in lines),
        cost_nano=sum(line.cost_nano for line in lines),
        unanswered=sum(line.unanswered for line in lines),
        estimated=sum(line.estimated for line in lines),
    )
