"""Counting and shortening for versions whose engine counts prompts itself (`ENGINE_COUNTS`)."""

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.policy.catalogue import Version
from keyhall.ports.engine import CountsInput
from keyhall.wire import chat_truncate, headers
from keyhall.wire.chat import ChatRequest


async def fit(
    request: ChatRequest, version: Version, caller: Caller, hall: Hall
) -> tuple[int, bytes]:
    """The input tokens, with the oldest turns left out if they are too many and the caller asked
    for that; and the response headers that come of it. Raises ApiError."""
    engine = counting(version, hall)
    key_id = caller.grant.key_id
    count, lines = await engine.count(request, key_id), b""
    limit = version.max_input_tokens
    if count > limit:
        if request.truncation != "auto":
            raise _too_long(version, count)
        before, messages = count, request.messages
        count = await shorten(request, version, engine, key_id)
        lines = headers.truncated_line(len(messages) - len(request.messages), before - count)
    ahead = engine.ahead(key_id)
    return count, lines + b"x-keyhall-queue-position: %d\r\n" % ahead


async def count(request: ChatRequest, version: Version, key_id: str, hall: Hall) -> int:
    return await counting(version, hall).count(request, key_id)


def counting(version: Version, hall: Hall) -> CountsInput:
    """The engine that counts for a version. Raises ApiError while there is none."""
    engine: object = hall.engines.get(version.engine)
    if isinstance(engine, CountsInput):
        return engine
    raise ApiError(
        errors.ENGINE_BUSY,
        headers=((b"retry-after", b"5"),),
        detail=f"The engine of {version.name}, which counts its input, is not running.",
    )


async def shorten(request: ChatRequest, version: Version, engine: CountsInput, key_id: str) -> int:
    """As `wire/chat_truncate` does it, with a count by the engine for each try: what may go is
    halved, so that even a long conversation takes a dozen."""
    limit = version.max_input_tokens
    everything = request.messages
    ways = chat_truncate.Ways(everything)
    try:
        request.messages = ways.without(ways.most)
        best = await engine.count(request, key_id)
        if best > limit:
            raise _too_long(version, best)
        good, bad = ways.most, 0  # Turns that are left out: with none it is too long.
        while good - bad > 1:
            middle = (good + bad) // 2
            request.messages = ways.without(middle)
            tokens = await engine.count(request, key_id)
            if tokens <= limit:
                good, best = middle, tokens
            else:
                bad = middle
    except BaseException:
        request.messages = everything
        raise
    request.messages = ways.without(good)
    return best


def _too_long(version: Version, tokens: int) -> ApiError:
    return ApiError(
        errors.CONTEXT_LENGTH,
        model=version.name,
        limit=version.max_input_tokens,
        tokens=str(tokens),
    )
