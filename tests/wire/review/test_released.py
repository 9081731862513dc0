"""Answers that people looked at: in the form that clients know, whole and streamed."""

import json

import pytest
from msgspec import UNSET

from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    Choice,
    Completion,
    TokenUsage,
)
from keyhall.wire.review import released

CALL = AnswerToolCall(id="call_1", type="function", function=AnswerFunction("f", '{"a": 1}'))


def a_completion(*messages):
    choices = [Choice(index, message) for index, message in enumerate(messages)]
    return Completion(
        id="chatcmpl-1", created=7, model="v1", choices=choices, usage=TokenUsage(3, 4, 7)
    )


WHOLE = a_completion(AnswerMessage(content="One."), AnswerMessage(content="Two."))


def test_a_correction_stands_in_the_place_of_the_first_choice():
    said = json.loads(released.encode(released.edited(WHOLE, "Better.")))
    assert [each["message"]["content"] for each in said["choices"]] == ["Better.", "Two."]
    assert said["usage"]["completion_tokens"] == 4
    assert WHOLE.choices[0].message.content == "One.", "what was proposed stays as it was"


def test_a_refusal_has_no_word_of_the_answer_and_a_finish_that_clients_know():
    said = json.loads(released.encode(released.refused(WHOLE)))
    assert "One." not in json.dumps(said)
    for choice in said["choices"]:
        assert choice["finish_reason"] == "content_filter"
        assert choice["message"]["content"] is None
        assert choice["message"]["refusal"] == released.REFUSED
    assert said["usage"]["total_tokens"] == 7


def records(data):
    lines = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_says_the_same_with_roles_finishes_and_usage(wants_usage):
    said = records(released.stream(WHOLE, wants_usage=wants_usage))
    text = {0: "", 1: ""}
    for record in said:
        for choice in record["choices"]:
            text[choice["index"]] += choice["delta"].get("content") or ""
    assert text == {0: "One.", 1: "Two."}
    assert [each["choices"][0]["finish_reason"] for each in said if each["choices"]].count(
        "stop"
    ) == 2
    assert (said[-1].get("usage") or {}).get("total_tokens") == (7 if wants_usage else None)


def test_a_stream_without_a_count_ends_without_one():
    bare = a_completion(AnswerMessage(content="One."))
    bare.usage = None
    assert records(released.stream(bare, wants_usage=True))[-1]["choices"]


def test_calls_of_functions_are_streamed_whole():
    message = AnswerMessage(content=None, tool_calls=[CALL])
    said = records(released.stream(a_completion(message), wants_usage=False))
    (call,) = said[1]["choices"][0]["delta"]["tool_calls"]
    assert (call["index"], call["id"]) == (0, "call_1")
    assert call["function"] == {"name": "f", "arguments": '{"a": 1}'}
    old = AnswerMessage(content=None, function_call=AnswerFunction("g", "{}"))
    assert old.tool_calls is UNSET
    said = records(released.stream(a_completion(old), wants_usage=False))
    assert said[1]["choices"][0]["delta"]["function_call"]["name"] == "g"


def test_what_waits_says_where_it_will_be():
    said = json.loads(
        released.encode_pending(released.Pending("rev_1", "chatcmpl-1", "v1", 1, 2, "http://h/x"))
    )
    assert (said["object"], said["status"]) == ("keyhall.review", "pending")
    assert said["location"] == "http://h/x"
