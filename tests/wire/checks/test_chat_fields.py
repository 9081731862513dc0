"""Each refusal that a field of a chat request can earn: row, path and wording."""

import json
from typing import Any

import pytest

from keyhall import errors
from keyhall.errors import ApiError, Problem
from keyhall.wire.chat import ChatRequest
from keyhall.wire.chat_read import read

USER = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f"}}


def refusal(body: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as raised:
        read(json.dumps(body).encode())
    assert raised.value.problem.status == 400
    return raised.value


def with_field(name: str, value: Any) -> dict[str, Any]:
    return {"model": "v1", "messages": [USER], name: value}


def with_message(**fields: Any) -> dict[str, Any]:
    return {"model": "v1", "messages": [USER, fields]}


def with_part(**fields: Any) -> dict[str, Any]:
    return {"model": "v1", "messages": [{"role": "user", "content": [fields]}]}


# One case per line: body, row, param, sentence.
TYPES = [
    ("model", 5, "a string", "an integer"),
    ("messages", "x", "an array of objects", "a string"),
    ("messages", None, "an array of objects", "null"),
    ("functions", {}, "an array of objects", "an object"),
    ("function_call", 1, "one of a string or an object", "an integer"),
    ("tools", "x", "an array of objects", "a string"),
    ("tool_choice", True, "one of a string or an object", "a boolean"),
    ("parallel_tool_calls", "true", "a boolean", "a string"),
    ("max_completion_tokens", 1.5, "an integer", "a decimal number"),
    ("max_tokens", "12", "an integer", "a string"),
    ("max_tokens", True, "an integer", "a boolean"),
    ("n", 1.0, "an integer", "a decimal number"),
    ("n", False, "an integer", "a boolean"),
    ("temperature", "1", "a decimal number", "a string"),
    ("temperature", True, "a decimal number", "a boolean"),
    ("top_p", [], "a decimal number", "an array"),
    ("presence_penalty", {}, "a decimal number", "an object"),
    ("frequency_penalty", "0", "a decimal number", "a string"),
    ("logprobs", 1, "a boolean", "an integer"),
    ("top_logprobs", 2.0, "an integer", "a decimal number"),
    ("user", 5, "a string", "an integer"),
    ("seed", 1e3, "an integer", "a decimal number"),
    ("safety_identifier", [], "a string", "an array"),
    ("prompt_cache_key", {}, "a string", "an object"),
    ("prompt_cache_retention", 24, "a string", "an integer"),
    ("prompt_cache_options", "24h", "an object", "a string"),
    ("response_format", "json", "an object", "a string"),
    ("service_tier", 1, "a string", "an integer"),
    ("reasoning_effort", True, "a string", "a boolean"),
    ("logit_bias", [], "an object", "an array"),
    ("stop", 5, "one of a string or array of strings", "an integer"),
    ("stream", "yes", "a boolean", "a string"),
    ("stream_options", True, "an object", "a boolean"),
    ("store", 0, "a boolean", "an integer"),
    ("metadata", [], "an object", "an array"),
    ("verbosity", 3, "a string", "an integer"),
    ("modalities", "text", "an array", "a string"),
    ("truncation", {}, "a string", "an object"),
]


@pytest.mark.parametrize(("name", "value", "expected", "got"), TYPES)
def test_a_value_of_another_type_is_refused_by_the_names_of_both_types(name, value, expected, got):
    """contract.md 3: `Invalid type for 'n': expected an integer, but got a string instead.`"""
    error = refusal(with_field(name, value))
    assert error.problem is errors.INVALID_TYPE
    assert error.param == name
    assert str(error) == f"Invalid type for '{name}': expected {expected}, but got {got} instead."


NESTED_TYPES = [
    (with_message(role=3), "messages[1].role", "a string", "an integer"),
    (with_message(role=None), "messages[1].role", "a string", "null"),
    ({"model": "v1", "messages": [USER, 7]}, "messages[1]", "an object", "an integer"),
    (
        with_message(role="user", content=5),
        "messages[1].content",
        "one of a string or array of objects",
        "an integer",
    ),
    (with_message(role="user", content=["x"]), "messages[1].content[0]", "an object", "a string"),
    (with_message(role="user", name=1), "messages[1].name", "a string", "an integer"),
    (
        with_message(role="assistant", tool_calls={}),
        "messages[1].tool_calls",
        "an array of objects",
        "an object",
    ),
    (
        with_message(role="assistant", tool_calls=[{**CALL, "id": 1}]),
        "messages[1].tool_calls[0].id",
        "a string",
        "an integer",
    ),
    (
        with_message(
            role="assistant", tool_calls=[{**CALL, "function": {"name": "f", "arguments": {}}}]
        ),
        "messages[1].tool_calls[0].function.arguments",
        "a string",
        "an object",
    ),
    (with_message(role="assistant", refusal=1), "messages[1].refusal", "a string", "an integer"),
    (
        with_message(role="assistant", annotations=[1]),
        "messages[1].annotations[0]",
        "an object",
        "an integer",
    ),
    (with_part(type="text", text=None), "messages[0].content[0].text", "a string", "null"),
    (with_part(type=None, text=""), "messages[0].content[0].type", "a string", "null"),
    (
        with_field("tools", [{"type": "function", "function": {"name": "f", "strict": 1}}]),
        "tools[0].function.strict",
        "a boolean",
        "an integer",
    ),
    (
        with_field("tools", [{"type": "function", "function": {"name": "f", "parameters": []}}]),
        "tools[0].function.parameters",
        "an object",
        "an array",
    ),
    (with_field("tools", [TOOL, None]), "tools[1]", "an object", "null"),
    (
        with_field("stream_options", {"include_usage": "yes"}),
        "stream_options.include_usage",
        "a boolean",
        "a string",
    ),
    (with_field("metadata", {"a": 1}), "metadata.a", "a string", "an integer"),
    (with_field("logit_bias", {"1": "x"}), "logit_bias.1", "a decimal number", "a string"),
    (with_field("stop", ["a", 1]), "stop[1]", "a string", "an integer"),
    (with_field("modalities", [1]), "modalities[0]", "a string", "an integer"),
]


@pytest.mark.parametrize(("body", "path", "expected", "got"), NESTED_TYPES)
def test_the_path_of_a_nested_value_names_every_step(body, path, expected, got):
    error = refusal(body)
    assert error.problem is errors.INVALID_TYPE
    assert error.param == path
    assert str(error) == f"Invalid type for '{path}': expected {expected}, but got {got} instead."


MISSING = [
    ({"model": "v1"}, "messages"),
    ({"model": "v1", "messages": [{}]}, "messages[0].role"),
    (with_message(content="x"), "messages[1].role"),
    (with_message(role="tool", content="x"), "messages[1].tool_call_id"),
    (with_message(role="function", content="x"), "messages[1].name"),
    (
        with_message(role="assistant", function_call={"name": "f"}),
        "messages[1].function_call.arguments",
    ),
    (
        with_message(
            role="assistant", tool_calls=[{"type": "function", "function": CALL["function"]}]
        ),
        "messages[1].tool_calls[0].id",
    ),
    (
        with_message(role="assistant", tool_calls=[{"id": "a", "function": CALL["function"]}]),
        "messages[1].tool_calls[0].type",
    ),
    (
        with_message(role="assistant", tool_calls=[{"id": "a", "type": "function"}]),
        "messages[1].tool_calls[0].function",
    ),
    (with_part(text="x"), "messages[0].content[0].type"),
    (with_part(type="text"), "messages[0].content[0].text"),
    (with_field("tools", [{"function": {"name": "f"}}]), "tools[0].type"),
    (with_field("tools", [{"type": "function"}]), "tools[0].function"),
    (with_field("tools", [{"type": "function", "function": {}}]), "tools[0].function.name"),
    (with_field("functions", [{}]), "functions[0].name"),
    (with_field("function_call", {}), "function_call.name"),
    (with_field("tool_choice", {}), "tool_choice.type"),
    (with_field("tool_choice", {"type": "function"}), "tool_choice.function"),
    (with_field("tool_choice", {"type": "function", "function": {}}), "tool_choice.function.name"),
    (with_field("response_format", {}), "response_format.type"),
    (with_field("response_format", {"type": "json_schema"}), "response_format.json_schema"),
    (
        with_field("response_format", {"type": "json_schema", "json_schema": {}}),
        "response_format.json_schema.name",
    ),
]


@pytest.mark.parametrize(("body", "path"), MISSING)
def test_a_missing_parameter_is_named_by_its_path(body, path):
    error = refusal(body)
    assert error.problem is errors.MISSING_PARAMETER
    assert (error.problem.code, error.param) == ("missing_required_parameter", path)
    assert str(error) == f"Missing required parameter: '{path}'."


@pytest.mark.parametrize("body", [{}, {"messages": [USER]}, {"model": None}, {"model": ""}])
def test_a_request_without_a_model_is_told_so_first(body):
    error = refusal(body)
    assert error.problem is errors.MODEL_REQUIRED
    assert (str(error), error.param) == ("you must provide a model parameter", None)


UNKNOWN = [
    (with_field("foo", None), "foo"),
    (with_field("stream_options", {"bogus": 1}), "stream_options.bogus"),
    (with_message(role="user", content="x", extra=1), "messages[1].extra"),
    (with_part(type="text", text="x", image_url={}), "messages[0].content[0].image_url"),
    (with_part(type="text", text="x", refusal="x"), "messages[0].content[0].refusal"),
    (with_field("tools", [{**TOOL, "x": 1}]), "tools[0].x"),
    (
        with_field("tools", [{"type": "function", "function": {"name": "f", "x": 1}}]),
        "tools[0].function.x",
    ),
    (
        with_field("tool_choice", {"type": "function", "function": {"name": "f", "x": 1}}),
        "tool_choice.function.x",
    ),
    (with_field("response_format", {"type": "text", "schema": {}}), "response_format.schema"),
    (
        with_field("response_format", {"type": "text", "json_schema": {"name": "f"}}),
        "response_format.json_schema",
    ),
    (with_field("x" * 100, 1), "x" * 63 + "…"),
]


@pytest.mark.parametrize(("body", "path"), UNKNOWN)
def test_an_unknown_key_is_refused_at_every_depth(body, path):
    error = refusal(body)
    assert error.problem is errors.UNKNOWN_PARAMETER
    assert (error.problem.code, error.param) == ("unknown_parameter", path)
    assert str(error) == f"Unknown parameter: '{path}'."


VALUES = [
    (
        with_message(role="bogus"),
        "messages[1].role",
        "bogus",
        "'system', 'assistant', 'user', 'function', 'tool', and 'developer'",
    ),
    (with_part(type="video"), "messages[0].content[0].type", "video", "'text' and 'refusal'"),
    (with_field("tools", [{"type": "x"}]), "tools[0].type", "x", "'function'"),
    (with_field("tool_choice", "x"), "tool_choice", "x", "'none', 'auto', and 'required'"),
    (with_field("function_call", "x"), "function_call", "x", "'none' and 'auto'"),
    (
        with_field("response_format", {"type": "xml"}),
        "response_format.type",
        "xml",
        "'text', 'json_object', and 'json_schema'",
    ),
    (
        with_field("service_tier", "x"),
        "service_tier",
        "x",
        "'auto', 'default', 'flex', 'scale', 'priority', and 'fast'",
    ),
    (
        with_field("reasoning_effort", "x"),
        "reasoning_effort",
        "x",
        "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'",
    ),
    (with_field("verbosity", "x"), "verbosity", "x", "'low', 'medium', and 'high'"),
    (with_field("truncation", "middle"), "truncation", "middle", "'auto' and 'disabled'"),
    (with_field("modalities", ["smell"]), "modalities[0]", "smell", "'text'"),
    (
        with_field("prompt_cache_retention", "1h"),
        "prompt_cache_retention",
        "1h",
        "'in_memory', 'in-memory', and '24h'",
    ),
]


@pytest.mark.parametrize(("body", "path", "got", "supported"), VALUES)
def test_a_value_outside_an_enumeration_is_told_all_of_it(body, path, got, supported):
    error = refusal(body)
    assert error.problem is errors.INVALID_VALUE
    assert (error.problem.code, error.param) == ("invalid_value", path)
    assert str(error) == f"Invalid value: '{got}'. Supported values are: {supported}."


HUGE = 10**4000
BOUNDS = [
    ("n", 0, errors.INTEGER_TOO_SMALL, 1),
    ("n", 9, errors.INTEGER_TOO_LARGE, 8),
    ("n", 10**9, errors.INTEGER_TOO_LARGE, 8),
    ("n", -1, errors.INTEGER_TOO_SMALL, 1),
    ("max_tokens", 0, errors.INTEGER_TOO_SMALL, 1),
    ("max_tokens", -5, errors.INTEGER_TOO_SMALL, 1),
    ("max_tokens", 2**63, errors.INTEGER_TOO_LARGE, 2**63 - 1),
    ("max_completion_tokens", 0, errors.INTEGER_TOO_SMALL, 1),
    ("temperature", 2.5, errors.DECIMAL_TOO_LARGE, 2),
    ("temperature", 3, errors.DECIMAL_TOO_LARGE, 2),
    ("temperature", -0.1, errors.DECIMAL_TOO_SMALL, 0),
    ("top_p", 1.5, errors.DECIMAL_TOO_LARGE, 1),
    ("top_p", -1, errors.DECIMAL_TOO_SMALL, 0),
    ("presence_penalty", -2.5, errors.DECIMAL_TOO_SMALL, -2),
    ("presence_penalty", 2.5, errors.DECIMAL_TOO_LARGE, 2),
    ("frequency_penalty", -3, errors.DECIMAL_TOO_SMALL, -2),
    ("frequency_penalty", 3, errors.DECIMAL_TOO_LARGE, 2),
    ("top_logprobs", -1, errors.INTEGER_TOO_SMALL, 0),
    ("top_logprobs", 21, errors.INTEGER_TOO_LARGE, 20),
    ("seed", 2**63, errors.INTEGER_TOO_LARGE, 2**63 - 1),
    ("seed", -(2**63) - 1, errors.INTEGER_TOO_SMALL, -(2**63)),
]


@pytest.mark.parametrize(("name", "value", "row", "bound"), BOUNDS)
def test_a_number_out_of_bounds_is_told_the_bound(name, value, row, bound):
    """F-22: no cost bomb passes, whatever its size."""
    error = refusal(with_field(name, value))
    assert error.problem is row
    assert error.param == name
    kind, side = row.name.split("_too_")
    side, sign = ("below minimum", ">=") if side == "small" else ("above maximum", "<=")
    assert str(error) == (
        f"Invalid '{name}': {kind} {side} value. Expected a value {sign} {bound}, "
        f"but got {value} instead."
    )


def test_a_number_of_thousands_of_digits_is_not_repeated_whole():
    error = refusal(with_field("n", HUGE))
    assert error.problem is errors.INTEGER_TOO_LARGE
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("n", 8),
        ("max_tokens", 1),
        ("max_tokens", 2**63 - 1),
        ("temperature", 0),
        ("temperature", 2),
        ("temperature", 1.999),
        ("top_p", 1),
        ("presence_penalty", -2),
        ("frequency_penalty", 2.0),
        ("seed", 2**63 - 1),
        ("seed", -(2**63)),
        ("logit_bias", {"50256": -100, "1": 0.5}),
        ("user", "u" * 64),
        ("safety_identifier", "u" * 128),
        ("prompt_cache_key", "u" * 64),
        ("prompt_cache_retention", "24h"),
        ("prompt_cache_options", {"mode": "implicit"}),
        ("metadata", {"k" * 64: "v" * 512}),
        ("stop", "\n"),
        ("stop", ["a", "b", "c", "d"]),
        ("service_tier", "flex"),
        ("reasoning_effort", "low"),
        ("verbosity", "high"),
        ("modalities", ["text"]),
        ("store", False),
        ("truncation", "auto"),
    ],
)
def test_a_value_on_the_bound_is_accepted(name, value):
    request = read(json.dumps(with_field(name, value)).encode())
    assert getattr(request, name) == value


NAME_PATTERN = "^[a-zA-Z0-9_-]+$"
LENGTHS: list[tuple[dict[str, Any], Problem, str, str]] = [
    (
        with_field("messages", []),
        errors.EMPTY_ARRAY,
        "messages",
        "empty array. Expected an array with minimum length 1, but got an empty array instead.",
    ),
    (
        with_field("messages", [USER] * 2049),
        errors.ARRAY_TOO_LONG,
        "messages",
        "array too long. Expected an array with maximum length 2048, but got an array with "
        "length 2049 instead.",
    ),
    (
        with_message(role="user", content=[]),
        errors.EMPTY_ARRAY,
        "messages[1].content",
        "empty array. Expected an array with minimum length 1, but got an empty array instead.",
    ),
    (
        with_message(role="assistant", tool_calls=[]),
        errors.EMPTY_ARRAY,
        "messages[1].tool_calls",
        "empty array. Expected an array with minimum length 1, but got an empty array instead.",
    ),
    (
        with_field("tools", [TOOL] * 129),
        errors.ARRAY_TOO_LONG,
        "tools",
        "array too long. Expected an array with maximum length 128, but got an array with "
        "length 129 instead.",
    ),
    (
        with_field("functions", [{"name": "f"}] * 129),
        errors.ARRAY_TOO_LONG,
        "functions",
        "array too long. Expected an array with maximum length 128, but got an array with "
        "length 129 instead.",
    ),
    (
        with_field("stop", ["a"] * 5),
        errors.ARRAY_TOO_LONG,
        "stop",
        "array too long. Expected an array with maximum length 4, but got an array with "
        "length 5 instead.",
    ),
    (
        with_field("stop", ["a", ""]),
        errors.EMPTY_STRING,
        "stop[1]",
        "empty string. Expected a string with minimum length 1, but got an empty string instead.",
    ),
    (
        with_field("stop", ""),
        errors.EMPTY_STRING,
        "stop",
        "empty string. Expected a string with minimum length 1, but got an empty string instead.",
    ),
    (
        with_field("model", "m" * 257),
        errors.STRING_TOO_LONG,
        "model",
        "string too long. Expected a string with maximum length 256, but got a string with "
        "length 257 instead.",
    ),
    (
        with_field("user", "u" * 65),
        errors.STRING_TOO_LONG,
        "user",
        "string too long. Expected a string with maximum length 64, but got a string with "
        "length 65 instead.",
    ),
    (
        with_field("metadata", {"a": "v" * 513}),
        errors.STRING_TOO_LONG,
        "metadata.a",
        "string too long. Expected a string with maximum length 512, but got a string with "
        "length 513 instead.",
    ),
    (
        with_field("metadata", {"k" * 65: "v"}),
        errors.PROPERTY_NAME_TOO_LONG,
        "metadata",
        "property name too long. Expected a name with maximum length 64, but got a name with "
        "length 65 instead.",
    ),
    (
        with_field("metadata", {str(i): "v" for i in range(17)}),
        errors.OBJECT_TOO_LARGE,
        "metadata",
        "too many properties. Expected an object with at most 16 properties, but got an object "
        "with 17 properties instead.",
    ),
    (
        with_field("logit_bias", {str(i): 1 for i in range(301)}),
        errors.OBJECT_TOO_LARGE,
        "logit_bias",
        "too many properties. Expected an object with at most 300 properties, but got an object "
        "with 301 properties instead.",
    ),
    (
        with_field("logit_bias", {"1": 100.5}),
        errors.DECIMAL_TOO_LARGE,
        "logit_bias.1",
        "decimal above maximum value. Expected a value <= 100, but got 100.5 instead.",
    ),
    (
        with_field("logit_bias", {"the": 1}),
        errors.STRING_PATTERN,
        "logit_bias.the",
        "string does not match pattern. Expected a string that matches the pattern '^[0-9]{1,7}$'.",
    ),
    (
        with_field("model", "v1\n"),
        errors.STRING_PATTERN,
        "model",
        "string does not match pattern. Expected a string that matches the pattern "
        "'^[[:print:]]+$'.",
    ),
    (
        with_field("tools", [{"type": "function", "function": {"name": "f\n"}}]),
        errors.STRING_PATTERN,
        "tools[0].function.name",
        "string does not match pattern. Expected a string that matches the pattern "
        f"'{NAME_PATTERN}'.",
    ),
    (
        with_field("tools", [{"type": "function", "function": {"name": "f" * 65}}]),
        errors.STRING_TOO_LONG,
        "tools[0].function.name",
        "string too long. Expected a string with maximum length 64, but got a string with "
        "length 65 instead.",
    ),
    (
        with_field("tools", [{"type": "function", "function": {"name": ""}}]),
        errors.EMPTY_STRING,
        "tools[0].function.name",
        "empty string. Expected a string with minimum length 1, but got an empty string instead.",
    ),
    (
        with_message(role="user", name="a b"),
        errors.STRING_PATTERN,
        "messages[1].name",
        "string does not match pattern. Expected a string that matches the pattern "
        r"'^[^\s<|\\/>]+$'.",
    ),
    (
        with_message(role="tool", tool_call_id=""),
        errors.EMPTY_STRING,
        "messages[1].tool_call_id",
        "empty string. Expected a string with minimum length 1, but got an empty string instead.",
    ),
]


@pytest.mark.parametrize(("body", "row", "path", "sentence"), LENGTHS)
def test_a_length_or_form_out_of_bounds_is_told_the_bound(body, row, path, sentence):
    error = refusal(body)
    assert error.problem is row
    assert error.param == path
    assert str(error) == f"Invalid '{path}': {sentence}"


UNSUPPORTED = [
    (
        with_part(type="image_url", image_url={"url": "x"}),
        "messages[0].content[0].type",
        "image_url",
    ),
    (with_part(type="input_audio", input_audio={}), "messages[0].content[0].type", "input_audio"),
    (with_part(type="file", file={}), "messages[0].content[0].type", "file"),
    (with_field("tools", [{"type": "custom", "custom": {"name": "x"}}]), "tools[0].type", "custom"),
    (with_field("tool_choice", {"type": "custom", "custom": {}}), "tool_choice.type", "custom"),
    (
        with_field("tool_choice", {"type": "allowed_tools", "allowed_tools": {}}),
        "tool_choice.type",
        "allowed_tools",
    ),
    (
        with_message(role="assistant", tool_calls=[{"id": "a", "type": "custom", "custom": {}}]),
        "messages[1].tool_calls[0].type",
        "custom",
    ),
    (with_field("modalities", ["text", "audio"]), "modalities[1]", "audio"),
]


@pytest.mark.parametrize(("body", "path", "got"), UNSUPPORTED)
def test_what_the_models_cannot_do_is_refused_and_not_ignored(body, path, got):
    error = refusal(body)
    assert error.problem is errors.UNSUPPORTED_VALUE
    assert (error.problem.code, error.param) == ("unsupported_value", path)
    assert f"'{path}' does not support '{got}' with this model." in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused_unless_it_is_null(name, value):
    error = refusal(with_field(name, value))
    assert error.problem is errors.UNSUPPORTED_PARAMETER
    assert (error.problem.code, error.param) == ("unsupported_parameter", name)
    assert str(error).startswith(
        f"Unsupported parameter: '{name}' is not supported with this model. "
    )
    assert read(json.dumps(with_field(name, None)).encode()).model == "v1"


@pytest.mark.parametrize(
    ("moderation", "row", "path"),
    [
        ({}, errors.MISSING_PARAMETER, "moderation.model"),
        ({"model": "m", "polcy": {}}, errors.UNKNOWN_PARAMETER, "moderation.polcy"),
        ({"model": "m", "policy": {"input": {}}}, errors.MISSING_PARAMETER,
         "moderation.policy.input.mode"),
        ({"model": "m", "policy": {"output": {"mode": "warn"}}}, errors.INVALID_VALUE,
         "moderation.policy.output.mode"),
    ],
)  # fmt: skip
def test_a_moderation_that_cannot_be_read_names_its_field(moderation, row, path):
    error = refusal(with_field("moderation", moderation))
    assert (error.problem, error.param) == (row, path)


def test_a_moderation_may_leave_out_its_policy_or_one_way_of_it():
    for policy in (None, {}, {"input": None, "output": {"mode": "block"}}):
        given = {"model": "omni-moderation-latest", "policy": policy}
        assert read(json.dumps(with_field("moderation", given)).encode()).moderation is not None


def test_audio_of_an_earlier_answer_is_refused_unless_it_is_null():
    error = refusal(with_message(role="assistant", audio={"id": "audio_1"}))
    assert error.problem is errors.UNSUPPORTED_PARAMETER
    assert error.param == "messages[1].audio"
    assert read(json.dumps(with_message(role="assistant", audio=None)).encode()).model == "v1"


def test_every_optional_field_may_be_null():
    body: dict[str, Any] = {"model": "v1", "messages": [{"role": "user"}]}

    body |= {name: None for name in ChatRequest.__struct_fields__ if name not in body}
    assert read(json.dumps(body).encode()) == read(b'{"model":"v1","messages":[{"role":"user"}]}')


def test_the_first_wrong_thing_in_the_order_of_the_real_api_is_told():
    """contract.md 3: model, messages, unknown keys, then the fields in their order."""
    body: dict[str, Any] = {
        "verbosity": 1,
        "stop": 1,
        "n": "x",
        "tools": "x",
        "stream_options": {"nobody": 1},
        "bogus": 1,
    }
    steps: list[tuple[Problem, str | None, dict[str, Any]]] = [
        (errors.MODEL_REQUIRED, None, {"model": "v1"}),
        (errors.MISSING_PARAMETER, "messages", {"messages": [{"role": "tool"}]}),
        (errors.UNKNOWN_PARAMETER, "bogus", {"bogus": ...}),
        (errors.UNKNOWN_PARAMETER, "stream_options.nobody", {"stream_options": None}),
        (errors.MISSING_PARAMETER, "messages[0].tool_call_id", {"messages": [USER]}),
        (errors.INVALID_TYPE, "tools", {"tools": None}),
        (errors.INVALID_TYPE, "n", {"n": 1}),
        (errors.INVALID_TYPE, "stop", {"stop": None}),
        (errors.INVALID_TYPE, "verbosity", {"verbosity": None}),
    ]
    for row, param, repair in steps:
        error = refusal(body)
        assert (error.problem, error.param) == (row, param)
        body = {key: value for key, value in (body | repair).items() if value is not ...}
    assert read(json.dumps(body).encode()).model == "v1"
