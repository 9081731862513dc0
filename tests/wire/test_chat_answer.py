"""Reading what upstreams answer: usual answers, the quirks of real servers, and hostile ones."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from keyhall.wire import chat_answer, chat_write
from keyhall.wire.chat import Chunk, Completion, TokenUsage
from keyhall.wire.chat_answer import (
    DONE,
    NO_INDEX,
    BadAnswer,
    Done,
    UpstreamError,
    UpstreamFailed,
    read_chunk,
    read_chunks,
    read_completion,
)
from keyhall.wire.chat_stream import Shaper


def chunk(value: Any) -> Chunk:
    read = read_chunk(json.dumps(value).encode())
    assert isinstance(read, Chunk)
    return read


def delta(value: Any, **choice: Any) -> Any:
    return chunk({"choices": [{"index": 0, "delta": value, **choice}]}).choices[0].delta


def whole(value: Any) -> Completion:
    return read_completion(json.dumps(value).encode())


USUAL_CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_760_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "system_fingerprint": "fp_0",
    "choices": [{"index": 0, "delta": {"content": "Hi"}, "logprobs": None, "finish_reason": None}],
    "usage": None,
    "obfuscation": "x7",
}
USUAL_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "refusal": None,
                "annotations": [],
                "audio": None,
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 0},
    },
    "service_tier": "default",
    "surprise": {"a": 1},
}


# --- Chunks ---------------------------------------------------------------------------------------


def test_r25_of_a_usual_chunk_only_known_fields_are_kept():
    read = chunk(USUAL_CHUNK)
    assert read.choices[0].delta.content == "Hi"
    assert not read.usage
    assert b"obfuscation" not in msgspec.json.encode(read)


def test_the_end_of_a_stream_is_read():
    assert read_chunk(b"[DONE]") is DONE
    assert isinstance(read_chunk(b" [DONE] "), Done)


def test_usage_may_come_with_any_chunk():
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    for choices in ([], USUAL_CHUNK["choices"]):
        assert chunk({"choices": choices, "usage": usage}).usage == TokenUsage(1, 2, 3)
    odd = {"choices": [{"delta": {}}], "usage": usage}
    assert chunk(odd).usage == TokenUsage(1, 2, 3)


@pytest.mark.parametrize(
    "usage",
    [5, "x", [], {}, {"prompt_tokens": "9"}, {"prompt_tokens": 1, "completion_tokens": 2.0}],
)
def test_r12_usage_of_another_form_is_as_good_as_none(usage: Any):
    assert not chunk({"choices": [], "usage": usage}).usage
    assert not whole({**USUAL_ANSWER, "usage": usage}).usage


def test_r12_usage_whose_two_counts_are_whole_is_taken_whatever_else_is_odd_about_it():
    """Else tokens that cannot be seen in the answer, as of reasoning, would cost nothing."""
    usage = {"prompt_tokens": 1, "completion_tokens": 500}
    odd = {"reasoning_tokens": 490, "by_modality": {"text": 10}, "share": 0.5}
    for more, details in (
        ({}, None),
        ({"total_tokens": "many"}, None),
        ({"completion_tokens_details": "none"}, None),
        ({"completion_tokens_details": odd}, {"reasoning_tokens": 490}),
    ):
        expected = TokenUsage(1, 500, 501, None, details)
        assert chunk({"choices": [], "usage": usage | more}).usage == expected
        assert whole({**USUAL_ANSWER, "usage": usage | more}).usage == expected


def test_r12_usage_beside_timings_is_that_of_one_choice():
    """llama.cpp's; of an answer with one choice it is that of all."""
    timings = {"predicted_n": 1}
    usual = USUAL_ANSWER["choices"][0]
    for choice in (usual, {"message": {"content": "Hi"}}):
        one = whole({**USUAL_ANSWER, "choices": [choice], "timings": timings})
        two = whole({**USUAL_ANSWER, "choices": [choice, choice], "timings": timings})
        assert one.usage
        assert two.usage is None
        assert b"timings" not in chat_write.encode_completion(one)
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert chat_answer.is_of_one(chunk({"choices": [], "usage": usage, "timings": timings}))
    assert not chat_answer.is_of_one(chunk({"choices": [], "usage": usage}))
    assert not chat_answer.is_of_one(chunk({"choices": None, "usage": usage}))


@pytest.mark.parametrize("choices", [None, []])
def test_choices_may_be_missing(choices: Any):
    assert chunk({"choices": choices}).choices == []
    assert chunk({"id": "x"}).choices == []


def test_a_missing_index_is_the_position():
    read = chunk({"choices": [{"delta": {"content": "a"}}, {"index": None, "delta": {}}]})
    assert [choice.index for choice in read.choices] == [0, 1]


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        (None, None),
        ("", None),
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "function_call"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("safety", "content_filter"),
        (7, "stop"),
    ],
)
def test_finish_reasons_of_other_servers_are_translated(reason: Any, read: Any):
    """An empty one is none: some servers send it with every chunk."""
    said = chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    assert said.choices[0].finish_reason == read


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ({"content": "Hi", "role": None, "tool_calls": None, "function_call": None}, "Hi"),
        ({"content": "Hi", "role": "", "refusal": 5}, "Hi"),
        ({"content": [{"type": "text", "text": "H"}, {"text": "i"}, {"x": 1}, 5]}, "Hi"),
        ({"content": 5}, UNSET),
        ({"tool_calls": None}, UNSET),
        ({"content": "", "tool_calls": []}, ""),
        (None, UNSET),
        ("Hi", UNSET),
    ],
)
def test_nulls_and_parts_in_a_delta_are_forgiven(said: Any, content: Any):
    read = delta(said)
    assert read.content == content
    assert not read.tool_calls


def test_a_role_of_another_kind_is_the_assistants():
    assert delta({"role": "model", "content": "a", "refusal": "b"}).role == "assistant"
    assert delta({"role": "model", "content": "a", "refusal": "b"}).refusal == "b"


def test_tool_call_fragments_of_another_form_are_read():
    fragments = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
        {"index": 1, "id": "", "function": {"name": None, "arguments": "{}"}},
        {"index": 2, "function": None},
        "nonsense",
    ]
    first, second, third = delta({"tool_calls": fragments}).tool_calls
    assert (first.index, first.id, first.type) == (NO_INDEX, "a", "function")
    assert (first.function.name, first.function.arguments) == ("f", '{"x":1}')
    assert (second.id, second.function.name, second.function.arguments) == (UNSET, UNSET, "{}")
    assert (third.index, third.function) == (2, UNSET)


def test_an_old_function_call_of_another_form_is_read():
    read = delta({"role": None, "function_call": {"name": "f", "arguments": ""}})
    assert (read.function_call.name, read.function_call.arguments) == ("f", "")


@pytest.mark.parametrize("logprobs", [None, 5, {"content": [{"token": 1}]}])
def test_logprobs_of_another_form_are_left_out(logprobs: Any):
    read = chunk({"choices": [{"delta": {}, "logprobs": logprobs}]})
    assert read.choices[0].logprobs is None
    fitting = {"content": [{"token": "a", "logprob": -1}], "refusal": None}
    read = chunk({"choices": [{"delta": {}, "logprobs": fitting}]})
    assert read.choices[0].logprobs is not None


def test_several_usual_chunks_are_read_as_each_alone():
    payloads = [json.dumps(USUAL_CHUNK).replace("Hi", text).encode() for text in "abc"]
    assert read_chunks(payloads) == [read_chunk(payload) for payload in payloads]
    assert read_chunks([]) == []


@pytest.mark.parametrize(
    "odd",
    [
        b"[DONE]",
        b"",
        b"<html>",
        b'{"error":{"message":"m"}}',
        b'{"choices":[{"delta":{}}]}',
        b'{"choices":[]},{"choices":[]}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=range(8),
)
def test_one_unusual_chunk_sends_all_of_them_the_long_way(odd: bytes):
    assert read_chunks([json.dumps(USUAL_CHUNK).encode(), odd]) is None


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "read"),
    [
        (
            {"message": "m", "type": "server_error", "param": None, "code": "c"},
            UpstreamError("m", "server_error", "c"),
        ),
        ({"message": "m", "code": 502}, UpstreamError("m", None, "502")),
        ({"message": None, "type": 1, "code": True}, UpstreamError("", None, None)),
        ("m", UpstreamError("m")),
        (["m"], UpstreamError("")),
    ],
)
def test_an_error_in_place_of_an_answer_is_seen(error: Any, read: UpstreamError):
    """Also with status 200, and also beside choices, as some routers send it in mid-stream."""
    for value in ({"error": error}, {**USUAL_CHUNK, "error": error}):
        assert read_chunk(json.dumps(value).encode()) == read
    for value in ({"error": error}, {**USUAL_ANSWER, "error": error}):
        with pytest.raises(UpstreamFailed) as raised:
            whole(value)
        assert raised.value.error == read


def test_an_error_that_stands_flat_is_one_too():
    """Servers are known that write it so into a stream and then say that all is done: it would
    pass for an answer of no words."""
    flat = {"object": "error", "message": "m", "type": "t", "param": "model", "code": 400}
    assert read_chunk(msgspec.json.encode(flat)) == UpstreamError("m", "t", "400", "model")
    with pytest.raises(UpstreamFailed):
        whole(flat)


@pytest.mark.parametrize("finish", ["abort", "error"])
def test_an_answer_that_was_given_up_is_none(finish: str):
    given_up = {"index": 0, "delta": {}, "finish_reason": finish}
    payload = msgspec.json.encode({"choices": [given_up]})
    assert read_chunk(payload) == UpstreamError("", "abort")
    with pytest.raises(UpstreamFailed):
        whole({"choices": [{"message": {"content": "So f"}, "finish_reason": finish}]})


def test_an_error_of_null_is_none():
    assert chunk({**USUAL_CHUNK, "error": None}).choices
    assert whole({**USUAL_ANSWER, "error": None}).choices


BAD = [
    b"",
    b"<html>secret</html>",
    b'{"choices":[{"index":0,"delta":{"content":"secret',
    b"secret",
    b"[]",
    b"null",
    b"[" * 100_000,
    b'{"choices":5}',
    b'{"choices":["secret"]}',
    b'{"a":"\xff secret"}',
    b'{"a":1e999}',
    b'{"a":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("payload", BAD, ids=range(len(BAD)))
def test_f10_what_is_no_answer_raises_one_exception_that_knows_no_text(payload: bytes):
    for read in (read_chunk, read_completion):
        with pytest.raises(BadAnswer) as raised:
            read(payload)
        assert "secret" not in str(raised.value)
        assert raised.value.__context__ is None


@pytest.mark.parametrize("value", [{"choices": []}, {"choices": None}, {"id": "x"}])
def test_a_whole_answer_without_choices_is_none(value: Any):
    with pytest.raises(BadAnswer, match="no choices"):
        whole(value)


# --- Whole answers --------------------------------------------------------------------------------


def test_r25_of_a_usual_answer_only_known_fields_are_kept():
    read = whole(USUAL_ANSWER)
    assert read.choices[0].message.content == "Hi"
    assert read.usage == TokenUsage(9, 1, 10, {"cached_tokens": 0})
    assert b"surprise" not in chat_write.encode_completion(read)
    assert b"error" not in chat_write.encode_completion(read)


def test_a_whole_answer_of_another_form_is_brought_into_form():
    read = whole(
        {
            "choices": [
                {
                    "message": {
                        "role": None,
                        "content": None,
                        "tool_calls": [
                            {"function": {"name": "f", "arguments": {"a": 1}}},
                            {"id": "b", "type": "tool", "function": None},
                        ],
                        "annotations": None,
                    },
                    "finish_reason": None,
                },
                {"message": {"content": "x", "tool_calls": None, "function_call": {"name": "g"}}},
                {"index": 7, "message": None, "finish_reason": "max_tokens", "logprobs": 1},
            ],
            "usage": None,
        }
    )
    first, second, third = read.choices
    assert [choice.index for choice in read.choices] == [0, 1, 7]
    assert [choice.finish_reason for choice in read.choices] == ["tool_calls", "stop", "length"]
    assert first.message.tool_calls is not UNSET
    calls = [(c.id, c.function.name, c.function.arguments) for c in first.message.tool_calls]
    assert calls == [("", "f", '{"a":1}'), ("b", "", "")]
    assert second.message.tool_calls is UNSET
    assert second.message.function_call is not UNSET
    assert second.message.function_call.name == "g"
    assert (third.message.content, third.logprobs, read.usage) == (None, None, None)


def test_choices_of_a_whole_answer_must_be_objects():
    with pytest.raises(BadAnswer, match="not an object"):
        whole({"choices": ["x"]})


# --- Anything -------------------------------------------------------------------------------------

KEYS = ["choices", "index", "delta", "message", "role", "content", "refusal", "tool_calls", "id"]
KEYS += ["type", "function", "name", "arguments", "function_call", "finish_reason", "logprobs"]
KEYS += ["usage", "error", "code", "annotations", "token", "prompt_tokens", "total_tokens"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(KEYS),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)
ANSWERS = st.fixed_dictionaries(
    {}, optional={"choices": st.lists(JSON, max_size=3), "usage": JSON, "error": JSON}
)


def try_both(payload: bytes) -> None:
    """Nothing but answers and the named exceptions; what is read can be sent on."""
    try:
        piece = read_chunk(payload)
        if isinstance(piece, Chunk):
            shaper = Shaper(2)
            out = shaper.feed([piece]) + shaper.finish()
            stamp = chat_write.Stamp(
                id="c", created=1, model="m", fingerprint=None, wants_usage=True
            )
            assert stamp.encode(out)
    except BadAnswer:
        pass
    try:
        answer = read_completion(payload)
        chat_write.normalize_completion(answer, 2)
        assert chat_write.encode_completion(answer)
    except BadAnswer:
        pass


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_a_named_exception(payload: bytes):
    try_both(payload)


@settings(deadline=None, max_examples=300)
@given(ANSWERS | JSON)
def test_any_json_is_an_answer_or_a_named_exception(value: Any):
    try_both(msgspec.json.encode(value))


def test_i16_the_json_corpus_is_no_answer_and_no_crash(corpora: Path):
    for path in sorted((corpora / "json").glob("*.json")):
        body = path.read_bytes()
        try_both(body)
        try_both(b'{"choices":[{"delta":{"content":%b}}]}' % body)
        try_both(b'{"choices":[{"message":{"content":%b}}]}' % body)
        if path.name.startswith("n_"):
            with pytest.raises(BadAnswer):
                read_chunk(body)


def test_naughty_strings_pass_through_an_answer_unchanged(corpora: Path):
    for text in json.loads((corpora / "naughty-strings.json").read_text(encoding="utf-8")):
        assert delta({"content": text}).content == text
        assert delta({"content": text, "role": None}).content == text
        said = {"choices": [{"index": 0, "message": {"content": text}}]}
        body = chat_write.encode_completion(whole(said))
        assert json.loads(body)["choices"][0]["message"]["content"] == text


def test_the_exceptions_are_values():
    """What the adapter of upstreams catches."""
    assert issubclass(UpstreamFailed, BadAnswer)
    assert issubclass(BadAnswer, ValueError)
    assert chat_answer.DONE is DONE
