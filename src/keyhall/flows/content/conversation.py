"""What is kept of a request: what was asked and what was answered, as one JSON document.

Nothing else of the request is in it: no `user`, no `metadata`, no address, no key.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from keyhall.wire.chat import AnswerMessage, ChatRequest, Choice, Message, Tool


class Conversation(msgspec.Struct, omit_defaults=True):
    """`answers` are the choices, each with its finish reason; none where nobody has answered."""

    messages: list[Message]
    answers: list[Choice]
    tools: list[Tool] | None = None
    functions: Any = None
    response_format: Any = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Conversation)


def encode(request: ChatRequest, answers: Sequence[Choice]) -> bytes:
    """Log-probabilities are left out: they say nothing more, a thousand times as long."""
    bare = [
        each if each.logprobs is None else structs.replace(each, logprobs=None) for each in answers
    ]
    return _encoder.encode(
        Conversation(
            request.messages, bare, request.tools, request.functions, request.response_format
        )
    )


def decode(document: bytes) -> Conversation:
    """Raises msgspec.MsgspecError for what no release of ours has written."""
    return _decoder.decode(document)


def text_of(message: Message | AnswerMessage) -> str:
    """All that a message says: its text, its refusal, the tools that it calls."""
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text or part.refusal or "" for part in content)
    calls = [call.function for call in message.tool_calls or ()]
    if message.function_call:
        calls.append(message.function_call)
    said = [content or "", message.refusal or ""]
    said += [f"calls {call.name}({call.arguments})" for call in calls]
    return "\n".join(filter(None, said))


def turns(said: Conversation) -> list[tuple[str, str]]:
    """Who spoke, and what: the messages, then each answer with how it ended."""
    found = [(message.role if not message.name else f"{message.role} {message.name}",
              text_of(message)) for message in said.messages]  # fmt: skip
    for answer in said.answers:
        number = f" {answer.index + 1}" if len(said.answers) > 1 else ""
        found.append((f"answer{number} ({answer.finish_reason})", text_of(answer.message)))
    return found
