"""A span of time cut into points: what a chart of usage shows.

Minutes and hours are those of UTC, days and months those of a calendar in some zone. Times are
microseconds since 1970; a span is begins <= t < ends. A grain that would give more than POINTS_MAX
points is made coarser, one finer than the grain of what is kept is not offered.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from keyhall.policy import quotas

Grain = Literal["minute", "hour", "day", "month"]

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
POINTS_MAX = 1_500
SPAN_US_MAX = 1_100 * DAY_US  # three years
MINUTES_US_MAX = DAY_US + HOUR_US  # 24 hours, however they lie
_STEPS: dict[Grain, int] = {"minute": MINUTE_US, "hour": HOUR_US}
_USUAL: tuple[tuple[int, Grain], ...] = (
    (6 * HOUR_US, "minute"),
    (4 * DAY_US, "hour"),
    (120 * DAY_US, "day"),
)

PRESETS: dict[str, int] = {
    "1h": HOUR_US,
    "6h": 6 * HOUR_US,
    "24h": DAY_US,
    "7d": 7 * DAY_US,
    "30d": 30 * DAY_US,
    "90d": 90 * DAY_US,
    "1y": 365 * DAY_US,
}


@dataclass(frozen=True, slots=True)
class Span:
    begins_us: int
    ends_us: int
    grain: Grain
    zone: tzinfo

    @property
    def before(self) -> "Span":
        """The one of the same length that ends where this one begins."""
        length = self.ends_us - self.begins_us
        return Span(self.begins_us - length, self.begins_us, self.grain, self.zone)


def fits(grain: Grain, length_us: int) -> bool:
    """Whether a span of that length may be shown so finely."""
    if grain == "minute":
        return length_us <= MINUTES_US_MAX
    if grain == "hour":
        return length_us // HOUR_US <= POINTS_MAX
    return True


def usual(length_us: int) -> Grain:
    """The grain for whoever chose none."""
    return next((grain for most, grain in _USUAL if length_us <= most), "month")


def chosen(begins_us: int, ends_us: int, wanted: Grain | None, zone: tzinfo) -> Span:
    """Whole points that cover the time: it begins where its first point does.

    >>> chosen(90_000_000, 100_000_000, None, UTC).begins_us
    60000000
    """
    ends_us = max(ends_us, begins_us + MINUTE_US)
    begins_us = max(0, begins_us, ends_us - SPAN_US_MAX)
    length_us = ends_us - begins_us
    grain = wanted if wanted is not None and fits(wanted, length_us) else usual(length_us)
    if grain == "minute" or grain == "hour":
        step_us = _STEPS[grain]
        return Span(begins_us - begins_us % step_us, ends_us + -ends_us % step_us, grain, zone)
    return Span(quotas.span(grain, begins_us, zone).begins_us, ends_us, grain, zone)


def points(span: Span) -> list[int]:
    """Where each point begins."""
    if span.grain == "minute" or span.grain == "hour":
        return list(range(span.begins_us, span.ends_us, _STEPS[span.grain]))
    found, at_us = [], span.begins_us
    while at_us < span.ends_us:
        found.append(at_us)
        at_us = quotas.span(span.grain, at_us, span.zone).ends_us
    return found


def offsets(span: Span) -> list[tuple[int, int]]:
    """From when on the zone's clocks are ahead of UTC by how much, for the whole span."""
    found: list[tuple[int, int]] = []
    for at_us in [span.begins_us, *range(span.begins_us + DAY_US, span.ends_us, DAY_US)]:
        offset_us = _offset_us(at_us, span.zone)
        if not found or found[-1][1] != offset_us:
            found.append((_changed(at_us, offset_us, span) if found else at_us, offset_us))
    return found


def _changed(by_us: int, offset_us: int, span: Span) -> int:
    """The hour of the day before from which on the clocks are ahead by that."""
    hours = range(by_us - DAY_US, by_us + 1, HOUR_US)
    return next(hour for hour in hours if _offset_us(hour, span.zone) == offset_us)


def _offset_us(at_us: int, zone: tzinfo) -> int:
    local = datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).astimezone(zone)
    return (local.utcoffset() or timedelta()) // timedelta(microseconds=1)


def indexes(span: Span) -> dict[int, int]:
    """The index of each local day of a span by its number since 1970: days, or days of months."""
    starts = points(span)
    found: dict[int, int] = {}
    for index, start_us in enumerate(starts):
        ends_us = starts[index + 1] if index + 1 < len(starts) else span.ends_us
        first = _day_number(start_us, span.zone)
        for number in range(first, _day_number(max(start_us, ends_us - 1), span.zone) + 1):
            found[number] = index
    return found


def _day_number(at_us: int, zone: tzinfo) -> int:
    return (at_us + _offset_us(at_us, zone)) // DAY_US


def change(now: int, before: int) -> int | None:
    """In percent; None where there is nothing to compare with."""
    return None if not before else round(100 * (now - before) / before)
