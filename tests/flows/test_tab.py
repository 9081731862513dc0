"""What a request is charged: what the client is told is what is settled is what is on record."""

from dataclasses import replace
from datetime import UTC

import pytest
from msgspec import UNSET

from keyhall import errors, tokenizers
from keyhall.errors import ApiError
from keyhall.policy.catalogue import Price
from keyhall.policy.metering import Outcome, UsageSource
from keyhall.policy.pricing import cost_nano
from keyhall.policy.quotas import Quota
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft
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
    TokenUsage,
)

BUDGET = Quota(
    id="quota_1",
    organization_id="org_1",
    scope="organization",
    scope_id="org_1",
    resource="money",
    period="month",
    amount=10**9,
    policy="suspend",
    overage_price=0,
    thresholds=(),
    zone=UTC,
)
ENGINE, COUNTED, ESTIMATED = UsageSource.ENGINE, UsageSource.COUNTED, UsageSource.ESTIMATED
TOKENS_PER_MINUTE = 1_000_000_000  # of the tier `roomy`
INPUT, CAP = 10, 50
HELD = INPUT + CAP
SAID = ["Hello", " there", "."]  # 3 tokens


def words(text):
    return tokenizers.load("o200k_base").count(text)


def usage(prompt, completion, total=None, **details):
    return TokenUsage(
        prompt, completion, prompt + completion if total is None else total, **details
    )


async def charged(stage, key, **body):
    """Ask, and check that client, counters and ledger agree; the ledger's row and the answer."""
    stream = body.get("stream", False)
    if stream:
        body.setdefault("stream_options", {"include_usage": True})
    before = await stage.usage()
    answered = await stage.ask(key, **({"max_tokens": CAP} | body))
    assert answered.error is None
    row = (await stage.usage())[len(before)]
    told = answered.told_usage
    assert told["prompt_tokens"] == row.input_tokens
    assert told["completion_tokens"] == row.output_tokens
    assert told["total_tokens"] == row.input_tokens + row.output_tokens
    assert row.cost_nano == cost_nano(row.input_tokens, row.output_tokens, 150_000, 600_000)
    stage.upstream.script = ["next"]
    after = await stage.ask(key, max_tokens=CAP)
    settled = sum(r.input_tokens + r.output_tokens for r in [*before, row])
    left = int(after.headers["x-ratelimit-remaining-tokens"])
    assert left == TOKENS_PER_MINUTE - settled - HELD
    await stage.assert_nothing_is_left()
    return row, told


# --- R12: whose count it is -----------------------------------------------------------------------

REPORTS = {
    # what the upstream says: what is settled, and who counted
    "nothing": ([], (INPUT, 3), COUNTED),
    "the truth": ([usage(10, 3)], (10, 3), ENGINE),
    "another tokenizer's truth": ([usage(12, 7)], (12, 7), ENGINE),
    "more input than we counted, inside the hold": ([usage(40, 3)], (40, 3), ENGINE),
    "exactly the hold": ([usage(10, CAP)], (10, CAP), ENGINE),
    "nothing used": ([usage(0, 0)], (0, 0), ENGINE),
    "a sum that is none": ([usage(10, 3, total=99)], (10, 3), ENGINE),
    "one more than the hold": ([usage(10, CAP + 1)], (INPUT, 3), ESTIMATED),
    "more input than the hold": ([usage(HELD, 1)], (INPUT, 3), ESTIMATED),
    "far more": ([usage(10**15, 10**15)], (INPUT, 3), ESTIMATED),
    "negative input": ([usage(-1, 3)], (INPUT, 3), ESTIMATED),
    "negative output": ([usage(10, -3)], (INPUT, 3), ESTIMATED),
    "negative, with a sum inside the hold": ([usage(-40, 45)], (INPUT, 3), ESTIMATED),
    "twice, the last one counts": ([usage(10, 2), usage(10, 3)], (10, 3), ENGINE),
    "twice, the last one impossible": ([usage(10, 3), usage(10, 51)], (INPUT, 3), ESTIMATED),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", REPORTS)
def test_r12_a_possible_count_of_the_upstream_is_taken_and_any_other_replaced(
    on_stage, said, stream
):
    """R12, R5: whole and streamed; client, counters and ledger say the same."""
    reports, expected, source = REPORTS[said]

    async def main(stage):
        key = await stage.key()
        stage.upstream.script = [*SAID, *reports]
        row, _ = await charged(stage, key, stream=stream)
        assert (row.input_tokens, row.output_tokens) == expected
        assert row.usage_source == source
        assert row.outcome == Outcome.ANSWERED
        assert stage.hall.tally.hold_exceeded == 0

    on_stage(main)


@pytest.mark.parametrize("tells_end", [False, True])
def test_r12_a_count_from_before_the_last_words_is_not_that_of_the_answer(on_stage, tells_end):
    """Some servers report at the beginning: what came after it would be free."""

    async def main(stage):
        key = await stage.key()
        stage.upstream.tells_end = tells_end
        stage.upstream.script = ["Hello", usage(10, 1), " there", "."]
        row, _ = await charged(stage, key, stream=True)
        assert (row.input_tokens, row.output_tokens) == (10, 3)
        assert row.usage_source == ESTIMATED

    on_stage(main)


def test_r12_a_count_that_goes_along_is_believed_up_to_where_a_client_leaves(on_stage):
    """As servers report that were asked for usage in every chunk."""

    async def main(stage):
        key = await stage.known_key()
        stage.upstream.tells_end = True
        stage.upstream.script = ["Hel", usage(11, 1), "lo", usage(11, 2), Signal()]
        exchange = stage.begin(stage.exchange(key, stream=True))
        exchange.cut(ClientLeft())
        await exchange.end()
        row = await stage.only_usage()
        assert (row.input_tokens, row.output_tokens) == (11, 2)
        assert row.usage_source == ENGINE

    on_stage(main)


def test_r12_what_was_said_before_a_client_left_is_counted_by_us(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = ["Hello", " there", Signal()]
        exchange = stage.begin(stage.exchange(key, stream=True))
        exchange.cut(ClientLeft())
        await exchange.end()
        row = await stage.only_usage()
        assert (row.input_tokens, row.output_tokens) == (INPUT, 2)
        assert row.usage_source == COUNTED

    on_stage(main)


def test_r12_counts_of_a_version_whose_tokenizer_is_not_ours_are_flagged(on_stage):
    """R8, R12: our tokenizer counts the text, but it is not the model's."""

    async def main(stage):
        key = await stage.key()
        stage.version("up-1", count="estimated")
        stage.upstream.script = SAID
        answered = await stage.ask(key, max_tokens=CAP)
        row = await stage.only_usage()
        assert answered.told_usage["prompt_tokens"] == row.input_tokens == INPUT
        assert row.held_tokens == 13 + CAP, "the hold takes the margin, usage does not"
        assert row.usage_source == ESTIMATED

    on_stage(main)


def test_r1_what_exceeds_the_hold_is_charged_and_counted(on_stage):
    """R1's condition: the engine did not keep the cap."""

    async def main(stage):
        key = await stage.key()
        stage.upstream.script = ["one two three four five six"]
        answered = await stage.ask(key, max_tokens=2)
        row = await stage.only_usage()
        assert (row.input_tokens, row.output_tokens, row.held_tokens) == (10, 6, 12)
        assert answered.told_usage["total_tokens"] == 16
        assert stage.hall.tally.hold_exceeded == 1
        after = await stage.ask(key, max_tokens=CAP)
        left = int(after.headers["x-ratelimit-remaining-tokens"])
        assert left == TOKENS_PER_MINUTE - 16 - HELD

    on_stage(main)


# --- What is told beside the sums -----------------------------------------------------------------


def test_r25_only_details_that_are_known_and_possible_are_relayed(on_stage):
    async def main(stage):
        key = await stage.key()
        said = usage(
            10,
            3,
            prompt_tokens_details={"cached_tokens": 8, "audio_tokens": None, "secret": 1},
            completion_tokens_details={"reasoning_tokens": 9, "text_tokens": 3, "audio_tokens": -1},
        )
        stage.upstream.script = [*SAID, said]
        _, told = await charged(stage, key)
        assert told["prompt_tokens_details"] == {"cached_tokens": 8}
        assert told["completion_tokens_details"] == {"text_tokens": 3}

    on_stage(main)


def test_r12_details_of_a_count_that_was_replaced_are_not_told(on_stage):
    async def main(stage):
        key = await stage.key()
        said = usage(10**9, 3, prompt_tokens_details={"cached_tokens": 10**9})
        stage.upstream.script = [*SAID, said]
        _, told = await charged(stage, key)
        assert told["prompt_tokens_details"]["cached_tokens"] == 0

    on_stage(main)


@pytest.mark.parametrize("wants", [False, True])
def test_a_stream_tells_its_usage_only_to_whom_asked_for_it(on_stage, wants):
    async def main(stage):
        key = await stage.key()
        answered = await stage.ask(key, stream=True, stream_options={"include_usage": wants})
        *others, last = answered.records
        if wants:
            assert last["choices"] == []
            assert last["usage"]["total_tokens"] == 13
            assert all(record["usage"] is None for record in others)
        else:
            assert all("usage" not in record for record in answered.records)

    on_stage(main)


def test_a_stream_that_broke_never_fakes_its_usage(on_stage):
    async def main(stage):
        key = await stage.key()
        broke = ApiError(errors.ENGINE_FAILED, detail="it broke")
        stage.upstream.script = ["Hello", usage(10, 1), broke]
        answered = await stage.ask(key, stream=True, stream_options={"include_usage": True})
        assert answered.refusal is broke
        assert all(record["usage"] is None for record in answered.records)
        assert (await stage.only_usage()).output_tokens == 1

    on_stage(main)


# --- What counts as output ------------------------------------------------------------------------


def _tool_chunks():
    """One call in three fragments, as OpenAI streams it, and a second one."""
    first = DeltaToolCall(0, "call_1", "function", DeltaFunction("get_weather", ""))
    second = DeltaToolCall(1, "call_2", "function", DeltaFunction("stop", "{}"))
    deltas = [
        Delta(role="assistant", content=None, tool_calls=[first]),
        Delta(tool_calls=[DeltaToolCall(0, function=DeltaFunction(arguments='{"city":'))]),
        Delta(tool_calls=[DeltaToolCall(0, function=DeltaFunction(arguments=' "Paris"}'))]),
        Delta(tool_calls=[second]),
    ]
    return [Chunk(choices=[ChunkChoice(0, delta)]) for delta in deltas]


def _tool_completion():
    calls = [
        AnswerToolCall("call_1", AnswerFunction("get_weather", '{"city": "Paris"}')),
        AnswerToolCall("call_2", AnswerFunction("stop", "{}")),
    ]
    message = AnswerMessage(tool_calls=calls)
    return Completion(choices=[Choice(0, message, "tool_calls")])


TOOLS = [
    {"type": "function", "function": {"name": "get_weather"}},
    {"type": "function", "function": {"name": "stop"}},
]


@pytest.mark.parametrize("stream", [False, True])
def test_r12_tool_calls_are_counted_by_name_and_arguments_and_seven(on_stage, stream):
    async def main(stage):
        key = await stage.key()
        stage.upstream.script = _tool_chunks() if stream else [_tool_completion()]
        row, _ = await charged(stage, key, stream=stream, tools=TOOLS)
        expected = words("get_weather") + words('{"city": "Paris"}') + 7
        expected += words("stop") + words("{}") + 7
        assert row.output_tokens == expected
        assert row.usage_source == COUNTED

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_r12_every_choice_is_counted_by_itself(on_stage, stream):
    """`n`: streams of several choices come interleaved."""
    texts = ["international", "understanding"]

    async def main(stage):
        key = await stage.key()
        if stream:
            pieces = [("inter", "under"), ("national", "standing")]
            stage.upstream.script = [
                Chunk(choices=[ChunkChoice(index, Delta(content=piece))])
                for both in pieces
                for index, piece in enumerate(both)
            ]
        else:
            choices = [Choice(at, AnswerMessage(content=text)) for at, text in enumerate(texts)]
            stage.upstream.script = [Completion(choices=choices)]
        row = await stage.ask(key, n=2, stream=stream, max_tokens=CAP)
        assert row.error is None
        row = await stage.only_usage()
        assert row.output_tokens == sum(map(words, texts))
        assert row.output_cap == 2 * CAP
        assert row.held_tokens == INPUT + 2 * CAP

    on_stage(main)


def test_r12_choices_that_nobody_asked_for_are_neither_sent_nor_counted(on_stage):
    async def main(stage):
        key = await stage.key()
        stage.upstream.script = [
            Chunk(choices=[ChunkChoice(index, Delta(content="Hello"))]) for index in (0, 5, -1)
        ]
        await stage.ask(key, stream=True)
        assert (await stage.only_usage()).output_tokens == 1

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_r12_refusals_and_old_function_calls_are_counted(on_stage, stream):
    async def main(stage):
        key = await stage.key()
        if stream:
            old = DeltaFunction("stop", "{}")
            deltas = [Delta(refusal="I can"), Delta(refusal="not."), Delta(function_call=old)]
            script = [Chunk(choices=[ChunkChoice(0, delta)]) for delta in deltas]
        else:
            message = AnswerMessage(refusal="I cannot.", function_call=AnswerFunction("stop", "{}"))
            script = [Completion(choices=[Choice(0, message)])]
        stage.upstream.script = script
        row, _ = await charged(stage, key, stream=stream)
        assert row.output_tokens == words("I cannot.") + 1 + words("stop") + words("{}") + 7

    on_stage(main)


def test_r12_a_tool_call_that_never_got_a_name_is_counted_as_it_is_sent(on_stage):
    async def main(stage):
        key = await stage.key()
        nameless = DeltaToolCall(0, "call_1", UNSET, DeltaFunction(UNSET, '{"a": 1}'))
        stage.upstream.script = [
            Chunk(choices=[ChunkChoice(0, Delta(tool_calls=[nameless]))]),
        ]
        row, _ = await charged(stage, key, stream=True, tools=TOOLS)
        assert row.output_tokens == words('{"a": 1}') + 7

    on_stage(main)


# --- R18: money -----------------------------------------------------------------------------------


def test_r18_a_request_costs_what_was_settled_at_the_price_of_its_admission(on_stage):
    """R18: whole nano-units, rounded up once; a price that changes meanwhile does not matter."""

    async def main(stage):
        key = await stage.known_key()
        stage.version("up-1", price=Price(333, 777))
        pause = Signal()
        stage.upstream.script = ["Hello", pause, " there"]
        exchange = stage.begin(stage.exchange(key, stream=True))
        stage.version("up-1", price=Price(10**9, 10**9))
        pause.fire()
        await exchange.end()
        row = await stage.only_usage()
        assert row.cost_nano == -(-(10 * 333 + 2 * 777) // 1000) == 5

    on_stage(main)


def test_r19_a_test_key_costs_nothing_whatever_the_version_costs(on_stage):
    async def main(stage):
        key = await stage.key(mode="test")
        answered = await stage.ask(key)
        row = await stage.only_usage()
        assert answered.error is None
        assert row.is_test
        assert row.output_tokens > 0
        assert row.cost_nano == 0
        assert stage.upstream.answers == [], "the sandbox answered"

    on_stage(main)


def test_i6_a_version_without_a_price_is_refused_to_a_key_with_a_budget(on_stage):
    """I-6: a missing price is a refused request, never a cost of 0. A test key costs nothing."""

    async def main(stage):
        key, test_key = await stage.key(), await stage.key(mode="test")
        stage.version("up-1", price=None)
        for each in (key, test_key):
            assert (await stage.ask(each)).error is None
            caller = stage.caller(each)
            caller.grant = replace(caller.grant, quotas=(BUDGET,))
        refused = await stage.ask(key)
        assert refused.refusal.problem is errors.PRICE_MISSING
        assert (await stage.ask(test_key)).error is None
        assert [row.cost_nano for row in await stage.usage()] == [0, 0, 0]

    on_stage(main)


def test_settling_again_changes_nothing(on_stage):
    """R3: exactly one settle per hold."""

    async def main(stage):
        from keyhall.flows import complete

        tabs = []
        opened = complete.Tab.open

        def noted(*given):
            tabs.append(opened(*given))
            return tabs[-1]

        complete.Tab.open = noted
        try:
            await stage.ask(await stage.key())
        finally:
            complete.Tab.open = opened
        tabs[0].settle(Outcome.CLIENT_LEFT)
        assert (await stage.only_usage()).outcome == Outcome.ANSWERED
        assert stage.hall.tally.outcomes[Outcome.CLIENT_LEFT] == 0
        await stage.assert_nothing_is_left()

    on_stage(main)
