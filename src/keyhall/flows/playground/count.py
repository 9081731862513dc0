"""How long a conversation is, before it is sent: with the functions that count it when it is sent.

Nothing is held, charged or written down by this.
"""

import asyncio
from dataclasses import dataclass

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.engines import count_input
from keyhall.flows.hall import Hall
from keyhall.policy import holds
from keyhall.policy.catalogue import ENGINE_COUNTS, Version
from keyhall.policy.tiers import Tier
from keyhall.policy.tokens import EXACT_FACTOR, Tokenizer
from keyhall.wire import chat_count, chat_read, chat_truncate
from keyhall.wire.chat import ChatRequest

PLAYGROUND = "playground"  # in a key's place at the gate of an engine that counts


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
    if version.tokenizer == ENGINE_COUNTS:
        return await _by_engine(request, version, hall, tier)
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
    return _told(request, version, tier, tokens, each, goes, fitted)


async def _by_engine(request: ChatRequest, version: Version, hall: Hall, tier: Tier) -> Counted:
    """A model that counts by itself knows of the whole only: messages have their parts of it by
    how long they are."""
    engine = count_input.counting(version, hall)
    messages = request.messages
    tokens = await engine.count(request, PLAYGROUND)
    long = [1 + len(str(message.content or "")) for message in messages]
    each = [tokens * one // sum(long) for one in long]
    goes: list[int] | None = []
    fitted: int | None = tokens
    if tokens > version.max_input_tokens:
        try:
            fitted = await count_input.shorten(request, version, engine, PLAYGROUND)
        except ApiError as error:
            if error.problem is not errors.CONTEXT_LENGTH:
                raise
            goes = fitted = None
        else:
            stay = {id(message) for message in request.messages}
            goes = [place for place, message in enumerate(messages) if id(message) not in stay]
    return _told(request, version, tier, tokens, each, goes, fitted)


def _told(
    request: ChatRequest,
    version: Version,
    tier: Tier,
    tokens: int,
    each: list[int],
    goes: list[int] | None,
    fitted: int | None,
) -> Counted:
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
        limit=version.max_input_tokens,
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
