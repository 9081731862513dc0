"""Reads what an upstream answers, whole or in pieces, and forgives what real servers do.

The usual form is one typed decode; only known fields come out of it (R25). Anything else is read
again without types and brought into form: nulls, missing indexes, unknown finish reasons, usage of
any shape. What cannot be an answer raises `BadAnswer`, which never carries the upstream's text.
"""

import contextlib
from typing import Any, cast

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
    Delta,
    DeltaFunction,
    DeltaToolCall,
    FinishReason,
    Logprobs,
    TokenUsage,
)

NO_INDEX = -1  # A tool call fragment without one: `wire/chat_stream.py` finds where it belongs.

_FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
}


class BadAnswer(ValueError):
    """An upstream sent something that is no answer; says what, without quoting it."""


# Some servers end a choice so when they give it up: what came of it is no answer.
_GIVEN_UP = frozenset({"abort", "error"})


class UpstreamError(msgspec.Struct, frozen=True):
    """An upstream sent an error where an answer was due. Its own words: clean them first."""

    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None


class UpstreamFailed(BadAnswer):
    """A whole answer turned out to be an error."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__("it is an error, not an answer")
        self.error = error


class Done:
    """The end of a stream, `[DONE]`."""

    __slots__ = ()


DONE = Done()


class _Chunk(Chunk):
    """A usual chunk. `error` is known so that a chunk which has one is not taken for usual."""

    error: None | UnsetType = UNSET
    timings: msgspec.Raw | UnsetType = UNSET  # llama.cpp's: see `is_of_one`


class _Completion(Completion):
    error: None | UnsetType = UNSET
    timings: msgspec.Raw | UnsetType = UNSET


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_chunks = msgspec.json.Decoder(list[_Chunk]).decode
_decode_completion = msgspec.json.Decoder(_Completion).decode
_decode_untyped = msgspec.json.Decoder().decode


def read_chunk(payload: bytes) -> Chunk | Done | UpstreamError:
    """One `data:` payload. Raises BadAnswer. Its id, model and the like are the upstream's own:
    the flow stamps ours over them."""
    try:
        chunk = _decode_chunk(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        chunk = None
    return _read_odd_chunk(payload) if chunk is None else chunk


def read_chunks(payloads: list[bytes]) -> list[Chunk] | None:
    """Several usual payloads in one go, which is twice as fast; None if any of them is not usual:
    then each is to be read by itself."""
    try:
        chunks = _decode_chunks(b"[%b]" % b",".join(payloads))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return cast("list[Chunk]", chunks) if len(chunks) == len(payloads) else None


def read_completion(body: bytes) -> Completion:
    """A whole answer with at least one choice. Raises BadAnswer, UpstreamFailed among them."""
    try:
        completion = _decode_completion(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        completion = None
    if completion is None:
        return _read_odd_completion(body)
    if not completion.choices:
        raise BadAnswer("it has no choices")
    if completion.timings is not UNSET:
        completion.timings = UNSET
        if len(completion.choices) > 1:
            completion.usage = None  # It is that of the first alone.
    return completion


def is_of_one(chunk: Chunk) -> bool:
    """Whether the usage in a chunk is that of one choice, not of all: llama.cpp sends one behind
    each choice. The timings beside it are of that choice too, and tell it."""
    return isinstance(chunk, _Chunk) and chunk.timings is not UNSET


# --- Answers of another form ----------------------------------------------------------------------


def _read_odd_chunk(payload: bytes) -> Chunk | Done | UpstreamError:
    if payload.strip() == b"[DONE]":
        return DONE
    value = _parse(payload)
    error = _error(value)
    if error is not None:
        return error
    choices = [_chunk_choice(item, at) for at, item in enumerate(_choices(value))]
    usage = _usage(value.get("usage"))
    return Chunk(choices) if usage is None else Chunk(choices, usage=usage)


def _read_odd_completion(body: bytes) -> Completion:
    value = _parse(body)
    error = _error(value)
    if error is not None:
        raise UpstreamFailed(error)
    choices = [_choice(item, at) for at, item in enumerate(_choices(value))]
    if not choices:
        raise BadAnswer("it has no choices")
    is_of_first = len(choices) > 1 and "timings" in value
    return Completion(choices=choices, usage=None if is_of_first else _usage(value.get("usage")))


def _parse(data: bytes) -> dict[str, Any]:
    value: Any = None
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _decode_untyped(data)
    # Raised here, not in a handler: the exception that knows the text is not chained (I-13).
    if type(value) is not dict:
        raise BadAnswer("it is not a JSON object")
    return value


def _error(value: dict[str, Any]) -> UpstreamError | None:
    """The error that an object tells of, as OpenAI writes it, flat or in bare words; and of an
    answer that was given up."""
    said = value.get("error")
    if not said and value.get("object") == "error":
        said = value
    if not said:
        choices = _objects(value.get("choices"))
        ends = (choice.get("finish_reason") for choice in choices)
        is_given_up = any(type(end) is str and end in _GIVEN_UP for end in ends)
        return UpstreamError("", "abort") if is_given_up else None
    if type(said) is not dict:
        return UpstreamError(_text(said) or "")
    code = said.get("code")
    return UpstreamError(
        _text(said.get("message")) or "",
        _text(said.get("type")),
        str(code) if type(code) is int else _text(code),
        _text(said.get("param")),
    )


def _choices(value: dict[str, Any]) -> list[Any]:
    choices = value.get("choices")
    if choices is None:
        return []
    if type(choices) is not list:
        raise BadAnswer("its choices are not a list")
    return choices


def _chunk_choice(value: Any, at: int) -> ChunkChoice:
    if type(value) is not dict:
        raise BadAnswer("a choice is not an object")
    finish = value.get("finish_reason")
    return ChunkChoice(
        _index(value, at),
        _delta(_object(value.get("delta"))),
        _logprobs(value.get("logprobs")),
        # Some servers send "" with every chunk that is not the last.
        _finish(finish) if finish else None,
    )


def _delta(value: dict[str, Any]) -> Delta:
    delta = Delta()
    if value.get("role"):
        delta.role = "assistant"
    content, refusal = _content(value.get("content")), _text(value.get("refusal"))
    if content is not None:
        delta.content = content
    if refusal is not None:
        delta.refusal = refusal
    calls = [_call_delta(call) for call in _objects(value.get("tool_calls"))]
    if calls:
        delta.tool_calls = calls
    old = _object(value.get("function_call"))
    if old:
        delta.function_call = _function_delta(old)
    return delta


def _call_delta(value: dict[str, Any]) -> DeltaToolCall:
    call = DeltaToolCall(_index(value, NO_INDEX))
    name = _text(value.get("id"))
    if name:
        call.id = name
        call.type = "function"
    function = _object(value.get("function"))
    if function:
        call.function = _function_delta(function)
    return call


def _function_delta(value: dict[str, Any]) -> DeltaFunction:
    name, arguments = _text(value.get("name")), _arguments(value.get("arguments"))
    return DeltaFunction(name or UNSET, UNSET if arguments is None else arguments)


def _choice(value: Any, at: int) -> Choice:
    if type(value) is not dict:
        raise BadAnswer("a choice is not an object")
    said = _object(value.get("message"))
    calls = [_call(call) for call in _objects(said.get("tool_calls"))]
    old = _object(said.get("function_call"))
    message = AnswerMessage(
        content=_content(said.get("content")),
        refusal=_text(said.get("refusal")),
        annotations=_objects(said.get("annotations")),
        tool_calls=calls or UNSET,
        function_call=_function(old) if old else UNSET,
    )
    finish = value.get("finish_reason")
    if not finish:
        finish = "tool_calls" if calls else "stop"
    return Choice(_index(value, at), message, _finish(finish), _logprobs(value.get("logprobs")))


def _call(value: dict[str, Any]) -> AnswerToolCall:
    return AnswerToolCall(_text(value.get("id")) or "", _function(_object(value.get("function"))))


def _function(value: dict[str, Any]) -> AnswerFunction:
    return AnswerFunction(_text(value.get("name")) or "", _arguments(value.get("arguments")) or "")


# --- Values of another form -----------------------------------------------------------------------


def _index(value: dict[str, Any], otherwise: int) -> int:
    index = value.get("index")
    return index if type(index) is int else otherwise


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _content(value: Any) -> str | None:
    """Text, also where a server sends it as parts."""
    if type(value) is list:
        return "".join(_text(part.get("text")) or "" for part in _objects(value))
    return _text(value)


def _arguments(value: Any) -> str | None:
    """JSON text, also where a server sends the object itself."""
    return msgspec.json.encode(value).decode() if type(value) is dict else _text(value)


def _finish(value: Any) -> FinishReason:
    return _FINISHES.get(value, "stop") if type(value) is str else "stop"


def _logprobs(value: Any) -> Logprobs | None:
    return None if value is None else _convert(value, Logprobs)


def _usage(value: Any) -> TokenUsage | None:
    """The two counts that matter; whatever else is odd about it does not cost us these."""
    if type(value) is not dict:
        return None
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int:
        return None
    return TokenUsage(
        prompt,
        completion,
        prompt + completion,
        _details(value.get("prompt_tokens_details")),
        _details(value.get("completion_tokens_details")),
    )


def _details(value: Any) -> dict[str, int | None] | None:
    if type(value) is not dict:
        return None
    return {name: number for name, number in value.items() if type(number) is int}


def _convert(value: Any, kind: Any) -> Any:
    """None where the value does not fit: a wrong count is replaced by our own."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None
