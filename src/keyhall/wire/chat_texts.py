"""The texts of a chat request: everything in it that a model reads, each with where it stands.

Content of every role and its parts, refusals, names, tool calls and their arguments, and what
describes tools and the answer's form. Images and audio are no text (this server takes none), and
`metadata`, `user` and the like are never shown to a model.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from msgspec import UNSET

from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    ChatRequest,
    ContentPart,
    FunctionDefinition,
    Message,
)

# What a text becomes. `is_name`: it must stay letters, digits, `_` and `-`. `where` is its place
# as refusals write it.
Change = Callable[[str, bool, str], str]


def change_texts(request: ChatRequest, change: Change) -> None:
    """Put in place of each text what `change` makes of it, in the order in which a model reads."""
    for index, message in enumerate(request.messages):
        content = message.content
        if content.__class__ is str:
            message.content = change(content, False, f"messages[{index}].content")
        elif content is not None:
            _change_parts(message, index, change)
        if (
            message.name is not None
            or message.refusal is not None
            or message.tool_calls is not None
            or message.function_call is not None
        ):
            _change_others(message, index, change)
    if request.tools is not None:
        for at, tool in enumerate(request.tools):
            _change_function(tool.function, f"tools[{at}].function", change)
    if request.functions is not None:
        for at, function in enumerate(request.functions):
            _change_function(function, f"functions[{at}]", change)
    form = request.response_format
    if form is not None and form.json_schema is not None:
        schema, where = form.json_schema, "response_format.json_schema"
        change(schema.name, True, f"{where}.name")
        if schema.description is not None:
            schema.description = change(schema.description, False, f"{where}.description")
        schema.schema = _changed(schema.schema, f"{where}.schema", change)


def plain_texts(request: ChatRequest) -> list[str] | None:
    """All of them, if they are nothing but contents of messages: most requests are that simple, and
    this is quick. Else None."""
    if (
        request.tools is not None
        or request.functions is not None
        or request.response_format is not None
    ):
        return None
    found: list[str] = []
    for message in request.messages:
        content = message.content
        if (
            content.__class__ is not str
            or message.name is not None
            or message.refusal is not None
            or message.tool_calls is not None
            or message.function_call is not None
        ):
            return None
        found.append(content)
    return found


def texts(request: ChatRequest) -> Iterator[str]:
    """All of them."""
    found: list[str] = []

    def keep(text: str, is_name: bool, where: str) -> str:
        found.append(text)
        return text

    change_texts(request, keep)
    return iter(found)


class Said:
    """One text that a role says, as it can be changed, and where it stands."""

    __slots__ = ("_field", "_holder", "where")

    def __init__(self, holder: Message | ContentPart, field: str, where: str) -> None:
        self._holder = holder
        self._field = field
        self.where = where

    @property
    def text(self) -> str:
        return cast(str, getattr(self._holder, self._field))

    @text.setter
    def text(self, text: str) -> None:
        setattr(self._holder, self._field, text)


def contents(request: ChatRequest) -> Iterable[list[Said]]:
    """What each role says, in the order of messages; texts without a character are left out."""
    found: dict[str, list[Said]] = {}
    for index, message in enumerate(request.messages):
        content, where = message.content, f"messages[{index}].content"
        if not content:
            continue
        said = found.setdefault(message.role, [])
        if isinstance(content, str):
            said.append(Said(message, "content", where))
        else:
            said += (
                Said(part, "text", f"{where}[{at}].text")
                for at, part in enumerate(content)
                if part.text  # A refusal is no text that goes on.
            )
    return found.values()


def calls_of(message: AnswerMessage) -> list[AnswerFunction]:
    """What it calls, in the newer form and in the older one."""
    calls = [call.function for call in message.tool_calls or ()]
    if message.function_call:
        calls.append(message.function_call)
    return calls


def texts_of(message: AnswerMessage) -> list[str]:
    """All that an answer says, text by text."""
    said = [message.content or "", message.refusal or ""]
    for call in calls_of(message):
        said += [call.name, call.arguments]
    return said


def _change_parts(message: Message, index: int, change: Change) -> None:
    assert isinstance(message.content, list)
    for at, part in enumerate(message.content):
        for field in ("text", "refusal"):
            text = getattr(part, field)
            if text is not UNSET:
                where = f"messages[{index}].content[{at}].{field}"
                setattr(part, field, change(text, False, where))


def _change_others(message: Message, index: int, change: Change) -> None:
    where = f"messages[{index}]"
    if message.name is not None:
        message.name = change(message.name, True, f"{where}.name")
    if message.refusal is not None:
        message.refusal = change(message.refusal, False, f"{where}.refusal")
    calls = [
        (call.function, f"{where}.tool_calls[{at}].function")
        for at, call in enumerate(message.tool_calls or ())
    ]
    if message.function_call is not None:
        calls.append((message.function_call, f"{where}.function_call"))
    for function, place in calls:
        change(function.name, True, f"{place}.name")
        function.arguments = change(function.arguments, False, f"{place}.arguments")


def _change_function(function: FunctionDefinition, where: str, change: Change) -> None:
    change(function.name, True, f"{where}.name")
    if function.description is not None:
        function.description = change(function.description, False, f"{where}.description")
    function.parameters = _changed(function.parameters, f"{where}.parameters", change)


def _changed(value: Any, where: str, change: Change) -> Any:
    """A schema with its texts changed; its keys are looked at and stay."""
    if isinstance(value, str):
        return change(value, False, where)
    if isinstance(value, list):
        return [_changed(each, where, change) for each in value]
    if isinstance(value, dict):
        for key in value:
            change(key, True, where)
        return {key: _changed(each, where, change) for key, each in value.items()}
    return value
