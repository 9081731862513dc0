"""Puts the chunks of a stream together to the whole answer that they are the pieces of."""

import msgspec
from msgspec import UNSET, UnsetType

from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    DeltaFunction,
    DeltaToolCall,
    FinishReason,
    Logprobs,
    TokenLogprob,
    TokenUsage,
)


class _Call(msgspec.Struct):
    id: str = ""
    name: str = ""
    arguments: list[str] = []


class _Gathered(msgspec.Struct):
    content: list[str] = []
    refusal: list[str] = []
    calls: dict[int, _Call] = {}
    function: _Call | None = None  # of the older form
    logprobs: list[TokenLogprob] | None = None
    finish: FinishReason = "stop"


def characters(chunk: Chunk) -> int:
    """How many a chunk adds to what is gathered."""
    total = 0
    for choice in chunk.choices:
        delta = choice.delta
        total += len(delta.content or "") + len(delta.refusal or "")
        functions = [fragment.function for fragment in delta.tool_calls or ()]
        for function in (*functions, delta.function_call):
            if function:
                total += len(function.name or "") + len(function.arguments or "")
    return total


class Gatherer:
    """Fed with an engine's chunks in their order."""

    __slots__ = ("_choices",)

    def __init__(self, choices: int) -> None:
        self._choices = [_Gathered() for _ in range(choices)]

    def feed(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            for choice in chunk.choices:
                if 0 <= choice.index < len(self._choices):
                    _add(self._choices[choice.index], choice)

    def completion(self, usage: TokenUsage | None) -> Completion:
        choices = [_whole(index, each) for index, each in enumerate(self._choices)]
        return Completion(choices=choices, usage=usage)


def _add(gathered: _Gathered, choice: ChunkChoice) -> None:
    delta = choice.delta
    if delta.content:
        gathered.content.append(delta.content)
    if delta.refusal:
        gathered.refusal.append(delta.refusal)
    if not isinstance(delta.tool_calls, UnsetType):
        for fragment in delta.tool_calls:
            _add_call(gathered.calls.setdefault(fragment.index, _Call()), fragment)
    if delta.function_call:
        if gathered.function is None:
            gathered.function = _Call()
        _add_function(gathered.function, delta.function_call)
    if choice.logprobs is not None and choice.logprobs.content:
        if gathered.logprobs is None:
            gathered.logprobs = []
        gathered.logprobs += choice.logprobs.content
    if choice.finish_reason is not None:
        gathered.finish = choice.finish_reason


def _add_call(call: _Call, fragment: DeltaToolCall) -> None:
    if fragment.id:
        call.id = fragment.id
    if fragment.function:
        _add_function(call, fragment.function)


def _add_function(call: _Call, function: DeltaFunction) -> None:
    if function.name:
        call.name = function.name
    if function.arguments:
        call.arguments.append(function.arguments)


def _whole(index: int, gathered: _Gathered) -> Choice:
    calls = [
        AnswerToolCall(call.id, AnswerFunction(call.name, "".join(call.arguments)))
        for _, call in sorted(gathered.calls.items())
    ]
    older = gathered.function
    content = "".join(gathered.content)
    message = AnswerMessage(
        content=content if content or not (calls or older) else None,
        refusal="".join(gathered.refusal) or None,
        tool_calls=calls or UNSET,
        function_call=UNSET
        if older is None
        else AnswerFunction(older.name, "".join(older.arguments)),
    )
    told = None if gathered.logprobs is None else Logprobs(content=gathered.logprobs)
    return Choice(index, message, gathered.finish, told)
