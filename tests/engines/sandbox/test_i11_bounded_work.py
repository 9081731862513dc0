"""I-11: whatever a caller sends, an answer is made in a bounded number of short steps."""

import asyncio
import gc
import time
from itertools import pairwise

import msgspec
import pytest

from keyhall.engines.sandbox.answer import BATCH_CHUNKS_MAX
from keyhall.engines.sandbox.engine import SandboxEngine
from keyhall.errors import ApiError
from keyhall.lane.steps import drive
from keyhall.turn import Turn

SPACES = " " * 60_000
WORDS = "word " * 3_600


def many(schema):
    """An object with a long array of what the schema describes."""
    array = {"type": "array", "minItems": 1500, "items": schema}
    return {"type": "object", "required": ["a"], "properties": {"a": array}}


def asking_for(schema, way):
    if way == "answer":
        described = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
        return {"response_format": described}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    return {"tools": tools, "tool_choice": "required"}


@pytest.fixture
def counted(sandbox, monkeypatch):
    """The sizes of the texts that were tokenised. Counting them bounds the time on any machine."""
    sizes = []

    def encode(text):
        sizes.append(len(text))
        return sandbox.tokenizer.encode(text)

    engine = SandboxEngine(encode, sandbox.tokenizer.decode_bytes, pace=0)
    sandbox.run(engine.check())
    sizes.clear()
    monkeypatch.setattr(sandbox, "engine", engine)
    return sizes


@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("way", ["answer", "arguments"])
@pytest.mark.parametrize("text", [SPACES, WORDS], ids=["spaces", "words"])
@pytest.mark.parametrize("keyword", ["const", "enum"])
def test_i11_long_values_of_a_schema_are_not_tokenised_beyond_measure(
    sandbox, counted, keyword, text, way, n
):
    schema = {"const": text} if keyword == "const" else {"enum": [text]}
    completion = sandbox.whole(**asking_for(many(schema), way), n=n)
    assert completion.usage.completion_tokens > 0
    assert sum(counted) < 200_000


@pytest.mark.parametrize("way", ["answer", "arguments"])
def test_i11_a_text_that_cannot_fit_is_not_tokenised_whole(sandbox, counted, way):
    """No token is longer than 128 bytes: what is longer than that for each needs no counting."""
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"const": WORDS}}}
    asked = asking_for(schema, way)
    completion = sandbox.whole(**asked, cap=20)
    assert completion.choices[0].finish_reason == "length"
    assert 0 < completion.usage.completion_tokens <= 20
    assert sum(counted) < 10_000


def test_a_long_text_that_fits_is_said_whole(sandbox):
    """Forty thousand spaces are 313 tokens: long for a tokenizer, not for a cap."""
    asked = asking_for({"const": " " * 40_000}, "answer")
    completion = sandbox.whole(**asked)
    assert completion.choices[0].message.content == f'"{" " * 40_000}"'
    assert completion.choices[0].finish_reason == "stop"


def test_a_long_text_that_does_not_fit_is_cut_at_the_cap_to_the_token(sandbox):
    asked = asking_for({"type": "string", "minLength": 40_000}, "answer")
    completion = sandbox.whole(**asked)
    text = completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == sandbox.count(text) == 4096
    assert text.startswith('"sample sample')


# --- Steps ----------------------------------------------------------------------------------------

STEP_SECONDS_MAX = 0.05  # I-11; a piece of long work is to take a tenth of it
LONG = {"n": 8, "logprobs": True, "top_logprobs": 20}


@pytest.fixture
def steps(tokenizer):
    """Runs a coroutine, and tells the CPU time of the longest turn of its event loop and their
    number. Garbage is not collected meanwhile: it would be the whole test run's."""
    turn = Turn()
    engine = SandboxEngine(tokenizer.encode, tokenizer.decode_bytes, pace=0, turn=turn)

    async def story(read):
        loop = asyncio.get_running_loop()
        await engine.check()
        times = []

        def tick():
            times.append(time.thread_time())
            beat[0] = loop.call_soon(tick)

        beat = [loop.call_soon(tick)]
        result = await read(engine)
        beat[0].cancel()
        times.append(time.thread_time())
        return result, max(b - a for a, b in pairwise(times)), len(times)

    def run(read):
        gc.collect()
        gc.disable()
        try:
            return asyncio.run(story(read))
        finally:
            gc.enable()

    return run


def test_i11_a_long_whole_answer_with_log_probabilities_is_made_in_short_steps(sandbox, steps):
    async def read(engine):
        return await drive(engine.start(sandbox.job("long", **LONG)).whole())

    completion, longest, turns = steps(read)
    assert [len(choice.logprobs.content) for choice in completion.choices] == [4096] * 8
    assert longest < STEP_SECONDS_MAX
    assert turns > 8


def test_i11_many_long_answers_at_once_share_the_turns(sandbox, steps):
    """One after the other, each for a few milliseconds: as short a step as for one."""

    async def read(engine):
        job = sandbox.job("long", cap=700, **LONG)
        return await asyncio.gather(*(drive(engine.start(job).whole()) for _ in range(8)))

    completions, longest, _ = steps(read)
    assert all(each == completions[0] for each in completions)
    assert longest < STEP_SECONDS_MAX


def test_i11_a_stream_with_log_probabilities_comes_in_short_steps(sandbox, steps):
    async def read(engine):
        answer = engine.start(sandbox.job("long", stream=True, **LONG))
        sizes = []
        while chunks := await drive(answer.chunks()):
            sizes.append(len(chunks))
            msgspec.json.encode(chunks)
        return sizes

    sizes, longest, turns = steps(read)
    assert sum(sizes) == 8 * (1 + 4096 + 1)
    assert max(sizes) < BATCH_CHUNKS_MAX / 2
    assert longest < STEP_SECONDS_MAX
    assert turns > len(sizes)


def test_i11_a_reader_that_is_far_behind_catches_up_in_many_turns(sandbox, steps):
    async def read(engine):
        answer = engine.start(sandbox.job("long", stream=True, n=8))

        async def flow():
            while await answer.chunks():
                pass

        await drive(flow())

    _, longest, turns = steps(read)
    assert turns > 8 * 4096 / BATCH_CHUNKS_MAX
    assert longest < STEP_SECONDS_MAX


@pytest.mark.parametrize("way", ["answer", "arguments"])
def test_i11_the_values_of_many_choices_are_written_in_short_steps(sandbox, steps, way):
    wide = {f"p{number}": {"type": "string"} for number in range(20_000)}
    asked = asking_for(many({"type": "object", "properties": wide}), way)

    async def read(engine):
        return await drive(engine.start(sandbox.job(n=8, **asked)).whole())

    _, longest, turns = steps(read)
    assert longest < STEP_SECONDS_MAX
    assert turns > 8


def test_an_answer_that_is_closed_while_it_is_made_says_nothing(sandbox, steps):
    async def read(engine):
        answer = engine.start(sandbox.job("long", **LONG))
        running = drive(answer.whole())
        answer.close()
        with pytest.raises(ApiError):
            await running
        return answer.produced

    assert steps(read)[0] == 0
