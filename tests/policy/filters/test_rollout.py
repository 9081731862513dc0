"""A roll-out to a part of requests is stable, even, and only grows."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.policy.filters.rollout import BUCKETS, bucket


@settings(deadline=None)
@given(st.text(), st.lists(st.text()))
def test_the_same_request_of_the_same_key_has_the_same_bucket(key, texts):
    assert bucket(key, texts) == bucket(key, iter(texts))
    assert 0 <= bucket(key, texts) < BUCKETS


def test_it_is_the_same_on_every_machine():
    assert bucket("key_0123456789ab", ["Hello."]) == 76


def test_requests_fall_evenly_and_another_key_has_others():
    found = [bucket("key_0123456789ab", [f"text {number}"]) for number in range(10_000)]
    for percent in (1, 10, 50):
        share = sum(each < percent for each in found) / len(found)
        assert abs(share - percent / 100) < 0.02
    other = [bucket("key_ba9876543210", [f"text {number}"]) for number in range(10_000)]
    assert sum(one == two for one, two in zip(found, other, strict=True)) < 300


def test_where_one_text_ends_and_the_next_begins_counts():
    assert bucket("k", ["ab", "c"]) != bucket("k", ["a", "bc"])
