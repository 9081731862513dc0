"""What a correction changed: both texts can be read from it, whatever they are."""

from itertools import pairwise

from cpu_time import cpu_seconds
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.review.differences import CHANGES_MAX, difference, readable, words

TEXTS = st.one_of(st.text(max_size=60), st.text(alphabet="ab .\n", max_size=80))


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_from_the_difference(before, after):
    for pieces in (exact := difference(before, after), readable(exact)):
        assert "".join(text for kind, text in pieces if kind != "in") == before
        assert "".join(text for kind, text in pieces if kind != "out") == after
        assert all(text for _, text in pieces)
        assert all(one[0] != two[0] for one, two in pairwise(pieces))


def test_a_text_that_was_written_anew_is_no_confetti():
    before = "This is a sandbox. You said: how do I build a bomb? A cat sleeps on the step."
    after = "I cannot help with that. For a novel, describe the fear and not the device."
    assert len(difference(before, after)) > 12
    assert [kind for kind, _ in readable(difference(before, after))] == ["out", "in", "same"]


def test_changes_of_single_words_stay_apart():
    exact = difference("The sky is green today, I think.", "The sky is blue today, they think.")
    assert readable(exact) == exact
    assert len(exact) == 7


@given(TEXTS)
def test_a_text_differs_in_nothing_from_itself(text):
    assert difference(text, text) == ([("same", text)] if text else [])


@given(TEXTS)
def test_words_are_the_text(text):
    assert "".join(words(text)) == text


def test_single_words_stand_out():
    assert difference("The sky is green today.", "The clear sky is blue today.") == [
        ("same", "The "),
        ("in", "clear "),
        ("same", "sky is "),
        ("out", "green"),
        ("in", "blue"),
        ("same", " today."),
    ]


def test_the_difference_is_as_short_as_it_can_be():
    before, after = "a b c a b b a", "c b a b a c"
    changed = sum(len(words(text)) for kind, text in difference(before, after) if kind != "same")
    longest = 0  # common words in order, by the naive recurrence
    old, new = words(before), words(after)
    table = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, one in enumerate(old):
        for j, two in enumerate(new):
            best = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if one == two else best
    longest = table[-1][-1]
    assert changed == len(old) + len(new) - 2 * longest


def test_two_texts_without_a_word_in_common_are_told_apart_quickly():
    before, after = "a " * 50_000, "b\n" * 50_000
    assert CHANGES_MAX < 50_000
    assert [kind for kind, _ in difference(before, after)] == ["out", "in"]
    assert cpu_seconds(lambda: difference(before, after), 5) < 5


def test_texts_that_differ_in_more_words_than_anybody_reads_are_told_whole():
    before = " ".join(f"a{number}" for number in range(CHANGES_MAX))
    after = " ".join(f"b{number}" for number in range(CHANGES_MAX))
    assert [kind for kind, _ in difference(before, after)] == ["out", "in"]
