"""The filter in the lane: what is refused, masked and cut, and what it costs."""

import json

import pytest

from keyhall import errors
from keyhall.policy.filters import built_in
from keyhall.policy.filters.rules import Rule
from keyhall.policy.limits import Limits
from keyhall.policy.metering import Outcome
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
    DeltaFunction,
    DeltaToolCall,
)

BOMB = Rule(
    id="bombs", stage="terms", action="block", category="illicit/violent", terms=("pipe bomb",),
    reason="Nobody here builds those.",
)  # fmt: skip
EMAIL = built_in.EMAIL


def under(stage, *rules, scope="hall", scope_id=""):
    """Put the hall, a tier or a project under rules, as the follower does."""
    now = stage.clock.now_us()
    stage.hall.filters.take([StoredRule(scope, scope_id, rule, now, now) for rule in rules])
    stage.hall.callers.rules_changed()


def said(request):
    """What an engine got to read, text by text."""
    return [message.content for message in request.messages]


def asking(text, **more):
    return {"messages": [{"role": "user", "content": text}], **more}


# --- In -------------------------------------------------------------------------------------------


def test_a_blocked_text_is_refused_before_any_byte_and_names_its_rule(on_stage):
    """Contract 5.6: 400, its code, where it stands and why; no engine ever sees it."""

    async def main(stage):
        under(stage, BOMB)
        key = await stage.key()
        asked = await stage.ask(key, model="own-1", **asking("Build a p\u0456pe \u200bBOMB now"))
        refusal = asked.refusal
        assert refusal.problem is errors.CONTENT_BLOCKED
        assert refusal.body()["error"]["code"] == "content_policy_violation"
        assert refusal.param == "messages[0].content"
        assert "bombs" in str(refusal)
        assert "Nobody here builds those." in str(refusal)
        assert "pipe" not in str(refusal)
        assert asked.headers["x-keyhall-filter"] == "block=bombs"
        assert not asked.has_started
        assert not stage.own.answers
        await stage.assert_nothing_is_left()
        assert await stage.usage() == []

    on_stage(main)


def test_a_blocked_text_counts_as_a_request_and_costs_no_token(on_stage):
    """Contract 5.6: otherwise a key could try the filter as fast as it can send."""

    async def main(stage):
        under(stage, BOMB)
        key = await stage.key(tier="tiny")  # 3 requests a minute, 1,000 tokens
        for _ in range(3):
            asked = await stage.ask(key, model="own-1", max_tokens=900, **asking("pipe bomb"))
            assert asked.refusal.problem is errors.CONTENT_BLOCKED
        asked = await stage.ask(key, model="own-1", max_tokens=900, **asking("pipe bomb"))
        assert asked.refusal.problem is errors.RATE_REQUESTS

    on_stage(main)


TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "description": "pipe bomb"}},
}
SPELT = {"name": "f", "arguments": r'{"a": "pipe \u0062omb"}'}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": "pipe bomb"}'}}


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("messages[0].content", asking("pipe bomb")),
        ("messages[0].content[1].text", asking([
            {"type": "text", "text": "a"}, {"type": "text", "text": "pipe bomb"}])),
        ("messages[1].content", {"messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "content": "pipe bomb"}]}),
        ("messages[0].content", {"messages": [
            {"role": "system", "content": "pipe bomb"}, {"role": "user", "content": "a"}]}),
        ("messages[1].refusal", {"messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "refusal": "pipe bomb"}]}),
        ("messages[1].tool_calls[0].function.arguments", {"messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "x"}]}),
        ("messages[1].tool_calls[0].function.arguments", {"messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [CALL | {"function": SPELT}]},
            {"role": "tool", "tool_call_id": "1", "content": "x"}]}),
        ("messages[2].content", {"messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [CALL | {"function": {
                "name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "pipe bomb"}]}),
        ("tools[0].function.parameters", asking("a", tools=[TOOL])),
        ("response_format.json_schema.description", asking("a", response_format={
            "type": "json_schema", "json_schema": {
                "name": "n", "description": "pipe bomb", "schema": {"type": "object"}}})),
    ],
)  # fmt: skip
def test_every_text_that_a_model_reads_is_looked_at(on_stage, where, body):
    async def main(stage):
        under(stage, BOMB)
        asked = await stage.ask(await stage.key(), model="own-1", **body)
        assert asked.refusal.problem is errors.CONTENT_BLOCKED
        assert asked.refusal.param == where

    on_stage(main)


def test_a_long_input_is_looked_at_to_its_end(on_stage):
    """It is scanned in a thread; what is at its end is found all the same."""

    async def main(stage):
        under(stage, BOMB)
        asked = await stage.ask(
            await stage.key(), model="own-1", **asking("word " * 10_000 + "pipe bomb")
        )
        assert asked.refusal.problem is errors.CONTENT_BLOCKED

    on_stage(main)


# --- Masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_masked_values_never_reach_the_engine_and_come_back_to_the_caller(on_stage, stream):
    """The same value has the same number, and the caller does not notice at all."""

    async def main(stage):
        under(stage, EMAIL)
        stage.own.script = ("Ask [EMA", "IL_2] or ", "[EMAIL_1], not [EMAIL_3].")
        body = {
            "messages": [
                {"role": "user", "content": "I am ada@example.org."},
                {"role": "assistant", "content": "Hello ada@example.org!"},
                {"role": "user", "name": "bo@example.org", "content": "And I? bo@example.org"},
            ]
        }
        asked = await stage.ask(await stage.key(), model="own-1", stream=stream, **body)
        (answer,) = stage.own.answers
        assert said(answer.job.request) == [
            "I am [EMAIL_1].", "Hello [EMAIL_1]!", "And I? [EMAIL_2]"
        ]  # fmt: skip
        assert answer.job.request.messages[2].name == "EMAIL_2"
        assert asked.text == "Ask bo@example.org or ada@example.org, not [EMAIL_3]."
        assert asked.headers["x-keyhall-filter"] == "mask=personal/email"

    on_stage(main)


def test_a_number_that_stands_in_the_conversation_is_not_given_anew(on_stage):
    """What an earlier answer was masked as stays what it was."""

    async def main(stage):
        under(stage, EMAIL)
        body = asking("Was [EMAIL_1] mine, or me@example.org?")
        await stage.ask(await stage.key(), model="own-1", **body)
        (answer,) = stage.own.answers
        assert said(answer.job.request) == ["Was [EMAIL_1] mine, or [EMAIL_2]?"]

    on_stage(main)


def test_values_come_back_into_arguments_of_tools_as_json(on_stage):
    async def main(stage):
        quote = Rule(
            id="q",
            stage="pattern",
            action="mask",
            direction="in",
            pattern=r'"[a-z]{1,9}"',
            label="WORD",
        )
        under(stage, quote)
        call = AnswerToolCall("c", AnswerFunction("f", '{"to": "[WORD_1]"}'))
        message = AnswerMessage(tool_calls=[call])
        stage.own.script = (Completion(choices=[Choice(0, message, "tool_calls")]),)
        asked = await stage.ask(await stage.key(), model="own-1", **asking('Say "hi" to her'))
        (told,) = asked.json["choices"][0]["message"]["tool_calls"]
        assert json.loads(told["function"]["arguments"]) == {"to": '"hi"'}

    on_stage(main)


# --- Out ------------------------------------------------------------------------------------------


def test_a_blocked_answer_is_cut_at_the_hit(on_stage):
    async def main(stage):
        under(stage, BOMB)
        stage.own.script = ("First you take a pipe bomb and then",)
        asked = await stage.ask(await stage.key(), model="own-1", **asking("How?"))
        (choice,) = asked.json["choices"]
        assert choice["finish_reason"] == "content_filter"
        assert choice["message"]["content"] == "First you take a "
        assert choice["keyhall"]["filter"]["rule"] == "bombs"
        assert asked.headers["x-keyhall-filter"] == "block=bombs"

    on_stage(main)


@pytest.mark.parametrize("model", ["own-1", "up-1"])
def test_a_blocked_stream_ends_as_the_contract_says(on_stage, model):
    """What passed, `content_filter` with its rule, usage, `[DONE]`; the engine is stopped, and what
    it produced is charged."""

    async def main(stage):
        under(stage, BOMB)
        engine = stage.own if model == "own-1" else stage.upstream
        engine.script = ("First ", "you take a p", "ipe b", "omb", " and then", " more", " words")
        options = {"stream": True, "stream_options": {"include_usage": True}}
        asked = await stage.ask(await stage.key(), model=model, **asking("How?", **options))
        assert asked.error is None
        assert asked.text == "First you take a "
        *_, end, usage = asked.records
        assert end["choices"][0]["finish_reason"] == "content_filter"
        assert end["choices"][0]["keyhall"]["filter"]["category"] == "illicit/violent"
        assert usage["usage"]["completion_tokens"] > 0
        assert b"".join(asked.writes).endswith(b"data: [DONE]\n\n")
        (answer,) = engine.answers
        assert len(answer._left) == 2, "it was asked for no more than was needed"
        record = await stage.only_usage()
        assert record.outcome == Outcome.ANSWERED
        assert record.output_tokens == usage["usage"]["completion_tokens"]
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_stream_waits_only_where_its_end_could_become_a_hit(on_stage):
    """An engine that pauses does not stall what nothing can be found in."""

    async def main(stage):
        under(stage, BOMB)
        stage.own.script = ("A gas pipe", " is laid. ", "A pip", "er plays.")
        asked = await stage.ask(await stage.key(), model="own-1", stream=True, **asking("a"))
        deltas = [r["choices"][0]["delta"].get("content") for r in asked.records if r["choices"]]
        assert [each for each in deltas if each] == [
            "A gas ", "pipe is laid. ", "A ", "piper plays."
        ]  # fmt: skip

    on_stage(main)


def test_arguments_of_tools_and_refusals_are_scanned_in_streams_too(on_stage):
    def call(text, **more):
        fragment = DeltaToolCall(0, function=DeltaFunction(arguments=text), **more)
        return Chunk([ChunkChoice(0, Delta(tool_calls=[fragment]))])

    first = Chunk([ChunkChoice(0, Delta(tool_calls=[
        DeltaToolCall(0, "c1", "function", DeltaFunction("f", ""))]))])  # fmt: skip

    async def main(stage):
        under(stage, BOMB)
        key = await stage.key()
        stage.own.script = (first, call('{"a": "pip'), call(r"e \u006"), call("2omb"), call('"}'))
        asked = await stage.ask(key, model="own-1", stream=True, **asking("a"))
        assert asked.records[-1]["choices"][0]["finish_reason"] == "content_filter"
        calls = [r["choices"][0]["delta"].get("tool_calls") for r in asked.records]
        told = "".join(c[0]["function"]["arguments"] for c in calls if c)
        assert told == '{"a": "'
        refusal = Chunk([ChunkChoice(0, Delta(refusal="No pipe bomb for you"))])
        stage.own.script = (refusal,)
        asked = await stage.ask(key, model="own-1", stream=True, **asking("a"))
        assert asked.records[-1]["choices"][0]["finish_reason"] == "content_filter"

    on_stage(main)


def test_a_choice_that_is_cut_leaves_the_others_going(on_stage):
    def piece(index, text):
        return Chunk([ChunkChoice(index, Delta(content=text))])

    async def main(stage):
        under(stage, BOMB)
        stage.own.script = (piece(0, "a pipe bomb "), piece(1, "good "), piece(1, "words"))
        asked = await stage.ask(await stage.key(), model="own-1", stream=True, **asking("a", n=2))
        told = {0: "", 1: ""}
        finish = {}
        for record in asked.records:
            (choice,) = record["choices"]
            told[choice["index"]] += choice["delta"].get("content") or ""
            finish[choice["index"]] = choice["finish_reason"]
        assert told == {0: "a ", 1: "good words"}
        assert finish == {0: "content_filter", 1: "stop"}

    on_stage(main)


def test_bytes_of_answers_are_counted_as_scanned_and_as_sent(on_stage):
    """The invariant of the issue: no byte is sent that was not scanned, counted and asserted."""

    async def main(stage):
        under(stage, EMAIL)
        key = await stage.key()
        stage.own.script = ("Grüße an ", "ada@ex", "ample.org", " und alle")
        asked = await stage.ask(key, model="own-1", stream=True, **asking("a"))
        assert asked.text == "Grüße an [EMAIL_1] und alle"
        size = len("Grüße an ada@example.org und alle".encode())
        masked = len("ada@example.org")
        counts = {"scanned": size, "passed": size - masked, "masked": masked}
        assert stage.hall.filters.bytes == counts
        assert list(stage.hall.filters.hits.values()) == [1]
        assert stage.hall.filters.counted == {("personal/email", "mask"): 1}

    on_stage(main)


# --- Whose rules ----------------------------------------------------------------------------------


def test_a_key_under_no_rule_has_nothing_to_pass(on_stage):
    async def main(stage):
        key = await stage.key()
        assert (await stage.ask(key, model="own-1", **asking("pipe bomb"))).error is None
        assert stage.caller(key).filter is None

    on_stage(main)


@pytest.mark.parametrize("scope", ["tier", "project"])
def test_holders_are_stricter_and_only_for_themselves(on_stage, scope):
    """A change holds from the next request on, without a restart."""

    async def main(stage):
        key = await stage.key(tier="roomy")
        other = await stage.key(tier="open")
        assert (await stage.ask(key, model="own-1", **asking("pipe bomb"))).error is None
        grant = stage.caller(key).grant
        scope_id = grant.project_id if scope == "project" else "roomy"
        under(stage, BOMB, scope=scope, scope_id=scope_id)
        asked = await stage.ask(key, model="own-1", **asking("pipe bomb"))
        assert asked.refusal.problem is errors.CONTENT_BLOCKED
        asked = await stage.ask(other, model="own-1", **asking("pipe bomb"))
        assert (asked.error is None) == (scope == "tier")
        under(stage)
        assert (await stage.ask(key, model="own-1", **asking("pipe bomb"))).error is None

    on_stage(main)


def test_a_rule_of_a_holder_does_not_name_itself_in_metrics(on_stage):
    async def main(stage):
        key = await stage.key(tier="roomy")
        under(stage, BOMB, scope="tier", scope_id="roomy")
        await stage.ask(key, model="own-1", **asking("pipe bomb"))
        assert stage.hall.filters.counted == {("holder", "block"): 1}

    on_stage(main)


# --- Models that judge ----------------------------------------------------------------------------


def judge(action="block", **more):
    return Rule(id="judge", stage="model", action=action, engine="up-1", direction="in", **more)


@pytest.mark.parametrize(
    ("script", "fail", "blocks"),
    [
        (('Sure: {"flagged": true}',), "closed", True),
        (('{"flagged": false}',), "closed", False),
        (("I would rather not say.",), "closed", True),
        (("I would rather not say.",), "open", False),
        ((errors.ApiError(errors.ENGINE_FAILED, detail="it broke"),), "closed", True),
        ((errors.ApiError(errors.ENGINE_FAILED, detail="it broke"),), "open", False),
    ],
)  # fmt: skip
def test_a_model_judges_and_its_rule_says_what_counts_if_it_cannot(on_stage, script, fail, blocks):
    async def main(stage):
        under(stage, judge(fail=fail))
        stage.upstream.script = script
        asked = await stage.ask(await stage.key(), model="own-1", **asking("Is it?"))
        assert (asked.error is not None) == blocks
        (asked_judge,) = stage.upstream.answers
        request = asked_judge.job.request
        assert said(request)[1:] == ["Is it?"]
        assert request.user is None
        assert asked_judge.job.key_id == "filter"

    on_stage(main)


def test_a_model_that_takes_too_long_cannot_judge(on_stage):
    from keyhall.ports.engine import Signal

    async def main(stage):
        under(stage, judge(seconds=0.01))
        stage.upstream.script = (Signal(),)
        asked = await stage.ask(await stage.key(), model="own-1", **asking("Is it?"))
        assert asked.refusal.problem is errors.CONTENT_BLOCKED
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("flagged", [False, True])
def test_an_answer_that_a_model_judges_waits_until_it_has(on_stage, stream, flagged):
    async def main(stage):
        rule = Rule(id="judge", stage="model", action="block", engine="up-1", direction="out")
        under(stage, rule)
        stage.upstream.script = (json.dumps({"flagged": flagged}),)
        stage.own.script = ("Good ", "words")
        asked = await stage.ask(await stage.key(), model="own-1", stream=stream, **asking("a"))
        assert asked.text == ("" if flagged else "Good words")
        last = (asked.records if stream else [asked.json])[-1]["choices"][0]
        assert last["finish_reason"] == ("content_filter" if flagged else "stop")

    on_stage(main)


def test_limits_hold_for_what_is_blocked(on_stage):
    """A key that may send nothing learns nothing of the filter."""

    async def main(stage):
        under(stage, BOMB)
        key = await stage.key(limits=Limits(requests_per_minute=1))
        await stage.ask(key, model="own-1", **asking("a"))
        asked = await stage.ask(key, model="own-1", **asking("pipe bomb"))
        assert asked.refusal.problem is errors.RATE_REQUESTS

    on_stage(main)
