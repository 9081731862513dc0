"""The official `openai` client, unchanged, against a real server: it reads what we meant."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

import openai
import pytest
from command_line import keyhall, keyhall_json
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel

from keyhall import tokenizers

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is a key?"}]
INPUT_TOKENS = 3 + 3 + 1 + 5  # by contract 7.2: the answer's 3, the message's 3, role and text
WORDS = tokenizers.load("o200k_base")
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location", "unit"],
            "additionalProperties": False,
        },
    },
}


class Step(BaseModel):
    explanation: str
    output: str


class Solution(BaseModel):
    steps: list[Step]
    certainty: Literal["low", "high"]
    final_answer: int


@pytest.fixture
def make_key(keyhall_server: Any) -> Callable[..., dict[str, Any]]:
    def make(*options: str) -> dict[str, Any]:
        tier = () if "--tier" in options else ("--tier", "roomy")
        arguments = ("keys", "create", "--name", "journey", *tier, *options)
        made: dict[str, Any] = keyhall_json(keyhall_server.data, keyhall_server.config, *arguments)
        return made

    return make


@pytest.fixture
def client(keyhall_server: Any) -> Any:
    with OpenAI(base_url=keyhall_server.base_url, api_key=keyhall_server.key) as client:
        yield client


def connect(server: Any, key: str, **options: Any) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key=key, **options)


# --- Answers --------------------------------------------------------------------------------------


def test_a_whole_answer_has_the_exact_usage(client: OpenAI) -> None:
    """R12, R25: `usage` is what anybody counts who tokenises question and answer."""
    answer = client.chat.completions.create(model="v1", messages=QUESTION)
    text = answer.choices[0].message.content
    assert text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.prompt_tokens == INPUT_TOKENS
    assert answer.usage.completion_tokens == WORDS.count(text)
    assert answer.usage.total_tokens == INPUT_TOKENS + WORDS.count(text)
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "v1-sandbox-1"
    assert answer.system_fingerprint
    assert answer.system_fingerprint.startswith("fp_")
    assert answer._request_id
    assert answer._request_id.removeprefix("req_") == answer.id.removeprefix("chatcmpl-")


def test_a_stream_says_the_same_as_the_whole_answer(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="v1", messages=QUESTION)
    text, ends, usage = "", [], None
    stream = client.chat.completions.create(
        model="v1", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        assert chunk.model == whole.model
        if chunk.choices:
            assert usage is None
            text += chunk.choices[0].delta.content or ""
            ends.append(chunk.choices[0].finish_reason)
        else:
            usage = chunk.usage
    assert text == whole.choices[0].message.content
    assert [end for end in ends if end] == ["stop"] == [ends[-1]]
    assert usage == whole.usage


def test_the_async_client_gets_the_same(keyhall_server: Any, client: OpenAI) -> None:
    whole = client.chat.completions.create(model="v1", messages=QUESTION)

    async def story() -> tuple[ChatCompletion, str]:
        async with AsyncOpenAI(
            base_url=keyhall_server.base_url, api_key=keyhall_server.key
        ) as other:
            answer, stream = await asyncio.gather(
                other.chat.completions.create(model="v1", messages=QUESTION),
                other.chat.completions.create(model="v1", messages=QUESTION, stream=True),
            )
            said = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return answer, "".join(said)

    answer, text = asyncio.run(story())
    assert answer.choices == whole.choices
    assert answer.usage == whole.usage
    assert text == whole.choices[0].message.content


def test_several_choices_pay_the_input_once(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="v1", messages=QUESTION, n=3, max_tokens=40)
    texts = [choice.message.content or "" for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage
    assert answer.usage.prompt_tokens == INPUT_TOKENS
    assert answer.usage.completion_tokens == sum(WORDS.count(text) for text in texts)


def test_the_stream_helper_puts_an_answer_together(client: OpenAI) -> None:
    """`chat.completions.stream()` accumulates deltas key by key: each may come once only."""
    whole = client.chat.completions.create(
        model="v1", messages=QUESTION, tools=[WEATHER], tool_choice="required", n=2
    )
    with client.chat.completions.stream(
        model="v1",
        messages=QUESTION,
        tools=[WEATHER],
        tool_choice="required",
        n=2,
        stream_options={"include_usage": True},
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    for streamed, at_once in zip(final.choices, whole.choices, strict=True):
        (call,), (expected,) = streamed.message.tool_calls or (), at_once.message.tool_calls or ()
        assert call.type == expected.type == "function"
        assert (call.id, call.function.name) == (expected.id, expected.function.name)
        assert call.function.arguments == expected.function.arguments
        assert streamed.finish_reason == at_once.finish_reason == "tool_calls"
    assert final.usage == whole.usage


def test_a_conversation_with_a_tool_goes_on(client: OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "The weather in Paris, in celsius?"}]
    first = client.chat.completions.create(model="v1", messages=messages, tools=[WEATHER])
    message = first.choices[0].message
    (call,) = message.tool_calls or ()
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"location": "Paris", "unit": "celsius"}
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = client.chat.completions.create(model="v1", messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


def test_a_schema_is_parsed_into_the_callers_type(client: OpenAI) -> None:
    """`chat.completions.parse` sends a strict JSON schema and validates what comes back."""
    parsed = client.chat.completions.parse(model="v1", messages=QUESTION, response_format=Solution)
    solution = parsed.choices[0].message.parsed
    assert isinstance(solution, Solution)
    assert parsed.usage
    assert parsed.usage.completion_tokens == WORDS.count(parsed.choices[0].message.content or "")
    called = client.chat.completions.parse(
        model="v1", messages=QUESTION, tools=[openai.pydantic_function_tool(Solution)],
        tool_choice="required",
    )  # fmt: skip
    (call,) = called.choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, Solution)


def test_the_stream_helper_parses_a_schema_too(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="v1", messages=QUESTION, response_format=Solution
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Solution)


def test_log_probabilities_join_to_the_text(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="v1", messages=QUESTION, max_tokens=20, logprobs=True, top_logprobs=2
    )
    choice = answer.choices[0]
    assert choice.logprobs
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    assert all(len(token.top_logprobs) == 2 for token in tokens)


# --- Around an answer -----------------------------------------------------------------------------


def test_r20_the_headers_tell_what_is_left(keyhall_server: Any, make_key: Any) -> None:
    """R4, R20: on whole answers and streams, at admission."""
    client = connect(keyhall_server, make_key("--tier", "free-trial")["key"])
    given = {"model": "v1", "messages": QUESTION, "max_tokens": 100}
    whole = client.chat.completions.with_raw_response.create(**given)
    assert whole.parse().choices
    headers = whole.headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-keyhall-output-cap"] == "100"
    assert headers["x-ratelimit-limit-requests"] == "20"
    assert headers["x-ratelimit-remaining-requests"] == "19"
    assert headers["x-ratelimit-limit-tokens"] == "40000"
    assert headers["x-ratelimit-remaining-tokens"] == str(40_000 - INPUT_TOKENS - 100)
    assert headers["x-ratelimit-reset-requests"] == headers["x-ratelimit-reset-tokens"] == "1m0s"
    assert "x-keyhall-mode" not in headers
    with client.chat.completions.with_streaming_response.create(**given, stream=True) as streamed:
        assert streamed.headers["x-ratelimit-remaining-requests"] == "18"
        assert streamed.headers["content-type"].startswith("text/event-stream")
        streamed.read()
    uncapped = client.chat.completions.with_raw_response.create(model="v1", messages=QUESTION)
    assert uncapped.headers["x-keyhall-output-cap"] == "2048"


def test_models_are_listed_and_shown(client: OpenAI, keyhall_server: Any, make_key: Any) -> None:
    """R19: the sandbox's scripts are listed for test keys only."""
    names = {model.id for model in client.models.list()}
    assert {"v1", "v1.1", "keyhall-v1", "keyhall-v1.1", "v1-sandbox-1"} <= names
    assert not any(name.startswith("sandbox/") for name in names)
    assert client.models.retrieve("v1").owned_by == "keyhall"
    assert client.models.retrieve("sandbox/slow").id == "sandbox/slow"
    with connect(keyhall_server, make_key("--test")["key"]) as tester:
        assert "sandbox/slow" in {model.id for model in tester.models.list()}
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("v9")
    assert caught.value.code == "model_not_found"


def test_the_client_gets_over_a_failure_by_itself(keyhall_server: Any, client: OpenAI) -> None:
    """R5, R19: the first try fails and costs no tokens, the client's second one succeeds."""
    raw = client.chat.completions.with_raw_response.create(
        model="sandbox/error-500-then-ok", messages=QUESTION, user="gets over it"
    )
    assert raw.retries_taken == 1
    assert raw.parse().choices[0].message.content


def test_the_client_waits_as_long_as_it_is_told(
    keyhall_server: Any, make_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2: it reads `retry-after-ms`; at most a minute, so it waits instead of giving up."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    client = connect(keyhall_server, make_key("--rpm", "1")["key"])
    client.chat.completions.create(model="v1", messages=QUESTION, max_tokens=1)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="v1", messages=QUESTION, max_tokens=1)
    assert len(waits) == 2
    assert all(0 < wait <= 60 for wait in waits)
    told = int(caught.value.response.headers["retry-after-ms"]) / 1000
    assert abs(waits[-1] - told) < 5
    assert caught.value.type == "requests"
    assert caught.value.code == "rate_limit_exceeded"


def test_the_client_does_not_retry_what_can_never_fit(
    keyhall_server: Any, make_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2: `x-should-retry: false`."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    client = connect(keyhall_server, make_key("--tpm", "100")["key"])
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="v1", messages=QUESTION, max_tokens=200)
    assert not waits
    assert "Request too large" in caught.value.message


def test_an_error_in_a_stream_is_raised(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="sandbox/cut-mid-stream", messages=QUESTION, max_tokens=20, stream=True
    )
    said = []
    with pytest.raises(openai.APIError) as caught:
        said += [chunk.choices[0].delta.content or "" for chunk in stream]
    assert caught.value.code == "engine_failed"


# --- Test keys, and versions that end -------------------------------------------------------------


def test_r19_test_keys_have_windows_of_their_own_and_cost_nothing(
    keyhall_server: Any, make_key: Any
) -> None:
    """R19: the sandbox under every name, `x-keyhall-mode`, another fingerprint, price 0."""
    where = keyhall_server.data, keyhall_server.config
    keyhall(*where, "versions", "add", "priced-1", "--engine", "sandbox", "--engine-model",
            "sandbox", "--count", "exact", "--price-in", "1", "--price-out", "2")  # fmt: skip
    keyhall_json(*where, "projects", "create", "--name", "shared limit")
    keyhall(*where, "projects", "limits", "shared limit", "--rpm", "2")
    live, test = (make_key("--project", "shared limit", *mode) for mode in ((), ("--test",)))
    answers = {}
    for name, made in (("live", live), ("test", test)):
        client = connect(keyhall_server, made["key"], max_retries=0)
        for remaining in ("1", "0"):
            raw = client.chat.completions.with_raw_response.create(
                model="priced-1", messages=QUESTION, max_tokens=5
            )
            assert raw.headers["x-ratelimit-remaining-requests"] == remaining
            assert raw.headers.get("x-keyhall-mode") == ("test" if name == "test" else None)
            answers[name] = raw.parse()
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="priced-1", messages=QUESTION, max_tokens=5)
    fingerprints = {answer.system_fingerprint for answer in answers.values()}
    assert len(fingerprints) == 2
    assert (answers["test"].system_fingerprint or "").startswith("fp_test")
    costs = until(  # Settled rows are written every 200 ms.
        lambda: {
            line["key"]: line["cost_nano"]
            for line in keyhall_json(*where, "usage", "--by", "key")["lines"]
        },
        lambda costs: {live["id"], test["id"]} <= costs.keys(),
    )
    assert costs[live["id"]] == 2 * (INPUT_TOKENS * 1_000 + 5 * 2_000)
    assert costs[test["id"]] == 0


def test_r8_a_deprecated_version_says_when_it_ends(keyhall_server: Any, client: OpenAI) -> None:
    where = keyhall_server.data, keyhall_server.config
    add_sandbox_version(where, "old-1")
    keyhall(*where, "versions", "deprecate", "old-1", "--retires", "2099-05-01", "--use", "v1")
    answer = until(
        lambda: client.chat.completions.with_raw_response.create(
            model="old-1", messages=QUESTION, max_tokens=1
        ),
        lambda raw: "deprecation" in raw.headers,
    )
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["sunset"] == "Fri, 01 May 2099 00:00:00 GMT"
    assert answer.parse().choices
    listed = {model.id: model for model in client.models.list()}
    assert listed["old-1"].to_dict()["shutdown_date"] == "2099-05-01"


def test_r8_a_retired_version_says_what_to_use_instead(keyhall_server: Any, client: OpenAI) -> None:
    where = keyhall_server.data, keyhall_server.config
    add_sandbox_version(where, "older-1")
    keyhall(*where, "versions", "retire", "older-1", "--use", "v1-sandbox-1")

    def refusal() -> openai.NotFoundError | None:
        try:
            client.chat.completions.create(model="older-1", messages=QUESTION, max_tokens=1)
        except openai.NotFoundError as error:
            return error
        return None

    error = until(refusal, lambda found: found is not None and "retired" in found.message)
    assert error is not None
    assert error.code == "model_not_found"
    assert "Use `v1-sandbox-1` instead." in error.message
    assert "older-1" not in {model.id for model in client.models.list()}


def add_sandbox_version(where: Any, name: str) -> None:
    keyhall(
        *where, "versions", "add", name, "--engine", "sandbox", "--engine-model", "sandbox",
        "--count", "exact", "--price-in", "0", "--price-out", "0",
    )  # fmt: skip


def until(ask: Callable[[], Any], is_there: Callable[[Any], bool]) -> Any:
    """Ask until the server has seen what a command did, which takes it 200 ms at most (R14)."""
    for _ in range(500):
        try:
            found = ask()
        except openai.NotFoundError:
            continue
        if is_there(found):
            return found
    raise AssertionError("the server does not see the change")


def test_moderations_are_read_as_openais(keyhall_server: Any, make_key: Any) -> None:
    with OpenAI(base_url=f"{keyhall_server.root_url}/v1", api_key=make_key()["key"]) as client:
        made = client.moderations.create(input=["I will find you and hurt you.", "Good morning."])
        assert made.id.startswith("modr-")
        assert made.model == "keyhall-rules"
        threat, clean = made.results
        assert threat.flagged
        assert threat.categories.harassment_threatening
        assert threat.category_scores.harassment_threatening == 1
        assert threat.category_applied_input_types.harassment_threatening == ["text"]
        assert not clean.flagged
        picture: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
        with pytest.raises(openai.BadRequestError, match="Pictures cannot be looked at"):
            client.moderations.create(model="omni-moderation-latest", input=picture)


def test_moderation_in_a_chat_request_is_read_as_openais(
    keyhall_server: Any, make_key: Any
) -> None:
    """Contract 5.6: both ways in the answer, whole and streamed, and 400 where it is to block."""
    bomb: Any = [{"role": "user", "content": "How do I build a pipe bomb?"}]
    score: Any = {"model": "omni-moderation-latest"}
    with OpenAI(base_url=f"{keyhall_server.root_url}/v1", api_key=make_key()["key"]) as client:
        asked: Any = {"model": "v1", "messages": bomb, "max_tokens": 5, "moderation": score}
        made = client.chat.completions.create(**asked)
        assert_moderated(made.moderation)
        plain = client.chat.completions.create(**asked | {"moderation": None})
        assert plain.moderation is None
        chunks = list(
            client.chat.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}
            )
        )
        *said, moderated, usage = chunks
        assert usage.usage is not None
        assert usage.moderation is None
        assert (moderated.choices, moderated.usage) == ([], None)
        assert_moderated(moderated.moderation)
        assert said[-1].choices[0].finish_reason == "length"
        with client.chat.completions.stream(**asked | {"max_tokens": 500}) as stream:
            assert "content.done" in {event.type for event in stream}
            assert stream.get_final_completion().choices[0].message.content
        block = score | {"policy": {"input": {"mode": "block"}}}
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(**asked | {"moderation": block})
        assert refused.value.code == "content_policy_violation"
        assert "illicit/violent" in refused.value.message


def assert_moderated(moderation: Any) -> None:
    for way, is_flagged in ((moderation.input, True), (moderation.output, False)):
        assert type(way).__name__.endswith("ModerationResults")
        assert (way.type, way.model) == ("moderation_results", "keyhall-rules")
        (result,) = way.results
        assert (result.type, result.flagged) == ("moderation_result", is_flagged)
        assert len(result.categories) == len(result.category_scores) == 13
        assert result.categories["illicit/violent"] is is_flagged
        assert result.category_applied_input_types["hate"] == ["text"]
