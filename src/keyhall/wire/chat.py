"""Chat on the wire: the request's fields and the answer's, as msgspec types.

Only known fields pass, in both directions (R25): an unknown one in a request is refused, one in an
upstream's answer is dropped. Reading and its precise refusals are in `wire/chat_read.py`, encoding
in `wire/chat_write.py`.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
Json = dict[str, Any]


class _In(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Part of a request: unknown fields are refused; what was not sent is not passed on."""


class _Out(msgspec.Struct, gc=False):
    """Part of an answer: unknown fields of an upstream are dropped."""


# --- Request --------------------------------------------------------------------------------------


class FunctionCall(_In):
    name: str
    arguments: str


class ToolCall(_In):
    id: str
    type: Literal["function"]
    function: FunctionCall


class ContentPart(_In):
    """`text` parts; `refusal` parts of assistant messages. Images and audio are refused by name."""

    type: str
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET


class Message(_In):
    role: Role
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None


class FunctionDefinition(_In):
    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(_In):
    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(_In):
    name: str


class ToolChoice(_In):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(_In):
    name: str
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class ResponseFormat(_In):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_In):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(_In):
    """The fields of OpenAI's chat request that Keyhall passes on or acts on, validated.

    `truncation` is ours (R21). Fields that are accepted only as hints are kept so that they are
    not refused; `wire/chat_write.py` decides what an upstream is told.
    """

    model: str
    messages: list[Message]
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    truncation: Literal["auto", "disabled"] | None = None

    @property
    def choices(self) -> int:
        """How many answers were asked for (`n`)."""
        return self.n or 1

    @property
    def asked_cap(self) -> int | None:
        """The output cap that the caller named, under either name."""
        cap = self.max_completion_tokens
        return self.max_tokens if cap is None else cap

    @property
    def wants_usage(self) -> bool:
        options = self.stream_options
        return options is not None and bool(options.include_usage)


# --- Answer ---------------------------------------------------------------------------------------


class TokenUsage(_Out):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int | None] | None = None
    completion_tokens_details: dict[str, int | None] | None = None


class AnswerFunction(_Out):
    name: str
    arguments: str


class AnswerToolCall(_Out):
    id: str
    function: AnswerFunction
    type: Literal["function"] = "function"


class TopLogprob(_Out):
    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(_Out):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = msgspec.field(default_factory=list)


class Logprobs(_Out):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class AnswerMessage(_Out):
    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: str | None = None
    annotations: list[Json] = msgspec.field(default_factory=list)
    tool_calls: list[AnswerToolCall] | UnsetType = UNSET
    function_call: AnswerFunction | UnsetType = UNSET


class Choice(_Out):
    index: int
    message: AnswerMessage
    finish_reason: FinishReason = "stop"
    logprobs: Logprobs | None = None


class Completion(_Out):
    """A whole answer. Engines fill choices and usage; the flow sets the rest (R25)."""

    choices: list[Choice]
    id: str = ""
    object: Literal["chat.completion"] = "chat.completion"
    created: int = 0
    model: str = ""
    usage: TokenUsage | None = None
    service_tier: str | None = "default"
    system_fingerprint: str | None = None


class DeltaFunction(_Out):
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class DeltaToolCall(_Out):
    index: int
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: DeltaFunction | UnsetType = UNSET


class Delta(_Out):
    role: Literal["assistant"] | UnsetType = UNSET
    content: str | None | UnsetType = UNSET
    refusal: str | None | UnsetType = UNSET
    tool_calls: list[DeltaToolCall] | UnsetType = UNSET
    function_call: DeltaFunction | UnsetType = UNSET


class ChunkChoice(_Out):
    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None


class Chunk(_Out):
    """One streamed piece. Engines fill choices; the flow sets the rest (R25)."""

    choices: list[ChunkChoice]
    id: str = ""
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int = 0
    model: str = ""
    service_tier: str | None = "default"
    system_fingerprint: str | None = None
    usage: TokenUsage | None | UnsetType = UNSET
