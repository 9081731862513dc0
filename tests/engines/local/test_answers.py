"""What a model in the house answers: every parameter does what it says, and usage is exact."""

import asyncio
import json
import random

import msgspec
import pytest
from local_models import a_model, request

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.catalogue import Sampling

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place",
        "parameters": {
            "type": "object",
            "properties": {"days": {"type": "boolean"}},
            "required": ["days"],
            "additionalProperties": False,
        },
    },
}
OTHER = {"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}
ON = {"262": -100, "263": -100}  # It does not end by itself.
LETTERS = {str(letter): 50 for letter in b"abcdefgh"}
# Of `<tool_call>` and a line feed: a call has begun, and what follows is as its grammar says.
BIAS = {"260": 100, "10": 99}


def test_r12_usage_is_what_was_counted_before_and_produced_after(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log) as model:
            asked = request(stream=True, seed=1, logit_bias=ON)
            before = await model.count(asked)
            streamed = await model.ask(asked, cap=24)
            whole = await model.ask(request(seed=1, logit_bias=ON), cap=24)
            return before, streamed, whole

    before, streamed, whole = run(story())
    for told in (streamed, whole):
        assert told.answer.usage.prompt_tokens == before
        assert told.answer.usage.completion_tokens == told.answer.produced == 24
        assert told.answer.usage.prompt_tokens_details == {"cached_tokens": 0}
    assert streamed.text == whole.text != ""
    assert whole.completion.choices[0].finish_reason == "length"


def test_parameters_do_what_they_say(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log) as model:

            async def text(cap=24, **fields):
                return (await model.ask(request(**fields), cap=cap)).text

            seeded = [await text(seed=seed) for seed in (1, 1, 2)]
            assert seeded[0] == seeded[1] != seeded[2]
            assert await text(seed=-1) == await text(seed=-1)
            assert await text(seed=2**63 - 1) == await text(seed=2**63 - 1)
            assert await text() != await text()  # Without a seed it is drawn.
            greedy = [await text(temperature=0, seed=seed) for seed in (1, 2)]
            assert greedy[0] == greedy[1]
            assert await text(top_p=0, seed=3) == greedy[0]
            assert await text(logit_bias={"65": 100}) == "A" * 24
            assert "A" not in await text(logit_bias={"65": -100})
            two = {"logit_bias": {"65": 50, "66": 49}, "temperature": 0}
            biased = await text(**two)
            assert biased != await text(**two, frequency_penalty=2)
            assert biased != await text(**two, presence_penalty=2)
            assert await text(logit_bias={"65": 100}, stop="AAA") == ""
            assert await text(logit_bias={"65": 100}, stop=["xx", "AAAA"]) == ""
            assert await text(cap=3, logit_bias={"65": 100}) == "AAA"

    run(story())


def test_r8_the_versions_sampling_is_a_default_that_a_request_replaces(
    model_path, log, run
) -> None:
    async def story():
        async with a_model(model_path, log) as model:
            cold = Sampling(temperature=0, frequency_penalty=1.0, presence_penalty=0.5, top_p=0.9)
            first = [(await model.ask(request(seed=seed), sampling=cold)).text for seed in (1, 2)]
            asked = request(seed=2, temperature=2, top_p=1)
            return first, (await model.ask(asked, sampling=cold)).text

    (one, two), replaced = run(story())
    assert one == two != replaced


def test_r12_several_choices_are_each_counted(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log) as model:
            whole = await model.ask(request(n=3, seed=4, logit_bias=ON), cap=10)
            streamed = await model.ask(request(n=3, seed=4, logit_bias=ON, stream=True), cap=10)
            with pytest.raises(ApiError) as refused:
                await model.ask(request(n=5))
            return whole, streamed, refused.value

    whole, streamed, refused = run(story())
    assert [choice.index for choice in whole.completion.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in whole.completion.choices}) == 3
    for told in (whole, streamed):
        assert told.answer.usage.completion_tokens == told.answer.produced == 30
    assert refused.problem is errors.ENGINE_REJECTED
    assert "at most 4" in str(refused)


def test_log_probabilities_have_as_many_alternatives_as_were_asked_for(
    model_path, log, run
) -> None:
    async def story():
        async with a_model(model_path, log) as model:
            return [
                await model.ask(request(seed=1, logit_bias=LETTERS, logprobs=True, **fields), cap=8)
                for fields in ({}, {"top_logprobs": 3})
            ]

    for told, alternatives in zip(run(story()), (0, 3), strict=True):
        content = told.completion.choices[0].logprobs.content
        assert len(content) == 8
        assert all(len(each.top_logprobs) == alternatives for each in content)
        assert all(each.logprob <= 0 and each.bytes is not None for each in content)


def test_json_comes_in_the_form_that_was_asked_for(model_path, log, run) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["key", "lock"]}},
        "required": ["kind"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    async def story():
        async with a_model(model_path, log) as model:
            told = await model.ask(request(response_format=form, temperature=0.5), cap=400)
            bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 3}}}
            with pytest.raises(ApiError) as refused:
                await model.ask(request(response_format=bad))
            loose = request("Give json.", response_format={"type": "json_object"}, seed=1)
            return told, refused.value, await model.ask(loose, cap=10)

    told, refused, loose = run(story())
    assert json.loads(told.text) in ({"kind": "key"}, {"kind": "lock"})
    assert refused.problem is errors.ENGINE_REJECTED
    assert loose.text.lstrip().startswith("{")


def test_tools_are_called_by_the_models_template(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log) as model:
            fields = {"tools": [TOOL, OTHER], "logit_bias": BIAS}
            plain = await model.count(request())
            told = []
            for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
                for stream in (False, True):
                    asked = request(tool_choice=choice, stream=stream, seed=3, **fields)
                    told.append((await model.count(asked), await model.ask(asked, cap=400)))
            return plain, told

    plain, told = run(story())
    for count, one in told:
        assert count == one.answer.usage.prompt_tokens > plain + 100
    (any_count, _), _, (named_count, named), (_, streamed) = told
    assert named_count < any_count  # Of the others it is not told.
    calls = named.completion.choices[0].message.tool_calls
    for call in calls:
        assert call.function.name == "weather"
        assert json.loads(call.function.arguments) in ({"days": True}, {"days": False})
    assert len({call.id for call in calls}) == len(calls) > 0
    deltas = [choice.delta for chunk in streamed.chunks for choice in chunk.choices]
    fragments = [call for delta in deltas for call in delta.tool_calls or ()]
    assert fragments[0].function.name == "weather"
    assert streamed.answer.produced == streamed.answer.usage.completion_tokens


def test_functions_of_the_old_form_are_refused_in_words(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log) as model:
            old = request(functions=[{"name": "f", "parameters": {"type": "object"}}])
            for way in (model.count, model.ask):
                with pytest.raises(ApiError, match="send them as 'tools'"):
                    await way(old)
            assert model.accepted == 0

    run(story())


WORDS = (
    "key",
    "Schlüssel",
    "鍵",
    "🔑🔒",
    "مفتاح",
    "\n\n",
    "<|im_end|>",
    "{{ x }}",
    " ",
    "th he ll",
)


def conversation(dice):
    """Any conversation: roles, parts, tools and their results, Unicode, long."""

    def text():
        return " ".join(dice.choices(WORDS, k=dice.choice((1, 2, 4, 8) * 12 + (150,))))

    messages = []
    if dice.random() < 0.4:
        messages.append({"role": dice.choice(("system", "developer")), "content": text()})
    for turn in range(dice.choice((1, 1, 2, 3))):
        messages.append({"role": "user", "content": text()})
        if dice.random() < 0.3:
            parts = [{"type": "text", "text": text()} for _ in range(2)]
            messages[-1]["content"] = parts
        if dice.random() < 0.3:
            name = f"call_{turn}"
            function = {"name": "weather", "arguments": json.dumps({"at": text()})}
            call = {"id": name, "type": "function", "function": function}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": name, "content": text()})
        elif dice.random() < 0.5:
            messages.append({"role": "assistant", "content": text()})
    fields = {"messages": messages}
    if dice.random() < 0.3:
        fields["tools"] = dice.sample([TOOL, OTHER], k=dice.choice((1, 2)))
        fields["tool_choice"] = dice.choice(("auto", "none", "required"))
    elif dice.random() < 0.2:
        fields["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": "x",
                "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
            },
        }
    return fields


@pytest.mark.parametrize("count", [120, pytest.param(500, marks=pytest.mark.slow)])
def test_r12_for_500_conversations_the_count_before_is_the_one_after(
    model_path, log, run, count
) -> None:
    dice = random.Random(4)
    asked = [request(**conversation(dice)) for _ in range(count)]

    async def story():
        async with a_model(model_path, log, slot_context=8192) as model:

            async def both(one):
                before = await model.count(one)
                told = await model.ask(one, cap=1)
                return before, told.answer.usage.prompt_tokens

            pairs = []
            for at in range(0, len(asked), 20):
                pairs += await asyncio.gather(*map(both, asked[at : at + 20]))
            return pairs

    pairs = run(story())
    assert len(pairs) == count
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert max(pair[0] for pair in pairs) > 500


def test_r8_a_seed_gives_the_same_bytes_after_a_restart(model_path, log, run) -> None:
    asked = [
        request("First."),
        request("Second, a longer one." * 20, temperature=1.5),
        request("Third.", top_p=0.5, n=2),
    ]
    for each in asked:
        each.seed = 11

    async def life():
        async with a_model(model_path, log) as model:
            told = [await model.ask(each, cap=300) for each in asked]
            return [msgspec.json.encode(each.completion) for each in told]

    def without_ids(answers):
        return [msgspec.json.decode(each)["choices"] for each in answers]

    first, second = run(life()), run(life())
    assert without_ids(first) == without_ids(second)


def test_f22_what_one_sent_is_not_in_anothers_cache(model_path, log, run) -> None:
    """Neither in the slots, nor in what they leave in memory; unless the operator says so."""
    prompt = "The same long beginning of a prompt. " * 20

    async def cached(**changes):
        async with a_model(model_path, log, **changes) as model:
            found = []
            for key in ("one", "two", "one", "three", "two", "one"):
                told = await model.ask(request(prompt), key=key, cap=2)
                found.append(told.answer.usage.prompt_tokens_details["cached_tokens"])
            return found

    assert run(cached()) == [0] * 6
    assert max(run(cached(shares_prefixes=True))) > 100
