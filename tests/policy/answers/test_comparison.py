"""What many pairs of answers come to."""

from dataclasses import replace

from keyhall.policy.answers.comparison import MEASURES, Answer, Pair, by_prompt, summary, verdict
from keyhall.policy.answers.repetition import measure

REP_4, LONGEST, *_, TOKENS, FIRST, TOTAL = MEASURES
STOPS = next(each for each in MEASURES if each.name == "stops")


def answer(text: str = "a b c d", **facts: object) -> Answer:
    made = Answer(text, "stop", "v1", "fp_1", 5, 4, 10.0, 20.0, measure(text.split()))
    return replace(made, **facts)  # type: ignore[arg-type]


LOOP = answer("a b c d " * 5)
PLAIN = answer(" ".join(map(str, range(20))))


def test_a_prompt_counts_once_whatever_its_seeds() -> None:
    pairs = [Pair(0, 1, LOOP, PLAIN), Pair(0, 2, PLAIN, PLAIN), Pair(1, 1, LOOP, LOOP)]
    found = by_prompt(pairs, REP_4)
    assert found[0] == ((1 - 4 / 17) / 2, 0.0)
    assert found[1] == (1 - 4 / 17, 1 - 4 / 17)
    assert summary(pairs)["rep_4"].prompts == 2


def test_what_did_not_come_is_in_no_figure() -> None:
    failed = Answer(problem="503: busy")
    assert summary([Pair(0, 1, failed, PLAIN), Pair(1, 1, PLAIN, failed)]) == {}
    some = summary([Pair(0, 1, failed, PLAIN), Pair(1, 1, LOOP, PLAIN)])
    assert {paired.prompts for paired in some.values()} == {1}


def test_a_measure_that_cannot_be_told_is_left_out() -> None:
    bare = answer("", first_ms=None, repetition=None)
    short = answer("one two")
    found = summary([Pair(0, 1, bare, bare), Pair(1, 1, short, short)])
    assert "rep_4" not in found
    assert found["distinct_2"].prompts == found["first_ms"].prompts == 1
    assert found["total_ms"].prompts == 2


def test_the_verdict_knows_which_way_is_better() -> None:
    def said(measure, first: Answer, second: Answer) -> str:
        pairs = [Pair(at, 1, first, second) for at in range(6)]
        return verdict(measure, summary(pairs)[measure.name])

    assert said(REP_4, LOOP, PLAIN) == said(LONGEST, LOOP, PLAIN) == "better"
    assert said(REP_4, PLAIN, LOOP) == "worse"
    cut = replace(PLAIN, finish="length")
    assert said(STOPS, cut, PLAIN) == "better"
    assert said(STOPS, replace(PLAIN, finish="tool_calls"), PLAIN) == "no clear difference"
    longer = replace(PLAIN, output_tokens=9, total_ms=99.0)
    assert said(TOKENS, PLAIN, longer) == "more"
    assert said(TOKENS, longer, PLAIN) == "fewer"
    assert said(TOTAL, PLAIN, longer) == "worse"
    assert said(FIRST, PLAIN, PLAIN) == "no clear difference"
    few = summary([Pair(0, 1, LOOP, PLAIN)])
    assert verdict(REP_4, few["rep_4"]) == "too few prompts"
