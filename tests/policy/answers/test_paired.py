"""The difference of two versions, and how sure of it one can be."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.policy.answers.paired import compare, interval, sign_test

VALUES = st.floats(-1000, 1000, allow_nan=False)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_the_other_way_round_it_is_the_opposite(pairs: list[tuple[float, float]]) -> None:
    one, other = compare(pairs), compare([(second, first) for first, second in pairs])
    assert one is not None
    assert other is not None
    assert math.isclose(one.difference, -other.difference, abs_tol=1e-9)
    assert (one.lower, one.higher, one.p) == (other.higher, other.lower, other.p)
    assert (one.first, one.second) == (other.second, other.first)


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_the_interval_lies_among_the_differences(pairs: list[tuple[float, float]]) -> None:
    found = compare(pairs)
    assert found is not None
    if len(pairs) < 5:
        assert found.low is None
        assert not found.is_clear
        return
    differences = [second - first for first, second in pairs]
    assert found.low is not None
    assert found.high is not None
    assert min(differences) - 1e-9 <= found.low <= found.high <= max(differences) + 1e-9


def test_the_same_answers_give_the_same_interval() -> None:
    differences = [0.1 * at for at in range(20)]
    assert interval(differences) == interval(list(differences))


def test_a_difference_that_is_always_there_is_clear_and_noise_is_not() -> None:
    always = compare([(1.0, 0.5 + at / 100) for at in range(10)])
    noise = compare([(1.0, 1.0 + (-1) ** at) for at in range(10)])
    assert always is not None
    assert always.is_clear
    assert always.p == pytest.approx(2 / 2**10)
    assert noise is not None
    assert not noise.is_clear
    assert noise.p == 1.0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of 40 samples of a thousand known differences; a bootstrap of 20 is a little too narrow."""
    known = [math.sin(at * at) for at in range(1000)]
    truth = math.fsum(known) / len(known)
    covered = 0
    for start in range(40):
        sample = [known[(start * 97 + at * 389) % 1000] for at in range(20)]
        low, high = interval(sample) or (0, 0)
        covered += low <= truth <= high
    assert 34 <= covered <= 40


@pytest.mark.parametrize(
    ("lower", "higher", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (8, 2, 112 / 1024), (3, 3, 1.0), (0, 2000, 0.0)],
)
def test_the_sign_test_is_exact(lower: int, higher: int, p: float) -> None:
    assert sign_test(lower, higher) == pytest.approx(p)
    assert sign_test(higher, lower) == sign_test(lower, higher)


def test_of_no_prompts_nothing_is_said() -> None:
    assert compare([]) is None
