"""Writes chat for a model in the house: what llama.cpp's server is told, and how its pieces become
a whole answer.

Everything that decides an answer is said, so that nothing hangs on a default of the engine's: as in
OpenAI's API, sampling is by temperature and `top_p` alone, unless the version says more. Only
messages with text and tool calls go on, in the forms that chat templates know.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.catalogue import Sampling
from keyhall.wire.chat import (
    ChatRequest,
    Json,
    Message,
    ResponseFormat,
    StreamOptions,
    Tool,
    ToolCall,
    ToolChoice,
)

TEMPERATURE = 1.0
TOP_P = 1.0
LOOKED_BACK = 64  # tokens that penalties look at, the prompt's too
ALL = 1_000_000  # tokens: more than any context
SEEDS = 2**32 - 1  # The engine's seeds have 32 bits; the last of them means "draw one".

_encode = msgspec.json.Encoder().encode
_INCLUDE_USAGE = StreamOptions(include_usage=True)
_ROLES = {"developer": "system", "function": "tool"}


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | None
    tool_calls: list[ToolCall] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class _Prompt(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """What the prompt is made of: the count must be of the same as the answer."""

    messages: list[_Message]
    tools: list[Tool] | None = None
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None


class _Body(_Prompt, kw_only=True):
    max_tokens: int
    temperature: float
    top_p: float
    cache_prompt: bool
    top_k: int
    min_p: float
    repeat_last_n: int
    repeat_penalty: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Any = None


def _last(tokens: int) -> int:
    """How far is looked back. llama.cpp's server takes no -1 for all any more: its command line
    does."""
    return ALL if tokens == -1 else tokens


def encode_prompt(request: ChatRequest) -> bytes:
    """The body that is counted. Raises ApiError for what no template can say."""
    return _encode(_Prompt(**_prompt(request)))


def encode_call(
    request: ChatRequest, *, output_cap: int, sampling: Sampling, caches_prompt: bool
) -> bytes:
    """The body that is answered, always as a stream: only a stream ends the moment its reader
    leaves, and only there each choice is counted."""
    temperature, top_p = request.temperature, request.top_p
    frequency, presence = request.frequency_penalty, request.presence_penalty
    back, dry_back = sampling.repeat_last_n, sampling.dry_penalty_last_n
    if temperature is None:
        temperature = sampling.temperature
    if top_p is None:
        top_p = sampling.top_p
    return _encode(
        _Body(
            **_prompt(request),
            max_tokens=output_cap,
            temperature=TEMPERATURE if temperature is None else temperature,
            top_p=TOP_P if top_p is None else top_p,
            frequency_penalty=sampling.frequency_penalty if frequency is None else frequency,
            presence_penalty=sampling.presence_penalty if presence is None else presence,
            top_k=sampling.top_k or 0,
            min_p=sampling.min_p or 0,
            repeat_last_n=_last(LOOKED_BACK if back is None else back),
            repeat_penalty=sampling.repetition_penalty,
            dry_multiplier=sampling.dry_multiplier,
            dry_base=sampling.dry_base,
            dry_allowed_length=sampling.dry_allowed_length,
            dry_penalty_last_n=None if dry_back is None else _last(dry_back),
            cache_prompt=caches_prompt,
            stream=True,
            stream_options=_INCLUDE_USAGE,
            n=request.n,
            stop=request.stop,
            seed=None if request.seed is None else request.seed % SEEDS,
            logprobs=request.logprobs,
            # It says nothing of a token unless it may say one alternative; that is cut off again.
            top_logprobs=max(request.top_logprobs or 0, 1) if request.logprobs else None,
            logit_bias=request.logit_bias,
        )
    )


def _prompt(request: ChatRequest) -> Json:
    if request.functions is not None or request.function_call is not None:
        raise ApiError(
            errors.ENGINE_REJECTED, detail="'functions' are not known to it; send them as 'tools'."
        )
    tools, choice = request.tools, request.tool_choice
    if isinstance(choice, ToolChoice):  # One function by name: it is the only one that is shown.
        name = choice.function.name
        tools = [tool for tool in tools or () if tool.function.name == name]
        choice = "required"
    return {
        "messages": [_message(message) for message in request.messages],
        "tools": tools,
        "tool_choice": choice,
        "parallel_tool_calls": request.parallel_tool_calls,
        "response_format": request.response_format,
    }


def _message(message: Message) -> _Message:
    content = message.content
    if isinstance(content, list):
        texts = [
            part.refusal if isinstance(part.text, UnsetType) else part.text for part in content
        ]
        content = "".join(text for text in texts if not isinstance(text, UnsetType))
    if content is None and not message.tool_calls:
        content = message.refusal or ""
    return _Message(
        _ROLES.get(message.role, message.role),
        content,
        message.tool_calls or UNSET,
        UNSET if message.tool_call_id is None else message.tool_call_id,
    )
