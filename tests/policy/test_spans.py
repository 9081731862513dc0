"""Spans cut into points: whole points, few enough, on the calendar of a zone."""

from datetime import UTC
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy import spans
from keyhall.policy.spans import DAY_US, HOUR_US, MINUTE_US, POINTS_MAX

NOW_US = 1_800_000_000_000_000  # 2027-01-15 08:00 UTC
BERLIN = ZoneInfo("Europe/Berlin")
SPRING_US = 1_806_195_600_000_000  # 2027-03-28 01:00 UTC: clocks go forth in Berlin

zones = st.sampled_from([UTC, BERLIN, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/St_Johns")])
grains = st.sampled_from([None, "minute", "hour", "day", "month"])


@given(
    st.integers(0, NOW_US * 2), st.integers(0, 2_000 * DAY_US), grains, zones
)  # fmt: skip
def test_points_cover_the_span_and_are_few_enough(begins_us, length_us, grain, zone):
    span = spans.chosen(begins_us, begins_us + length_us, grain, zone)
    points = spans.points(span)
    assert 1 <= len(points) <= POINTS_MAX + 1
    assert points[0] == span.begins_us
    assert points == sorted(set(points))
    assert points[-1] < span.ends_us
    assert span.ends_us >= begins_us + length_us
    assert span.before.ends_us == span.begins_us


@given(st.integers(NOW_US, NOW_US + 400 * DAY_US), st.integers(1, 400), zones)
def test_every_hour_of_a_span_of_days_is_in_the_point_of_its_own_day(begins_us, days, zone):
    span = spans.chosen(begins_us, begins_us + days * DAY_US, "day", zone)
    indexes, points, offsets = spans.indexes(span), spans.points(span), spans.offsets(span)
    first = span.begins_us + -span.begins_us % HOUR_US
    for hour_us in range(first, span.ends_us, 7 * HOUR_US):
        offset_us = next(us for since, us in reversed(offsets) if since <= hour_us)
        index = indexes[(hour_us + offset_us) // DAY_US]
        ends_us = points[index + 1] if index + 1 < len(points) else span.ends_us
        assert points[index] <= hour_us < ends_us


def test_a_day_on_which_clocks_change_has_its_own_length_and_offset():
    span = spans.chosen(SPRING_US - 2 * DAY_US, SPRING_US + 2 * DAY_US, "day", BERLIN)
    points = spans.points(span)
    lengths = {after - before for before, after in pairwise(points)}
    assert lengths == {DAY_US, 23 * HOUR_US}
    assert [us for _, us in spans.offsets(span)] == [HOUR_US, 2 * HOUR_US]
    assert spans.offsets(span)[1][0] == SPRING_US


@pytest.mark.parametrize(
    ("length_us", "wanted", "grain"),
    [
        (HOUR_US, None, "minute"),
        (DAY_US, None, "hour"),
        (30 * DAY_US, None, "day"),
        (365 * DAY_US, None, "month"),
        (DAY_US, "minute", "minute"),
        (2 * DAY_US, "minute", "hour"),
        (200 * DAY_US, "hour", "month"),
        (60 * DAY_US, "hour", "hour"),
        (HOUR_US, "month", "month"),
    ],
)
def test_a_grain_that_is_too_fine_is_made_coarser(length_us, wanted, grain):
    assert spans.chosen(NOW_US, NOW_US + length_us, wanted, UTC).grain == grain


def test_a_span_has_at_least_one_minute_and_at_most_three_years():
    assert spans.chosen(NOW_US, NOW_US - 1, None, UTC).ends_us == NOW_US + MINUTE_US
    assert spans.chosen(0, NOW_US, None, UTC).begins_us > NOW_US - 1_140 * DAY_US


def test_a_change_is_in_percent_and_nothing_without_something_before():
    assert spans.change(150, 100) == 50
    assert spans.change(0, 3) == -100
    assert spans.change(7, 0) is None
