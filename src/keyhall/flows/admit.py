"""What is asked, by which version, does it fit, may it now: every refusal before the engine."""

import asyncio
import email.utils
from dataclasses import replace
from typing import Any

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.authenticate import denied_error, require
from keyhall.flows.callers import Caller
from keyhall.flows.engines import count_input
from keyhall.flows.hall import Hall
from keyhall.policy import access, catalogue, holds
from keyhall.policy.catalogue import ENGINE_COUNTS, Price, Version
from keyhall.policy.limits import Facts, Refused
from keyhall.policy.tokens import EXACT_FACTOR, Tokenizer, told
from keyhall.ports.counters import Hold
from keyhall.ports.engine import Engine
from keyhall.ports.exchange import Exchange
from keyhall.ports.quotas import QuotaHold
from keyhall.wire import chat_count, chat_truncate, headers
from keyhall.wire.chat import ChatRequest

SANDBOX = "sandbox"
DEFAULT_ENCODING = "o200k_base"  # of the sandbox

rate_headers = headers.ratelimit_headers


class Fit(msgspec.Struct, eq=False, gc=False):
    """A request that fits its version: what it holds and what it may produce."""

    input_tokens: int
    output_cap: int  # per choice
    choices: int
    held_tokens: int
    lines: bytes  # response headers that come of it


def require_json(exchange: Exchange) -> None:
    """Plain JSON only. A missing content type is taken for JSON, as OpenAI's API does not."""
    encoding = exchange.content_encoding
    if encoding is not None and encoding.lower() != b"identity":
        raise _refused_content("encoding", encoding)
    kind = exchange.content_type
    if kind is None or kind == b"application/json":
        return
    if kind.partition(b";")[0].strip().lower() != b"application/json":
        raise _refused_content("type", kind)


def _refused_content(what: str, got: bytes) -> ApiError:
    shown = got[:100].decode("ascii", "replace")
    return ApiError(errors.CONTENT_TYPE_REFUSED, what=what, got=shown)


def choose_version(name: str, caller: Caller, exchange: Exchange, hall: Hall) -> Version:
    """The immutable record that answers for the name a caller sent (R8, R13, R19)."""
    if not caller.is_unrestricted:
        require(caller, exchange, hall, "chat", name, exchange.started_us)
    return version_for(name, caller, exchange.started_us, hall)


def version_for(name: str, caller: Caller, now_us: int, hall: Hall) -> Version:
    """`choose_version` for a caller whose key is good for it."""
    version = hall.catalogue.find(name)
    if version is None:
        raise ApiError(errors.MODEL_UNKNOWN, model=name)
    if version.status != "active" or version.retires_at_us is not None:
        state = catalogue.status_at(version, now_us)
        if state == "retired":
            raise retired(name, version)
    if caller.grant.mode == "test":
        return _as_test(version)
    if version.price is None and caller.grant.has_budget:
        raise ApiError(errors.PRICE_MISSING, model=name, key=caller.grant.masked)
    return version


def retired(name: str, version: Version) -> ApiError:
    """The refusal for a version whose day has come, with what to use instead (R8)."""
    at_us = version.retires_at_us
    instead = (
        f"Use `{version.replacement}` instead."
        if version.replacement
        else ("`GET /v1/models` lists the models that answer.")
    )
    at = access.at(at_us) if at_us is not None else "an earlier day"
    return ApiError(errors.MODEL_RETIRED, model=name, at=at, instead=instead)


def _as_test(version: Version) -> Version:
    """Test keys get the sandbox for every version name, say so and cost nothing (R19)."""
    script = version.engine_model if version.engine == SANDBOX else SANDBOX
    return replace(
        version,
        engine=SANDBOX,
        engine_model=script,
        tokenizer=DEFAULT_ENCODING if version.tokenizer == ENGINE_COUNTS else version.tokenizer,
        count="exact",
        price=Price(0, 0),
        fingerprint="fp_test" + version.fingerprint[3:],
    )


def engine_of(version: Version, hall: Hall) -> Engine:
    engine = hall.engines.get(version.engine)
    if engine is None:
        raise ApiError(
            errors.ENGINE_BUSY,
            headers=((b"retry-after", b"5"),),
            detail=f"The engine of {version.name} is not running.",
        )
    return engine


async def fit(request: ChatRequest, version: Version, caller: Caller, hall: Hall) -> Fit:
    """Count the input, keep the gate of the version, and fix the output cap (R4, R12, R21)."""
    asked = request.asked_cap
    if asked is not None and asked > version.max_output_tokens:
        raise _cap_too_large(request, asked, version)
    if version.tokenizer == ENGINE_COUNTS:
        count, lines = await count_input.fit(request, version, caller, hall)
    else:
        tokenizer = hall.tokenizer(version.tokenizer)
        plain = chat_count.count_plain(request, tokenizer)
        if plain is None:
            plain = await _count_any(request, tokenizer, version.max_input_tokens * EXACT_FACTOR)
        count, lines = plain, b""
        if count > version.max_input_tokens:
            count, lines = await _shorten(request, version, hall, count)
    effective = caller.effective
    needed = count
    if version.count != "exact":
        needed = holds.input_tokens(version, count, tools(request))
    cap = holds.output_cap(
        asked,
        version_max=version.max_output_tokens,
        default_output=effective.default_output,
        tokens_per_minute_min=effective.tokens_per_minute_min,
        input_tokens=needed,
    )
    choices = request.choices
    lines += b"x-keyhall-output-cap: %d\r\n" % cap
    if version.status == "deprecated":
        lines += _deprecation(version)
    return Fit(count, cap, choices, holds.hold_tokens(needed, choices, cap), lines)


async def count(request: ChatRequest, version: Version, caller: Caller, hall: Hall) -> int:
    """The input as a version counts it: exact up to four times its limit. (Likewise.)"""
    if version.tokenizer == ENGINE_COUNTS:
        return await count_input.count(request, version, caller.grant.key_id, hall)
    tokenizer = hall.tokenizer(version.tokenizer)
    plain = chat_count.count_plain(request, tokenizer)
    if plain is not None:
        return plain
    return await _count_any(request, tokenizer, version.max_input_tokens * EXACT_FACTOR)


def lines_of(version: Version, cap: int) -> bytes:
    """What a caller is told of the version that answers and its output cap. (Written out in
    `fit`, which every request runs.)"""
    lines = b"x-keyhall-output-cap: %d\r\n" % cap
    if version.status == "deprecated":
        lines += _deprecation(version)
    return lines


async def _count_any(request: ChatRequest, tokenizer: Tokenizer, ceiling: int) -> int:
    """In a thread where it may take long, so that nobody else waits for it."""
    if not chat_count.is_long(request):
        return chat_count.count_request(request, tokenizer, ceiling)
    loop = asyncio.get_running_loop()
    count = chat_count.count_request
    return await loop.run_in_executor(None, count, request, tokenizer, ceiling)


def tools(request: ChatRequest) -> int:
    """How many functions an estimated count has a margin for."""
    return len(request.tools or ()) + len(request.functions or ())


def _cap_too_large(request: ChatRequest, asked: int, version: Version) -> ApiError:
    field = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
    return ApiError(
        errors.OUTPUT_TOO_LARGE,
        param=field,
        field=field,
        asked=asked,
        limit=version.max_output_tokens,
        model=version.name,
    )


async def _shorten(
    request: ChatRequest, version: Version, hall: Hall, count: int
) -> tuple[int, bytes]:
    """Leave out the oldest turns if the caller asked for it, else refuse with the numbers."""
    if request.truncation != "auto":
        raise ApiError(
            errors.CONTEXT_LENGTH,
            model=version.name,
            limit=version.max_input_tokens,
            tokens=told(count, version.max_input_tokens * EXACT_FACTOR),
        )
    tokenizer = hall.tokenizer(version.tokenizer)
    loop = asyncio.get_running_loop()
    kept = await loop.run_in_executor(
        None, chat_truncate.shorten, request, tokenizer, version.max_input_tokens
    )
    request.messages = kept.messages
    return kept.tokens, headers.truncated_line(kept.dropped_messages, kept.dropped_tokens)


def _deprecation(version: Version) -> bytes:
    """RFC 9745 and RFC 8594: since when it is deprecated, and when it ends."""
    lines = b""
    if version.deprecated_at_us is not None:
        lines += b"deprecation: @%d\r\n" % (version.deprecated_at_us // 1_000_000)
    if version.retires_at_us is not None:
        date = email.utils.formatdate(version.retires_at_us / 1_000_000, usegmt=True)
        lines += b"sunset: %b\r\n" % date.encode()
    return lines


async def hold(
    exchange: Exchange, caller: Caller, version: Version, fit: Fit, hall: Hall
) -> tuple[Hold, QuotaHold | None]:
    """Hold it in every window of the minute, or refuse. (`spend.hold` where there are quotas.)"""
    taken = await hall.counters.hold(caller.effective.windows, fit.held_tokens)
    if isinstance(taken, Refused):
        raise limited(taken, version.name, caller, hall)
    return taken, None


def limited(refused: Refused, model: str, caller: Caller, hall: Hall) -> ApiError:
    """Which limit stands in the way of a hold, and until when (R2)."""
    hall.tally.limited(refused.resource, refused.scope)
    facts: dict[str, Any] = {
        "model": model,
        "organization": caller.grant.organization_id,
        "limit": refused.limit,
        "scope": refused.scope,
        "url": hall.url,
    }
    shown = _header_pairs(refused.facts)
    if refused.is_degraded:
        shown += headers.retry_headers(refused.wait_us)
        wait = headers.wait_duration(refused.wait_us)
        return ApiError(errors.LIMITS_AWAY, headers=shown, model=model, wait=wait)
    if refused.never and refused.resource != "tokens":
        return ApiError(errors.RATE_NONE, headers=shown, resource=refused.resource, **facts)
    if refused.never:
        row = errors.REQUEST_TOO_LARGE
        return ApiError(row, headers=shown, requested=refused.requested, **facts)
    wait = headers.wait_duration(refused.wait_us)
    shown += headers.retry_headers(refused.wait_us)
    facts |= {"used": refused.used, "held": refused.held, "wait": wait}
    facts |= {"wait_us": refused.wait_us, "fits_now": refused.fits_now}  # for who looks at it later
    if refused.resource == "tokens":
        fits = "No request fits now."
        if refused.fits_now:
            fits = f"A request of at most {refused.fits_now} tokens fits now."
        return ApiError(
            errors.RATE_TOKENS,
            headers=shown,
            requested=refused.requested,
            remaining=refused.remaining,
            fits=fits,
            **facts,
        )
    if refused.resource == "requests":
        return ApiError(errors.RATE_REQUESTS, headers=shown, remaining=refused.remaining, **facts)
    return ApiError(errors.RATE_IN_FLIGHT, headers=shown, **facts)


def _header_pairs(facts: Facts) -> tuple[tuple[bytes, bytes], ...]:
    lines = rate_headers(facts).split(b"\r\n")
    pairs = (line.partition(b": ") for line in lines if line)
    return tuple((name, value) for name, _, value in pairs)


def revoked(caller: Caller, exchange: Exchange, hall: Hall) -> ApiError:
    """The refusal for a key that was revoked while its request ran (R14)."""
    denied = access.decide(
        caller.grant, now_us=hall.clock.now_us(), ip=exchange.client_ip, endpoint="chat", model=None
    )
    if denied is None:
        return ApiError(errors.KEY_REVOKED, key=caller.grant.masked, at="just now", url=hall.url)
    return denied_error(denied, hall.url)
