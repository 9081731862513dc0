"""Rules as people write them: what a phrase means, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.policy.filters import patterns
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule, RuleRefused
from keyhall.policy.filters.scan import Scanner
from keyhall.policy.filters.written.phrases import GAP

WORDS = {
    "thing": ("a lamp", "lamps", "<light>"),
    "light": ("light",),
    "some": ("", "some"),
    "many": tuple(f"lamp {number}" for number in range(401)),
    "itself": ("lamp", "<itself>"),
}


def rule(*phrases):
    return Rule(id="test", stage="phrases", action="flag", phrases=phrases, words=WORDS)


def finds(phrase, text):
    (hit,) = Scanner(Policy([rule(phrase)])).whole(text).hits or [None]
    return text[hit.start : hit.end] if hit else None


def test_a_phrase_is_its_words_in_order_whatever_spaces_and_commas_stand_between():
    found = finds("turn on the lamp", "please Turn on,  the\n*lamp* now")
    assert found == "Turn on,  the\n*lamp"
    for other in ("turn on. the lamp", "return on the lamp", "turn on the lampshade"):
        assert finds("turn on the lamp", other) is None


def test_look_alikes_marks_and_invisible_characters_do_not_hide_it():
    for disguised in ("bυу а lаmр", "b\u200buy a l\u0301amp", "ＢＵＹ a lamp"):
        assert finds("buy a lamp", f"please {disguised}!") == disguised


def test_a_name_stands_for_any_text_of_its_list_and_of_lists_in_it():
    for text in ("buy a lamp", "buy lamps", "buy light"):
        assert finds("buy <thing>", text) == text
    assert finds("buy <thing>", "buy a light") is None


def test_an_empty_text_in_a_list_may_be_left_out():
    assert finds("buy <some> lamps", "buy lamps")
    assert finds("buy <some> lamps", "buy some lamps")
    assert finds("buy <some> lamps", "buy more lamps") is None


def test_three_dots_stand_for_some_characters_of_the_same_sentence():
    assert finds("buy ... lamps", "buy the very best lamps")
    assert finds("buy ... lamps", f"buy {'x' * (GAP - 2)} lamps")
    assert finds("buy ... lamps", f"buy {'x' * GAP} lamps") is None
    assert finds("buy ... lamps", "buy it. lamps") is None


def test_phrases_that_begin_alike_are_all_found():
    policy = Policy([rule("buy lamps", "buy lamps today", "buy light", "sell lamps")])
    for text in ("buy lamps", "buy lamps today", "buy light", "sell lamps"):
        assert [hit.start for hit in Scanner(policy).whole(text).hits] == [0]


# Phrases beside patterns and terms, each of which may hold back what another has found.
BESIDE = Policy(
    [
        rule("buy <some> <thing>", "b ... p"),
        Rule(id="blocks", stage="phrases", action="block", phrases=("stop a lamp",)),
        Rule(id="masks", stage="pattern", action="mask", pattern="[а-яa]{2,4}", label="X"),
        Rule(id="card", stage="pattern", action="flag", pattern=r"[0-9 ]{13,24}", check="luhn"),
        Rule(id="term", stage="terms", action="flag", terms=("a l", "lamps")),
    ]
)
PIECES = st.sampled_from(
    ["buy", "some", "lamps", "lamp", "light", " ", ", ", "stop a", "а", "é", "\u200b", "ﷺ", "b",
     "p", ".", "4111 1111 1111 1111", "1 "]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join), st.lists(st.integers(0, 200), max_size=8))
def test_any_split_into_pieces_gives_the_verdict_on_the_whole(text, cuts):
    whole = Scanner(BESIDE, "out").whole(text)
    stream = Scanner(BESIDE, "out").stream()
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    sent = ""
    for begin, end in zip([0, *places], [*places, len(text)], strict=True):
        sent += stream.feed(text[begin:end])
    assert stream.verdict(sent + stream.finish()) == whole


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("buy <nothing>", "there is no list of words <nothing>"),
        ("buy <many>", "more than 400 texts"),
        ("buy <itself>", "stands in itself"),
        ("... lamps", "cannot begin"),
        ("buy ...", "at its end too"),
        ("<some> lamps", "may be left out stand behind words that may not"),
    ],
)
def test_a_phrase_that_makes_no_sense_is_refused_with_its_rule(phrase, said):
    with pytest.raises(RuleRefused, match=r"^Rule test: ") as caught:
        Policy([rule(phrase)])
    assert said in str(caught.value)


def test_a_policy_for_whole_texts_finds_the_same_and_refuses_pieces():
    policy = Policy([rule("buy <some> <thing>")], in_pieces=False)
    (hit,) = Scanner(policy).whole("Please buy lamps.").hits
    assert (hit.start, hit.end) == (7, 16)
    with pytest.raises(AssertionError):
        Scanner(policy).stream().feed("Please buy")


def test_long_rules_are_compiled_in_parts_and_all_of_them_are_found(monkeypatch):
    monkeypatch.setattr(patterns, "SOURCE_CHARACTERS", 400)
    phrases = ("buy lamps", "sell <some> <thing>", "lend ... light")
    policy = Policy(
        Rule(id=f"p{n}", stage="phrases", action="flag", phrases=(each,), words=WORDS)
        for n, each in enumerate(phrases)
    )
    assert len(policy.stages["out"].noting.sides[0].patterns.ends) > 1
    stream = Scanner(policy, "out").stream()
    for piece in ("buy la", "mps, sell so", "me light. lend me some li", "ght"):
        stream.feed(piece)
    stream.finish()
    assert [hit.rule_id for hit in stream.hits] == ["p0", "p1", "p2"]
