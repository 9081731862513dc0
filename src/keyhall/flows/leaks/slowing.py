"""Reporters are slowed down by all processes together, where these count together.

`policy/leaks/throttle.py` bounds what this process looks at, and what it remembers; what passes
there is held against two windows of the hall's counters, as a request is against its key's: one of
the place, one of all who do not sign. Of a place they are told a keyed hash, never the address.
"""

from typing import TYPE_CHECKING

from keyhall.config.leaks import Leaks as Settings
from keyhall.policy.leaks.throttle import PLACES_MAX, Throttle, place_of
from keyhall.policy.limits import Limits, Refused, WindowLimits

if TYPE_CHECKING:
    from keyhall.flows.hall import Hall

LEAST_WAIT_US = 1_000_000
_GROUP = "leaks"

Windows = tuple[WindowLimits, ...]


class Slowing:
    """Of one process."""

    def __init__(self, settings: Settings) -> None:
        per_place, in_all = settings.reports_per_address, settings.reports_per_minute
        self._throttle = Throttle(per_place, in_all)
        self._of_place = Limits(requests_per_minute=per_place)
        self._of_all = WindowLimits("organization", _GROUP, Limits(in_all), _GROUP)
        self._windows: dict[str, Windows] = {}  # counters know a caller by the same tuple

    async def wait_us(self, address: str, now_us: int, hall: "Hall", *, is_signed: bool) -> int:
        """0, and the report counts; else how long to wait."""
        here_us = self._throttle.wait_us(address, now_us, is_signed=is_signed)
        if here_us or is_signed:
            return here_us
        taken = await hall.counters.hold(self._windows_of(place_of(address), hall), 0)
        if isinstance(taken, Refused):
            return max(taken.wait_us, LEAST_WAIT_US)
        hall.counters.settle(taken, 0)
        return 0

    def give_back(self, address: str) -> None:
        """Its signature was good: whoever that is sends as much as it has."""
        self._throttle.give_back(address)

    def _windows_of(self, place: str, hall: "Hall") -> Windows:
        found = self._windows.get(place)
        if found is None:
            if len(self._windows) >= PLACES_MAX:
                self._windows.clear()
            name = f"{_GROUP}:{hall.callers.digest(place.encode()).hex()[:32]}"
            own = WindowLimits("key", name, self._of_place, _GROUP)
            found = self._windows[place] = (own, self._of_all)
        return found
