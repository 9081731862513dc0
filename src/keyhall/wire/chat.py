"""Chat on the wire: the request's fields and the answer's, as msgspec types.

Only known fields pass, in both directions (R25): an unknown one in a request is refused, one in an
upstream's answer is dropped. The bounds stand in the types, so that the decoder keeps them; which
of them a request breaks, and the precise refusal, is found in `wire/checks`. Reading is in
`wire/chat_read.py`, encoding in `wire/chat_write.py`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Role = Literal["system", "assistant", "user", "function", "tool", "developer"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
Json = dict[str, Any]

# OpenAI's own bounds, but for those marked "ours".
CHOICES_MAX = 8  # Ours (I-11): `n` multiplies the hold and the work.
MESSAGES_MAX = 2_048  # Ours: twice what fits into 4,096 tokens.
PARTS_MAX = 1_024  # Ours.
TOOLS_MAX = 128
STOPS_MAX = 4
LOGIT_BIASES_MAX = 300  # Ours; the API names no bound.
TOP_LOGPROBS_MAX = 20
MODEL_CHARACTERS_MAX = 256  # Ours.
NAME_CHARACTERS_MAX = 64
USER_CHARACTERS_MAX = 64
SAFETY_CHARACTERS_MAX = 128  # The description says 64, the official client's own text 128.
METADATA_PAIRS_MAX = 16
METADATA_KEY_CHARACTERS_MAX = 64
METADATA_VALUE_CHARACTERS_MAX = 512
INT64_MAX = 2**63 - 1

# The patterns as refusals print them; the lengths have rows of their own.
NAME_PATTERN = "^[a-zA-Z0-9_-]+$"
PARTICIPANT_PATTERN = r"^[^\s<|\\/>]+$"
TOKEN_ID_PATTERN = "^[0-9]{1,7}$"  # noqa: S105 - ids of tokens, not a secret.


class _In(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Part of a request: unknown fields are refused; what was not sent is not passed on."""


class _Out(msgspec.Struct, gc=False):
    """Part of an answer: unknown fields of an upstream are dropped."""


# --- Request --------------------------------------------------------------------------------------

# `\Z`, because `$` would let a line feed pass at the end.
_Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]
_Participant = Annotated[str, Meta(pattern=r"^[^\s<|\\/>]{1,64}\Z")]
_Filled = Annotated[str, Meta(min_length=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Cap = Annotated[int, Meta(ge=1, le=INT64_MAX)]
_TokenId = Annotated[str, Meta(pattern=r"^[0-9]{1,7}\Z")]
_Bias = Annotated[int, Meta(ge=-100, le=100)] | Annotated[float, Meta(ge=-100, le=100)]
_MetadataKey = Annotated[str, Meta(max_length=METADATA_KEY_CHARACTERS_MAX)]
_MetadataValue = Annotated[str, Meta(max_length=METADATA_VALUE_CHARACTERS_MAX)]


class FunctionCall(_In):
    name: _Name
    arguments: str
    parsed_arguments: Any = None  # As `Message.parsed`.


class ToolCall(_In):
    id: _Filled
    type: Literal["function"]
    function: FunctionCall
    index: Annotated[int, Meta(ge=0, le=INT64_MAX)] | None = None  # As `Message.parsed`.


class ContentPart(_In):
    """`text` parts; `refusal` parts of assistant messages. Images and audio are refused by name."""

    type: Literal["text", "refusal"]
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    prompt_cache_breakpoint: Json | None = None  # A hint; forgotten when read.


class Message(_In):
    role: Role
    content: str | Annotated[list[ContentPart], Meta(min_length=1, max_length=PARTS_MAX)] | None = (
        None
    )
    name: _Participant | None = None
    tool_calls: Annotated[list[ToolCall], Meta(min_length=1, max_length=TOOLS_MAX)] | None = None
    tool_call_id: _Filled | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None
    # The official client sends these when its own `message` object is sent back; they are forgotten
    # when a request is read.
    annotations: list[Json] | None = None
    parsed: Any = None
    audio: None = None


class FunctionDefinition(_In):
    name: _Name
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(_In):
    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(_In):
    name: _Name


class ToolChoice(_In):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(_In):
    name: _Name
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class ResponseFormat(_In):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_In):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ModerationMode(_In):
    mode: Literal["score", "block"]


class ModerationPolicy(_In):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class AskedModeration(_In):
    """Look at what is asked and answered; `score` only tells, and is what holds for a way that is
    not named."""

    model: Annotated[str, Meta(min_length=1, max_length=MODEL_CHARACTERS_MAX)]
    policy: ModerationPolicy | None = None

    @property
    def blocks_input(self) -> bool:
        mode = None if self.policy is None else self.policy.input
        return mode is not None and mode.mode == "block"

    @property
    def blocks_output(self) -> bool:
        mode = None if self.policy is None else self.policy.output
        return mode is not None and mode.mode == "block"


class ChatRequest(_In):
    """The fields of OpenAI's chat request that Keyhall passes on or acts on, validated.

    `truncation` is ours (R21). Fields that are accepted only as hints are kept so that they are
    not refused; `wire/chat_write.py` decides what an upstream is told. Fields of type None are
    known, but Keyhall cannot honour them: sent as null they are let pass.
    """

    model: Annotated[str, Meta(min_length=1, max_length=MODEL_CHARACTERS_MAX)]
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MESSAGES_MAX)]
    stream: bool | None = None
    max_tokens: _Cap | None = None
    max_completion_tokens: _Cap | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=CHOICES_MAX)] | None = None
    stop: _Filled | Annotated[list[_Filled], Meta(min_length=1, max_length=STOPS_MAX)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    seed: Annotated[int, Meta(ge=-INT64_MAX - 1, le=INT64_MAX)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=TOP_LOGPROBS_MAX)] | None = None
    logit_bias: Annotated[dict[_TokenId, _Bias], Meta(max_length=LOGIT_BIASES_MAX)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Meta(min_length=1, max_length=TOOLS_MAX)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[str, Meta(max_length=USER_CHARACTERS_MAX)] | None = None
    safety_identifier: Annotated[str, Meta(max_length=SAFETY_CHARACTERS_MAX)] | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=USER_CHARACTERS_MAX)] | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    prompt_cache_options: Json | None = None
    metadata: (
        Annotated[dict[_MetadataKey, _MetadataValue], Meta(max_length=METADATA_PAIRS_MAX)] | None
    ) = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: Annotated[list[Literal["text"]], Meta(min_length=1, max_length=2)] | None = None
    functions: (
        Annotated[list[FunctionDefinition], Meta(min_length=1, max_length=TOOLS_MAX)] | None
    ) = None
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    truncation: Literal["auto", "disabled"] | None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    moderation: AskedModeration | None = None

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


class FilterNote(_Out):
    """Ours: which rule of the filter ended a choice. Clients keep fields that they do not know."""

    filter: dict[str, str | None]


class FilteredChoice(Choice):
    """One that the filter has cut."""

    keyhall: FilterNote | UnsetType = UNSET


class Completion(_Out):
    """A whole answer. Engines fill choices and usage; the flow sets the rest (R25)."""

    id: str = ""
    object: Literal["chat.completion"] = "chat.completion"
    created: int = 0
    model: str = ""
    choices: list[Choice] = []
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


class FilteredChunkChoice(ChunkChoice):
    """The end of one that the filter has cut."""

    keyhall: FilterNote | UnsetType = UNSET


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
