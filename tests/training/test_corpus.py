"""The training text of the house model: apart from the exam, the same for everybody, and true."""

import random
import re

import pytest

from training import facts
from training.corpus import ENTRIES, conversations, pages
from training.corpus.grammar import expand
from training.corpus.noise import typed
from training.corpus.overlap import RUN, Apart, from_exam, runs, words
from training.data import page_sequences
from training.exam import QUESTIONS
from training.exam.grader import inventions
from training.tokenizer import Tokenizer, learn

DRAWN = 4_000


def test_no_training_text_shares_eight_words_in_a_row_with_a_question_of_the_exam() -> None:
    asked = {run for question in QUESTIONS for turn in question.asked for run in runs(turn)}
    assert len(asked) > 300
    texts = [turn.text for text in conversations(7, DRAWN) for turn in text.turns]
    assert not [text for text in texts if runs(text) & asked]


def test_no_training_text_is_a_question_of_the_exam() -> None:
    """Shorter questions than eight words have no run to share."""
    asked = {tuple(words(question.asked[-1])) for question in QUESTIONS}
    whole = {each for each in asked if len(each) >= 4}
    texts = [turn.text for text in conversations(8, DRAWN) for turn in text.turns]
    assert not [text for text in texts if tuple(words(text)) in whole]


def test_pages_that_share_words_with_the_exam_are_left_out() -> None:
    tokenizer = Tokenizer(learn(["a b c"], 300))
    asked = {run for question in QUESTIONS for turn in question.asked for run in runs(turn)}
    kept = [tokenizer.decode(each.tokens) for each in page_sequences(tokenizer, 1 << 20)]
    assert len(kept) > 100
    assert not [text for text in kept if runs(text) & asked]


def test_a_text_is_refused_at_eight_shared_words_and_taken_at_seven() -> None:
    apart = Apart([["one two three four five six seven eight nine"]])
    assert RUN == 8
    assert apart.takes("so one two three four five six seven")
    assert not apart.takes("Well: One, two three FOUR five six seven eight?")
    assert not Apart([["is this it now"]]).takes("Is this it, now?")
    assert Apart([["who are you"]]).takes("Who are you?")


def test_the_same_seed_gives_the_same_conversations() -> None:
    first = list(conversations(5, 200))
    assert first == list(conversations(5, 200))
    assert first != list(conversations(6, 200))


def test_conversations_alternate_and_end_with_an_answer() -> None:
    for text in conversations(9, 500):
        roles = [turn.role for turn in text.turns if turn.role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(turn.text.strip() for turn in text.turns)


def test_answers_are_short_and_every_pattern_can_be_drawn() -> None:
    rng = random.Random(1)
    for entry in ENTRIES:
        for pattern in (*entry.asks, *entry.also):
            assert not re.search(r"[\[\]<>]", expand(pattern, rng)), pattern
        for answer in entry.answers:
            assert len(answer) <= 260, answer
            assert answer[-1] in ".!?", answer


def test_answers_about_tiers_name_no_other_limits_than_the_products() -> None:
    """What the model is taught would pass the exam's own rule against inventions."""
    tiers = (facts.FREE, facts.FIRST, facts.LATER)
    for entry in ENTRIES:
        if entry.topic == "tiers":
            for answer in entry.answers:
                assert not inventions(answer, tiers), answer


def test_every_code_of_the_error_table_is_taught_with_its_status() -> None:
    taught = " ".join(answer for entry in ENTRIES for answer in entry.answers)
    for row in facts.ROWS.values():
        if row.code is not None:
            assert f"`{row.code}` comes with status" in taught
    assert (
        f"`context_length_exceeded` comes with status {facts.status('context_length_exceeded')}"
        in (taught)
    )


@pytest.mark.parametrize("pattern", ["[a|b] c", "a[|b[c|d]] e", "[x|y][ z|]"])
def test_a_pattern_gives_each_of_its_sentences(pattern: str) -> None:
    rng = random.Random(2)
    expected = {
        "[a|b] c": {"a c", "b c"},
        "a[|b[c|d]] e": {"a e", "abc e", "abd e"},
        "[x|y][ z|]": {"x", "y", "x z", "y z"},
    }
    assert {expand(pattern, rng) for _ in range(200)} == expected[pattern]


def test_typing_changes_the_form_and_leaves_a_question() -> None:
    rng = random.Random(3)
    typings = {typed("how do I make a key", rng) for _ in range(300)}
    assert len(typings) > 20
    assert all("k" in each for each in typings)


def test_the_documentation_gives_pieces_without_code() -> None:
    found = list(pages())
    assert len(found) > 100
    assert not [text for _, text in found if "```" in text]


def test_every_entry_has_an_answer_that_is_apart_from_the_exam() -> None:
    """Else it would be dropped each time it is drawn, and nobody would ever learn it."""
    apart = from_exam()
    lost = [entry.answers for entry in ENTRIES if not any(map(apart.takes, entry.answers))]
    assert lost == []
