"""What enters the queue: samples by id, the most urgent first."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.review.rules import (
    NO_RULES,
    REASONS,
    SAMPLE_ALL,
    Rules,
    is_sampled,
    urgency,
)


@given(st.binary(min_size=16, max_size=16), st.integers(0, SAMPLE_ALL))
def test_a_larger_sample_holds_the_smaller_one(request_id, tenths):
    if is_sampled(request_id, tenths):
        assert is_sampled(request_id, SAMPLE_ALL)
        assert is_sampled(request_id, min(tenths + 1, SAMPLE_ALL))
    assert is_sampled(request_id, tenths) == is_sampled(request_id, tenths)


@given(st.binary(min_size=16, max_size=16))
def test_none_are_sampled_by_nothing_and_all_by_all(request_id):
    assert not is_sampled(request_id, 0)
    assert is_sampled(request_id, SAMPLE_ALL)


def test_a_sample_is_as_large_as_it_says():
    ids = [hashlib.sha256(bytes([n % 256, n // 256])).digest()[:16] for n in range(20_000)]
    taken = sum(is_sampled(each, 50) for each in ids)
    assert 850 < taken < 1_150  # 5 % of 20,000, by four standard deviations and more


def test_who_waits_comes_first_and_then_the_most_urgent_reason():
    assert urgency(("sampled",), True) == 0
    order = [urgency((reason,), False) for reason in REASONS]
    assert order == sorted(order)
    assert urgency(("sampled", "flagged"), False) == urgency(("flagged",), False)


def test_rules_without_a_way_in_are_not_used():
    assert not NO_RULES.is_used
    assert not Rules(people=2, export=True).is_used
    for rules in (Rules(hold="always"), Rules(flagged=True), Rules(feedback=True), Rules(sample=1)):
        assert rules.is_used
