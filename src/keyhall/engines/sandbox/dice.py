"""Choices that look random and are the same everywhere: a generator seeded by the request.

The seed is a BLAKE2 digest of what was asked, never Python's `hash()`, which differs from process
to process. The generator is a 64-bit congruential one: nothing here is secret, and the standard
library's `Random` would cost 2.5 KB and 10 us a stream.
"""

from hashlib import blake2b

import msgspec

from keyhall.wire.chat import ChatRequest

_MASK = (1 << 64) - 1
_pack = msgspec.json.Encoder().encode


class Dice:
    """A deterministic source of choices."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = (seed * 0x9E3779B97F4A7C15 + 1) & _MASK

    def below(self, bound: int) -> int:
        """A number from 0 up to `bound` - 1."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (self._state >> 33) % bound


def seed_of(request: ChatRequest, engine_model: str) -> int:
    """What the answer is chosen by: everything that would change a real model's answer.

    Not among it: how much and how it is delivered (`max_tokens`, `stop`, `n`, `stream`) and labels
    such as `user`. So a streamed answer equals the whole one.
    """
    said = (
        engine_model,
        request.messages,
        request.seed,
        request.temperature,
        request.top_p,
        request.presence_penalty,
        request.frequency_penalty,
        request.response_format,
        request.tools,
        request.tool_choice,
        request.functions,
        request.function_call,
    )
    return int.from_bytes(blake2b(packed(said), digest_size=8).digest(), "big")


def packed(value: object) -> bytes:
    """The value as bytes. Lone surrogates, which UTF-8 cannot carry, are written as escapes."""
    try:
        return _pack(value)
    except UnicodeEncodeError:
        return repr(value).encode("ascii", "backslashreplace")
