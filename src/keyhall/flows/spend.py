"""May it, by the quotas of its key, project and organization? For callers who have such (R23).

Quotas are held before the windows of the minute, because what a window admits counts there whatever
comes of it, while a quota's hold can be let go without a trace. A request belongs to the day in
which the windows admitted it: should midnight lie between the two, on this clock or because Redis'
clock is behind it, the quota is held once more.
"""

from typing import Any

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows import admit
from keyhall.flows.admit import Fit
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.policy.access import at
from keyhall.policy.catalogue import Price, Version
from keyhall.policy.pricing import NANO_DIGITS, cost_nano, decimal
from keyhall.policy.quotas import Exhausted, Quota
from keyhall.ports.counters import Hold
from keyhall.ports.exchange import Exchange
from keyhall.ports.quotas import HeldOpening, QuotaHold, Wanted
from keyhall.ports.store import StoreAway
from keyhall.wire import headers

HELD_WAIT_US = 1_000_000  # Nobody knows when an open request ends; a second is a fair guess.
_FREE = Price(0, 0)


async def hold(
    exchange: Exchange, caller: Caller, version: Version, fit: Fit, hall: Hall
) -> tuple[Hold, QuotaHold | None]:
    """Hold everything that the request may use, or refuse. What is held is given back on refusal
    and when the client leaves meanwhile."""
    wanted = _wanted(exchange, caller, version, fit, hall)
    held = await _in_quotas(caller, wanted, hall.clock.now_us(), hall)
    try:
        taken, _ = await admit.hold(exchange, caller, version, fit, hall)
        if not held.begins_us <= taken.admitted_at_us < held.ends_us:
            hall.quotas.release(held)
            try:
                held = await _in_quotas(caller, wanted, taken.admitted_at_us, hall)
            except BaseException:
                hall.counters.cancel(taken)
                raise
    except BaseException:
        hall.quotas.release(held)
        raise
    return taken, held


def _wanted(exchange: Exchange, caller: Caller, version: Version, fit: Fit, hall: Hall) -> Wanted:
    """The most it can use. An upstream may count input and output in any proportion within the
    hold (R12), so there all of it might cost what the dearer of the two does."""
    price = version.price or _FREE
    output = fit.output_cap * fit.choices
    most = cost_nano(fit.held_tokens - output, output, price.input, price.output)
    if not hall.engines[version.engine].counts_tokens:
        most = cost_nano(fit.held_tokens, 0, max(price.input, price.output), 0)
    grant = caller.grant
    opening = HeldOpening(
        grant.key_id, grant.project_id, grant.organization_id, version.name,
        fit.input_tokens, fit.held_tokens, output, price.input, price.output,
    )  # fmt: skip
    return Wanted(exchange.request_id.hex(), fit.held_tokens, most, opening)


async def _in_quotas(caller: Caller, wanted: Wanted, at_us: int, hall: Hall) -> QuotaHold:
    try:
        held = await hall.quotas.hold(caller.quotas, wanted, at_us)
    except StoreAway:
        raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),)) from None
    if isinstance(held, Exhausted):
        error = refused(held, hall)
        error.facts["model"] = wanted.opening.version  # for who looks at it later
        raise error
    return held


# --- Saying why -----------------------------------------------------------------------------------

_PERIODS = {"day": "this day", "month": "this month", "ever": "paid in advance"}


def refused(exhausted: Exhausted, hall: Hall) -> ApiError:
    """Which quota stands in the way, by how much, and until when."""
    quota = exhausted.quota
    facts: dict[str, Any] = {
        "scope": quota.scope,
        "owner": quota.scope_id,
        "resource": "units of money" if quota.resource == "money" else quota.resource,
        "period": _PERIODS[quota.period],
        "amount": shown(quota, quota.amount),
        "used": shown(quota, exhausted.used),
        "held": shown(quota, exhausted.held),
        "requested": shown(quota, exhausted.requested),
        "url": hall.url,
    }
    # Something else holds it, or for a moment we go by a quota that was removed or moved.
    if exhausted.used + exhausted.requested <= quota.amount:
        return ApiError(
            errors.QUOTA_HELD,
            headers=headers.retry_headers(HELD_WAIT_US),
            wait=headers.wait_duration(HELD_WAIT_US),
            **facts,
        )
    is_spend = quota.scope == "project" and quota.resource == "money"
    row = errors.SPEND_LIMIT if is_spend else errors.QUOTA_EXHAUSTED
    until = "" if quota.period == "ever" else f"A new period begins at {at(exhausted.ends_us)}."
    return ApiError(row, until=until, **facts)


def shown(quota: Quota, amount: int) -> str:
    """An amount as people write it: money in whole units with all its decimals."""
    if quota.resource != "money":
        return str(amount)
    return decimal(amount, NANO_DIGITS, thousands="")
