"""The exam of the house model: what its grader takes, and what it does not let through."""

import pytest

from training import facts
from training.exam import QUESTIONS, TOPICS, Question, grade
from training.exam.grader import CHARACTERS_MAX, inventions, number, plain

FREE = Question(
    "tiers",
    ("How many requests?",),
    (number(facts.FREE.requests),),
    tiers=(facts.FREE,),
)


def test_the_exam_has_enough_questions_on_every_topic_and_none_twice() -> None:
    assert len(QUESTIONS) >= 200
    assert len({question.asked for question in QUESTIONS}) == len(QUESTIONS)
    assert all(sum(question.topic == topic for question in QUESTIONS) >= 10 for topic in TOPICS)


def test_every_question_about_tiers_is_held_to_their_limits() -> None:
    tiers = [question for question in QUESTIONS if question.topic == "tiers"]
    assert len(tiers) >= 30
    assert all(question.tiers for question in tiers)


def test_no_question_accepts_an_empty_answer_or_its_own_echo() -> None:
    """An echo would pass a pattern that only asks for the question's own words."""
    assert not [question for question in QUESTIONS if grade(question, "").right]
    echoed = [question for question in QUESTIONS if grade(question, question.asked[-1]).right]
    allowed = {"small talk"}  # "Hello!" is a good answer to "Hello!".
    assert len([each for each in echoed if each.topic not in allowed]) <= len(QUESTIONS) // 8


@pytest.mark.parametrize(
    "answer",
    [
        "A free trial may send 20 requests per minute.",
        "20.",
        "**20** requests in any 60 seconds, and 40,000 tokens.",
        "It is 20 RPM and 40 000 TPM; without max_tokens an answer has at most 2,048 tokens.",
    ],
)
def test_the_right_limit_is_right_however_it_is_written(answer: str) -> None:
    assert grade(FREE, answer).right


@pytest.mark.parametrize(
    "answer",
    [
        "A free trial may send 200 requests per minute.",
        "A free trial may send 20 requests per minute and 50,000 tokens.",
        "20 tokens and 40,000 requests per minute.",
        "20 requests per minute, for 5 dollars a month.",
        "20 requests per minute, at $0.15 per million tokens.",
        "A free trial may send 20 requests, later 60.",
    ],
)
def test_a_limit_or_a_price_that_is_not_the_tiers_is_an_invention(answer: str) -> None:
    found = grade(FREE, answer)
    assert found.invented
    assert not found.right


def test_a_number_counts_only_when_it_stands_alone() -> None:
    assert grade(FREE, "120 requests").faults
    assert grade(FREE, "2,000 requests").faults
    assert grade(FREE, "v1.20").faults


def test_spans_of_time_are_no_limits() -> None:
    assert not inventions("In any 60 seconds, after 48 hours, within one minute.", (facts.LATER,))


def test_an_answer_that_is_cut_or_rambles_is_wrong() -> None:
    assert not grade(FREE, "20 requests per minute.", finished=False).right
    assert not grade(FREE, "20 requests. " + "word " * CHARACTERS_MAX).right


def test_what_must_not_be_said_is_a_fault() -> None:
    question = Question("refusals", ("Capital?",), ("keyhall",), ("paris",))
    assert grade(question, "I answer questions about Keyhall only.").right
    assert grade(question, "I know Keyhall, and Paris.").faults == ("says paris",)


def test_text_is_compared_without_case_markup_and_separators() -> None:
    assert (
        plain(" **Run** `Keyhall\nkeys`: 3,500 and 40 000 ") == "run keyhall keys: 3500 and 40000"
    )
