"""The list of requests: what was admitted and what was refused, newest first, page by page.

A page goes on behind the time and id of its last line, so nothing is shown twice or left out while
more comes. How far a page looks back is bounded: one of a key that is seldom used may be short, and
says where to go on.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Table, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.metering import Outcome, Usage
from keyhall.ports.people import Sight
from keyhall.ports.requests import Kind, Listed, Mark, Page, Refusal
from keyhall.ports.usage import Filter
from keyhall.stores import usage as rows
from keyhall.stores.requests import hours, seen
from keyhall.stores.requests.tables import refusals
from keyhall.stores.tables import prices, usage, usage_hourly, versions

PAGE = 50
NEW_MAX = 100  # "100 or more" is as good a number as any
NEW_SCANNED_MAX = 20_000

_LINE = (
    "admitted_at_us",
    "request_id",
    "key_id",
    "version",
    "outcome",
    "input_tokens",
    "output_tokens",
    "first_byte_us",
    "finished_at_us",
    "is_stream",
    "is_test",
)


def _before(at: ColumnElement[int], id: ColumnElement[str], mark: Mark) -> ColumnElement[bool]:
    """Of what is not after the mark's time. (Said apart: SQLite uses one bound of an index.)"""
    return or_(at < mark[0], id < mark[1])


def _outcome(kind: Kind) -> ColumnElement[bool] | None:
    """Which admitted requests are wanted; None: all of them."""
    if kind == "answered":
        return usage.c.outcome == Outcome.ANSWERED.value
    if kind == "unanswered":
        return usage.c.outcome != Outcome.ANSWERED.value
    return None


async def page(
    connection: AsyncConnection,
    sight: Sight,
    only: Filter,
    *,
    kind: Kind,
    status: int | None,
    since_us: int,
    mark: Mark,
) -> Page:
    """What was admitted or refused before the mark and not before `since_us`."""
    numbers = await newest_numbers(connection)
    admitted: list[Listed] = []
    floor_us = None
    if kind != "refused" and status in (None, 200):
        admitted, floor_us = await _admitted(connection, sight, only, kind, status, since_us, mark)
    if len(admitted) > PAGE:
        floor_us = None  # The page ends before that anyway.
    refused: list[Listed] = []
    if kind in ("all", "refused") and status != 200:
        from_us = since_us if floor_us is None else max(since_us, floor_us)
        refused = await _refused(connection, sight, only, status, from_us, mark)
    lines = sorted((*admitted, *refused), key=lambda each: (each.at_us, each.request_id))[::-1]
    shown = await _told(connection, lines[:PAGE])
    if len(lines) > PAGE:
        last = shown[-1]
        return Page(shown, (last.at_us, last.request_id), numbers)
    return Page(shown, None if floor_us is None else (floor_us, ""), numbers)


async def _admitted(
    connection: AsyncConnection,
    sight: Sight,
    only: Filter,
    kind: Kind,
    status: int | None,
    since_us: int,
    mark: Mark,
) -> tuple[list[Listed], int | None]:
    sums = usage_hourly.c
    place = await hours.newest(
        connection, sight, only, since_us=since_us, before_us=mark[0] + 1, enough=PAGE + 1,
        is_wanted=sums.unanswered if kind == "unanswered" else sums.requests,
    )  # fmt: skip
    if not place.ranges:
        return [], place.floor_us
    at = usage.c.admitted_at_us
    query = select(*(usage.c[name] for name in _LINE)).where(
        seen.rows_of(usage, sight, only), _before(at, usage.c.request_id, mark)
    )
    wanted = _outcome("answered" if status == 200 else kind)
    if wanted is not None:
        query = query.where(wanted)
    within = place.within(query).subquery("within")
    order = within.c.admitted_at_us.desc(), within.c.request_id.desc()
    found = await connection.execute(select(within).order_by(*order).limit(PAGE + 1))
    return [_line(row) for row in found], place.floor_us


def _line(row: Any) -> Listed:
    return Listed(
        at_us=row[0],
        request_id=row[1],
        key_id=row[2],
        version=row[3],
        outcome=Outcome(row[4]),
        row=None,
        status=200,
        input_tokens=row[5],
        output_tokens=row[6],
        first_byte_us=row[7],
        total_us=row[8] - row[0],
        is_stream=bool(row[9]),
        is_test=bool(row[10]),
    )


async def _refused(
    connection: AsyncConnection,
    sight: Sight,
    only: Filter,
    status: int | None,
    since_us: int,
    mark: Mark,
) -> list[Listed]:
    at = refusals.c.at_us
    names = ("at_us", "request_id", "key_id", "version", "row", "status")
    query = (
        select(*(refusals.c[name] for name in names))
        .where(
            seen.rows_of(refusals, sight, only),
            at >= since_us,
            at <= mark[0],
            _before(at, refusals.c.request_id, mark),
        )
        .order_by(at.desc(), refusals.c.request_id.desc())
        .limit(PAGE + 1)
    )
    if status is None:
        query = query.where(refusals.c.is_admitted == 0)  # Else its usage row stands in the list.
    else:
        query = query.where(refusals.c.status == status)
    found = await connection.execute(query)
    return [Listed(r[0], r[1], r[2], r[3], None, r[4], r[5]) for r in found]


async def _told(connection: AsyncConnection, lines: list[Listed]) -> list[Listed]:
    """With the errors that admitted requests were told before their first byte."""
    ids = [each.request_id for each in lines if each.outcome not in (None, Outcome.ANSWERED)]
    if not ids:
        return lines
    query = select(refusals.c.request_id, refusals.c.row, refusals.c.status).where(
        refusals.c.request_id.in_(ids), refusals.c.is_admitted == 1
    )
    told = {row[0]: (row[1], row[2]) for row in await connection.execute(query)}
    return [
        each
        if each.request_id not in told
        else replace(each, row=told[each.request_id][0], status=told[each.request_id][1])
        for each in lines
    ]


# --- What has come since --------------------------------------------------------------------------


async def newest_numbers(connection: AsyncConnection) -> tuple[int, int]:
    query = select(
        select(func.coalesce(func.max(usage.c.number), 0)).scalar_subquery(),
        select(func.coalesce(func.max(refusals.c.number), 0)).scalar_subquery(),
    )
    row = (await connection.execute(query)).one()
    return int(row[0]), int(row[1])


async def count_new(
    connection: AsyncConnection,
    sight: Sight,
    only: Filter,
    *,
    kind: Kind,
    status: int | None,
    after: tuple[int, int],
) -> int:
    """How many have come behind those numbers; at most NEW_MAX."""
    found = 0
    if kind != "refused" and status in (None, 200):
        fresh = _fresh(usage, after[0])
        wanted = [seen.rows_of(fresh, sight, only)]
        if kind == "answered" or status == 200:
            wanted.append(fresh.c.outcome == Outcome.ANSWERED.value)
        elif kind == "unanswered":
            wanted.append(fresh.c.outcome != Outcome.ANSWERED.value)
        found += await _count(connection, fresh, wanted)
    if kind in ("all", "refused") and status != 200:
        fresh = _fresh(refusals, after[1])
        is_wanted = fresh.c.is_admitted == 0 if status is None else fresh.c.status == status
        found += await _count(connection, fresh, [seen.rows_of(fresh, sight, only), is_wanted])
    return min(found, NEW_MAX)


def _fresh(table: Table, after: int) -> Any:
    """The rows behind a number, bounded whoever's they are."""
    query = select(table).where(table.c.number > after).order_by(table.c.number)
    return query.limit(NEW_SCANNED_MAX).subquery()


async def _count(connection: AsyncConnection, fresh: Any, wanted: list[ColumnElement[bool]]) -> int:
    some = select(literal(1)).select_from(fresh).where(*wanted).limit(NEW_MAX).subquery()
    return int(await connection.scalar(select(func.count()).select_from(some)) or 0)


# --- One of them ----------------------------------------------------------------------------------

_USAGE = select(*(usage.c[name] for name in rows.COLUMNS))


async def find_usage(connection: AsyncConnection, sight: Sight, request_id: str) -> Usage | None:
    query = _USAGE.where(usage.c.request_id == request_id, seen.rows_of(usage, sight, Filter()))
    row = (await connection.execute(query)).first()
    return None if row is None else rows.usage_of(row)


async def find_refusal(
    connection: AsyncConnection, sight: Sight, request_id: str
) -> Refusal | None:
    query = select(refusals).where(
        refusals.c.request_id == request_id, seen.rows_of(refusals, sight, Filter())
    )
    row = (await connection.execute(query.limit(1))).mappings().first()
    if row is None:
        return None
    facts = {name: row[name] for name in row if name not in ("number", "is_admitted")}
    return Refusal(**facts, is_admitted=bool(row["is_admitted"]))


async def price_at(connection: AsyncConnection, version: str, at_us: int) -> tuple[int, int] | None:
    """What a version's input and output cost then, in micro-units per million tokens."""
    query = (
        select(prices.c.input, prices.c.output)
        .join_from(prices, versions, prices.c.version_number == versions.c.number)
        .where(versions.c.name == version, prices.c.since_us <= at_us)
        .order_by(prices.c.since_us.desc(), prices.c.number.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else (row[0], row[1])
