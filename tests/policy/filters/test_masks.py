"""Masks and the way back."""

from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.filters import masks
from keyhall.policy.filters.masks import Masks, Undo


def test_the_same_value_has_the_same_number_and_another_the_next():
    known = Masks()
    assert known.place("EMAIL", "a") == "[EMAIL_1]"
    assert known.place("EMAIL", "b") == "[EMAIL_2]"
    assert known.place("EMAIL", "a") == "[EMAIL_1]"
    assert known.place("", "a") == "[MASKED_1]"
    assert known.back() == {"[EMAIL_1]": "a", "[EMAIL_2]": "b", "[MASKED_1]": "a"}


def test_numbers_that_stand_in_the_conversation_are_not_given():
    known = Masks(lambda: ["see [EMAIL_1] and [EMAIL_2]", "none", "[EMAIL_4"])
    assert known.place("EMAIL", "a") == "[EMAIL_3]"
    assert known.place("EMAIL", "b") == "[EMAIL_4]"


def test_a_request_cannot_make_the_table_grow_for_ever(monkeypatch):
    monkeypatch.setattr(masks, "VALUES_MAX", 2)
    known = Masks()
    assert [known.place("X", value) for value in "abcc"] == ["[X_1]", "[X_2]", "[X_3]", "[X_4]"]
    assert known.back() == {"[X_1]": "a", "[X_2]": "b"}


VALUES = {"[EMAIL_1]": "a@b.co", "[EMAIL_12]": "[EMAIL_1]"}


@given(
    st.lists(st.sampled_from(["[EMAIL_1]", "[EMAIL_12]", "[EMAIL_3]", "[", "[E", "x", "[[", "]"])),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_pieces_come_back_as_the_whole_does(parts, cuts):
    text = "".join(parts)
    whole = Undo(VALUES).feed(text, last=True)
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    undo = Undo(VALUES)
    pieces = zip([0, *places], [*places, len(text)], strict=True)
    out = "".join(undo.feed(text[begin:end]) for begin, end in pieces) + undo.feed("", last=True)
    assert out == whole


def test_only_what_could_become_a_place_waits():
    undo = Undo(VALUES)
    assert undo.feed("so [EMA") == "so "
    assert undo.feed("L] [x [") == "[EMAL] [x "
    assert undo.feed("EMAIL_1] ok") == "a@b.co ok"
    assert undo.feed("[" + "A" * 60) == "[" + "A" * 60
