"""What is kept of a request: what was asked and what was answered, as one JSON document.

Nothing else of the request is in it: no `user`, no `metadata`, no address, no key.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from keyhall.wire.chat import ChatRequest, Choice, Message, Tool


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
