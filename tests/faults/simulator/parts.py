"""What the simulated world is made of beside the real classes: time, a sink with faults, a fuse.

Nothing here knows a rule of Keyhall. The clock reads the loop's virtual time and a wall clock that
can be set; the sink keeps the contract of `ports.ledger.UsageSink` and fails when it is told to;
the fuse kills a process at one of its writes to the journal.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from keyhall.policy.access import Grant
from keyhall.policy.metering import Usage
from keyhall.ports.store import StoreAway

START_US = 1_800_000_000_000_000


class Wall:
    """The machine's clocks: the wall clock, which people set, and the uptime, which nobody can."""

    def __init__(self) -> None:
        self.offset_us = START_US

    def uptime_us(self) -> int:
        return round(asyncio.get_running_loop().time() * 1_000_000)

    def now_us(self) -> int:
        return self.offset_us + self.uptime_us()


class MachineClock:
    """A process's clock on that machine: what `keyhall.clock.SystemClock` is on a real one."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall
        self.base_us = wall.offset_us

    def now_us(self) -> int:
        return self.base_us + self._wall.uptime_us()

    def uptime_us(self) -> int:
        return self._wall.uptime_us()

    def not_before(self, at_us: int) -> None:
        self.base_us += max(0, at_us - self.now_us())


class Killed(BaseException):
    """The process is dead from here on."""


class Fuse:
    """Counts a process's writes to its journal and kills it at one of them."""

    def __init__(self) -> None:
        self.writes_left: int | None = None  # None: it does not burn
        self.is_blown = False

    def burns(self) -> bool:
        if self.writes_left is not None and not self.is_blown:
            self.is_blown = self.writes_left <= 0
            self.writes_left -= 1
        return self.is_blown


class Fused:
    """Journal memory behind a fuse. A word is written or not; of more bytes a part may be."""

    def __init__(self, memory: Any, fuse: Fuse) -> None:
        self._memory = memory
        self._fuse = fuse

    def __getitem__(self, at: Any) -> Any:
        return self._memory[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        was_blown = self._fuse.is_blown
        if not self._fuse.burns():
            self._memory[at] = value
            return
        if isinstance(at, slice) and not was_blown:
            half = len(value) // 2
            self._memory[at.start : at.start + half] = value[:half]
        raise Killed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)


class Sink:
    """Usage rows and grants that all processes share, as the store's port wants them.

    A batch is kept whole or not at all, a row under its request id, the first one wins. Each call
    draws how long it takes and whether it fails: before it keeps anything, or after, as where a
    connection breaks once COMMIT was sent.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.rows: dict[str, Usage] = {}
        self.grants: dict[str, Grant] = {}
        self.fails_percent = 0  # of the calls
        self.is_away = False
        self.seconds_max = 0.01

    async def record_usage(self, batch: Sequence[Usage]) -> None:
        dice = self._dice
        rows = list(batch)
        fails = dice.randrange(100) < self.fails_percent
        keeps = dice.random() < 0.5
        await asyncio.sleep(dice.uniform(0, self.seconds_max))
        if self.is_away or (fails and not keeps):
            raise StoreAway("the database does not answer")
        for row in rows:
            kept = self.rows.setdefault(row.request_id, row)
            assert _numbers(kept) == _numbers(row), f"a retry brought other numbers: {kept} {row}"
        await asyncio.sleep(dice.uniform(0, self.seconds_max))
        if fails:
            raise StoreAway("the connection broke after COMMIT")

    async def usage_since(self, admitted_at_us: int) -> Sequence[Usage]:
        if self.is_away:
            raise StoreAway("the database does not answer")
        found = [row for row in self.rows.values() if row.admitted_at_us >= admitted_at_us]
        return sorted(found, key=lambda row: row.admitted_at_us)

    async def newest_admitted_us(self) -> int:
        if self.is_away:
            raise StoreAway("the database does not answer")
        return max((row.admitted_at_us for row in self.rows.values()), default=0)

    async def find_grant_by_id(self, key_id: str) -> Grant | None:
        return self.grants.get(key_id)


def _numbers(row: Usage) -> Mapping[str, Any]:
    """All but when it ended: that is the time of its recovery, and this may be tried again."""
    return {name: getattr(row, name) for name in row.__struct_fields__ if name != "finished_at_us"}
