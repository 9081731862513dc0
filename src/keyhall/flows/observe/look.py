"""What was used, read for one answer: from what is remembered of days that are over, and from the
store what is newer.
"""

import heapq
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.observe.closed import LEAST_US, Closed, Found, Standing
from keyhall.policy.spans import Span
from keyhall.ports.people import Sight
from keyhall.ports.usage import Amounts, By, Filter
from keyhall.stores.requests import series
from keyhall.stores.requests.series import Source

Points = list[tuple[int, str, Amounts]]


@dataclass(frozen=True, slots=True)
class Look:
    """One snapshot, as one person sees it."""

    connection: AsyncConnection
    sight: Sight
    only: Filter
    closed: Closed | None = None
    standing: Standing | None = None  # with `closed`

    async def largest(self, source: Source, span: Span, by: By, limit: int) -> dict[str, Amounts]:
        """The groups that used most, in order. What comes may be changed."""
        given = (self.connection, source, self.sight, span, self.only, by)
        over_us = self._over_us(span)
        if over_us is None:
            return await series.largest(*given, limit)
        closed = await self._remembered(
            ("largest", *self._key(source, span, by)),
            over_us,
            lambda: series.largest(*given, None, within=(span.begins_us, over_us)),
        )
        found = dict(closed)
        if over_us < span.ends_us:
            fresh = await series.largest(*given, None, within=(over_us, span.ends_us))
            for id, amounts in fresh.items():
                if id in closed:
                    amounts.add(closed[id])
                found[id] = amounts
        return _largest(found, limit)

    async def points(
        self, source: Source, span: Span, by: By, groups: list[str], *, of_few: bool = False
    ) -> Points:
        """As `series.points` or `points_of`; a point may come in two parts. They may not be
        changed."""
        read = series.points_of if of_few else series.points
        given = (self.connection, source, self.sight, span, self.only, by, groups)
        over_us = self._over_us(span)
        if over_us is None:
            return await read(*given)
        closed = await self._remembered(
            ("points", *self._key(source, span, by), span.grain, span.zone, tuple(groups), of_few),
            over_us,
            lambda: read(*given, within=(span.begins_us, over_us)),
        )
        if over_us >= span.ends_us:
            return closed
        return closed + await read(*given, within=(over_us, span.ends_us))

    async def points_of_few(self, source: Source, span: Span, by: By) -> Points:
        """The points of all groups, where these are few."""
        return await series.points(self.connection, source, self.sight, span, self.only, by, None)

    def _over_us(self, span: Span) -> int | None:
        """Where what is remembered ends; None where nothing is."""
        if self.closed is None or span.grain == "minute":
            return None
        over_us = min(self.closed.over_us(), span.ends_us)
        return over_us if over_us - span.begins_us >= LEAST_US else None

    async def _remembered(
        self, key: Hashable, over_us: int, make: Callable[[], Awaitable[Found]]
    ) -> Found:
        assert self.closed is not None
        assert self.standing is not None
        return await self.closed.get(self.standing, (key, over_us), over_us, make)

    def _key(self, source: Source, span: Span, by: By) -> tuple[Hashable, ...]:
        assert self.standing is not None
        is_of_people = by == "person" or self.sight.account_id or self.only.account_id
        change = self.standing.change if is_of_people else None
        return source.name, self.sight, self.only, by, span.begins_us, change


def largest_of(points: Points, limit: int) -> dict[str, Amounts]:
    """The groups of these points that used most, in order."""
    found: dict[str, Amounts] = {}
    for _, id, amounts in points:
        found.setdefault(id, Amounts()).add(amounts)
    return _largest(found, limit)


def _largest(found: dict[str, Amounts], limit: int) -> dict[str, Amounts]:
    most = heapq.nsmallest(limit, found.items(), key=_order)
    return {id: replace(amounts) for id, amounts in most}


def _order(each: tuple[str, Amounts]) -> tuple[int, int, int, str]:
    id, amounts = each
    return -amounts.tokens, -amounts.requests, -amounts.refused, id
