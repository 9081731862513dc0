"""What a caller gets of an answer that a person has looked at, and what they get meanwhile."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from keyhall.wire import chat_write
from keyhall.wire.chat import (
    AnswerMessage,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    DeltaFunction,
    DeltaToolCall,
)
from keyhall.wire.moderation.within import ModeratedCompletion, without_output

REFUSED = "A reviewer refused this answer."
EXPIRED = "No reviewer released this answer in time."


class Pending(msgspec.Struct, frozen=True):
    """An answer that waits for a person. Times in seconds since 1970."""

    id: str
    completion_id: str
    model: str
    created: int
    deadline: int
    location: str
    object: str = "keyhall.review"
    status: str = "pending"


_encode = msgspec.json.Encoder().encode


def encode_pending(pending: Pending) -> bytes:
    return _encode(pending)


def edited(completion: Completion, text: str) -> Completion:
    """With the corrected text in the place of the first choice's. The others were looked at as they
    are. Log-probabilities of a text that nobody generated are none."""
    first, *others = completion.choices
    message = msgspec.structs.replace(first.message, content=text, refusal=None)
    changed = msgspec.structs.replace(first, message=message, logprobs=None)
    replaced = msgspec.structs.replace(completion, choices=[changed, *others])
    return without_output(replaced, "edited", "A reviewer wrote this answer: nothing looked at it.")


def refused(completion: Completion, why: str = REFUSED) -> Completion:
    """In the form of an answer that a filter cut: clients know it. Its usage stays."""
    choices = [
        Choice(choice.index, AnswerMessage(refusal=why), "content_filter")
        for choice in completion.choices
    ]
    replaced = msgspec.structs.replace(completion, choices=choices)
    return without_output(replaced, "refused", "A reviewer withheld the answer.")


def encode(completion: Completion) -> bytes:
    return chat_write.encode_completion(completion)


def stream(completion: Completion, *, wants_usage: bool) -> bytes:
    """The whole answer as records of a stream, with its end."""
    stamp = chat_write.Stamp(
        id=completion.id,
        created=completion.created,
        model=completion.model,
        fingerprint=completion.system_fingerprint,
        wants_usage=wants_usage,
    )
    data = stamp.encode([chunk for choice in completion.choices for chunk in _chunks(choice)])
    if isinstance(completion, ModeratedCompletion) and completion.moderation is not UNSET:
        data += stamp.encode_moderation(completion.moderation)
    if wants_usage and completion.usage is not None:
        data += stamp.encode_usage(completion.usage)
    return data + chat_write.DONE


def _chunks(choice: Choice) -> Sequence[Chunk]:
    message, index = choice.message, choice.index
    first = Delta(role="assistant", content=message.content, refusal=message.refusal)
    chunks = [Chunk([ChunkChoice(index, first, choice.logprobs)])]
    if message.tool_calls is not UNSET:
        calls = [
            DeltaToolCall(
                at,
                call.id,
                "function",
                DeltaFunction(call.function.name, call.function.arguments),
            )
            for at, call in enumerate(message.tool_calls)
        ]
        chunks.append(Chunk([ChunkChoice(index, Delta(tool_calls=calls))]))
    if message.function_call is not UNSET:
        named = DeltaFunction(message.function_call.name, message.function_call.arguments)
        chunks.append(Chunk([ChunkChoice(index, Delta(function_call=named))]))
    chunks.append(Chunk([ChunkChoice(index, Delta(), finish_reason=choice.finish_reason)]))
    return chunks
