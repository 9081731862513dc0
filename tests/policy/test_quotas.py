"""R23: days and months of a time zone, holds, overage and thresholds, as sums of whole numbers."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_usage import made_usage

from keyhall.policy import quotas
from keyhall.policy.metering import Usage
from keyhall.policy.quotas import FOREVER_US, Charge, Exhausted, Quota

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia",
         "America/Sao_Paulo", "Africa/Cairo", "Australia/Lord_Howe")  # fmt: skip


def us(*date: int, zone: str = "UTC") -> int:
    return int(datetime(*date, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def quota(**more) -> Quota:
    return msgspec.structs.replace(
        Quota(
            id="quota_1",
            organization_id="org_1",
            scope="key",
            scope_id="key_1",
            resource="tokens",
            period="month",
            amount=1000,
            policy="suspend",
            overage_price=0,
            thresholds=(50, 80, 100),
            zone=UTC,
        ),
        **more,
    )


def usage(number: int = 1, **more) -> Usage:
    counted = {"input_tokens": 10, "output_tokens": 20, "held_tokens": 40, "cost_nano": 500}
    ids = {"key_id": "key_1", "project_id": "proj_1", "organization_id": "org_1"}
    return made_usage(number, us(2026, 11, 27, 12), **(counted | ids | more))


# --- Days and months ------------------------------------------------------------------------------


def test_r23_a_day_and_a_month_are_those_of_the_time_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    late = us(2026, 11, 30, 23, 30)  # In Berlin it is December already.
    assert quotas.span("day", late, UTC).begins_us == us(2026, 11, 30)
    assert quotas.span("day", late, berlin).begins_us == us(2026, 12, 1, zone="Europe/Berlin")
    assert quotas.span("month", late, UTC) == quotas.Span(us(2026, 11, 1), us(2026, 12, 1))
    assert quotas.span("month", late, berlin).ends_us == us(2027, 1, 1, zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)]
)
def test_f3_a_day_on_which_clocks_change_has_23_or_25_hours(day, hours) -> None:
    found = quotas.span("day", us(*day, 12), ZoneInfo("Europe/Berlin"))
    assert found.ends_us - found.begins_us == hours * 3_600_000_000


@pytest.mark.parametrize(
    ("inside", "after"),
    [
        ((2028, 2, 29, 23), (2028, 3, 1)),
        ((2026, 2, 28), (2026, 3, 1)),
        ((2026, 12, 31), (2027, 1, 1)),
    ],
)
def test_f3_months_end_where_the_calendar_says(inside, after) -> None:
    assert quotas.span("month", us(*inside), UTC).ends_us == us(*after)


def test_ever_is_one_period() -> None:
    assert quotas.span("ever", us(2026, 1, 1), UTC) == quotas.Span(0, FOREVER_US)


@given(
    at=st.integers(0, 4_000_000_000_000_000),
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(["day", "month"]),
)
def test_periods_hold_their_times_and_follow_each_other_without_a_gap(at, zone, period) -> None:
    where = ZoneInfo(zone)
    found = quotas.span(period, at, where)
    assert found.begins_us <= at < found.ends_us
    following = quotas.span(period, found.ends_us, where)
    assert following.begins_us == found.ends_us
    assert quotas.span(period, found.ends_us - 1, where) == found
    assert quotas.span(period, found.begins_us, where) == found


# --- Holds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["requests", "tokens", "money"])
@pytest.mark.parametrize("scope", ["key", "project", "organization"])
@pytest.mark.parametrize(("requested", "does"), [(9, True), (10, True), (11, False)])
def test_a_hold_fits_up_to_the_amount_itself(resource, scope, requested, does) -> None:
    it = quota(resource=resource, scope=scope, amount=100)
    assert quotas.fits(it, used=60, held=30, requested=requested) is does


def test_what_remains_is_never_below_nothing() -> None:
    assert Exhausted(quota(), used=700, held=200, requested=200, ends_us=1).remaining == 100
    assert Exhausted(quota(), used=1700, held=0, requested=1, ends_us=1).remaining == 0


def test_a_request_is_one_request_its_tokens_or_its_cost() -> None:
    assert quotas.used_by(quota(resource="requests"), usage()) == 1
    assert quotas.used_by(quota(resource="tokens"), usage()) == 30
    assert quotas.used_by(quota(resource="money"), usage()) == 500


# --- Charging -------------------------------------------------------------------------------------


def test_a_request_counts_for_its_key_project_and_organization() -> None:
    by_owner = {
        "key_1": [quota()],
        "org_1": [quota(id="quota_2", scope="organization", resource="requests", period="day")],
        "key_2": [quota(id="quota_3")],
    }
    found = quotas.charges([usage()], by_owner)
    assert [(charge.quota.id, charge.begins_us, charge.units) for charge in found] == [
        ("quota_1", us(2026, 11, 1), 30),
        ("quota_2", us(2026, 11, 27), 1),
    ]


def test_r19_a_test_key_counts_nowhere() -> None:
    assert quotas.charges([usage(is_test=True)], {"key_1": [quota()]}) == []


def test_credit_pays_for_nothing_that_was_admitted_before_it() -> None:
    """A quota for ever counts from when it was made; one of a day from the day's beginning."""
    at_us = usage().admitted_at_us
    credit = quota(period="ever", created_at_us=at_us)
    today = quota(period="day", created_at_us=at_us)
    rows = [usage(1, admitted_at_us=at_us - 1), usage(2)]
    found = quotas.charges(rows, {"key_1": [credit, today]})
    counted = [(each.quota.period, each.usage.request_id[-1]) for each in found]
    assert counted == [("day", "1"), ("ever", "2"), ("day", "2")]


def test_requests_of_one_batch_may_lie_on_both_sides_of_a_months_end() -> None:
    rows = [usage(n, admitted_at_us=us(2026, 12, 1) + step) for n, step in enumerate((-1, 0, -2))]
    found = quotas.charges(rows, {"key_1": [quota()]})
    november, december = us(2026, 11, 1), us(2026, 12, 1)
    assert [charge.begins_us for charge in found] == [november, december, november]


@given(
    sizes=st.lists(st.integers(0, 400), max_size=12),
    before=st.integers(0, 2000),
    price=st.integers(0, 5_000_000),
)
def test_every_unit_beyond_the_amount_is_in_one_record_and_no_other_is(
    sizes, before, price
) -> None:
    it = quota(policy="overage", overage_price=price)
    rows = [Charge(usage(n), it, 0, size) for n, size in enumerate(sizes)]
    found = list(quotas.beyond(rows, before))
    after = before + sum(sizes)
    assert sum(each.units for each in found) == max(0, after - max(it.amount, before))
    assert all(0 < each.units <= sizes[int(each.usage.request_id, 16)] for each in found)
    assert all(each.cost_nano * 1000 >= each.units * price > (each.cost_nano - 1) * 1000
               for each in found if each.cost_nano)  # fmt: skip


def test_a_quota_that_suspends_has_no_overage() -> None:
    assert list(quotas.beyond([Charge(usage(), quota(), 0, 5000)], 0)) == []


def test_a_threshold_is_reached_once() -> None:
    assert [each.threshold for each in quotas.reached(quota(), 0, 0, 499)] == []
    assert [each.threshold for each in quotas.reached(quota(), 0, 499, 500)] == [50]
    assert [each.threshold for each in quotas.reached(quota(), 0, 500, 800)] == [80]
    assert [each.threshold for each in quotas.reached(quota(), 0, 0, 1000)] == [50, 80, 100]


@given(steps=st.lists(st.integers(0, 300), max_size=15))
def test_thresholds_are_the_same_however_the_sum_was_reached(steps) -> None:
    used, found = 0, []
    for step in steps:
        found += [each.threshold for each in quotas.reached(quota(), 0, used, used + step)]
        used += step
    assert found == [each.threshold for each in quotas.reached(quota(), 0, 0, used)]


# --- Whose a quota is -----------------------------------------------------------------------------


def test_what_an_operator_has_set_nobody_else_sets_and_it_stays_the_operators() -> None:
    theirs, ours = quota(is_operators=True), quota()
    assert not quotas.may_set(theirs, "organization")
    for before, hand in ((None, "organization"), (ours, "organization"), (theirs, "host"),
                         (theirs, "operator"), (ours, "operator")):  # fmt: skip
        assert quotas.may_set(before, hand)
    for before, hand in ((None, "organization"), (None, "host"), (ours, "host")):
        assert not quotas.is_operators(before, hand)
    for before, hand in ((None, "operator"), (ours, "operator"), (theirs, "host")):
        assert quotas.is_operators(before, hand)
