"""Writes chat: the body for an upstream, whole answers, streamed records, errors.

An upstream is told an allow-list of fields, encoded from the checked request, never the caller's
bytes (R25). Left out for it: `truncation` (ours, R21); what names people or asks for storage or
another price (`user`, `safety_identifier`, `prompt_cache_*`, `metadata`, `store`, `service_tier`),
which is between the caller and Keyhall; `modalities`, which can only be text. `reasoning_effort`
and `verbosity` change the answer and are passed.

Streamed records are `data:` lines only: an `id:`, `retry:` or `event:` breaks official clients.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET, structs

from keyhall.errors import ApiError
from keyhall.policy.catalogue import Sampling
from keyhall.wire.chat import (
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    Message,
    ResponseFormat,
    StreamOptions,
    TokenUsage,
    Tool,
)

DONE = b"data: [DONE]\n\n"
KEEPALIVE = b": keep-alive\n\n"

ENTRIES_PER_PIECE = 256  # of log-probabilities: 330 KB with twenty likely tokens each
PIECE_BYTES_MIN = 65_536

CapField = Literal["max_tokens", "max_completion_tokens"]

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_INCLUDE_USAGE = StreamOptions(include_usage=True)
# Clients read `usage.prompt_tokens_details.cached_tokens` without asking whether it is there.
_PROMPT_DETAILS: dict[str, int | None] = {"cached_tokens": 0, "audio_tokens": 0}
_COMPLETION_DETAILS: dict[str, int | None] = {
    "reasoning_tokens": 0,
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}


# --- To an upstream -------------------------------------------------------------------------------


class _UpstreamBody(msgspec.Struct, omit_defaults=True, gc=False):
    """Everything that an upstream is told."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Any = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    functions: Any = None
    function_call: Any = None
    reasoning_effort: str | None = None
    verbosity: str | None = None


def encode_upstream(
    request: ChatRequest,
    *,
    model: str,
    output_cap: int,
    cap_field: CapField,
    sampling: Sampling,
    stream: bool,
) -> bytes:
    """The body for an OpenAI-compatible server: the version's model and cap, its sampling where
    the request says nothing, and usage at the end of a stream."""
    temperature, top_p = request.temperature, request.top_p
    frequency, presence = request.frequency_penalty, request.presence_penalty
    is_old = cap_field == "max_tokens"
    body = _encode(
        _UpstreamBody(
            model,
            request.messages,
            output_cap if is_old else None,
            None if is_old else output_cap,
            True if stream else None,
            _INCLUDE_USAGE if stream else None,
            sampling.temperature if temperature is None else temperature,
            sampling.top_p if top_p is None else top_p,
            sampling.frequency_penalty if frequency is None else frequency,
            sampling.presence_penalty if presence is None else presence,
            request.n,
            request.stop,
            request.seed,
            request.logprobs,
            request.top_logprobs,
            request.logit_bias,
            request.response_format,
            request.tools,
            request.tool_choice,
            request.parallel_tool_calls,
            request.functions,
            request.function_call,
            request.reasoning_effort,
            request.verbosity,
        )
    )
    if (  # Here and not in a call, which would cost every request more than all of this.
        sampling.top_k is None
        and sampling.min_p is None
        and sampling.repetition_penalty is None
        and sampling.repeat_last_n is None
        and sampling.dry_multiplier is None
        and sampling.dry_base is None
        and sampling.dry_allowed_length is None
        and sampling.dry_penalty_last_n is None
    ):
        return body
    return b"%b,%b" % (body[:-1], _encode(_later(sampling))[1:])


def _later(sampling: Sampling) -> dict[str, float | int]:
    """What a version sets beyond OpenAI's protocol. llama.cpp and LM Studio call the penalty on
    repetition by another name than vLLM and SGLang; each passes over the other's."""
    found = sampling.later()
    if sampling.repetition_penalty is not None:
        found["repeat_penalty"] = sampling.repetition_penalty
    return found


# --- To the caller --------------------------------------------------------------------------------


def encode_completion(completion: Completion) -> bytes:
    if completion.usage is not None:
        _fill_details(completion.usage)
    return _encode(completion)


def encode_in_pieces(completion: Completion) -> Iterator[bytes]:
    """The same bytes, piece by piece, each of them made in about a millisecond: log-probabilities
    can be a thousand times as long as what they are told of."""
    bare = encode_completion(structs.replace(completion, choices=[]))
    data, tail = bare.split(b'"choices":[]', 1)  # No text can hold this: its quotes are escaped.
    data += b'"choices":['
    for place, choice in enumerate(completion.choices):
        data += b"," if place else b""
        told = choice.logprobs
        if told is None or not told.content:
            data += _encode(choice)
            continue
        bare = _encode(structs.replace(choice, logprobs=structs.replace(told, content=[])))
        start, end = bare.rsplit(b'"content":[]', 1)
        data += start + b'"content":['
        for at in range(0, len(told.content), ENTRIES_PER_PIECE):
            data += b"," if at else b""
            data += _encode(told.content[at : at + ENTRIES_PER_PIECE])[1:-1]
            if len(data) > PIECE_BYTES_MIN:
                yield data
                data = b""
        data += b"]" + end
    yield data + b"]" + tail


def normalize_completion(completion: Completion, choices: int) -> None:
    """Bring a whole answer into the form that clients rely on, in place: choices in the order of
    their index, no more than were asked for, tool calls with ids or no tool calls at all."""
    kept = completion.choices
    if len(kept) > 1:
        kept.sort(key=_index_of)
    del kept[choices:]
    for index, choice in enumerate(kept):
        choice.index = index
        message = choice.message
        calls = message.tool_calls
        if calls is UNSET:
            continue
        if not calls:
            message.tool_calls = UNSET
            continue
        for position, call in enumerate(calls):
            if not call.id:
                call.id = f"call_{index}_{position}"


def _index_of(choice: Choice) -> int:
    return choice.index


def _fill_details(usage: TokenUsage) -> None:
    if usage.prompt_tokens_details is None:
        usage.prompt_tokens_details = _PROMPT_DETAILS
    if usage.completion_tokens_details is None:
        usage.completion_tokens_details = _COMPLETION_DETAILS


class Stamp:
    """Encodes the chunks of one stream: each gets the same head, which is encoded once.

    With `wants_usage` every chunk says `"usage": null` and the last one, without choices, has it;
    otherwise no chunk names it, because naive clients index `choices[0]`.
    """

    __slots__ = ("_between", "_first", "_last")

    def __init__(
        self, *, id: str, created: int, model: str, fingerprint: str | None, wants_usage: bool
    ) -> None:
        empty = Chunk(
            choices=[], id=id, created=created, model=model, system_fingerprint=fingerprint
        )
        head = _encode(empty).replace(b'"choices":[],', b"", 1)
        self._first = b'data: %b,"choices":' % head[:-1]
        self._last = b',"usage":null}\n\n' if wants_usage else b"}\n\n"
        self._between = self._last + self._first

    def like(self, other: "Stamp") -> None:
        """Become another stamp's like."""
        self._first, self._last, self._between = other._first, other._last, other._between

    def encode(self, chunks: list[Chunk]) -> bytes:
        """Whole records, for one write; nothing for no chunks. Only the choices are read."""
        if not chunks:
            return b""
        # One call for all; a line feed stands only between the lines, never inside JSON.
        lines = _encode_lines([chunk.choices for chunk in chunks])
        return self._first + lines[:-1].replace(b"\n", self._between) + self._last

    def encode_moderation(self, moderation: msgspec.Struct) -> bytes:
        """The chunk behind the last choice's end, only for callers who asked for it."""
        return b'%b[],"moderation":%b%b' % (self._first, _encode(moderation), self._last)

    def encode_usage(self, usage: TokenUsage) -> bytes:
        """The chunk before `[DONE]`, only for callers who asked for it."""
        _fill_details(usage)
        return b'%b[],"usage":%b}\n\n' % (self._first, _encode(usage))


def encode_error(error: ApiError) -> bytes:
    """The body of a refusal."""
    return _encode(error.body())


def error_record(error: ApiError) -> bytes:
    """The last record of a stream that failed: no finish, no `[DONE]` after it."""
    return b"data: %b\n\n" % _encode(error.body())
