"""How many input tokens a chat request has: the one formula, before the call and offline (R12).

    3 for the answer's beginning
    + for each message: 3 + its role + its content + its name and 1
                        + each tool call: name + arguments + 7; the id it answers; a refusal and 1
    + the tools, as the text of `wire/tool_text.py`, and 8 (5 where a system message is there)
    + a named tool choice: its name and 4; the choice `none`: 1
    + a JSON schema for the answer: its compact JSON, and its description

The first lines are OpenAI's published formula. The rest is ours; with it the formula gives the
`prompt_tokens` of every recorded answer of OpenAI's that we know (tests/wire/test_chat_count.py).

This runs on every request: no texts are remembered, and what is rarely sent costs a comparison.
"""

from collections.abc import Iterator

from msgspec import UnsetType

from keyhall.policy.tokens import SHORT_CHARACTERS, UNBOUNDED, Tokenizer
from keyhall.wire.chat import (
    ChatRequest,
    FunctionDefinition,
    Message,
    NamedFunction,
    ToolChoice,
)
from keyhall.wire.tool_text import json_text, namespace

ANSWER_TOKENS = 3
MESSAGE_TOKENS = 3
NAME_TOKENS = 1
CALL_TOKENS = 7
REFUSAL_TOKENS = 1
TOOLS_TOKENS = 8
TOOLS_WITH_SYSTEM_TOKENS = 5  # The tools then stand in a message that is there anyway.
NAMED_CHOICE_TOKENS = 4
NO_CHOICE_TOKENS = 1

SYSTEM_ROLES = ("system", "developer")

# Per message beside its text, in characters, when work is guessed: each takes about a microsecond.
_MESSAGE_CHARACTERS = 32


def is_long(request: ChatRequest) -> bool:
    """Whether counting may take more than a few milliseconds: then count in a thread.

    tiktoken lets other threads run meanwhile.
    """
    characters = 0
    for message in request.messages:
        content = message.content
        characters += _MESSAGE_CHARACTERS
        if content.__class__ is str:
            characters += len(content)
        if (
            content.__class__ is not str
            or message.tool_call_id is not None
            or message.role == "assistant"
        ):
            characters += sum([len(text) for text, _ in _beside_content(message)])
    if request.tools is not None or request.functions is not None:
        characters += len(json_text(_functions(request)))
    if request.response_format is not None:
        characters += len(json_text(request.response_format))
    return characters > SHORT_CHARACTERS


def count_plain(request: ChatRequest, tokenizer: Tokenizer) -> int | None:
    """`count_request` for what nearly everyone sends: a few messages of plain text, short enough to
    be counted at once. None for any other: see `is_long`."""
    if (
        request.tools is not None
        or request.functions is not None
        or request.response_format is not None
    ):
        return None
    total, characters = ANSWER_TOKENS, 0
    role_tokens, count = tokenizer.role_tokens, tokenizer.count
    for message in request.messages:
        content = message.content
        if (
            content.__class__ is not str
            or message.name is not None
            or message.tool_call_id is not None
            or message.tool_calls is not None
            or message.function_call is not None
            or message.refusal is not None
        ):
            return None
        characters += _MESSAGE_CHARACTERS + len(content)
        if characters > SHORT_CHARACTERS:
            return None
        total += MESSAGE_TOKENS + role_tokens[message.role] + count(content)
    return total


def count_request(request: ChatRequest, tokenizer: Tokenizer, ceiling: int = UNBOUNDED) -> int:
    """Input tokens: exact up to `ceiling`, above it "at least"."""
    total = count_frame(request, tokenizer, ceiling)
    for message in request.messages:
        total += count_message(message, tokenizer, ceiling)
        if total > ceiling:
            break
    return total


def count_frame(request: ChatRequest, tokenizer: Tokenizer, ceiling: int = UNBOUNDED) -> int:
    """What a request has beside its messages."""
    if request.tools is None and request.functions is None and request.response_format is None:
        return ANSWER_TOKENS
    total = ANSWER_TOKENS
    functions = _functions(request)
    if functions:
        has_system = any(message.role in SYSTEM_ROLES for message in request.messages)
        total += TOOLS_WITH_SYSTEM_TOKENS if has_system else TOOLS_TOKENS
        total += tokenizer.count(namespace(functions), ceiling)
        total += _count_choice(request, tokenizer)
    form = request.response_format
    if form is not None and form.json_schema is not None:
        total += tokenizer.count(json_text(form.json_schema.schema or {}), ceiling)
        total += tokenizer.count(form.json_schema.description or "", ceiling)
    return total


def count_message(message: Message, tokenizer: Tokenizer, ceiling: int = UNBOUNDED) -> int:
    """What one message adds: exact up to `ceiling`, above it "at least"."""
    total = MESSAGE_TOKENS + tokenizer.role_tokens[message.role]
    content = message.content
    if content.__class__ is str:
        total += tokenizer.count(content, ceiling)
        if (
            message.name is None
            and message.tool_call_id is None
            and message.tool_calls is None
            and message.function_call is None
            and message.refusal is None
        ):
            return total
    for text, more in _beside_content(message):
        if total > ceiling:
            break
        total += tokenizer.count(text, ceiling) + more
    return total


def _beside_content(message: Message) -> Iterator[tuple[str, int]]:
    """The texts of a message beside a plain content, each with the tokens that frame it."""
    content = message.content
    if isinstance(content, list):
        for part in content:
            text = part.refusal if isinstance(part.text, UnsetType) else part.text
            yield text or "", 0
    if message.name is not None:
        yield message.name, NAME_TOKENS
    if message.tool_call_id is not None:
        yield message.tool_call_id, 0
    calls = [call.function for call in message.tool_calls or ()]
    if message.function_call is not None:
        calls.append(message.function_call)
    for call in calls:
        yield call.name, CALL_TOKENS
        yield call.arguments, 0
    if message.refusal is not None:
        yield message.refusal, REFUSAL_TOKENS


def _functions(request: ChatRequest) -> list[FunctionDefinition]:
    return [*[tool.function for tool in request.tools or ()], *(request.functions or ())]


def _count_choice(request: ChatRequest, tokenizer: Tokenizer) -> int:
    choice: object = request.tool_choice or request.function_call
    if choice == "none":
        return NO_CHOICE_TOKENS
    if isinstance(choice, ToolChoice):
        choice = choice.function
    if isinstance(choice, NamedFunction):
        return tokenizer.count(choice.name) + NAMED_CHOICE_TOKENS
    return 0
