"""Folding: by code point, so that pieces fold as the whole does, and bounded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.policy.filters import fold
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import Scanner
from keyhall.policy.filters.terms import folded, is_word

EVERY = [chr(code) for code in fold._codes()]  # whatever is changed at all


def test_no_code_point_grows_without_bound():
    """A folding bomb: U+FDFA becomes eighteen characters in NFKC."""
    for folding in (fold.plain(), fold.broad()):
        assert max(len(folding.text(each)) for each in EVERY) <= fold.EXPANSION_MAX
    assert fold.plain().text("\ufdfa") == "\ufdfa"


def test_what_is_folded_stays_as_it_is_when_it_is_folded_again():
    for folding in (fold.plain(), fold.broad()):
        odd = [
            each
            for each in EVERY
            if folding.text(folding.text(each)) != folding.text(each) and len(folding.text(each))
        ]
        assert not odd, odd[:20]


def test_what_looks_alike_is_alike():
    for text in (
        "bomb", "BOMB", "ｂｏｍｂ", "𝐛𝐨𝐦𝐛", "bоmb", "b\u200bo\u00adm\u2060b",
        "b\u0301o\u0336mb", "ⓑⓞⓜⓑ",
        "\U000e0062\U000e006f\U000e006d\U000e0062", "βomb", "🅱🅾🅼🅱", "bömb", "ʙᴏᴍʙ",
    ):  # fmt: skip
        assert folded(text) == "bomb", text
    assert folded("two\nlines") == "two lines"


def test_patterns_see_letters_of_any_script_as_they_are():
    """Only terms are compared by looks: a pattern for Cyrillic would else never match."""
    plain = fold.plain().text
    assert plain("паспорт №") == "паспорт No"
    assert plain("é") == "é"
    assert plain("１２٣") == "123"
    assert plain("a\u0301\u200b") == "a"
    assert plain("\U000e0041") == "A"


def test_vowel_signs_are_letters():
    """Indic and Thai words are not robbed of what tells them apart."""
    for word in ("नमस्ते", "ที่", "கொலை"):
        assert len(folded(word)) >= len(word)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_pieces_fold_as_the_whole_does(one, other):
    for folding in (fold.plain(), fold.broad()):
        assert folding.text(one + other) == folding.text(one) + folding.text(other)


@settings(max_examples=100, deadline=None)
@given(st.text("aß㎏ﬁ\u0301\u200bДx", max_size=12))
def test_every_folded_character_knows_where_it_comes_from(text):
    for folding in (fold.plain(), fold.broad()):
        out, starts = folding.fold(text, set(text))
        assert out == folding.text(text)
        for at, character in enumerate(out):
            origin = fold.first(starts, at)
            assert character in folding.text(text[origin])


def test_words_end_where_scripts_have_spaces():
    assert is_word("a")
    assert is_word("_")
    assert is_word("é")
    assert not is_word("-")
    assert not is_word("犬")
    assert not is_word("。")


def test_half_a_surrogate_pair_is_one_character_for_terms_and_patterns():
    """No JSON that is read has one; a file may."""
    policy = Policy([
        Rule(id="t", stage="terms", action="mask", terms=("dog",)),
        Rule(id="p", stage="pattern", action="mask", pattern="cat"),
    ])  # fmt: skip
    text = "\ud800 dog\udc00cat"
    assert Scanner(policy).whole(text).text == "\ud800 [MASKED_1]\udc00[MASKED_2]"
    stream = Scanner(policy).stream()
    sent = "".join(map(stream.feed, text)) + stream.finish()
    assert sent == "\ud800 [MASKED_1]\udc00[MASKED_2]"
    assert stream.scanned == stream.passed + stream.masked
