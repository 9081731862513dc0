"""A reviewer sees what a model reads (attack 18): hidden characters by their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.review.marked import is_hidden, marked, name_of

HIDDEN = {
    "a right-to-left override": "\u202e",
    "an isolate": "\u2066",
    "no width": "\u200b",
    "a joiner": "\u200d",
    "a byte-order mark": "\ufeff",
    "a soft hyphen": "\u00ad",
    "a tag": "\U000e0041",
    "a variation selector": "\ufe0f",
    "a variation selector of the supplement": "\U000e0100",
    "a filler": "\u3164",
    "an escape": "\x1b",
    "a carriage return": "\r",
    "a line separator": "\u2028",
    "a private one": "\ue000",
    "an unassigned one": "\u0378",
}


@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_has_no_shape_is_named(character):
    pieces = marked(f"say{character}this")
    assert pieces == [("say", ""), (character, name_of(character)), ("this", "")]
    assert name_of(character).startswith("U+")


@pytest.mark.parametrize("text", ["plain words", "two\nlines\tand a tab", "Grüße, 你好, שלום, 🙂"])
def test_writing_stays_as_it_is(text):
    assert marked(text) == [(text, "")]


@given(st.text())
def test_the_pieces_are_the_text_and_no_hidden_character_is_left_unnamed(text):
    pieces = marked(text)
    assert "".join(piece for piece, _ in pieces) == text
    for piece, name in pieces:
        assert bool(name) == any(map(is_hidden, piece))
