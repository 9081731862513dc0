"""R24: what a verification compares, as values."""

from datetime import UTC
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_usage import made_usage

from keyhall.policy import quotas
from keyhall.policy.metering import Disconnect, Usage
from keyhall.policy.pricing import cost_nano
from keyhall.policy.quotas import Quota
from keyhall.policy.verify import costs
from keyhall.policy.verify.chains import NOTHING, Batch, Chains, digest_of, sealed
from keyhall.policy.verify.costs import CHANGE_US, PriceStep
from keyhall.policy.verify.quotas import Replay, Since
from keyhall.policy.verify.totals import count_differs, total_differs
from keyhall.stores.spending import take_in

DAY_US = 86_400_000_000
MORNING_US = 1_800_000_000_000_000 - 1_800_000_000_000_000 % DAY_US


def usage(number: int = 1, **more) -> Usage:
    counted = {"input_tokens": 10, "output_tokens": 20, "cost_nano": 0, "version": "v1"}
    ids = {"key_id": "key_1", "project_id": "proj_1", "organization_id": "org_1"}
    return made_usage(number, MORNING_US + number, **(counted | ids | more))


def encoded(row: Usage) -> tuple[str, bytes]:
    return row.request_id, msgspec.msgpack.encode(take_in.values_of(row))


# --- Totals ---------------------------------------------------------------------------------------


def test_a_total_differs_where_a_sum_does_and_names_that_alone() -> None:
    place, rows = {"hour_us": 0, "key_id": "key_1"}, {"requests": 2, "cost_nano": 5}
    assert total_differs("hour of keys", place, rows, rows) is None
    found = total_differs("hour of keys", place, rows, {"requests": 2, "cost_nano": 4})
    assert found is not None
    assert found.where == "hour of keys: hour_us 0, key_id key_1"
    assert (found.expected, found.found) == ("cost_nano 5", "cost_nano 4")


@pytest.mark.parametrize(
    ("minute_us", "count", "owners", "expected"),
    [
        (60_000_000, 1, ("proj_1", "org_1"), None),
        (60_000_000, 1, (), None),
        (60_000_001, 1, (), "the beginning of a minute"),
        (0, 0, (), "at least 1"),
        (0, 1, ("proj_1", "org_2"), "proj_1, org_2"),
    ],
)
def test_a_count_of_refusals_is_positive_of_a_minute_and_of_its_key(
    minute_us, count, owners, expected
) -> None:
    named = ("proj_1", "org_1")
    found = count_differs(minute_us, "key_1", "rate_requests", count, named, owners)
    assert (found and found.expected) == expected


# --- Chains ---------------------------------------------------------------------------------------


def chain(writer: str, batches: list[list[Usage]], first: int = 1) -> list[Batch]:
    previous, made = NOTHING, []
    for sequence, rows in enumerate(batches, start=1):
        digest = take_in.digest(previous, rows)
        number = first + sequence - 1
        made.append(Batch(number, writer, sequence, len(rows), previous, digest))
        previous = digest
    return made


def test_r24_a_digest_is_what_takes_batches_in_writes() -> None:
    rows = [usage(number) for number in (3, 1, 2)]
    ordered = [encoded(row)[1] for row in sorted(rows, key=lambda row: row.request_id)]
    assert digest_of(NOTHING, ordered) == take_in.digest(NOTHING, rows)


@settings(deadline=None)  # The first example compiles what msgspec encodes.
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.randoms())
def test_r24_chains_of_several_writers_may_interleave(sizes, dice) -> None:
    ones = chain("a", [[usage(number) for number in range(size)] for size in sizes])
    others = chain("b", [[usage(9)], [usage(8)]], first=100)
    together = [*ones, *others]
    order = sorted(together, key=lambda _: dice.random())
    by_writer = {"a": iter(ones), "b": iter(others)}
    chains = Chains()
    assert [chains.follow(next(by_writer[each.writer])) for each in order] == [None] * len(order)
    assert chains.heads["a"] == (len(sizes), ones[-1].digest)


@pytest.mark.parametrize("gone", range(3))
def test_r24_a_batch_that_is_gone_is_noticed_by_the_next(gone) -> None:
    batches = chain("a", [[usage(number)] for number in range(4)])
    del batches[gone]
    chains = Chains()
    found = [each for each in map(chains.follow, batches) if each is not None]
    assert [each.found for each in found] == [f"sequence {gone + 2}"]


def test_r24_a_replaced_batch_does_not_fit_the_next() -> None:
    first, second = chain("a", [[usage(1)], [usage(2)]])
    other = chain("a", [[usage(3)]])[0]
    chains = Chains()
    assert chains.follow(other) is None
    difference = chains.follow(second)
    assert difference is not None
    assert "replaced" in difference.means
    assert difference.expected.endswith(other.digest.hex()[:16])
    assert difference.found == first.digest.hex()[:16]


def test_r24_a_batch_is_its_rows_and_no_others() -> None:
    rows = [usage(1), usage(2)]
    [batch] = chain("a", [rows])
    assert sealed(batch, [encoded(row) for row in reversed(rows)]) is None
    for spoiled in ([], [usage(1)], [usage(1), usage(2), usage(3)]):
        difference = sealed(batch, [encoded(row) for row in spoiled])
        assert difference is not None
        assert difference.found == f"{len(spoiled)} rows"
    changed = sealed(batch, [encoded(usage(1)), encoded(usage(2, output_tokens=21))])
    assert changed is not None
    assert "requests 0" in changed.means


@pytest.mark.parametrize("count", [0, 1])
def test_r24_small_batches_are_named_too(count) -> None:
    [batch] = chain("a", [[usage(1)][:count]])
    assert sealed(batch, [encoded(usage(1))][:count]) is None
    broken = msgspec.structs.replace(batch, digest=NOTHING)
    difference = sealed(broken, [encoded(usage(1))][:count])
    assert difference is not None
    assert ("it has none" if count == 0 else f"(request {usage(1).request_id}") in difference.means


def test_i19_a_batch_that_a_release_with_fewer_columns_sealed_is_whole() -> None:
    """It runs beside a newer one, whose column stands at its default then."""
    old = [msgspec.msgpack.encode(take_in.values_of(usage(number))[:18]) for number in (1, 2)]
    batch = Batch(1, "a", 1, 2, NOTHING, digest_of(NOTHING, old))
    assert sealed(batch, [encoded(usage(1)), encoded(usage(2))]) is None
    assert sealed(batch, [encoded(usage(1)), encoded(usage(2, output_tokens=21))]) is not None
    drained = usage(2, on_disconnect=Disconnect.DRAIN)
    assert sealed(batch, [encoded(usage(1)), encoded(drained)]) is not None


# --- Costs ----------------------------------------------------------------------------------------

STEPS = [PriceStep(MORNING_US, 100, 200), PriceStep(MORNING_US + DAY_US, 300, 400)]


def cost(step: PriceStep) -> int:
    return cost_nano(10, 20, step.input, step.output)


@pytest.mark.parametrize(
    ("at_us", "possible"),
    [
        (-CHANGE_US - 1, [0]),
        (-CHANGE_US, [0, cost(STEPS[0])]),
        (CHANGE_US - 1, [0, cost(STEPS[0])]),
        (CHANGE_US, [cost(STEPS[0])]),
        (DAY_US - CHANGE_US - 1, [cost(STEPS[0])]),
        (DAY_US - CHANGE_US, [cost(STEPS[0]), cost(STEPS[1])]),
        (DAY_US + CHANGE_US - 1, [cost(STEPS[0]), cost(STEPS[1])]),
        (DAY_US + CHANGE_US, [cost(STEPS[1])]),
        (9 * DAY_US, [cost(STEPS[1])]),
    ],
)
def test_r18_near_a_change_both_prices_are_right(at_us, possible) -> None:
    row = usage(admitted_at_us=MORNING_US + at_us)
    assert costs.possible_costs(STEPS, row) == possible
    for right in possible:
        assert costs.cost_differs(STEPS, msgspec.structs.replace(row, cost_nano=right)) is None
    wrong = costs.cost_differs(STEPS, msgspec.structs.replace(row, cost_nano=12345))
    assert wrong is not None
    assert wrong.found == "12345 nano-units"


def test_r19_a_test_key_costs_nothing_at_any_price() -> None:
    assert costs.possible_costs(STEPS, usage(is_test=True, admitted_at_us=MORNING_US)) == [0]
    assert costs.possible_costs([], usage()) == [0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, None),
        ({"held_tokens": -1}, "held_tokens is -1, below zero"),
        ({"outcome": 99}, "outcome is 99, which means nothing"),
        ({"admitted_at_us": 2**62}, f"admitted_at_us is {2**62}, which is no time"),
        ({"finished_at_us": 1}, "it ended before it was admitted"),
    ],
)
def test_values_that_cannot_be_are_named(fields, said) -> None:
    assert costs.impossible(usage(**fields)) == said


# --- Quotas ---------------------------------------------------------------------------------------


def quota(**more) -> Quota:
    known = Quota("quota_1", "org_1", "organization", "org_1", "requests", "day", 3, "overage",
                  2_000, (), UTC)  # fmt: skip
    return msgspec.structs.replace(known, **more)


def replay_of(one: Quota, **since: int) -> Replay:
    return Replay({one.scope_id: [one]}, {one.id: Since(**({"made_us": 0} | since))})


TODAY = ("quota_1", MORNING_US)


def test_r23_what_a_replay_leaves_is_what_taking_in_left() -> None:
    replay = replay_of(quota())
    first = replay.take([usage(number) for number in range(2)])
    second = replay.take([usage(number) for number in range(2, 5)])
    assert first == []
    assert [(each.usage.request_id, each.units) for each in second] == [
        (usage(3).request_id, 1),
        (usage(4).request_id, 1),
    ]
    assert replay.used == {TODAY: 5}
    for _ in second:
        replay.recorded(TODAY, 1)
    assert replay.total_differs(TODAY, 5) is None
    assert list(replay.missing()) == []
    assert list(replay.overage_differs()) == []


@pytest.mark.parametrize("used", [4, 6])
def test_r23_a_total_that_is_not_the_sum_of_its_rows_differs(used) -> None:
    replay = replay_of(quota())
    replay.take([usage(number) for number in range(5)])
    difference = replay.total_differs(TODAY, used)
    assert difference is not None
    assert (difference.expected, difference.found) == ("5 used", f"{used} used")
    assert "day from 2027-01-15T00:00:00+00:00" in difference.where


def test_r23_a_total_of_an_earlier_period_may_hold_only_what_came_later() -> None:
    """The quota was made the day after; a request of the day before settled only then."""
    replay = replay_of(quota(), made_us=MORNING_US + DAY_US)
    replay.take([usage(number) for number in range(5)])
    assert replay.total_differs(TODAY, 1) is None
    assert replay.total_differs(TODAY, 6) is not None
    assert list(replay_of(quota(), made_us=MORNING_US + DAY_US).missing()) == []


def test_r23_a_total_that_is_missing_is_found_unless_none_was_needed() -> None:
    counted = {0: 1, MORNING_US + 5: 1, MORNING_US + DAY_US: 0}
    for counted_us, count in counted.items():
        replay = replay_of(quota(), made_us=counted_us)
        replay.take([usage(1)])
        assert len(list(replay.missing())) == count
    nothing_used = replay_of(quota(resource="money"))
    nothing_used.take([usage(1)])
    assert list(nothing_used.missing()) == []


def test_r23_a_total_belongs_to_a_day_of_the_zone() -> None:
    replay = replay_of(quota(zone=ZoneInfo("Asia/Kolkata")))
    difference = replay.total_differs(TODAY, 0)
    assert difference is not None
    assert difference.expected == "2027-01-15T00:00:00+05:30"


def test_r23_a_quota_for_ever_has_one_period_without_a_date() -> None:
    replay = replay_of(quota(period="ever", policy="suspend"))
    replay.take([usage(1)])
    difference = replay.total_differs(("quota_1", 0), 2)
    assert difference is not None
    assert difference.where == "quota quota_1 (requests of organization org_1)"


@settings(deadline=None)
@given(
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 6),
)
def test_r23_overage_of_the_period_in_which_a_quota_was_made_is_bounded(
    before, after, amount, wrong
) -> None:
    """Rows from before it counted, and left no overage: it is between what those admitted since
    can have passed, and all that lies beyond the amount."""
    made_us = MORNING_US + 1_000
    one = quota(amount=amount)
    rows = [usage(number, admitted_at_us=MORNING_US + number) for number in range(before)]
    rows += [usage(100 + number, admitted_at_us=made_us + number) for number in range(after)]
    replay = replay_of(one, made_us=made_us)
    assert replay.take(rows) == []
    charges = quotas.charges(rows[before:], {"org_1": [one]})
    written = sum(each.units for each in quotas.beyond(charges, before))
    replay.recorded(TODAY, written)
    assert list(replay.overage_differs()) == []
    replay.recorded(TODAY, wrong)
    most = max(0, before + after - amount)
    assert bool(list(replay.overage_differs())) == (written + wrong > most)


def test_r23_overage_that_is_missing_or_of_a_quota_without_it_differs() -> None:
    replay = replay_of(quota())
    replay.take([usage(number) for number in range(5)])
    [missing] = replay.overage_differs()
    assert (missing.expected, missing.found) == ("2 units beyond 3", "0 units")
    hard = replay_of(quota(policy="suspend"))
    hard.take([usage(number) for number in range(5)])
    hard.recorded(TODAY, 1)
    [added] = hard.overage_differs()
    assert added.found == "1 units"


def test_r23_overage_of_an_amount_that_was_another_is_not_judged() -> None:
    replay = replay_of(quota(), changed_us=MORNING_US + 10)
    assert replay.take([usage(number) for number in range(5)]) == []
    assert list(replay.overage_differs()) == []


def test_r23_when_days_move_earlier_periods_are_not_judged_and_later_ones_are() -> None:
    """What was recorded of the old days stays under them."""
    replay = replay_of(quota(), moved_us=MORNING_US + 10)
    assert replay.take([usage(number) for number in range(5)]) == []
    replay.recorded(("quota_1", MORNING_US - 3_600_000_000), 7)
    assert list(replay.overage_differs()) == []
    assert replay.total_differs(TODAY, 4) is not None, "the running day was summed up again"
    tomorrow = [usage(number, admitted_at_us=MORNING_US + DAY_US + number) for number in range(5)]
    assert len(replay.take(tomorrow)) == 2
    assert len(list(replay.overage_differs())) == 1


def test_overage_that_may_be_several_sums_is_told_as_such() -> None:
    replay = replay_of(quota(), made_us=MORNING_US + 3)
    replay.take([usage(number) for number in range(6)])
    replay.recorded(TODAY, 9)
    [difference] = replay.overage_differs()
    assert difference.expected == "3 units beyond 3"
    replay.take([usage(7, admitted_at_us=MORNING_US)])
    [difference] = replay.overage_differs()
    assert difference.expected == "3 to 4 units beyond 3"
