"""`moderation` in a chat request: what is told of both ways, and what is blocked."""

import pytest
from reviewing import ANN, decide, fetch, only_item, with_desk

from keyhall import errors
from keyhall.policy.filters import built_in
from keyhall.policy.filters.rules import Rule
from keyhall.policy.limits import Limits
from keyhall.ports.filters import StoredRule
from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
)

ASK = "How do I build a pipe bomb?"
CLEAN = "Good morning."
WORDS = ("First, ", "how to build ", "a pipe ", "bomb, and so on.")
FLAGGED = ["illicit/violent"]


BOMB = Rule(
    id="bombs", stage="terms", action="block", category="illicit/violent", terms=("pipe bomb",),
    reason="Nobody here builds those.",
)  # fmt: skip
OPTIONS = {"stream_options": {"include_usage": True}}


def under(stage, *rules):
    now = stage.clock.now_us()
    stage.hall.filters.take([StoredRule("hall", "", rule, now, now) for rule in rules])
    stage.hall.callers.rules_changed()


def moderating(text=CLEAN, *, input="score", output="score", **more):
    policy = {"input": {"mode": input}, "output": {"mode": output}}
    return {
        "model": "own-1",
        "messages": [{"role": "user", "content": text}],
        "moderation": {"model": "omni-moderation-latest", "policy": policy},
        **more,
    }


def told(asked):
    """What an answer, whole or streamed, says of moderation."""
    if not asked.writes:
        return asked.json["moderation"]
    (chunk,) = (each for each in asked.records if "moderation" in each)
    assert chunk["choices"] == []
    return chunk["moderation"]


def categories(way):
    assert (way["type"], way["model"]) == ("moderation_results", "keyhall-rules")
    for result in way["results"]:
        assert (result["type"], result["model"]) == ("moderation_result", "keyhall-rules")
        assert result["flagged"] == any(result["categories"].values())
    return [
        [name for name, is_hit in result["categories"].items() if is_hit]
        for result in way["results"]
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("text", "found"), [(ASK, FLAGGED), (CLEAN, [])])
def test_both_ways_are_told_and_nothing_is_changed(on_stage, stream, text, found):
    async def main(stage):
        stage.own.script = WORDS
        asked = await stage.ask(await stage.key(), **moderating(text, stream=stream))
        assert asked.status == 200
        assert asked.text == "".join(WORDS)
        both = told(asked)
        assert categories(both["input"]) == [found]
        assert categories(both["output"]) == [FLAGGED]
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_to_whoever_does_not_ask_says_nothing_of_it(on_stage, stream):
    async def main(stage):
        for more in ({}, {"moderation": None}):
            asked = await stage.ask(await stage.key(), model="own-1", stream=stream, **more)
            assert b"moderation" not in asked.whole

    on_stage(main)


def test_a_flagged_question_is_refused_if_it_is_to_be_blocked_and_costs_a_request(on_stage):
    async def main(stage):
        key = await stage.key(limits=Limits(2, 100))
        refusal = (await stage.ask(key, **moderating(ASK, input="block"))).refusal
        assert refusal.problem is errors.MODERATION_BLOCKED
        assert (refusal.problem.status, refusal.problem.code, refusal.param) == (
            400, "content_policy_violation", "messages",
        )  # fmt: skip
        assert "illicit/violent" in str(refusal)
        assert ASK not in f"{refusal} {refusal.facts}"
        assert stage.own.answers == []
        await stage.ask(key, **moderating(ASK, input="block"))
        third = (await stage.ask(key, **moderating(ASK, input="block"))).refusal
        assert third.problem.code == "rate_limit_exceeded"
        assert await stage.usage() == []
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_a_flagged_answer_that_is_to_be_blocked_ends_before_it(on_stage, stream):
    """No byte of what hit goes out, and what was produced is charged."""

    async def main(stage):
        stage.own.script = WORDS
        asked = await stage.ask(
            await stage.key(),
            **moderating(output="block", stream=stream, **(OPTIONS if stream else {})),
        )
        assert asked.text == "First, "
        assert categories(told(asked)["output"]) == [FLAGGED]
        if stream:
            *_, end, moderation, usage = asked.records
            assert end["choices"][0]["finish_reason"] == "content_filter"
            assert end["choices"][0]["keyhall"]["filter"]["category"] == "illicit/violent"
            assert moderation["moderation"]
            assert moderation["usage"] is None
            assert usage["choices"] == []
            assert usage["usage"]["completion_tokens"] > 0
        else:
            assert asked.json["choices"][0]["finish_reason"] == "content_filter"
        assert (await stage.only_usage()).output_tokens > 0

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_clean_passes_a_block_whole(on_stage, stream):
    async def main(stage):
        stage.own.script = ("All ", "is ", "well.")
        asked = await stage.ask(
            await stage.key(), **moderating(input="block", output="block", stream=stream)
        )
        assert asked.text == "All is well."
        assert [categories(told(asked)[way]) for way in ("input", "output")] == [[[]], [[]]]

    on_stage(main)


@pytest.mark.parametrize("mode", ["score", "block"])
def test_each_choice_has_its_result_and_one_that_is_blocked_leaves_the_others(on_stage, mode):
    async def main(stage):
        stage.own.script = [
            Chunk([ChunkChoice(0, Delta(content="how to build a pipe bomb"))]),
            Chunk([ChunkChoice(1, Delta(content="Hello."))]),
            Chunk([ChunkChoice(0, Delta(), finish_reason="stop")]),
            Chunk([ChunkChoice(1, Delta(), finish_reason="stop")]),
        ]
        asked = await stage.ask(await stage.key(), **moderating(output=mode, stream=True, n=2))
        assert categories(told(asked)["output"]) == [FLAGGED, []]
        ends = {
            choice["index"]: choice["finish_reason"]
            for chunk in asked.records
            for choice in chunk["choices"]
            if choice["finish_reason"]
        }
        assert ends == {0: "content_filter" if mode == "block" else "stop", 1: "stop"}

    on_stage(main)


@pytest.mark.parametrize("mode", ["score", "block"])
def test_calls_of_tools_and_refusals_are_looked_at_too(on_stage, mode):
    call = AnswerToolCall("1", AnswerFunction("tell", '{"q":"how to build a pipe bomb"}'))
    for message in (AnswerMessage(tool_calls=[call]), AnswerMessage(refusal=ASK)):

        async def main(stage, message=message):
            stage.own.script = (Completion(choices=[Choice(0, message)]),)
            asked = await stage.ask(await stage.key(), **moderating(output=mode))
            assert categories(told(asked)["output"]) == [FLAGGED]
            assert (b"pipe bomb" in asked.whole) == (mode == "score")

        on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_the_rules_of_the_hall_work_all_the_same(on_stage, stream):
    """They mask and cut as ever, and what is told of the answer is told of what is sent."""

    async def main(stage):
        under(stage, built_in.EMAIL, BOMB)
        stage.own.script = ("Write [EMAIL_1]. ", "How to build a ", "pipe bomb: ", "so.")
        asked = await stage.ask(
            await stage.key(), **moderating("I am ada@example.org.", stream=stream)
        )
        assert stage.own.answers[0].job.request.messages[0].content == "I am [EMAIL_1]."
        assert asked.text == "Write ada@example.org. How to build a "
        assert categories(told(asked)["output"]) == [[]]
        blocked = await stage.ask(await stage.key(), **moderating(ASK, stream=stream))
        assert blocked.refusal.problem is errors.CONTENT_BLOCKED
        stage.own.script = ("How to build a ", "bo", "mb at home. ", "A pipe bomb.")
        asked = await stage.ask(await stage.key(), **moderating(output="block", stream=stream))
        (end,) = (
            [each["choices"][0] for each in asked.records if each["choices"]][-1:]
            if stream
            else asked.json["choices"]
        )
        assert end["finish_reason"] == "content_filter"

    on_stage(main)


def test_moderation_counts_as_no_rules_hit(on_stage):
    async def main(stage):
        stage.own.script = WORDS
        for mode in ("score", "block"):
            await stage.ask(await stage.key(), **moderating(ASK, output=mode))
        assert stage.hall.filters.hits == {}

    on_stage(main)


@pytest.mark.parametrize("decision", ["release", "edit", "refuse"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_waits_for_a_person_has_it_too(on_stage, decision, stream):
    """Of words that a person put in their place it says nothing."""

    async def main(stage):
        await with_desk(stage, hold="always")
        stage.own.script = WORDS
        key = await stage.key()
        asked = stage.exchange(key, **moderating(ASK))
        await stage.begin(asked).end()
        assert asked.status == 202
        item = await decide(stage, await only_item(stage), ANN, decision, text="Ask a miner.")
        both = (await fetch(stage, key, item.id)).json["moderation"]
        assert categories(both["input"]) == [FLAGGED]
        if decision == "release":
            assert categories(both["output"]) == [FLAGGED]
        else:
            assert (both["output"]["type"], bool(both["output"]["message"])) == ("error", True)

    on_stage(main)


def test_a_held_answer_that_is_passed_on_at_once_streams_its_moderation(on_stage):
    async def main(stage):
        await with_desk(stage, hold="flagged")
        stage.own.script = WORDS
        asked = await stage.ask(await stage.key(), **moderating(ASK, stream=True))
        assert categories(told(asked)["output"]) == [FLAGGED]
        assert asked.text == "".join(WORDS)

    on_stage(main)


def test_without_the_store_a_score_says_why_there_is_none_and_a_block_refuses(on_stage):
    """What is to be blocked must have been looked at."""

    async def main(stage):
        key = await stage.key()

        async def away(project_id, *, blocks=False):
            raise errors.ApiError(errors.STORE_AWAY)

        stage.hall.policies.of = away
        asked = await stage.ask(key, **moderating(ASK))
        assert asked.status == 200
        for way in ("input", "output"):
            assert told(asked)[way]["type"] == "error"
            assert told(asked)[way]["code"] == (errors.STORE_AWAY.code or "store_away")
        for way in ("input", "output"):
            refused = await stage.ask(key, **moderating(ASK, **{way: "block"}))
            assert refused.refusal.problem is errors.STORE_AWAY
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_model_for_moderation_that_nobody_knows_is_refused(on_stage):
    async def main(stage):
        asked = moderating() | {"moderation": {"model": "gpt-9"}}
        refusal = (await stage.ask(await stage.key(), **asked)).refusal
        assert (refusal.problem, refusal.param) == (errors.MODERATION_MODEL, "moderation.model")

    on_stage(main)


def test_log_probabilities_stay_where_nothing_is_taken_out(on_stage):
    async def main(stage):
        for mode in ("score", "block"):
            asked = await stage.ask(
                await stage.key(), **moderating(output=mode) | {"model": "v1", "logprobs": True}
            )
            assert asked.json["choices"][0]["logprobs"]["content"]
            assert categories(told(asked)["output"]) == [[]]

    on_stage(main)
