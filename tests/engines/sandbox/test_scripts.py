"""The played scripts: each does what the docs page says, whole and streamed."""

import asyncio

import msgspec
import pytest

from keyhall.engines.sandbox.answer import SILENCE_SECONDS
from keyhall.engines.sandbox.scripts import FAILURES_REMEMBERED_MAX, SCRIPTS, script_for
from keyhall.errors import ApiError
from keyhall.lane.steps import drive

NAMES = {
    *("sandbox", "slow", "long", "error-500-then-ok", "cut-mid-stream", "429"),
    *("content-filter", "silence"),
}


def problem_of(sandbox, *arguments, **fields):
    """The row of the table that a whole answer is refused with; None if it comes."""
    try:
        sandbox.whole(*arguments, **fields)
    except ApiError as error:
        return error.problem.name
    return None


def asking(text):
    return [{"role": "user", "content": text}]


def test_r19_there_is_a_script_for_every_documented_name():
    assert set(SCRIPTS) == NAMES


def test_a_script_is_known_by_its_caller_name_too_and_any_other_name_is_the_ordinary_answer():
    for name in NAMES:
        assert script_for(name) is script_for(f"sandbox/{name}") is SCRIPTS[name]
    assert script_for("gpt-4o-mini").name == "sandbox"


def test_slow_says_one_token_a_second(paced_sandbox):
    async def story():
        loop = asyncio.get_running_loop()
        answer = paced_sandbox.engine.start(paced_sandbox.job("slow", cap=5, stream=True))
        times = []
        began = loop.time()
        while batch := await drive(answer.chunks()):
            times.append((round(loop.time() - began, 3), len(batch)))
        return times

    # The role and the first token at once; the end with the last token.
    assert paced_sandbox.run(story()) == [(0, 2), (1, 1), (2, 1), (3, 1), (4, 2)]


def test_slow_takes_its_time_for_a_whole_answer_too(sandbox):
    async def story():
        loop = asyncio.get_running_loop()
        answer = sandbox.engine.start(sandbox.job("slow", cap=30))
        began = loop.time()
        running = drive(answer.whole())
        await asyncio.sleep(10.5)
        half_way = answer.produced
        completion = await running
        return loop.time() - began, half_way, completion, answer.produced

    took, half_way, completion, produced = sandbox.run(story())
    assert took == pytest.approx(29, abs=0.01)
    assert half_way == 11
    assert produced == completion.usage.completion_tokens == 30


@pytest.mark.parametrize(("tokens", "seconds"), [(1, 0), (3, 2), (5, 4)])
def test_the_first_token_of_a_slow_whole_answer_comes_at_once(sandbox, tokens, seconds):
    async def story():
        loop = asyncio.get_running_loop()
        began = loop.time()
        await drive(sandbox.engine.start(sandbox.job("slow", cap=tokens)).whole())
        return loop.time() - began

    assert sandbox.run(story()) == pytest.approx(seconds, abs=0.01)


def test_long_fills_the_whole_cap_whatever_format_was_asked_for(sandbox):
    chunks, answer = sandbox.stream("long", response_format={"type": "json_object"})
    assert answer.produced == answer.usage.completion_tokens == 4096
    assert chunks[-1].choices[0].finish_reason == "length"


def test_long_honours_stop(sandbox):
    completion = sandbox.whole("long", stop=". The")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens < 100


@pytest.mark.parametrize("is_streamed", [False, True])
def test_r19_error_500_then_ok_fails_the_first_time_per_key_and_body(sandbox, is_streamed):
    ask = sandbox.stream if is_streamed else sandbox.whole
    messages = asking(f"first time, streamed: {is_streamed}")
    with pytest.raises(ApiError) as caught:
        ask("error-500-then-ok", messages=messages)
    assert caught.value.problem.name == "sandbox_failed"
    assert "error-500-then-ok" in str(caught.value)
    ask("error-500-then-ok", messages=messages)
    ask("error-500-then-ok", messages=messages)
    with pytest.raises(ApiError):
        ask("error-500-then-ok", messages=messages, key_id="key_2")
    with pytest.raises(ApiError):
        ask("error-500-then-ok", messages=messages, temperature=0.0)


def test_r19_a_failure_is_forgotten_after_60_seconds(sandbox):
    messages = asking("forgotten")
    assert problem_of(sandbox, "error-500-then-ok", messages=messages) == "sandbox_failed"
    sandbox.clock.advance(59.999)
    assert problem_of(sandbox, "error-500-then-ok", messages=messages) is None
    sandbox.clock.advance(0.001)
    assert problem_of(sandbox, "error-500-then-ok", messages=messages) == "sandbox_failed"


def test_the_failures_remembered_are_bounded(sandbox):
    first = asking("the oldest one")
    assert problem_of(sandbox, "error-500-then-ok", messages=first) == "sandbox_failed"
    failures = sandbox.engine._failures
    for number in range(FAILURES_REMEMBERED_MAX):
        failures.is_first(sandbox.job("error-500-then-ok", messages=asking(str(number))))
    assert len(failures._until_us) == FAILURES_REMEMBERED_MAX
    assert problem_of(sandbox, "error-500-then-ok", messages=first) == "sandbox_failed"


def test_a_refused_request_was_not_accepted_and_any_other_was(sandbox):
    """R5: tokens of a request whose engine failed before its first byte are given back."""

    async def story():
        job = sandbox.job
        starts = {
            "error-500-then-ok": sandbox.engine.start(
                job("error-500-then-ok", messages=asking("accepted?"))
            ),
            **{
                name: sandbox.engine.start(job(name))
                for name in ("429", "sandbox", "silence", "cut-mid-stream")
            },
        }
        return {name: answer.is_accepted for name, answer in starts.items()}

    assert sandbox.run(story()) == {
        "error-500-then-ok": False,
        "429": False,
        "sandbox": True,
        "silence": True,
        "cut-mid-stream": True,
    }


@pytest.mark.parametrize("n", [1, 3])
def test_cut_mid_stream_says_half_and_breaks(sandbox, n):
    full = sandbox.whole(n=n).usage.completion_tokens

    async def story():
        answer = sandbox.engine.start(sandbox.job("cut-mid-stream", n=n, stream=True))
        chunks = await drive(answer.chunks())
        with pytest.raises(ApiError) as caught:
            await drive(answer.chunks())
        answer.close()
        return chunks, answer, caught.value

    chunks, answer, error = sandbox.run(story())
    assert error.problem.name == "engine_failed"
    assert "cut-mid-stream" in str(error)
    # Its own seed gives it a length of its own; half of an answer is said.
    assert full / 4 < answer.produced < full
    assert answer.usage is None
    assert not any(chunk.choices[0].finish_reason for chunk in chunks)


def test_cut_mid_stream_of_one_token_breaks_after_the_role(sandbox):
    async def story():
        answer = sandbox.engine.start(sandbox.job("cut-mid-stream", cap=1, stream=True))
        chunks = await drive(answer.chunks())
        with pytest.raises(ApiError):
            await drive(answer.chunks())
        return chunks

    (only,) = sandbox.run(story())
    assert only.choices[0].delta.role == "assistant"


def test_cut_mid_stream_fails_a_whole_answer(sandbox):
    assert problem_of(sandbox, "cut-mid-stream") == "engine_failed"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_429_is_refused_with_the_time_to_wait(sandbox, is_streamed):
    with pytest.raises(ApiError) as caught:
        (sandbox.stream if is_streamed else sandbox.whole)("429", model="sandbox/429")
    assert caught.value.problem.name == "sandbox_limited"
    assert dict(caught.value.headers) == {b"retry-after": b"1", b"retry-after-ms": b"1000"}
    assert "sandbox/429" in str(caught.value)


def test_content_filter_ends_in_the_middle(sandbox):
    completion = sandbox.whole("content-filter")
    choice = completion.choices[0]
    assert choice.finish_reason == "content_filter"
    assert 10 < completion.usage.completion_tokens == sandbox.count(choice.message.content) < 80
    chunks, _ = sandbox.stream("content-filter", cap=7)
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert len(chunks) == 7 + 2


def test_content_filter_honours_stop_before_its_end(sandbox):
    completion = sandbox.whole("content-filter", stop=" sandbox")
    assert completion.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_silence_says_nothing_until_it_is_closed(sandbox, is_streamed):
    async def story():
        answer = sandbox.engine.start(sandbox.job("silence", stream=is_streamed))
        running = drive(answer.chunks() if is_streamed else answer.whole())
        await asyncio.sleep(SILENCE_SECONDS - 1)
        assert not running.done()
        assert answer.produced == 0
        answer.close()
        return await running

    if is_streamed:
        assert sandbox.run(story()) == []
    else:
        with pytest.raises(ApiError):
            sandbox.run(story())


@pytest.mark.parametrize("is_streamed", [False, True])
def test_i12_silence_ends_by_itself_as_an_upstream_that_does_not_answer_in_time(
    sandbox, is_streamed
):
    """An open request holds a slot of the journal: one key must not hold them all for ever."""

    async def story():
        loop = asyncio.get_running_loop()
        answer = sandbox.engine.start(sandbox.job("silence", stream=is_streamed))
        began = loop.time()
        with pytest.raises(ApiError) as caught:
            await drive(answer.chunks() if is_streamed else answer.whole())
        assert loop.time() - began == SILENCE_SECONDS
        assert answer._timer is None
        return caught.value

    error = sandbox.run(story())
    assert error.problem.name == "engine_timeout"
    assert "600 s" in str(error)


def test_scripts_answer_in_different_words(sandbox):
    """The script's name is part of what the answer is chosen by."""
    texts = {sandbox.text(name)[-60:] for name in ("sandbox", "long", "content-filter")}
    assert len(texts) == 3


def test_a_text_that_utf_8_cannot_carry_is_answered_all_the_same(sandbox):
    """The wire refuses lone surrogates; the engine does not rely on it."""
    messages = asking("\ud800 alone")
    assert "? alone" in sandbox.text(messages=messages)
    assert problem_of(sandbox, "error-500-then-ok", messages=messages) == "sandbox_failed"
    assert msgspec.json.encode(sandbox.whole(messages=messages))
