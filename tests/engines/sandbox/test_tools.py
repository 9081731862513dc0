"""Tool calls: when the sandbox makes one, with which arguments, and how it counts and ends."""

import json

import pytest

WEATHER = {
    "name": "get_weather",
    "description": "Tells temperature and wind.",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location"],
    },
}
ADD = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
TOOLS = [{"type": "function", "function": function} for function in (WEATHER, ADD)]


def asked(text):
    return [{"role": "user", "content": text}]


def called(completion):
    """The names called; None for an answer in text."""
    message = completion.choices[0].message
    if not message.tool_calls:
        assert message.content
        return None
    assert message.content is None
    return [call.function.name for call in message.tool_calls]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Please use get_weather now", ["get_weather"]),
        ("GET_WEATHER and then add", ["get_weather", "add"]),
        ("How is the weather?", ["get_weather"]),
        ("Which temperature do you expect?", ["get_weather"]),
        ("add 2 and 3", ["add"]),
        ("address the crowd", None),
        ("Call something", ["get_weather"]),
        ("Use a tool.", ["get_weather"]),
        ("Get it", None),
        ("Hello", None),
        ("", None),
    ],
)
def test_with_auto_a_tool_is_called_that_the_last_user_message_speaks_of(sandbox, text, names):
    for choice in ({}, {"tool_choice": "auto"}):
        completion = sandbox.whole(messages=asked(text), tools=TOOLS, **choice)
        assert called(completion) == names
        expected = "tool_calls" if names else "stop"
        assert completion.choices[0].finish_reason == expected


def test_without_parallel_calls_only_the_first_is_made(sandbox):
    messages = asked("get_weather and then add")
    completion = sandbox.whole(messages=messages, tools=TOOLS, parallel_tool_calls=False)
    assert called(completion) == ["get_weather"]


def test_none_answers_in_text(sandbox):
    messages = asked("Please use get_weather now")
    assert called(sandbox.whole(messages=messages, tools=TOOLS, tool_choice="none")) is None


def test_required_always_calls(sandbox):
    completion = sandbox.whole(messages=asked("Hello"), tools=TOOLS, tool_choice="required")
    assert called(completion) == ["get_weather"]
    assert completion.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("name", ["add", "not_in_the_list"])
def test_a_named_function_is_called_and_ends_with_stop(sandbox, name):
    choice = {"type": "function", "function": {"name": name}}
    completion = sandbox.whole(messages=asked("Hello"), tools=TOOLS, tool_choice=choice)
    assert called(completion) == [name]
    assert completion.choices[0].finish_reason == "stop"


def test_after_a_tool_s_result_comes_text_that_quotes_it(sandbox):
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    ]
    messages = [
        *asked("How is the weather?"),
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "22 degrees, call again"},
    ]
    text = sandbox.text(messages=messages, tools=TOOLS)
    assert 'The tool get_weather answered: "22 degrees, call again".' in text
    messages = [{"role": "function", "name": "add", "content": "5"}]
    assert 'The tool add answered: "5".' in sandbox.text(messages=messages)
    messages = [{"role": "tool", "tool_call_id": "call_9", "content": "5"}]
    assert 'The tool call_9 answered: "5".' in sandbox.text(messages=messages)


def test_arguments_use_what_the_user_said(sandbox):
    messages = asked("What is the weather in New York, in fahrenheit?")
    completion = sandbox.whole(messages=messages, tools=TOOLS)
    (call,) = completion.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"location": "New York", "unit": "fahrenheit"}


def test_a_function_without_parameters_gets_an_empty_object(sandbox):
    for function in (
        {"name": "ping"},
        {"name": "ping", "parameters": {}},
        {"name": "ping", "parameters": {"type": "array"}},
    ):
        tools = [{"type": "function", "function": function}]
        completion = sandbox.whole(tools=tools, tool_choice="required")
        assert completion.choices[0].message.tool_calls[0].function.arguments == "{}"


def counted(sandbox, calls):
    return sum(
        7 + sandbox.count(call.function.name) + sandbox.count(call.function.arguments)
        for call in calls
    )


def test_a_call_counts_its_name_its_arguments_and_seven(sandbox):
    messages = asked("get_weather and then add")
    completion = sandbox.whole(messages=messages, tools=TOOLS, n=2)
    calls = [call for choice in completion.choices for call in choice.message.tool_calls]
    assert len({call.id for call in calls}) == 4
    assert all(call.id.startswith("call_") and len(call.id) == 29 for call in calls)
    assert completion.usage.completion_tokens == counted(sandbox, calls)


def test_streamed_calls_name_themselves_once_and_add_up(sandbox):
    messages = asked("get_weather and then add")
    whole = sandbox.whole(messages=messages, tools=TOOLS)
    chunks, answer = sandbox.stream(messages=messages, tools=TOOLS)
    first, *middle, last = [chunk.choices[0] for chunk in chunks]
    assert (first.delta.role, first.delta.content) == ("assistant", None)
    assert last.finish_reason == "tool_calls"
    pieces = [call for piece in middle for call in piece.delta.tool_calls]
    for place, call in enumerate(whole.choices[0].message.tool_calls):
        opening, *rest = [piece for piece in pieces if piece.index == place]
        assert (opening.id, opening.type) == (call.id, "function")
        assert (opening.function.name, opening.function.arguments) == (call.function.name, "")
        assert "".join(piece.function.arguments for piece in rest) == call.function.arguments
        assert not any(piece.id or piece.type or piece.function.name for piece in rest)
    assert answer.produced == whole.usage.completion_tokens


def test_r4_calls_keep_the_cap(sandbox):
    """First less is written, then arguments are cut, then there is no call at all."""
    fields = {"tools": TOOLS, "messages": asked("get_weather"), "tool_choice": "auto"}
    full = sandbox.whole(**fields).usage.completion_tokens
    reasons = []
    for cap in range(1, full + 1):
        completion = sandbox.whole(cap=cap, **fields)
        choice = completion.choices[0]
        calls = choice.message.tool_calls or []
        assert completion.usage.completion_tokens == counted(sandbox, calls) <= cap
        chunks, answer = sandbox.stream(cap=cap, **fields)
        assert answer.produced == completion.usage.completion_tokens
        assert chunks[-1].choices[0].finish_reason == choice.finish_reason
        reasons.append(choice.finish_reason)
        if choice.finish_reason == "tool_calls":
            json.loads(calls[0].function.arguments)
    assert reasons == sorted(reasons)
    assert {"length", "tool_calls"} == set(reasons)


@pytest.mark.parametrize("is_named", [False, True])
def test_the_deprecated_functions_are_called_too(sandbox, is_named):
    call = {"function_call": {"name": "get_weather"}} if is_named else {}
    fields = {"messages": asked("get_weather and add"), "functions": [WEATHER, ADD], **call}
    completion = sandbox.whole(**fields)
    choice = completion.choices[0]
    assert choice.message.function_call.name == "get_weather"
    assert json.loads(choice.message.function_call.arguments)["location"]
    assert choice.finish_reason == ("stop" if is_named else "function_call")
    assert not choice.message.tool_calls
    chunks, answer = sandbox.stream(**fields)
    pieces = [chunk.choices[0].delta.function_call for chunk in chunks[1:-1]]
    assert pieces[0].name == "get_weather"
    arguments = "".join(piece.arguments for piece in pieces)
    assert arguments == choice.message.function_call.arguments
    assert answer.usage == completion.usage
    assert not any(piece.name for piece in pieces[1:])


def test_the_deprecated_function_call_none_answers_in_text(sandbox):
    fields = {"messages": asked("get_weather"), "functions": [WEATHER], "function_call": "none"}
    assert sandbox.text(**fields)
