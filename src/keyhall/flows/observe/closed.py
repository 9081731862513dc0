"""What was used on days that are over, remembered for a while.

A look at 90 days by key adds up some hundred thousand sums, and an open page asks again every few
seconds. So the days that are over are added up once, and a look adds what is newer. What is
remembered is exact: with the totals comes how far they had come, and when newer rows turn out to be
of a day that is over (a long request, a crash that was made up for), its sums are forgotten.

What depends on whose a key is is remembered until the next change to any key.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sized
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.clock import Clock
from keyhall.policy.spans import DAY_US, HOUR_US, MINUTE_US
from keyhall.stores import notes, usage
from keyhall.stores.requests.refusals import ADDED_LATE

LEAST_US = 4 * DAY_US  # shorter times are not worth it
BEHIND_US = 2 * HOUR_US  # a day is over so long after its end: until then rows of it come
KEPT_US = 5 * MINUTE_US
AMOUNTS_MAX = 50_000  # of all that is kept together: 20 MB

Found = TypeVar("Found", bound=Sized)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the totals had come, in the snapshot that is read."""

    number: int  # of the newest usage row that is in all of them
    late: str | None  # how often refusals came late
    change: int  # the newest change: keys may have another owner since


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Sized
    until_us: int  # the end of the time that it is about
    stale_us: int


class Closed:
    """One per process. Nothing in it may be changed by who reads it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._amounts = 0
        self._number = 0
        self._late: str | None = None

    def over_us(self) -> int:
        """The end of the days that are over."""
        behind_us = self._clock.now_us() - BEHIND_US
        return behind_us - behind_us % DAY_US

    async def standing(self, connection: AsyncConnection) -> Standing:
        """Of this snapshot. Forgets what newer rows have changed."""
        found = Standing(
            await usage.rolled_up_to(connection),
            await notes.fact(connection, ADDED_LATE),
            await notes.last_change(connection),
        )
        if found.late != self._late:
            self._forget_since(0)
            self._late = found.late
        if found.number > self._number:
            if self._kept:
                oldest_us = await usage.oldest_between(connection, self._number, found.number)
                self._forget_since(oldest_us)
            self._number = max(self._number, found.number)
        return found

    def _forget_since(self, at_us: int | None) -> None:
        if at_us is not None:
            for key in [key for key, kept in self._kept.items() if kept.until_us > at_us]:
                self._forget(key)

    def _forget(self, key: Hashable) -> None:
        self._amounts -= len(self._kept.pop(key).value)

    async def get(
        self, standing: Standing, key: Hashable, until_us: int, make: Callable[[], Awaitable[Found]]
    ) -> Found:
        """What is remembered under a key, which says all that it depends on; or what is made now,
        about a time that ends at `until_us`."""
        now_us = self._clock.now_us()
        kept = self._kept.get(key)
        if kept is not None and now_us < kept.stale_us:
            self._kept.move_to_end(key)
            return kept.value  # type: ignore[return-value]  # The key says what it is.
        made = await make()
        is_newest = standing.number >= self._number and standing.late == self._late
        if is_newest and len(made) <= AMOUNTS_MAX // 2:
            if key in self._kept:
                self._forget(key)
            self._kept[key] = _Kept(made, until_us, now_us + KEPT_US)
            self._amounts += len(made)
            while self._amounts > AMOUNTS_MAX:
                self._forget(next(iter(self._kept)))
        return made
