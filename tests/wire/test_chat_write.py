"""What is written: to upstreams, to callers whole and streamed, and as errors."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.catalogue import LATER, Sampling
from keyhall.wire import chat_write
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
    Logprobs,
    TokenLogprob,
    TokenUsage,
    TopLogprob,
)
from keyhall.wire.chat_read import read

USER = {"role": "user", "content": "Hello"}
NO_DEFAULTS = Sampling()


def upstream(
    fields: dict[str, Any],
    *,
    cap_field: chat_write.CapField = "max_tokens",
    sampling: Sampling = NO_DEFAULTS,
    stream: bool = False,
) -> dict[str, Any]:
    request = read(json.dumps({"model": "v1", "messages": [USER], **fields}).encode())
    before = repr(request)
    body = chat_write.encode_upstream(
        request,
        model="gpt-4o-mini",
        output_cap=77,
        cap_field=cap_field,
        sampling=sampling,
        stream=stream,
    )
    assert repr(request) == before
    sent: dict[str, Any] = json.loads(body)
    return sent


BARE = {"model": "gpt-4o-mini", "messages": [USER], "max_tokens": 77}


def test_r25_an_upstream_is_told_the_versions_model_and_cap_and_nothing_else():
    assert upstream({}) == BARE
    assert upstream({"max_completion_tokens": 80}) == BARE
    assert upstream({"max_tokens": 80}, cap_field="max_completion_tokens") == {
        "model": "gpt-4o-mini",
        "messages": [USER],
        "max_completion_tokens": 77,
    }


def test_r21_what_is_between_the_caller_and_keyhall_is_stripped():
    hints = {
        "truncation": "auto",
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"mode": "implicit"},
        "metadata": {"a": "b"},
        "store": False,
        "service_tier": "priority",
        "modalities": ["text"],
        "audio": None,
    }
    assert upstream(hints) == BARE


def test_what_changes_the_answer_is_passed_as_it_was_sent():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": 1}}}
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"b": [1.5, None]}}}
    fields = {
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 1.5,
        "presence_penalty": -1.5,
        "n": 2,
        "stop": ["a"],
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"12": 5, "13": -0.5},
        "response_format": schema,
        "tools": [tool],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "verbosity": "low",
    }
    sent = upstream(fields)
    assert sent == BARE | fields
    assert repr(sent["logit_bias"]) == "{'12': 5, '13': -0.5}"  # An integer stays one.
    old = {"functions": [{"name": "f"}], "function_call": {"name": "f"}}
    assert upstream(old) == BARE | old


def test_a_conversation_with_tools_is_passed_without_what_answers_carry():
    function = {"name": "f", "arguments": "{}"}
    call: dict[str, Any] = {"id": "c", "type": "function", "function": function}
    messages = [
        USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "42"}]},
    ]
    extra = {"annotations": [], "audio": None, "refusal": None, "content": None, "parsed": {}}
    odd_call = call | {"index": 0, "function": function | {"parsed_arguments": {}}}
    extra["tool_calls"] = [odd_call]
    sent = upstream({"messages": [messages[0], messages[1] | extra, messages[2]]})
    assert sent["messages"] == messages


def test_r9_the_versions_sampling_holds_where_the_request_says_nothing():
    sampling = Sampling(temperature=0.7, top_p=0.8, frequency_penalty=0.3, presence_penalty=0.2)
    said = {
        "temperature": 0.0,
        "top_p": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": -1.0,
    }
    assert upstream({}, sampling=sampling) == BARE | {
        "temperature": 0.7,
        "top_p": 0.8,
        "frequency_penalty": 0.3,
        "presence_penalty": 0.2,
    }
    assert upstream(said, sampling=sampling) == BARE | said


def test_settings_that_are_not_openais_are_sent_only_where_the_version_has_them():
    """And the penalty on repetition under both of its names: each server passes over the other."""
    later = {name: 1 for name in LATER}
    sampling = Sampling(**later)
    assert upstream({}, sampling=sampling) == BARE | later | {"repeat_penalty": 1}
    assert upstream({"temperature": 0}, sampling=Sampling(min_p=0.05)) == BARE | {
        "temperature": 0,
        "min_p": 0.05,
    }


def test_a_stream_always_asks_the_upstream_for_usage():
    streamed = BARE | {"stream": True, "stream_options": {"include_usage": True}}
    assert upstream({"stream": True}, stream=True) == streamed
    options = {"include_usage": False, "include_obfuscation": False}
    assert upstream({"stream": True, "stream_options": options}, stream=True) == streamed
    assert upstream({"stream": True}, stream=False) == BARE


# --- Whole answers --------------------------------------------------------------------------------


def completion(*choices: Choice, usage: TokenUsage | None = None) -> Completion:
    return Completion(
        choices=list(choices),
        id="chatcmpl-1",
        created=1_760_000_000,
        model="v1-sandbox-1",
        usage=usage or TokenUsage(9, 12, 21),
        system_fingerprint="fp_0123456789",
    )


def tool_call(id: str = "call_1") -> AnswerToolCall:
    return AnswerToolCall(id, AnswerFunction("f", "{}"))


def test_a_whole_answer_has_the_documented_shape():
    body = chat_write.encode_completion(completion(Choice(0, AnswerMessage(content="Hi"))))
    assert json.loads(body) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "v1-sandbox-1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 12,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }


def test_details_that_an_engine_counted_are_kept():
    usage = TokenUsage(9, 12, 21, {"cached_tokens": 4}, {"reasoning_tokens": 3})
    body = chat_write.encode_completion(completion(Choice(0, AnswerMessage()), usage=usage))
    said = json.loads(body)["usage"]
    assert said["prompt_tokens_details"] == {"cached_tokens": 4}
    assert said["completion_tokens_details"] == {"reasoning_tokens": 3}


def test_an_answer_without_usage_says_null():
    answer = completion(Choice(0, AnswerMessage()))
    answer.usage = None
    assert json.loads(chat_write.encode_completion(answer))["usage"] is None


LOGPROBS = Logprobs(content=[TokenLogprob("a", -0.5, [97], [TopLogprob("a", -0.5, [97])])])


@pytest.mark.parametrize(
    "choice",
    [
        Choice(0, AnswerMessage(content="Hi"), logprobs=LOGPROBS),
        Choice(0, AnswerMessage(refusal="No.")),
        Choice(0, AnswerMessage(tool_calls=[tool_call()]), "tool_calls"),
        Choice(0, AnswerMessage(function_call=AnswerFunction("f", "{}")), "function_call"),
        Choice(0, AnswerMessage(content=""), "length"),
        Choice(
            0,
            AnswerMessage(
                content="Hi \ud83c\udfe1".encode("utf-16", "surrogatepass").decode("utf-16")
            ),
            "content_filter",
        ),
    ],
)
def test_the_official_clients_types_take_whole_answers_strictly(choice: Choice):
    body = chat_write.encode_completion(completion(choice))
    read_back = ChatCompletion.model_validate_json(body, strict=True)
    assert read_back.choices[0].finish_reason == choice.finish_reason
    assert read_back.choices[0].message.content == choice.message.content


def likely(count: int) -> list[TokenLogprob]:
    tops = [TopLogprob(f'"content":[] {n}', -n / 8, [n]) for n in range(20)]
    return [TokenLogprob(f"token {n}", -0.5, [n % 256], tops) for n in range(count)]


@pytest.mark.parametrize(
    "choices",
    [
        [],
        [Choice(0, AnswerMessage(content='"choices":[] "content":[]'))],
        [Choice(0, AnswerMessage(), logprobs=Logprobs())],
        [Choice(0, AnswerMessage(), logprobs=Logprobs([]))],
        [Choice(0, AnswerMessage(content="ä"), logprobs=Logprobs(None, likely(3)))],
        [Choice(0, AnswerMessage(content="Hi"), logprobs=Logprobs(likely(1), likely(2)))],
        [
            Choice(n, AnswerMessage(content="long"), logprobs=Logprobs(likely(n)))
            for n in (255, 256, 257, 0, 1000)
        ],
    ],
)
def test_an_answer_in_pieces_is_the_same_answer(choices: list[Choice]):
    answer = completion(*choices)
    pieces = list(chat_write.encode_in_pieces(answer))
    assert b"".join(pieces) == chat_write.encode_completion(answer)
    assert all(len(piece) > chat_write.PIECE_BYTES_MIN for piece in pieces[:-1])


def test_i11_no_piece_of_a_long_answer_is_long():
    answer = completion(
        *(Choice(n, AnswerMessage(), logprobs=Logprobs(likely(4096))) for n in range(8))
    )
    assert max(map(len, chat_write.encode_in_pieces(answer))) < 1_000_000


def test_choices_are_put_in_order_and_no_more_than_were_asked_for():
    answer = completion(*(Choice(i, AnswerMessage(content=str(i))) for i in (2, 0, 3, 1)))
    chat_write.normalize_completion(answer, 3)
    assert [(c.index, c.message.content) for c in answer.choices] == [(0, "0"), (1, "1"), (2, "2")]


def test_a_single_choice_is_the_first_however_it_was_numbered():
    answer = completion(Choice(5, AnswerMessage(content="a")))
    chat_write.normalize_completion(answer, 1)
    assert [(c.index, c.message.content) for c in answer.choices] == [(0, "a")]


def test_choices_that_an_engine_numbered_alike_are_numbered_again():
    answer = completion(*(Choice(0, AnswerMessage(content=text)) for text in "ab"))
    chat_write.normalize_completion(answer, 2)
    assert [(c.index, c.message.content) for c in answer.choices] == [(0, "a"), (1, "b")]


def test_tool_calls_have_ids_and_an_empty_list_of_them_is_left_out():
    answer = completion(
        Choice(0, AnswerMessage(tool_calls=[tool_call(""), tool_call("x"), tool_call("")])),
        Choice(1, AnswerMessage(tool_calls=[])),
    )
    chat_write.normalize_completion(answer, 2)
    choices = json.loads(chat_write.encode_completion(answer))["choices"]
    ids = [call["id"] for call in choices[0]["message"]["tool_calls"]]
    assert ids == ["call_0_0", "x", "call_0_2"]
    assert "tool_calls" not in choices[1]["message"]


# --- Streams --------------------------------------------------------------------------------------


def stamp(*, wants_usage: bool = False) -> chat_write.Stamp:
    return chat_write.Stamp(
        id="chatcmpl-1",
        created=1_760_000_000,
        model='v1 "choices":[],',
        fingerprint="fp_0123456789",
        wants_usage=wants_usage,
    )


def records(data: bytes) -> list[dict[str, Any]]:
    """The payloads; each record must be one `data:` line and a blank line."""
    assert data.endswith(b"\n\n")
    lines = data[:-2].split(b"\n\n")
    assert all(line.startswith(b"data: ") and b"\n" not in line for line in lines)
    return [json.loads(line[6:]) for line in lines]


CHUNKS = [
    Chunk([ChunkChoice(0, Delta(role="assistant", content="", refusal=None))]),
    Chunk([ChunkChoice(0, Delta(content="line\nbreak\r and é \u2028"))], id="upstream", model="x"),
    Chunk([ChunkChoice(0, Delta(refusal="No."), LOGPROBS)]),
    Chunk(
        [
            ChunkChoice(
                0,
                Delta(
                    tool_calls=[DeltaToolCall(0, "c", "function", DeltaFunction("f", "{"))],
                ),
            )
        ]
    ),
    Chunk([ChunkChoice(0, Delta(), finish_reason="stop")]),
]


def test_every_record_has_the_same_head_and_no_usage_unless_it_was_asked_for():
    """contract.md 1.1-1.3 and 5.2: `data:` lines only, ready for one write."""
    read_back = records(stamp().encode(CHUNKS))
    assert [record["choices"][0]["delta"] for record in read_back] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "line\nbreak\r and é \u2028"},
        {"refusal": "No."},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{"},
                }
            ]
        },
        {},
    ]
    for record in read_back:
        del record["choices"]
        assert record == {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_760_000_000,
            "model": 'v1 "choices":[],',
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
        }


def test_with_usage_every_earlier_record_says_null_and_the_last_has_no_choices():
    marked = stamp(wants_usage=True)
    assert all(record["usage"] is None for record in records(marked.encode(CHUNKS)))
    (last,) = records(marked.encode_usage(TokenUsage(9, 12, 21)))
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 21
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 0}


def test_one_chunk_is_one_record_and_no_chunk_is_nothing():
    assert len(records(stamp().encode(CHUNKS[:1]))) == 1
    assert stamp().encode([]) == b""


def test_the_official_clients_types_take_records_strictly():
    marked = stamp(wants_usage=True)
    data = marked.encode(CHUNKS) + marked.encode_usage(TokenUsage(9, 12, 21))
    for record in records(data):
        ChatCompletionChunk.model_validate_json(json.dumps(record), strict=True)


def test_the_marks_of_a_stream_are_exact():
    assert chat_write.DONE == b"data: [DONE]\n\n"
    assert chat_write.KEEPALIVE == b": keep-alive\n\n"


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "param", "code"),
    [
        (ApiError(errors.MODEL_REQUIRED), None, None),
        (ApiError(errors.UNKNOWN_PARAMETER, param="x", param_path="x"), "x", "unknown_parameter"),
    ],
)
def test_an_error_always_has_its_four_keys(error: ApiError, param: str | None, code: str | None):
    """contract.md 1.8-1.9."""
    expected = {
        "error": {
            "message": str(error),
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }
    }
    assert json.loads(chat_write.encode_error(error)) == expected
    assert records(chat_write.error_record(error)) == [expected]


def test_a_stamp_that_is_like_another_writes_the_same() -> None:
    one, other = stamp(wants_usage=True), stamp()
    other.like(one)
    said = [Chunk([ChunkChoice(0, Delta(content="Hi"))])] * 2
    assert other.encode(said) == one.encode(said)
