"""Quotas played again: what the ledger's rows, in the order of their commits, used and passed.

The totals of a quota are exact from the moment it was made, or its days began at another time: then
its running period was summed up; a request of an earlier period that settles later opens a total of
its own. Overage is exact as long as the amount stayed the same.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from keyhall.policy import quotas
from keyhall.policy.metering import Usage
from keyhall.policy.quotas import Beyond, Quota
from keyhall.policy.verify.chains import Difference

Place = tuple[str, int]  # a quota's id, and when the period began


class Since(msgspec.Struct, frozen=True):
    """When a quota was made, when its days began to begin at another time, and when anything of it
    changed last; 0 for never."""

    made_us: int
    moved_us: int = 0
    changed_us: int = 0

    @property
    def counted_us(self) -> int:
        """From here on its totals are the sums of all rows."""
        return max(self.made_us, self.moved_us)

    @property
    def is_other_us(self) -> int:
        """From here on its overage is what its amount and its days are now."""
        return max(self.counted_us, self.changed_us)


class Replay:
    """Sums by quota and period. It grows with quotas and their periods, not with rows."""

    def __init__(self, by_owner: dict[str, list[Quota]], since: dict[str, Since]) -> None:
        self.by_owner = by_owner
        self.quotas = {quota.id: quota for found in by_owner.values() for quota in found}
        self.since = since
        self.used: dict[Place, int] = {}
        self._seen: set[Place] = set()  # have a total
        self._later: dict[Place, int] = {}  # of requests admitted after the quota was made
        self._recorded: dict[Place, int] = {}  # units in overage rows

    def take(self, rows: Sequence[Usage]) -> list[Beyond]:
        """Count rows; gives the overage that they must have left, where it can be told exactly."""
        over: list[Beyond] = []
        for charge in quotas.charges(rows, self.by_owner):
            place = charge.quota.id, charge.begins_us
            before = self.used.get(place, 0)
            self.used[place] = before + charge.units
            if charge.quota.policy != "overage":
                continue
            since = self.since[charge.quota.id]
            if charge.usage.admitted_at_us >= since.made_us:
                self._later[place] = self._later.get(place, 0) + charge.units
            if charge.begins_us >= since.is_other_us:
                over += quotas.beyond([charge], before)
        return over

    def recorded(self, place: Place, units: int) -> None:
        """An overage row was found."""
        self._recorded[place] = self._recorded.get(place, 0) + units

    def total_differs(self, place: Place, used: int) -> Difference | None:
        """Compare a total with the rows. Call it once for every total there is."""
        quota = self.quotas[place[0]]
        self._seen.add(place)
        rows = self.used.get(place, 0)
        found = quotas.span(quota.period, place[1], quota.zone)
        if found.begins_us != place[1]:
            means = f"no {quota.period} begins then in {quota.zone}"
            begins = _moment(found.begins_us, quota)
            return _differs(place, quota, begins, _moment(place[1], quota), means)
        is_partial = found.ends_us <= self.since[quota.id].counted_us
        if used == rows or (is_partial and used < rows):
            return None
        means = "the total was changed, or rows of the ledger were"
        return _differs(place, quota, f"{rows} used", f"{used} used", means)

    def missing(self) -> Iterator[Difference]:
        """Periods in which rows count and that have no total. Call it after all totals."""
        for place in sorted(self.used.keys() - self._seen):
            quota, rows = self.quotas[place[0]], self.used[place]
            ends_us = quotas.span(quota.period, place[1], quota.zone).ends_us
            if rows and ends_us > self.since[quota.id].counted_us:
                means = "the total was removed: the quota could be used again"
                yield _differs(place, quota, f"{rows} used", "no total", means)

    def overage_differs(self) -> Iterator[Difference]:
        """Compare the units of all overage rows with what was used beyond the amount."""
        for place in sorted(self.used.keys() | self._recorded.keys()):
            quota, since = self.quotas[place[0]], self.since[place[0]]
            if max(since.moved_us, since.changed_us) > max(since.made_us, place[1]):
                continue  # For a part of this period the amount was another, or the days were.
            found = self._recorded.get(place, 0)
            used = self.used.get(place, 0) if quota.policy == "overage" else 0
            most = max(0, used - quota.amount)
            least = most if place[1] >= since.made_us else min(most, self._later.get(place, 0))
            if not least <= found <= most:
                asked = f"{most}" if least == most else f"{least} to {most}"
                yield Difference(
                    "overage",
                    where(place, quota),
                    f"{asked} units beyond {quota.amount}",
                    f"{found} units",
                    "overage rows were removed, added or changed",
                )


def where(place: Place, quota: Quota) -> str:
    begins = "" if quota.period == "ever" else f", {quota.period} from {_moment(place[1], quota)}"
    return f"quota {quota.id} ({quota.resource} of {quota.scope} {quota.scope_id}{begins})"


def _moment(at_us: int, quota: Quota) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, tz=quota.zone).isoformat(timespec="seconds")


def _differs(place: Place, quota: Quota, expected: str, found: str, means: str) -> Difference:
    return Difference("quota", where(place, quota), expected, found, means)
