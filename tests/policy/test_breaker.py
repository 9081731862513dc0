"""I-17: an engine that fails is left alone within ten failures or five seconds, and asked again so
that full rate is back within thirty; requests are sent again at most once in ten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.breaker import (
    CALLS_PER_RETRY,
    FAILING_US_MAX,
    FAILURES_MAX,
    RETRIES_AT_START,
    WAIT_US_MAX,
    WAIT_US_MIN,
    Breaker,
    RetryBudget,
)

SECOND = 1_000_000


def opened(at_us: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker.begin(at_us)
        breaker.failed(at_us)
    return breaker


def test_i17_ten_failures_in_a_row_open_it_and_nine_do_not() -> None:
    breaker = Breaker()
    for number in range(FAILURES_MAX - 1):
        breaker.failed(number)
        assert breaker.state(number) == "closed"
        assert breaker.wait_us(number) == 0
    breaker.failed(20)
    assert breaker.state(20) == "open"
    assert breaker.wait_us(20) == WAIT_US_MIN


def test_i17_five_seconds_of_nothing_but_failures_open_it() -> None:
    breaker = Breaker()
    breaker.failed(0)
    breaker.failed(FAILING_US_MAX - 1)
    assert breaker.state(FAILING_US_MAX - 1) == "closed"
    breaker.failed(FAILING_US_MAX)
    assert breaker.state(FAILING_US_MAX) == "open"


def test_one_answer_among_failures_counts_them_anew() -> None:
    breaker = Breaker()
    for number in range(100):
        breaker.failed(number * SECOND)
        breaker.answered()
    assert breaker.state(100 * SECOND) == "closed"
    assert breaker.failures == 0


def test_while_it_is_half_open_one_request_tries_and_the_others_wait() -> None:
    breaker = opened()
    assert breaker.state(WAIT_US_MIN) == "half_open"
    assert breaker.wait_us(WAIT_US_MIN) == 0
    breaker.begin(WAIT_US_MIN)
    assert breaker.wait_us(WAIT_US_MIN) == WAIT_US_MIN
    assert breaker.state(WAIT_US_MIN + 1) == "open"


def test_a_try_that_hangs_keeps_nobody_else_from_trying_later() -> None:
    breaker = opened()
    breaker.begin(WAIT_US_MIN)
    assert breaker.wait_us(2 * WAIT_US_MIN) == 0


def test_each_try_in_vain_doubles_the_wait_up_to_its_bound() -> None:
    breaker, now_us, waits = opened(), 0, []
    for _ in range(6):
        now_us += breaker.wait_us(now_us)
        breaker.begin(now_us)
        breaker.failed(now_us)
        waits.append(breaker.wait_us(now_us) // SECOND)
    assert waits == [2, 4, 8, 8, 8, 8]


def test_failures_of_requests_that_went_before_it_opened_change_nothing() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.failed(1)
    assert breaker.wait_us(1) == WAIT_US_MIN - 1
    assert breaker.failures == FAILURES_MAX


def test_an_answer_closes_it_for_everybody_at_once() -> None:
    breaker = opened()
    breaker.begin(WAIT_US_MIN)
    breaker.answered()
    assert breaker.state(WAIT_US_MIN) == "closed"
    for _ in range(1_000):
        assert breaker.wait_us(WAIT_US_MIN) == 0
        breaker.begin(WAIT_US_MIN)


def test_the_next_outage_begins_with_a_short_wait() -> None:
    breaker = opened()
    for _ in range(5):
        breaker.begin(100 * SECOND)
        breaker.failed(100 * SECOND)
    breaker.answered()
    for _ in range(FAILURES_MAX):
        breaker.failed(200 * SECOND)
    assert breaker.wait_us(200 * SECOND) == WAIT_US_MIN


@given(
    st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=200),
    st.integers(0, 200 * SECOND),
)
def test_i17_whatever_the_traffic_an_engine_that_is_dead_gets_little_and_is_found_back_soon(
    gaps: list[int], back_after_us: int
) -> None:
    """Requests come at any times; all fail until the engine is back, all are answered then."""
    breaker, now_us, sent, back_us = Breaker(), 0, 0, None
    for gap in gaps:
        now_us += gap
        is_back = now_us >= back_after_us
        if breaker.wait_us(now_us):
            assert not is_back or now_us - back_after_us < WAIT_US_MAX
            continue
        breaker.begin(now_us)
        if is_back:
            breaker.answered()
            back_us = back_us or now_us
            assert breaker.state(now_us) == "closed"
        else:
            sent += 1
            breaker.failed(now_us)
    outage_us = min(now_us, back_after_us)
    assert sent <= FAILURES_MAX + 3 + outage_us / WAIT_US_MAX + 1


@given(st.lists(st.integers(0, 40), max_size=100))
def test_i17_requests_that_are_sent_again_are_at_most_one_in_ten_and_ten(
    answered: list[int],
) -> None:
    """`answered` on each connection, whose last call is lost and would be sent again."""
    budget, calls, retries = RetryBudget(), 0, 0
    for carried in answered:
        calls += carried
        budget.earn(carried)
        retries += budget.take()
        assert retries <= RETRIES_AT_START + calls / CALLS_PER_RETRY


@pytest.mark.parametrize("calls", [0, 10, 1_000_000])
def test_what_was_earned_in_a_long_life_is_not_spent_at_once(calls: int) -> None:
    budget = RetryBudget()
    budget.earn(calls)
    taken = sum(budget.take() for _ in range(10_000))
    assert taken == min(RETRIES_AT_START + calls // CALLS_PER_RETRY, 100)
