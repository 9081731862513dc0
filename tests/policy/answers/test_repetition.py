"""Repetition, held to what anybody would count by hand."""

from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.answers.repetition import distinct, longest_repeat, measure

TOKENS = st.lists(st.integers(0, 3), max_size=40)


def by_hand(tokens: list[int]) -> int:
    found = 0
    for length in range(1, len(tokens)):
        runs = [tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)]
        if len(set(runs)) < len(runs):
            found = length
    return found


@given(TOKENS)
def test_the_longest_repeat_is_what_one_finds_by_hand(tokens: list[int]) -> None:
    assert longest_repeat(tokens) == by_hand(tokens)


@given(TOKENS)
def test_shares_are_shares_and_are_told_only_of_texts_that_have_such_runs(
    tokens: list[int],
) -> None:
    found = measure(tokens)
    shares = (found.distinct_1, found.distinct_2, found.distinct_3, found.rep_4)
    for length, share in enumerate(shares, 1):
        assert (share is None) == (len(tokens) < length)
        assert share is None or 0 <= share <= 1
    assert found.tokens == len(tokens)


@given(st.lists(st.integers(), max_size=30, unique=True))
def test_a_text_without_repetition_has_none(tokens: list[int]) -> None:
    found = measure(tokens)
    assert found.longest == 0
    assert found.rep_4 in (None, 0.0)
    assert found.distinct_1 in (None, 1.0)


@given(st.lists(st.integers(0, 9), min_size=4, max_size=12), st.integers(2, 6))
def test_saying_it_again_never_makes_it_less_repetitive(passage: list[int], times: int) -> None:
    once, again = measure(passage), measure(passage * times)
    assert again.longest >= len(passage) * (times - 1)
    assert again.rep_4 is not None
    assert once.rep_4 is not None
    assert again.rep_4 >= once.rep_4


def test_a_text_of_one_word_repeats_all_but_its_first_run() -> None:
    found = measure(["la"] * 100)
    assert (found.longest, found.distinct_1) == (99, 0.01)
    assert found.rep_4 == 1 - 1 / 97


def test_a_long_text_is_measured_quickly() -> None:
    """n log n: the longest answers that versions give, and a loop, which is the hardest case."""
    assert longest_repeat([at % 7 for at in range(20_000)]) == 20_000 - 7


def test_words_count_as_well_as_numbers() -> None:
    assert distinct(["to", "be", "or", "not", "to", "be"], 2) == 4 / 5
