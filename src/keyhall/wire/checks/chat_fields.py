"""The fields of a chat request, for the slow half of reading: the one thing that is wrong, as
OpenAI's API says it.

Order, paths and wording follow what was measured on the real API. The table runs only where the
typed decode refused, and must refuse whatever that refuses: a property test holds the two together.
"""

from typing import Any, get_args

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire import chat
from keyhall.wire.checks.chat_rules import check_messages, check_model
from keyhall.wire.checks.shapes import (
    Absent,
    Decimal,
    Either,
    Fields,
    Flag,
    Free,
    Items,
    Misplaced,
    OneOf,
    Pairs,
    Shape,
    Text,
    Typed,
    Whole,
    refuse,
)


class Messages(Items):
    """Messages in their own form, then by the rules of their roles, before any later field."""

    def check(self, value: Any, path: str) -> None:
        super().check(value, path)
        check_messages(msgspec.convert(value, list[chat.Message]))


class Model(Text):
    def check(self, value: Any, path: str) -> None:
        super().check(value, path)
        check_model(value)


# --- The request ----------------------------------------------------------------------------------

_name = Text(characters_min=1, characters_max=chat.NAME_CHARACTERS_MAX, pattern=chat.NAME_PATTERN)
_filled = Text(characters_min=1)
_only_text = "Only text is read and written."
_only_functions = "Only tools of type 'function' are supported."
_type = Text()

_function_call = Fields(
    {"name": _name, "arguments": Text(), "parsed_arguments": Shape()}, ["name", "arguments"]
)
_function = Fields(
    {"name": _name, "description": Text(), "parameters": Free(), "strict": Flag()}, ["name"]
)
_named = Fields({"name": _name}, ["name"])
_tool_call = Typed(
    {
        "function": Fields(
            {
                "id": _filled,
                "type": _type,
                "function": _function_call,
                "index": Whole(0, chat.INT64_MAX),
            },
            ["id", "type", "function"],
        )
    },
    unsupported={"custom": _only_functions},
)
_part = Typed(
    {
        "text": Fields(
            {"type": _type, "text": Text(), "prompt_cache_breakpoint": Free()}, ["text"]
        ),
        "refusal": Fields(
            {"type": _type, "refusal": Text(), "prompt_cache_breakpoint": Free()}, ["refusal"]
        ),
    },
    unsupported={"image_url": _only_text, "input_audio": _only_text, "file": _only_text},
)
_message = Fields(
    {
        "role": OneOf(*get_args(chat.Role)),
        "content": Either(
            Text(),
            Items(_part, items_max=chat.PARTS_MAX),
            kind=list,
            expected="a string or array of objects",
        ),
        "name": Text(
            characters_min=1,
            characters_max=chat.NAME_CHARACTERS_MAX,
            pattern=chat.PARTICIPANT_PATTERN,
        ),
        "tool_calls": Items(_tool_call, of="objects", items_max=chat.TOOLS_MAX),
        "tool_call_id": _filled,
        "refusal": Text(),
        "function_call": _function_call,
        "annotations": Items(Free(), of="objects", items_min=0),
        "parsed": Shape(),
        "audio": Absent(_only_text),
    },
    ["role"],
)
_tool = Typed(
    {"function": Fields({"type": _type, "function": _function}, ["function"])},
    unsupported={"custom": _only_functions},
)
_tool_choice = Either(
    OneOf("none", "auto", "required"),
    Typed(
        {"function": Fields({"type": _type, "function": _named}, ["function"])},
        unsupported={
            "custom": _only_functions,
            "allowed_tools": "Send only the tools that are allowed.",
        },
    ),
    kind=dict,
    expected="a string or an object",
)
_json_schema = Fields(
    {"name": _name, "description": Text(), "schema": Free(), "strict": Flag()}, ["name"]
)
_plain_format = Fields({"type": _type, "json_schema": Misplaced()})
_response_format = Typed(
    {
        "text": _plain_format,
        "json_object": _plain_format,
        "json_schema": Fields({"type": _type, "json_schema": _json_schema}, ["json_schema"]),
    }
)
_mode = Fields({"mode": OneOf("score", "block")}, ["mode"])
_cap = Whole(1, chat.INT64_MAX)
_penalty = Decimal(-2, 2)

# In the order in which OpenAI's API looks at them; what it does not know stands last.
_FIELDS: dict[str, Shape] = {
    "model": Model(characters_max=chat.MODEL_CHARACTERS_MAX),
    "messages": Messages(_message, of="objects", items_max=chat.MESSAGES_MAX),
    "functions": Items(_function, of="objects", items_max=chat.TOOLS_MAX),
    "function_call": Either(
        OneOf("none", "auto"), _named, kind=dict, expected="a string or an object"
    ),
    "tools": Items(_tool, of="objects", items_max=chat.TOOLS_MAX),
    "tool_choice": _tool_choice,
    "parallel_tool_calls": Flag(),
    "max_completion_tokens": _cap,
    "n": Whole(1, chat.CHOICES_MAX),
    "temperature": Decimal(0, 2),
    "top_p": Decimal(0, 1),
    "presence_penalty": _penalty,
    "frequency_penalty": _penalty,
    "logprobs": Flag(),
    "top_logprobs": Whole(0, chat.TOP_LOGPROBS_MAX),
    "user": Text(characters_max=chat.USER_CHARACTERS_MAX),
    "seed": Whole(-chat.INT64_MAX - 1, chat.INT64_MAX),
    "moderation": Fields(
        {
            "model": Text(characters_min=1, characters_max=chat.MODEL_CHARACTERS_MAX),
            "policy": Fields({"input": _mode, "output": _mode}),
        },
        ["model"],
    ),
    "safety_identifier": Text(characters_max=chat.SAFETY_CHARACTERS_MAX),
    "prompt_cache_key": Text(characters_max=chat.USER_CHARACTERS_MAX),
    "prompt_cache_retention": OneOf("in_memory", "in-memory", "24h"),
    "prompt_cache_options": Free(),
    "response_format": _response_format,
    "service_tier": OneOf("auto", "default", "flex", "scale", "priority", "fast"),
    "max_tokens": _cap,
    "reasoning_effort": OneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "logit_bias": Pairs(
        Decimal(-100, 100), pairs_max=chat.LOGIT_BIASES_MAX, key_pattern=chat.TOKEN_ID_PATTERN
    ),
    "stop": Either(
        _filled,
        Items(_filled, items_max=chat.STOPS_MAX),
        kind=list,
        expected="a string or array of strings",
    ),
    "stream": Flag(),
    "stream_options": Fields({"include_usage": Flag(), "include_obfuscation": Flag()}),
    "store": Flag(),
    "metadata": Pairs(
        Text(characters_max=chat.METADATA_VALUE_CHARACTERS_MAX),
        pairs_max=chat.METADATA_PAIRS_MAX,
        key_characters_max=chat.METADATA_KEY_CHARACTERS_MAX,
    ),
    "prediction": Absent("Predicted outputs are not offered."),
    "verbosity": OneOf("low", "medium", "high"),
    "modalities": Items(OneOf("text", unsupported={"audio": _only_text}), items_max=2),
    "audio": Absent(_only_text),
    "web_search_options": Absent("The models have no access to the web."),
    "truncation": OneOf("auto", "disabled"),
}
_request = Fields(_FIELDS, ["messages"])


def check_fields(body: dict[str, Any]) -> None:
    """Raise the first refusal there is; returns if every field has its form."""
    if body.get("model") in (None, ""):
        raise ApiError(errors.MODEL_REQUIRED)
    if "messages" not in body:
        refuse(errors.MISSING_PARAMETER, "messages")
    _request.find_unknown(body, "")
    _request.check(body, "")
