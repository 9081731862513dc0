"""Who may review, blind where it has to be, and when reviews agree."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.review.judging import (
    DECISIONS,
    Claim,
    Review,
    agreed,
    bars_claim,
    bars_review,
    shows_reviews,
)

NOW = 1_000_000
FIRST = Review("ann", "claimed", "release", 4)


def a_claim(state="waiting", by=None, until_us=NOW + 1):
    return Claim(state, "owner", by, until_us)


def test_nobody_reviews_what_their_own_key_was_answered():
    assert bars_claim(a_claim(), (), "owner", NOW) == "own"
    assert bars_claim(a_claim("disputed"), (FIRST,), "owner", NOW) == "own"


def test_a_claim_keeps_others_out_until_it_lapses():
    held = a_claim("claimed", "ann")
    assert bars_claim(held, (), "bob", NOW) == "taken"
    assert bars_claim(held, (), "ann", NOW) is None
    assert bars_claim(held, (), "bob", NOW + 1) is None
    assert bars_review(held, "ann", NOW) is None
    assert bars_review(held, "bob", NOW) == "unclaimed"
    assert bars_review(held, "ann", NOW + 1) == "unclaimed"
    assert bars_review(a_claim(), "ann", NOW) == "unclaimed"


@pytest.mark.parametrize("state", ["decided", "expired"])
def test_nothing_is_claimed_or_reviewed_once_it_is_over(state):
    assert bars_claim(a_claim(state), (), "ann", NOW) == "over"
    assert bars_review(a_claim(state), "ann", NOW) == "over"


def test_the_second_of_two_is_somebody_else_and_in_a_dispute_everybody_may():
    assert bars_claim(a_claim("second"), (FIRST,), "ann", NOW) == "again"
    assert bars_claim(a_claim("second"), (FIRST,), "bob", NOW) is None
    assert bars_claim(a_claim("disputed"), (FIRST,), "ann", NOW) is None


def test_the_second_is_blind_until_they_have_said_what_they_think():
    assert not shows_reviews("second-claimed", (FIRST,), "bob")
    assert shows_reviews("second-claimed", (FIRST,), "ann")
    for state in ("disputed", "disputed-claimed", "decided", "expired"):
        assert shows_reviews(state, (FIRST,), "bob")


def test_one_decides_alone_where_one_is_asked():
    assert agreed((FIRST,), 1) == FIRST
    assert agreed((), 1) is None


def test_two_have_to_stand_for_the_same_decision_and_the_same_text():
    other = replace(FIRST, who="bob", score=1)
    assert agreed((FIRST,), 2) is None
    assert agreed((FIRST, other), 2) == other, "scores may differ"
    assert agreed((FIRST, replace(other, decision="refuse")), 2) is None
    edit = replace(FIRST, decision="edit", text_digest=b"1")
    assert agreed((edit, replace(edit, who="bob", text_digest=b"2")), 2) is None
    assert agreed((edit, replace(edit, who="bob")), 2) is not None


def test_a_change_of_mind_in_a_dispute_ends_it():
    second = Review("bob", "second-claimed", "refuse", 1)
    round_come = Review("ann", "disputed-claimed", "refuse", 2)
    assert agreed((FIRST, second, round_come), 2) == round_come


reviews = st.lists(
    st.builds(
        Review,
        st.sampled_from(["ann", "bob", "cee"]),
        st.just("disputed-claimed"),
        st.sampled_from(DECISIONS),
        st.integers(1, 5),
        st.sampled_from([b"", b"1"]),
    ),
    max_size=6,
)


@given(reviews, st.integers(1, 2))
def test_whatever_is_decided_enough_different_people_stand_for_it_now(given_reviews, people):
    found = agreed(given_reviews, people)
    latest = {each.who: each.stands_for for each in given_reviews}
    standing = [sum(1 for each in latest.values() if each == one) for one in latest.values()]
    assert (found is not None) == any(count >= people for count in standing)
    if found is not None:
        assert sum(each == found.stands_for for each in latest.values()) >= people
