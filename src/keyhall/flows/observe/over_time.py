"""Usage over time for whoever may see it: one question, one answer, for pages, exports and charts.

Up to the newest settled request: the hourly totals are brought up to date first, as `keyhall usage`
does it, so that both say the same to the token.
"""

import asyncio
from dataclasses import dataclass, field, replace

from keyhall import errors
from keyhall.flows.manage.checks import NotFound
from keyhall.flows.observe.closed import Closed
from keyhall.flows.observe.look import Look, Points, largest_of
from keyhall.policy import spans
from keyhall.policy.metering import Outcome
from keyhall.policy.spans import Span
from keyhall.ports.people import Sight
from keyhall.ports.usage import Amounts, Asked, Filter, Latency
from keyhall.stores import usage as totals
from keyhall.stores.requests import hours, seen, series
from keyhall.stores.requests.series import ALL, OTHERS, REFUSALS, ROWS, Source
from keyhall.stores.sql import SqlStore

GROUPS_MAX = 8  # with a series of their own; the rest are one
LISTED_MAX = 100  # in the table
OTHERS_NAME = "others"


@dataclass(slots=True)
class Group:
    """A key, model, project, outcome or person, with what it used: in all, and point by point."""

    id: str
    name: str
    total: Amounts
    points: list[Amounts] = field(default_factory=list)


@dataclass(slots=True)
class Answer:
    asked: Asked
    starts: list[int]  # where each point begins
    groups: list[Group]  # stacked they are everything
    total: Amounts
    points: list[Amounts]  # of all groups together
    listed: list[Group]  # for the table: without points
    has_more: bool  # groups than are listed
    latency: Latency
    latencies: list[Latency]  # by point, for minutes
    before: Amounts | None = None
    points_before: list[Amounts] = field(default_factory=list)
    note: str = ""  # why it is not as finely grained as was asked


async def only(
    store: SqlStore, sight: Sight, *, key: str = "", model: str = "", project: str = "",
    person: str = "",
) -> Filter:  # fmt: skip
    """A filter of what is in sight. Raises NotFound, the same for what is there elsewhere."""
    if not (key or project or person):
        return Filter(version=model or None)
    async with store.reading() as connection:
        key_id = await seen.find_key(connection, sight, key) if key else None
        if key and key_id is None:
            raise NotFound("There is no key of that id or name here.")
        if project and not await seen.has_project(connection, sight, project):
            raise NotFound("There is no project of that id here.")
        if person and not await seen.has_person(connection, sight, person):
            raise NotFound("There is nobody of that id here.")
    return Filter(key_id, model or None, project or None, person or None)


async def answer(
    store: SqlStore, sight: Sight, asked: Asked, closed: Closed | None = None
) -> Answer:
    """With what is remembered of days that are over, if it is given. Sums and percentiles are read
    side by side, each from a snapshot of its own. Raises StoreAway."""
    note = ""
    async with store.reading() as connection:
        is_rolled_up = await totals.is_rolled_up(connection)
    if not is_rolled_up:
        await store.roll_up()
    if asked.span.grain == "minute":
        span = asked.span
        async with store.reading() as connection:
            most = await hours.all_between(connection, span.begins_us, span.ends_us)
        if most > hours.SCANNED_MAX:
            note = "So many requests are shown by the hour."
            coarser = spans.chosen(span.begins_us, span.ends_us, "hour", span.zone)
            asked = replace(asked, span=coarser)
    found, late = await asyncio.gather(
        _summed(store, sight, asked, closed, note), _late(store, sight, asked)
    )
    found.latency = late.get(hours.ALL, Latency())
    if asked.span.grain == "minute" and late:
        found.latencies = [late.get(index, Latency()) for index in range(len(found.starts))]
    return found


async def _summed(
    store: SqlStore, sight: Sight, asked: Asked, closed: Closed | None, note: str
) -> Answer:
    async with store.reading() as connection:
        standing = None if closed is None else await closed.standing(connection)
        return await _answer(Look(connection, sight, asked.only, closed, standing), asked, note)


async def _late(store: SqlStore, sight: Sight, asked: Asked) -> dict[int, Latency]:
    span = asked.span
    async with store.reading() as connection:
        return await hours.latency(
            connection,
            sight,
            asked.only,
            since_us=span.begins_us,
            before_us=span.ends_us,
            by_minute=span.grain == "minute",
        )


async def _answer(look: Look, asked: Asked, note: str) -> Answer:
    span = asked.span
    starts = spans.points(span)
    source = series.source_of(span, look.sight, asked.only, asked.by)
    few = await look.points_of_few(ROWS, span, asked.by) if _are_few(source, asked.by) else None
    listed = await _listed(look, source, asked, few)
    chosen = listed[:GROUPS_MAX]
    rows = await _points(look, asked, [group.id for group in chosen], few)
    groups, points = _grid(rows, chosen, len(starts), span)
    total = _sum(points)
    found = Answer(
        asked, starts, groups, total, points, listed[:LISTED_MAX], len(listed) > LISTED_MAX,
        Latency(), [], note=note,
    )  # fmt: skip
    if asked.compares:
        before = replace(asked, span=span.before, by="none")
        rows = await _points(look, before, [])
        count = len(spans.points(span.before))
        _, found.points_before = _grid(rows, [], count, span.before)
        found.before = _sum(found.points_before)
    return found


def _are_few(source: Source, by: str) -> bool:
    """Groups of which all points are read at once: models and outcomes of single requests."""
    return source is ROWS and by in ("model", "outcome")


async def _listed(look: Look, source: Source, asked: Asked, few: Points | None) -> list[Group]:
    """The groups by what they used, largest first; refusals are added to them."""
    if asked.by == "none":
        return [Group(ALL, "All", Amounts())]
    if few is None:
        found = await look.largest(source, asked.span, asked.by, LISTED_MAX + 1)
    else:
        found = largest_of(few, LISTED_MAX + 1)
    if asked.by == "outcome" and source is not ROWS:
        found = _split(found)
    refused = await look.largest(REFUSALS, asked.span, asked.by, LISTED_MAX + 1)
    for id, amounts in refused.items():
        found.setdefault(id, Amounts()).add(amounts)
    names = await seen.names(look.connection, asked.by, list(found))
    return [Group(id, name_of(asked.by, id, names), total) for id, total in found.items()]


def _split(found: dict[str, Amounts]) -> dict[str, Amounts]:
    """Hours know only whether an answer came to its end; what all of them used is told with the
    most of them."""
    whole = found.get(ALL, Amounts())
    answered = whole.requests - whole.unanswered
    failed = Amounts(requests=whole.unanswered, unanswered=whole.unanswered)
    if not answered:
        return {"unanswered": replace(whole)} if whole.requests else {}
    parts = {ANSWERED: replace(whole, requests=answered, unanswered=0)}
    return parts | ({"unanswered": failed} if whole.unanswered else {})


ANSWERED = str(Outcome.ANSWERED.value)
OUTCOMES = {
    ANSWERED: "Answered",
    str(Outcome.CLIENT_LEFT.value): "Client left",
    str(Outcome.ENGINE_FAILED.value): "Engine failed",
    str(Outcome.KEY_REVOKED.value): "Key revoked",
    str(Outcome.CRASHED.value): "Server died",
    str(Outcome.STOPPED.value): "Server stopped",
    str(Outcome.STALLED.value): "Client stalled",
    "unanswered": "Not finished",
}


def name_of(by: str, id: str, names: dict[str, str]) -> str:
    if by == "outcome":
        return OUTCOMES.get(id) or (f"Refused: {id}" if id in errors.TABLE else id)
    return names.get(id) or id or "(unknown)"


async def _points(look: Look, asked: Asked, groups: list[str], few: Points | None = None) -> Points:
    span, by = asked.span, asked.by
    source = series.source_of(span, look.sight, asked.only, by)
    if by in ("key", "person"):
        whole = series.source_of(span, look.sight, asked.only, "none")
        if source is ROWS:
            rows = await look.points(source, span, by, groups)
        else:
            rows = await look.points(source, span, by, groups, of_few=True)
            rows = _others(await look.points(whole, span, "none", []), rows)
        refused = await look.points(REFUSALS, span, by, groups, of_few=True)
        return rows + _others(await look.points(REFUSALS, span, "none", []), refused)
    refused = await look.points(REFUSALS, span, by, groups)
    rows = few if few is not None else await look.points(source, span, by, groups)
    if by == "outcome" and source is not ROWS:
        rows = [
            (at, id, part) for at, _, amounts in rows for id, part in _split({ALL: amounts}).items()
        ]
    return rows + refused


def _others(everything: Points, rows: Points) -> Points:
    """With what is left for the others, point by point."""
    left: dict[int, Amounts] = {}
    for at, _, amounts in everything:
        left.setdefault(at, Amounts()).add(amounts)
    for at, _, amounts in rows:
        left.setdefault(at, Amounts()).take(amounts)
    return rows + [(at, OTHERS, each) for at, each in left.items() if each != Amounts()]


def _grid(
    rows: list[tuple[int, str, Amounts]], chosen: list[Group], count: int, span: Span
) -> tuple[list[Group], list[Amounts]]:
    """Groups with their points; a group of the others, if there are any; and all together."""
    by_day = None if span.grain in ("minute", "hour") else spans.indexes(span)
    groups = {g.id: Group(g.id, g.name, Amounts(), _empty(count)) for g in chosen}
    points = _empty(count)
    for at, id, amounts in rows:
        index = at if by_day is None else by_day.get(at, -1)
        if not 0 <= index < count:
            continue  # An hour that reaches into the day before.
        group = groups.get(id)
        if group is None:
            group = groups.setdefault(OTHERS, Group(OTHERS, OTHERS_NAME, Amounts(), _empty(count)))
        group.points[index].add(amounts)
        group.total.add(amounts)
        points[index].add(amounts)
    return list(groups.values()), points


def _empty(count: int) -> list[Amounts]:
    return [Amounts() for _ in range(count)]


def _sum(points: list[Amounts]) -> Amounts:
    total = Amounts()
    for each in points:
        total.add(each)
    return total
