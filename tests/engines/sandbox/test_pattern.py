"""Strings written from a regular expression match it; what cannot be read is said so."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.schema.pattern import PATTERN_LENGTH_MAX, matching


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "abc",
        "^[A-Z]{2}-[0-9]{4}$",
        r"^\d{3}-\d{2}-\d{4}$",
        r"^\+?[1-9]\d{1,14}$",
        r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
        "^(red|green|blue)$",
        "^(?P<year>[0-9]{4})-(?P<month>[0-9]{2})$",
        r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
        "^#(?:[0-9a-fA-F]{3}){1,2}$",
        r"^\x41\u0042[\x43-\x45]$",
        r"[\w.-]+",
        r"[]]"[1:] + "x",
        r"^[^\d]$",
        r"^\D\W\S\s$",
        "^a{2,}b{0}c?d*?e+?$",
        "^.{5}$",
        r"^\.\*\/$",
        "^[\u0430-\u044f]{3}$",
        "^[-a]b[a-]$",
        r"^\n\t$",
        "^$",
        "a||b",
        "^[^a-zA-Z0-9]$",
    ],
)
def test_a_written_string_matches(pattern):
    for seed in range(20):
        text = matching(pattern, Dice(seed))
        assert text is not None
        assert re.search(pattern, text), text


def test_properties_of_characters_are_known():
    assert matching(r"^\p{Lu}\p{Ll}\p{N}$", Dice(1))[0].isupper()


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "a)", "[", "[]", "[^]", "[z-a]", "*a", "+", "?", "a{x}", "a{3,2}", "a{"),
        *("a{99999}", "a{1,99999}", "a{1,x}", "(?=a)", "(?!a)", "(?<=a)b", r"(a)\1", r"\b", "\\"),
        *(r"\u12", r"\xzz", r"\ud800", r"\p{Han}", r"\pL", r"\p{L", "(?<a", r"[a-\d]", "a**"),
        *("(" * 40 + ")" * 40, "a" * (PATTERN_LENGTH_MAX + 1), "(a{9999}){9999}"),
        r"[^\x00-\x7f]",
    ],
)
def test_what_cannot_be_read_has_no_answer(pattern):
    assert matching(pattern, Dice(1)) is None


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [("^[a-z]+$", 20, 30), ("^[a-z]+$", 1, 2), ("^a*$", 0, 0), ("^(ab)+$", 100, 400)],
)
def test_open_ended_patterns_are_stretched_to_the_length_asked_for(pattern, least, most):
    text = matching(pattern, Dice(1), least, most)
    assert re.fullmatch(pattern, text)
    assert least <= len(text) <= most


def test_a_length_that_cannot_be_met_gives_a_match_all_the_same():
    assert matching("^a$", Dice(1), 5, 9) == "a"
    assert re.fullmatch("a+", matching("^a+$", Dice(1), 5000, 9000))


@given(st.text(max_size=60) | st.text(r"ab[]()^$-\dws{}1,2|?*+.:", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_never_a_crash(pattern):
    text = matching(pattern, Dice(1))
    assert text is None or len(text) <= 4096
