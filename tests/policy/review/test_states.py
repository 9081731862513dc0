"""The states of a review item: one table, from which every way leads to an end."""

import pytest

from keyhall.policy.review import states
from keyhall.policy.review.states import NEXT, after, undo_of


def test_every_open_state_leads_to_an_end_and_ends_lead_back_by_undo_alone():
    reached = {"waiting"}
    for _ in states.STATES:
        reached |= {to for (at, _), to in NEXT.items() if at in reached}
    assert reached == set(states.STATES)
    for (state, move), to in NEXT.items():
        if state == "decided":
            assert move.startswith("undo")
            assert to in states.CLAIMED
        assert state != "expired", "what the deadline decided nobody takes back"


@pytest.mark.parametrize("state", states.OPEN)
def test_an_open_item_expires_and_a_closed_one_does_not(state):
    assert after(state, "expire") == "expired"
    assert after("decided", "expire") is None


@pytest.mark.parametrize("state", states.CLAIMED)
def test_a_claim_can_be_given_back_and_lapses_and_an_undo_returns_to_it(state):
    free = after(state, "skip")
    assert free in states.FREE
    assert after(state, "lapse") == free
    assert after(free, "claim") == state
    assert after(state, "claim") is None
    for move in ("decide", "pass-on"):
        assert after(after(state, move), undo_of(state)) == state


def test_only_the_moves_of_the_table_exist():
    assert len(NEXT) == len(states.FREE) * 9
    assert all(move in states.MOVES for _, move in NEXT)
