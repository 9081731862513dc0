"""How long a conversation is, before it is sent: with the functions that count it when it is sent.

Nothing is held, charged or written down by this.
"""

import asyncio
from dataclasses import dataclass

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.hall import Hall
from keyhall.policy import holds
from keyhall.policy.catalogue import Version
from keyhall.policy.tiers import Tier
from keyhall.policy.tokens import EXACT_FACTOR, Tokenizer
from keyhall.wire import chat_count, chat_read, chat_truncate
from keyhall.wire.chat import ChatRequest


@dataclass(frozen=True, slots=True)
class Counted:
    """`each` are the tokens of the messages in their order, `goes` the places of those that
    `truncation` would leave out; None: even what must be kept is too long."""

    version: str
    tokens: int
    limit: int
    output_cap: int
    output_max: int
    each: list[int]
    goes: list[int] | None
    fitted: int | None  # tokens without them
    is_estimated: (
        bool  # the engine counts by itself; this is our count, which holds have a margin on
    )


async def count(body: bytes, hall: Hall, tier: Tier) -> Counted:
    """Raises ApiError for what is no chat request, or names no model."""
    request = chat_read.read(body)
    version = hall.catalogue.find(request.model)
    if version is None:
        raise ApiError(errors.MODEL_UNKNOWN, model=request.model)
    tokenizer = hall.tokenizer(version.tokenizer)
    loop = asyncio.get_running_loop()  # Long conversations take a while: nobody waits for them.
    return await loop.run_in_executor(None, _counted, request, version, tokenizer, tier)


def _counted(request: ChatRequest, version: Version, tokenizer: Tokenizer, tier: Tier) -> Counted:
    limit = version.max_input_tokens
    ceiling = limit * EXACT_FACTOR
    tokens = chat_count.count_request(request, tokenizer, ceiling)
    each, seen = [], 0
    for message in request.messages:
        one = chat_count.count_message(message, tokenizer, ceiling) if seen <= ceiling else 0
        each.append(one)
        seen += one
    goes: list[int] | None = []
    fitted: int | None = tokens
    if tokens > limit:
        goes, fitted = _going(request, tokenizer, limit)
    cap = holds.output_cap(
        request.asked_cap,
        version_max=version.max_output_tokens,
        default_output=tier.default_output,
        tokens_per_minute_min=tier.limits.tokens_per_minute,
        input_tokens=fitted or tokens,
    )
    return Counted(
        version=version.name,
        tokens=tokens,
        limit=limit,
        output_cap=cap,
        output_max=version.max_output_tokens,
        each=each,
        goes=goes,
        fitted=fitted,
        is_estimated=version.count != "exact",
    )


def _going(
    request: ChatRequest, tokenizer: Tokenizer, limit: int
) -> tuple[list[int] | None, int | None]:
    try:
        kept = chat_truncate.shorten(request, tokenizer, limit)
    except ApiError:
        return None, None
    stay = {id(message) for message in kept.messages}
    places = enumerate(request.messages)
    return [place for place, message in places if id(message) not in stay], kept.tokens
