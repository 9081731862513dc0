"""What a chat request must keep beyond the types of its fields: rules between fields and messages.

`check_messages` and `check_whole` run on every request, on typed values, and touch what was sent;
each raises the one `ApiError` that applies. OpenAI's API decides these last, so does Keyhall.
"""

from typing import NoReturn

from msgspec import UNSET

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.chat import ChatRequest, ContentPart, Message, ResponseFormat, ToolChoice
from keyhall.wire.checks.shapes import listed, refuse, shown

_IDS_SHOWN_MAX = 16


# --- Messages ------------------------------------------------------------------------------------


def check_messages(messages: list[Message]) -> bool:
    """Each message by the rules of its role; True if tools are called or answered.

    Hints, and what the client's own object of an answer carries beyond a message, are forgotten.
    """
    has_tools = False
    for index, message in enumerate(messages):
        content = message.content
        if content.__class__ is list:
            _check_parts(content, message.role, index)
        role = message.role
        if role == "assistant":
            has_tools = _settle_answer(message, index) or has_tools
            continue
        if (
            message.tool_calls is not None
            or message.refusal is not None
            or message.function_call is not None
            or message.annotations is not None
            or message.parsed is not None
        ):
            _refuse_assistants_field(message, index)
        if role == "tool":
            has_tools = True
            if message.tool_call_id is None:
                refuse(errors.MISSING_PARAMETER, f"messages[{index}].tool_call_id")
        elif message.tool_call_id is not None:
            refuse(errors.UNKNOWN_PARAMETER, f"messages[{index}].tool_call_id")
        elif role == "function" and message.name is None:
            refuse(errors.MISSING_PARAMETER, f"messages[{index}].name")
    return has_tools


def _settle_answer(message: Message, index: int) -> bool:
    """An earlier answer; True if it calls tools."""
    if message.tool_call_id is not None:
        refuse(errors.UNKNOWN_PARAMETER, f"messages[{index}].tool_call_id")
    if message.annotations is not None or message.parsed is not None:
        message.annotations = message.parsed = None
    if message.function_call is not None:
        message.function_call.parsed_arguments = None
    if message.tool_calls is None:
        return False
    for call in message.tool_calls:
        call.index = call.function.parsed_arguments = None
    return True


def _refuse_assistants_field(message: Message, index: int) -> NoReturn:
    names = ("tool_calls", "refusal", "function_call", "annotations", "parsed")
    name = next(name for name in names if getattr(message, name) is not None)
    refuse(errors.UNKNOWN_PARAMETER, f"messages[{index}].{name}")


def _check_parts(parts: list[ContentPart], role: str, message_index: int) -> None:
    for index, part in enumerate(parts):
        if part.prompt_cache_breakpoint is not None:
            part.prompt_cache_breakpoint = None
        if part.type == "text" and part.text is not UNSET and part.refusal is UNSET:
            continue
        path = f"messages[{message_index}].content[{index}]"
        if part.type == "text":
            if part.text is UNSET:
                refuse(errors.MISSING_PARAMETER, f"{path}.text")
            refuse(errors.UNKNOWN_PARAMETER, f"{path}.refusal")
        if role != "assistant":
            refuse(errors.INVALID_VALUE, f"{path}.type", got="refusal", supported="'text'")
        if part.refusal is UNSET:
            refuse(errors.MISSING_PARAMETER, f"{path}.refusal")
        if part.text is not UNSET:
            refuse(errors.UNKNOWN_PARAMETER, f"{path}.text")


def check_pairs(messages: list[Message]) -> None:
    """Every tool call is answered before the next turn, and every answer has its call."""
    called: set[str] = set()
    awaited: dict[str, None] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            name = message.tool_call_id or ""
            if name not in called:
                raise ApiError(errors.TOOL_CALL_MISSING, param=f"messages.[{index}].role")
            awaited.pop(name, None)
            continue
        if awaited:
            _refuse_unanswered(awaited, f"messages.[{index}].role")
        called = {call.id for call in message.tool_calls or ()}
        awaited = dict.fromkeys(call.id for call in message.tool_calls or ())
    if awaited:
        _refuse_unanswered(awaited, "messages")


def _refuse_unanswered(awaited: dict[str, None], param: str) -> NoReturn:
    ids = ", ".join([shown(name) for name in awaited][:_IDS_SHOWN_MAX])
    raise ApiError(errors.TOOL_ANSWER_MISSING, param=param, ids=ids)


def _mentions_json(messages: list[Message]) -> bool:
    for message in messages:
        content = message.content
        parts = content if isinstance(content, list) else ()
        texts = (content,) if isinstance(content, str) else (part.text for part in parts)
        if any("json" in text.lower() for text in texts if isinstance(text, str)):
            return True
    return False


# --- Between fields -------------------------------------------------------------------------------


def check_model(name: str) -> None:
    if not name.isprintable():
        refuse(errors.STRING_PATTERN, "model", pattern="^[[:print:]]+$")


def check_whole(request: ChatRequest, *, has_tool_messages: bool) -> None:
    """The rules between fields, cheapest first."""
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        _check_caps(request.max_tokens, request.max_completion_tokens)
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(errors.TOP_LOGPROBS_ALONE)
    if request.stream_options is not None and not request.stream:
        raise ApiError(errors.STREAM_OPTIONS_ALONE)
    if (
        request.tools is not None
        or request.tool_choice is not None
        or request.parallel_tool_calls is not None
    ):
        _check_tools(request)
    if request.functions is not None or request.function_call is not None:
        _check_functions(request)
    if request.response_format is not None:
        _check_format(request.response_format, request.messages)
    if has_tool_messages:
        check_pairs(request.messages)


def _check_caps(old: int, new: int) -> None:
    if old != new:
        raise ApiError(
            errors.CONTRADICTION,
            param="max_tokens",
            one="max_tokens",
            one_value=old,
            other="max_completion_tokens",
            other_value=new,
        )


def _check_tools(request: ChatRequest) -> None:
    tools, choice = request.tools, request.tool_choice
    if tools is None:
        path = "parallel_tool_calls" if choice is None else "tool_choice"
        refuse(errors.NEEDS_OTHER, path, needed="tools")
    if isinstance(choice, ToolChoice):
        names = [tool.function.name for tool in tools]
        _check_named(choice.function.name, names, "tool_choice.function.name")


def _check_functions(request: ChatRequest) -> None:
    functions, call = request.functions, request.function_call
    if functions is None:
        refuse(errors.NEEDS_OTHER, "function_call", needed="functions")
    if request.tools is not None:
        hint = "Use 'tools' alone: 'functions' is its older form."
        refuse(errors.UNSUPPORTED_PARAMETER, "functions", hint=hint)
    if call is not None and not isinstance(call, str):
        _check_named(call.name, [one.name for one in functions], "function_call.name")


def _check_named(name: str, names: list[str], path: str) -> None:
    if name not in names:
        refuse(errors.INVALID_VALUE, path, got=name, supported=listed(names))


def _check_format(form: ResponseFormat, messages: list[Message]) -> None:
    if form.type == "json_schema":
        if form.json_schema is None:
            refuse(errors.MISSING_PARAMETER, "response_format.json_schema")
    elif form.json_schema is not None:
        refuse(errors.UNKNOWN_PARAMETER, "response_format.json_schema")
    elif form.type == "json_object" and not _mentions_json(messages):
        raise ApiError(errors.JSON_WORD_MISSING)
