"""Monthly statements: what an organization used in a calendar month of its time zone.

Made in one snapshot: the lines add up to the sum of the ledger's rows, to the token and the
nano-unit, or there is no statement. They come from the hourly sums; where those do not add up to
the rows, from the rows themselves. A request is in the month in which it was admitted.
"""

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import credit
from keyhall.flows.manage.checks import Invalid, Refused
from keyhall.flows.manage.organizations import organization_by
from keyhall.policy.quotas import Quota, Span, span
from keyhall.ports.records import Credit, Organization
from keyhall.stores.spending import quotas
from keyhall.stores.spending import statements as rows
from keyhall.stores.spending.statements import Ledger, Line, OverageLine
from keyhall.stores.spending.take_in import zone_of
from keyhall.stores.sql import SqlStore

_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")


class NotEven(Refused):
    """The lines do not add up to the ledger: a mistake of ours, never a statement."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One month of one organization. `credit_left_nano` is at its end; None: it was not prepaid."""

    organization: Organization
    month: str  # 2026-11
    span: Span
    until_us: int  # the end of the month, or now while it runs
    lines: tuple[Line, ...]
    overage: tuple[OverageLine, ...]
    credits: tuple[Credit, ...]
    credit_left_nano: int | None
    ledger: Ledger

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.organization.time_zone)

    @property
    def is_over(self) -> bool:
        return self.until_us == self.span.ends_us

    @property
    def used_nano(self) -> int:
        return sum(line.cost_nano for line in self.lines)

    @property
    def overage_nano(self) -> int:
        return sum(line.cost_nano for line in self.overage)

    @property
    def total_nano(self) -> int:
        return self.used_nano + self.overage_nano


async def statement(store: SqlStore, wanted: str, month: str | None, now_us: int) -> Statement:
    """Of a month such as `2026-11`, or of the one that runs."""
    async with store.reading() as connection:
        organization = await organization_by(connection, wanted)
        named, during = _month(month, organization.time_zone, now_us)
        place = organization.id, during.begins_us, during.ends_us
        ledger = await rows.ledger(connection, *place)
        lines = await rows.lines_of_hours(connection, *place)
        if lines is None or not _add_up(lines, ledger):
            lines = await rows.lines_of_rows(connection, *place)
        given = await quotas.credits_of(connection, organization.id)
        made = Statement(
            organization,
            named,
            during,
            min(during.ends_us, now_us),
            tuple(lines),
            tuple(await rows.overage_lines(connection, *place)),
            tuple(each for each in given if during.begins_us <= each.at_us < during.ends_us),
            await _left(connection, organization.id, given, during.ends_us),
            ledger,
        )
    if not _add_up(lines, ledger):
        counted = sum(line.requests for line in lines)
        raise NotEven(
            f"The lines of {named} do not add up to the ledger: {made.used_nano} of "
            f"{ledger.cost_nano} nano-units, {counted} of {ledger.rows} rows."
        )
    return made


def _add_up(lines: list[Line], ledger: Ledger) -> bool:
    names = ("requests", "input_tokens", "output_tokens", "cost_nano")
    sums = [sum(getattr(line, name) for line in lines) for name in names]
    return sums == [ledger.rows, ledger.input_tokens, ledger.output_tokens, ledger.cost_nano]


def _month(month: str | None, zone: str, now_us: int) -> tuple[str, Span]:
    place = zone_of(zone)
    if month is None:
        inside = datetime.fromtimestamp(now_us // 1_000_000, tz=place)
    else:
        found = _MONTH.fullmatch(month)
        if found is None or not 1 <= int(found[2]) <= 12 or not 1970 <= int(found[1]) <= 9998:
            raise Invalid(f"'{month}' is no month: write a year and a month, such as 2026-11.")
        inside = datetime(int(found[1]), int(found[2]), 15, tzinfo=place)
    during = span("month", int(inside.timestamp()) * 1_000_000, place)
    named = f"{inside.year:04}-{inside.month:02}"
    if during.begins_us > now_us:
        raise Invalid(f"{named} has not begun in {zone}.")
    return named, during


async def _left(
    connection: AsyncConnection, organization_id: str, given: list[Credit], until_us: int
) -> int | None:
    """What was left of the credit at a time. Only of credit that is held to today: what an ended
    one left is nobody's."""
    quota: Quota | None = await credit.quota_of(connection, organization_id)
    if quota is None or quota.created_at_us >= until_us:
        return None
    paid = sum(each.amount_nano for each in given if quota.since_us <= each.at_us < until_us)
    return paid - await quotas.used_by_ledger(connection, quota, 0, until_us)
