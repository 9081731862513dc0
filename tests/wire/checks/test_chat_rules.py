"""The rules between fields and between messages of a chat request."""

import json
from typing import Any

import pytest

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.chat import ChatRequest
from keyhall.wire.chat_read import read

USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f"}}


def calls(*ids: str) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    return {
        "role": "assistant",
        "tool_calls": [{"id": id, "type": "function", "function": function} for id in ids],
    }


def answer(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "42"}


def accept(*messages: Any, **fields: Any) -> ChatRequest:
    return read(json.dumps({"model": "v1", "messages": messages or (USER,), **fields}).encode())


def refuse(*messages: Any, **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        accept(*messages, **fields)
    assert raised.value.problem.status == 400
    return raised.value


# --- Messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_content_may_be_missing_or_null(role: str, content: dict[str, Any]):
    """contract.md 5.2, measured on the real API."""
    assert accept({"role": role, **content}).messages[0].role == role


def test_an_answer_can_be_sent_back_as_the_client_holds_it():
    """`messages.append(completion.choices[0].message)` sends all of these keys."""
    back = {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
        "annotations": [{"type": "url_citation"}],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    message = accept(USER, back, USER).messages[1]
    assert (message.content, message.annotations) == ("Hi", None)


def test_the_clients_own_object_of_an_answer_can_be_sent_back():
    """What `client.chat.completions.stream()` collects has keys that the API never sent."""
    function = {"name": "f", "arguments": "{}", "parsed_arguments": {"a": 1}}
    call = {"id": "a", "type": "function", "function": function, "index": 0}
    back = {"role": "assistant", "content": "Hi", "parsed": {"x": [1]}, "tool_calls": [call]}
    message = accept(USER, back, answer("a")).messages[1]
    assert message.parsed is None
    assert message.tool_calls is not None
    assert message.tool_calls[0].index is None
    assert message.tool_calls[0].function.parsed_arguments is None
    old = {"role": "assistant", "function_call": function}
    message = accept(USER, old, USER).messages[1]
    assert message.function_call is not None
    assert message.function_call.parsed_arguments is None


def test_text_parts_are_read_and_their_cache_hints_forgotten():
    part = {"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}
    message = accept({"role": "user", "content": [part, {"type": "text", "text": ""}]}).messages[0]
    assert isinstance(message.content, list)
    assert [item.text for item in message.content] == ["Hi", ""]
    assert message.content[0].prompt_cache_breakpoint is None


def test_an_assistant_message_may_have_refusal_parts():
    content = [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "Sorry."}]
    assert accept({"role": "assistant", "content": content}, USER).messages[0].role == "assistant"


@pytest.mark.parametrize(
    ("message", "row", "path"),
    [
        ({"role": "user", **calls("a"), "x": 0}, None, None),
        ({**calls("a"), "role": "user"}, errors.UNKNOWN_PARAMETER, "messages[1].tool_calls"),
        (
            {"role": "user", "tool_call_id": "a"},
            errors.UNKNOWN_PARAMETER,
            "messages[1].tool_call_id",
        ),
        (
            {"role": "assistant", "tool_call_id": "a"},
            errors.UNKNOWN_PARAMETER,
            "messages[1].tool_call_id",
        ),
        ({"role": "user", "refusal": "No."}, errors.UNKNOWN_PARAMETER, "messages[1].refusal"),
        (
            {"role": "system", "function_call": {"name": "f", "arguments": ""}},
            errors.UNKNOWN_PARAMETER,
            "messages[1].function_call",
        ),
        ({"role": "user", "annotations": []}, errors.UNKNOWN_PARAMETER, "messages[1].annotations"),
        ({"role": "user", "parsed": 1}, errors.UNKNOWN_PARAMETER, "messages[1].parsed"),
        ({"role": "tool"}, errors.MISSING_PARAMETER, "messages[1].tool_call_id"),
        ({"role": "function", "content": "1"}, errors.MISSING_PARAMETER, "messages[1].name"),
        (
            {"role": "user", "content": [{"type": "refusal", "refusal": "No."}]},
            errors.INVALID_VALUE,
            "messages[1].content[0].type",
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal"}]},
            errors.MISSING_PARAMETER,
            "messages[1].content[0].refusal",
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "x", "text": "x"}]},
            errors.UNKNOWN_PARAMETER,
            "messages[1].content[0].text",
        ),
    ],
)
def test_a_message_has_only_what_belongs_to_its_role(message, row, path):
    if row is None:
        assert refuse(USER, message).problem is errors.UNKNOWN_PARAMETER
        return
    error = refuse(USER, message)
    assert (error.problem, error.param) == (row, path)


def test_rules_of_parts_hold_in_the_fast_and_in_the_slow_reading():
    """`n` as a string sends the whole body the slow way; messages still come first."""
    bad = {"role": "user", "content": [{"type": "refusal", "refusal": "No."}]}
    for fields in ({}, {"n": "x"}):
        assert refuse(USER, bad, **fields).param == "messages[1].content[0].type"


# --- Tool calls and their answers ----------------------------------------------------------------


def test_answered_tool_calls_are_accepted_whatever_their_order():
    request = accept(USER, calls("a", "b"), answer("b"), answer("a"), USER, calls("a"), answer("a"))
    assert len(request.messages) == 7


def test_a_tool_call_may_be_answered_twice():
    assert accept(USER, calls("a"), answer("a"), answer("a"), USER).messages


@pytest.mark.parametrize(
    ("messages", "param", "ids"),
    [
        ([USER, calls("a")], "messages", "a"),
        ([USER, calls("a", "b"), answer("a")], "messages", "b"),
        ([USER, calls("a", "b"), USER], "messages.[2].role", "a, b"),
        ([USER, calls("a"), calls("b"), answer("b")], "messages.[2].role", "a"),
    ],
)
def test_a_tool_call_without_an_answer_is_named(messages, param, ids):
    error = refuse(*messages)
    assert error.problem is errors.TOOL_ANSWER_MISSING
    assert error.param == param
    assert str(error) == (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        f"each 'tool_call_id'. The following tool_call_ids did not have response messages: {ids}"
    )


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([answer("a")], "messages.[0].role"),
        ([USER, USER, USER, answer("a")], "messages.[3].role"),
        ([USER, calls("a"), answer("b")], "messages.[2].role"),
        ([USER, calls("a"), answer("a"), USER, answer("a")], "messages.[4].role"),
    ],
)
def test_a_tool_message_without_its_call_is_refused(messages, param):
    """contract.md 3; the path has the real API's odd dot."""
    error = refuse(*messages)
    assert error.problem is errors.TOOL_CALL_MISSING
    assert error.param == param
    assert str(error) == (
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
        "with 'tool_calls'."
    )


def test_the_list_of_unanswered_calls_is_bounded():
    error = refuse(USER, calls(*("x" * 1000 + str(i) for i in range(100))))
    assert error.problem is errors.TOOL_ANSWER_MISSING
    assert len(str(error)) < 2000


# --- Between fields -------------------------------------------------------------------------------


def test_two_names_of_the_cap_may_agree_but_not_differ():
    assert accept(max_tokens=5, max_completion_tokens=5).asked_cap == 5
    error = refuse(max_tokens=5, max_completion_tokens=6)
    assert (error.problem, error.param) == (errors.CONTRADICTION, "max_tokens")
    assert str(error) == (
        "'max_tokens' is 5 and 'max_completion_tokens' is 6: they name the same limit and differ."
    )


@pytest.mark.parametrize("logprobs", [{}, {"logprobs": False}, {"logprobs": None}])
def test_top_logprobs_needs_logprobs(logprobs: dict[str, Any]):
    error = refuse(top_logprobs=0, **logprobs)
    assert error.problem is errors.TOP_LOGPROBS_ALONE
    assert error.param == "top_logprobs"
    assert accept(top_logprobs=20, logprobs=True).top_logprobs == 20


@pytest.mark.parametrize("stream", [{}, {"stream": False}])
def test_stream_options_needs_stream(stream: dict[str, Any]):
    error = refuse(stream_options={"include_usage": True}, **stream)
    assert error.problem is errors.STREAM_OPTIONS_ALONE
    assert error.param == "stream_options"
    request = accept(
        stream_options={"include_usage": True, "include_obfuscation": False}, stream=True
    )
    assert request.wants_usage


def test_a_wish_to_store_a_completion_is_taken():
    """Whether it comes true is its project's to say (docs/privacy.md)."""
    assert accept(store=True).store is True
    assert accept(store=False).store is False


@pytest.mark.parametrize(
    ("fields", "param", "needed"),
    [
        ({"tool_choice": "auto"}, "tool_choice", "tools"),
        ({"tool_choice": "none", "parallel_tool_calls": True}, "tool_choice", "tools"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", "tools"),
        ({"function_call": "auto"}, "function_call", "functions"),
    ],
)
def test_a_choice_needs_something_to_choose_from(fields, param, needed):
    error = refuse(**fields)
    assert (error.problem, error.param) == (errors.NEEDS_OTHER, param)
    assert str(error) == (
        f"Invalid value for '{param}': '{param}' is only allowed when '{needed}' are specified."
    )


def test_a_named_choice_must_be_among_the_tools():
    named = {"type": "function", "function": {"name": "g"}}
    error = refuse(tools=[TOOL], tool_choice=named)
    assert (error.problem, error.param) == (errors.INVALID_VALUE, "tool_choice.function.name")
    assert str(error) == "Invalid value: 'g'. Supported values are: 'f'."
    named["function"] = {"name": "f"}
    assert accept(tools=[TOOL], tool_choice=named).tools
    assert accept(tools=[TOOL], tool_choice="required", parallel_tool_calls=False).tools


def test_a_named_function_must_be_among_the_functions():
    error = refuse(functions=[{"name": "f"}], function_call={"name": "g"})
    assert (error.problem, error.param) == (errors.INVALID_VALUE, "function_call.name")
    assert accept(functions=[{"name": "f"}], function_call={"name": "f"}).functions
    assert accept(functions=[{"name": "f"}], function_call="none").functions
    assert accept(functions=[{"name": "f"}]).functions


def test_functions_and_tools_do_not_go_together():
    error = refuse(functions=[{"name": "f"}], tools=[TOOL])
    assert (error.problem, error.param) == (errors.UNSUPPORTED_PARAMETER, "functions")


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Answer in JSON."}, USER],
        [{"role": "user", "content": [{"type": "text", "text": "as Json, please"}]}],
    ],
)
def test_json_mode_needs_the_word_json(messages):
    form = {"type": "json_object"}
    error = refuse(
        {"role": "user"},
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
        response_format=form,
    )
    assert (error.problem, error.param) == (errors.JSON_WORD_MISSING, "messages")
    assert accept(*messages, response_format=form).response_format


@pytest.mark.parametrize(
    "form",
    [
        {"type": "text"},
        {"type": "text", "json_schema": None},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    ],
)
def test_other_response_formats_need_no_word(form: dict[str, Any]):
    assert accept(response_format=form).response_format is not None


def test_a_schema_without_its_format_is_refused_in_both_readings():
    form = {"type": "json_object", "json_schema": {"name": "a"}}
    assert refuse(response_format=form).param == "response_format.json_schema"
    assert refuse(response_format=form, stop=5).param == "response_format.json_schema"
    assert refuse(response_format={"type": "json_schema"}).param == "response_format.json_schema"
