"""Would this fit? What the API would say to a request now, without sending it.

It is read, counted and bounded by the very functions that admit requests, so its numbers are
theirs. Nothing is held and nothing is kept of what was asked.
"""

from dataclasses import dataclass, replace

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows import admit
from keyhall.flows.authenticate import denied_error
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.policy import access
from keyhall.policy.access import Grant
from keyhall.policy.catalogue import Version
from keyhall.policy.holders import levels
from keyhall.policy.holders.levels import Verdict
from keyhall.policy.pricing import cost_nano
from keyhall.policy.quotas import fits, units
from keyhall.ports.records import QuotaStanding
from keyhall.stores.spending import quotas
from keyhall.stores.sql import SqlStore
from keyhall.wire import chat_read

MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Fitting:
    """A request that its version takes, and what stands in its way now, if anything does."""

    model: str
    version: Version
    input_tokens: int
    output_cap: int
    choices: int
    held_tokens: int
    was_shortened: bool
    verdict: Verdict
    per_minute: int | None  # so many fit into a minute, for ever; None: no limit
    quota: QuotaStanding | None  # the first that has no room

    @property
    def every_us(self) -> int | None:
        """The pace: one request every so often."""
        return MINUTE_US // self.per_minute if self.per_minute else None


def body_of(pasted: str, model: str) -> bytes:
    """A request's body as it was pasted, with the model if it names none; or a text as the only
    message of one."""
    if not pasted.lstrip().startswith("{"):
        asked = {"model": model, "messages": [{"role": "user", "content": pasted}]}
        return msgspec.json.encode(asked)
    body = pasted.encode("utf-8", "surrogatepass")
    try:
        read = msgspec.json.decode(body, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body  # Whoever reads it next says what is wrong.
    if "model" in read:
        return body
    return msgspec.json.encode({"model": model, **read})


async def would_fit(hall: Hall, store: SqlStore, grant: Grant, pasted: str, model: str) -> Fitting:
    """Raises ApiError: the refusal that the API would answer with, limits aside. From which
    network the request will come nobody knows, so that is not asked."""
    now_us = hall.clock.now_us()
    body = body_of(pasted, model)
    if len(body) > hall.body_bytes_max:
        raise ApiError(errors.BODY_TOO_LARGE, bound=hall.body_bytes_max)
    request = chat_read.read(body)
    grant = replace(grant, networks=None)
    denied = access.decide(grant, now_us=now_us, ip=None, endpoint="chat", model=request.model)
    if denied is not None:
        raise denied_error(denied, hall.url)
    caller = Caller(grant, hall.callers.tiers(), now_us)
    version = admit.version_for(request.model, caller, now_us, hall)
    messages = len(request.messages)
    fit = await admit.fit(request, version, caller, hall)
    windows = caller.effective.windows
    found = await hall.counters.levels(windows)
    return Fitting(
        model=request.model,
        version=version,
        input_tokens=fit.input_tokens,
        output_cap=fit.output_cap,
        choices=fit.choices,
        held_tokens=fit.held_tokens,
        was_shortened=len(request.messages) < messages,
        verdict=levels.verdict(windows, found, fit.held_tokens, now_us),
        per_minute=levels.pace(windows, fit.held_tokens),
        quota=await _short_quota(store, caller, version, fit, now_us),
    )


async def _short_quota(
    store: SqlStore, caller: Caller, version: Version, fit: admit.Fit, now_us: int
) -> QuotaStanding | None:
    output = fit.output_cap * fit.choices
    price = version.price
    cost = cost_nano(fit.held_tokens - output, output, price.input, price.output) if price else 0
    async with store.reading() as connection:
        for quota in caller.quotas:
            now = await quotas.standing(connection, quota, now_us)
            if not fits(quota, now.used, now.held, units(quota.resource, fit.held_tokens, cost)):
                return now
    return None
