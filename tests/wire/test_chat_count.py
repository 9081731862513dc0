"""The formula for input tokens, held to what OpenAI's API was seen to bill."""

from typing import Any

import msgspec
import pytest

from keyhall import tokenizers
from keyhall.policy.tokens import SHORT_CHARACTERS, Tokenizer
from keyhall.wire.chat import ChatRequest, Message
from keyhall.wire.chat_count import count_message, count_plain, count_request, is_long

O200K, CL100K = "o200k_base", "cl100k_base"


def request_of(*messages: tuple[str, str] | dict[str, Any], **fields: Any) -> ChatRequest:
    said = [m if isinstance(m, dict) else {"role": m[0], "content": m[1]} for m in messages]
    return msgspec.convert({"model": "v1", "messages": said, **fields}, ChatRequest)


def count(request: ChatRequest, name: str = O200K) -> int:
    return count_request(request, tokenizers.load(name))


def tool(name: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


# OpenAI's published example: what the API itself counted for these six messages.
JARGON = request_of(
    (
        "system",
        "You are a helpful, pattern-following assistant that translates corporate jargon into "
        "plain English.",
    ),
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities "
        "for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    (
        "user",
        "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    ),
)

# The published example with a tool.
WEATHER = request_of(
    ("system", "You are a helpful assistant that can answer to questions about the weather."),
    ("user", "What's the weather like in San Francisco?"),
    tools=[
        tool(
            "get_current_weather",
            {
                "type": "object",
                "properties": {
                    "location": {
                        "type": "string",
                        "description": "The city and state, e.g. San Francisco, CA",
                    },
                    "unit": {
                        "type": "string",
                        "description": "The unit of temperature to return",
                        "enum": ["celsius", "fahrenheit"],
                    },
                },
                "required": ["location"],
            },
            description="Get the current weather in a given location",
        )
    ],
)


def schema(title: str, properties: dict[str, Any], required: list[str], **more: Any) -> Any:
    """As the official client makes it of a pydantic model."""
    return {
        **more,
        "properties": properties,
        "required": required,
        "title": title,
        "type": "object",
        "additionalProperties": False,
    }


WEATHER_DOC = "Get the temperature for the given country/city combo"
WEATHER_FIELDS = {
    "city": {"title": "City", "type": "string"},
    "country": {"title": "Country", "type": "string"},
    "units": {"default": "c", "enum": ["c", "f"], "title": "Units", "type": "string"},
}
WEATHER_REQUIRED = ["city", "country", "units"]

# Requests whose answers by gpt-4o-2024-08-06 are recorded in the tests of the official client.
RECORDED = {
    "plain": (request_of(("user", "What's the weather like in SF?")), 14),
    "two words": (request_of(("user", "Say foo")), 9),
    "any JSON": (
        request_of(
            ("user", "What's the weather like in SF? Give me any JSON back"),
            response_format={"type": "json_object"},
        ),
        19,
    ),
    "one tool": (
        request_of(
            ("user", "what's the weather in NYC?"),
            tools=[
                tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}})
            ],
        ),
        44,
    ),
    "a strict tool": (
        request_of(
            ("user", "What's the weather like in SF?"),
            tools=[
                tool(
                    "get_weather",
                    {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "state": {"type": "string"}},
                        "required": ["city", "state"],
                        "additionalProperties": False,
                    },
                    strict=True,
                )
            ],
        ),
        48,
    ),
    "a tool with titles and a default": (
        request_of(
            ("user", "What's the weather like in Edinburgh?"),
            tools=[
                tool(
                    "GetWeatherArgs",
                    schema("GetWeatherArgs", WEATHER_FIELDS, ["city", "country"]),
                    strict=True,
                )
            ],
        ),
        76,
    ),
    "two tools": (
        request_of(
            ("user", "What's the weather like in Edinburgh?"),
            ("user", "What's the price of AAPL?"),
            tools=[
                tool(
                    "GetWeatherArgs",
                    schema(
                        "GetWeatherArgs",
                        WEATHER_FIELDS,
                        ["city", "country"],
                        description=WEATHER_DOC,
                    ),
                    description=WEATHER_DOC,
                    strict=True,
                ),
                tool(
                    "get_stock_price",
                    schema(
                        "GetStockPrice",
                        {
                            "ticker": {"title": "Ticker", "type": "string"},
                            "exchange": {"title": "Exchange", "type": "string"},
                        },
                        ["ticker", "exchange"],
                    ),
                    description="Fetch the latest price for a given ticker",
                    strict=True,
                ),
            ],
        ),
        149,
    ),
    "a JSON schema": (
        request_of(
            ("user", "What's the weather like in SF?"),
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "Location",
                    "strict": True,
                    "schema": schema(
                        "Location",
                        {
                            "city": {"title": "City", "type": "string"},
                            "temperature": {"title": "Temperature", "type": "number"},
                            "units": {"enum": ["c", "f"], "title": "Units", "type": "string"},
                        },
                        ["city", "temperature", "units"],
                    ),
                },
            },
        ),
        79,
    ),
}


@pytest.mark.parametrize(
    ("request_", "name", "expected"),
    [(JARGON, CL100K, 129), (JARGON, O200K, 124), (WEATHER, CL100K, 105), (WEATHER, O200K, 101)],
)
def test_r12_the_published_examples_count_as_the_api_counted_them(
    request_: ChatRequest, name: str, expected: int
) -> None:
    assert count(request_, name) == expected


@pytest.mark.parametrize("which", RECORDED)
def test_r12_recorded_requests_count_as_they_were_billed(which: str) -> None:
    request, billed = RECORDED[which]
    assert count(request) == billed


def test_content_in_parts_counts_as_its_texts() -> None:
    parts = [{"type": "text", "text": "one two"}, {"type": "text", "text": "three"}]
    assert count(request_of({"role": "user", "content": parts})) == 3 + 3 + 1 + 3


def test_a_message_without_content_counts_its_frame() -> None:
    assert count(request_of({"role": "user", "content": None})) == 3 + 3 + 1
    assert count(request_of({"role": "user"})) == 3 + 3 + 1


def test_a_tool_call_counts_as_it_was_billed_when_it_was_produced() -> None:
    """Its name, its arguments and 7: so a conversation does not grow by being sent back."""
    tokenizer = tokenizers.load(O200K)
    function = {"name": "GetWeatherArgs", "arguments": '{"city":"Edinburgh","units":"c"}'}
    said = tokenizer.count(function["name"]) + tokenizer.count(function["arguments"]) + 7
    call = {"id": "call_1", "type": "function", "function": function}
    for message in (
        {"role": "assistant", "tool_calls": [call]},
        {"role": "assistant", "content": None, "function_call": function},
    ):
        assert count(request_of(message)) == 3 + 3 + 1 + said
    both = {"role": "assistant", "content": "Well", "tool_calls": [call, call]}
    assert count(request_of(both)) == 3 + 3 + 1 + 1 + 2 * said


def test_every_field_of_a_message_counts() -> None:
    tokenizer = tokenizers.load(O200K)
    result = {"role": "tool", "content": "12", "tool_call_id": "call_1"}
    assert count(request_of(result)) == 3 + 3 + 1 + 1 + tokenizer.count("call_1")
    refused = {"role": "assistant", "refusal": "I cannot."}
    assert count(request_of(refused)) == 3 + 3 + 1 + tokenizer.count("I cannot.") + 1
    part = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}
    assert count(request_of(part)) == 3 + 3 + 1 + tokenizer.count("I cannot.")


@pytest.mark.parametrize(
    "messages",
    [
        [("user", "Hi")],
        [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?")],
        [("user", "")],
    ],
)
def test_plain_messages_count_in_one_go_what_they_count_one_by_one(
    messages: list[tuple[str, str]],
) -> None:
    request = request_of(*messages)
    assert count_plain(request, tokenizers.load(O200K)) == count(request)


@pytest.mark.parametrize(
    "request_",
    [
        request_of(("user", "Hi"), tools=[tool("f", {})]),
        request_of(("user", "Hi"), functions=[{"name": "f"}]),
        request_of(("user", "Hi"), response_format={"type": "text"}),
        request_of({"role": "user", "content": "Hi", "name": "ada"}),
        request_of({"role": "user", "content": [{"type": "text", "text": "Hi"}]}),
        request_of({"role": "assistant", "content": "Hi", "refusal": "No."}),
        request_of(("user", "a" * SHORT_CHARACTERS)),
        request_of(*[("user", "Hi")] * (SHORT_CHARACTERS // 32)),
    ],
    ids=["tools", "functions", "format", "name", "parts", "refusal", "long", "many"],
)
def test_what_is_not_a_few_plain_messages_is_counted_the_other_way(request_: ChatRequest) -> None:
    assert count_plain(request_, tokenizers.load(O200K)) is None


def test_functions_count_as_tools_do() -> None:
    tools = [{"name": "f", "parameters": {"type": "object", "properties": {}}}]
    older = request_of(("user", "hi"), functions=tools)
    newer = request_of(("user", "hi"), tools=[{"type": "function", "function": tools[0]}])
    assert count(older) == count(newer) > count(request_of(("user", "hi")))


@pytest.mark.parametrize(
    ("choice", "more"),
    [
        ("auto", 0),
        ("required", 0),
        ("none", 1),
        ({"type": "function", "function": {"name": "look"}}, 4 + 1),
    ],
)
def test_a_choice_of_tools_counts(choice: Any, more: int) -> None:
    tools = [tool("look", {})]
    free = request_of(("user", "hi"), tools=tools)
    chosen = request_of(("user", "hi"), tools=tools, tool_choice=choice)
    assert count(chosen) == count(free) + more


def test_a_named_function_counts_as_a_named_tool() -> None:
    functions = [{"name": "look"}]
    free = request_of(("user", "hi"), functions=functions)
    named = request_of(("user", "hi"), functions=functions, function_call={"name": "look"})
    assert count(named) == count(free) + 5


def test_the_description_of_a_schema_counts_and_its_name_does_not() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "description": "one two"}}
    without = {"type": "json_schema", "json_schema": {"name": "nnn"}}
    plain = {"type": "text"}
    described, bare, none = (
        count(request_of(("user", "hi"), response_format=one)) for one in (form, without, plain)
    )
    assert described == bare + 2
    assert bare == none + 1  # {}


def test_r12_counting_stops_between_messages() -> None:
    """A thousand messages of which a hundred fill the ceiling: the rest is not encoded."""
    tokenizer = tokenizers.load(O200K)
    encoded: list[str] = []

    def encode(text: str) -> list[int]:
        encoded.append(text)
        return tokenizer.encode(text)

    watched = Tokenizer("watched", encode, tokenizer.decode_bytes)
    encoded.clear()
    many = request_of(*[("user", "one two three four five six")] * 1000)
    assert 1000 < count_request(many, watched, 1000) < 1020
    assert len(encoded) == 100

    encoded.clear()
    parts = [{"type": "text", "text": "one two three four five six"}] * 1000
    assert 600 < count_request(request_of({"role": "user", "content": parts}), watched, 600) < 620
    assert len(encoded) < 110


def test_a_message_adds_what_its_request_has_more() -> None:
    tokenizer = tokenizers.load(O200K)
    message = Message(role="user", content="one two three")
    one, two = request_of(("user", "hi")), request_of(("user", "hi"), ("user", "one two three"))
    assert count_message(message, tokenizer) == count(two) - count(one)


LONG = "x" * 20_000


@pytest.mark.parametrize(
    "request_",
    [
        request_of(("user", LONG)),
        request_of(*[("user", "hi")] * 600),
        request_of({"role": "user", "content": [{"type": "text", "text": LONG}]}),
        request_of(
            {"role": "assistant", "function_call": {"name": "f", "arguments": LONG}},
        ),
        request_of({"role": "tool", "content": "hi", "tool_call_id": LONG}),
        request_of(("user", "hi"), tools=[tool("f", {"description": LONG})]),
        request_of(("user", "hi"), functions=[{"name": "f", "description": LONG}]),
        request_of(
            ("user", "hi"),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "f", "schema": {"description": LONG}},
            },
        ),
    ],
)
def test_what_takes_long_to_count_is_known_beforehand(request_: ChatRequest) -> None:
    """The flow counts it in a thread, so that nobody else waits (I-11)."""
    assert is_long(request_)


@pytest.mark.parametrize("request_", [JARGON, WEATHER, *(pair[0] for pair in RECORDED.values())])
def test_ordinary_requests_are_counted_at_once(request_: ChatRequest) -> None:
    assert not is_long(request_)
