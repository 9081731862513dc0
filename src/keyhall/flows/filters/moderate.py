"""POST /v1/moderations: what rules find in texts, in OpenAI's form.

It costs no tokens and counts against no quota; it counts as a request of the minute, for it is work
that somebody could ask for without end. Nothing of the texts is kept.
"""

import asyncio

from keyhall.flows import admit
from keyhall.flows.authenticate import authenticate, authenticate_again
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.views import look
from keyhall.policy.filters.views.looker import Looker
from keyhall.policy.limits import Refused
from keyhall.ports.counters import Hold
from keyhall.ports.exchange import Exchange
from keyhall.wire.moderation import read, write

INLINE_CHARACTERS_MAX = 8_192  # Longer texts are scanned in a thread: others have their turns.


async def moderate(exchange: Exchange, hall: Hall) -> None:
    caller = await authenticate(exchange, hall, "moderations")
    admit.require_json(exchange)
    body = exchange.whole_body
    if body is None:
        body = await exchange.body()
        await authenticate_again(caller, exchange, hall, "moderations", None)
    asked = read.read(body)
    policy = await hall.policies.of(caller.grant.project_id)
    hold = await _hold(caller, hall)
    try:
        found = await looked_at(policy, asked.texts)
    finally:
        hall.counters.settle(hold, 0)
    lines = b"%b%b" % (caller.lines, admit.rate_headers(hold.facts))
    exchange.reply(200, lines, write.encode(exchange.request_id.hex(), found))


async def _hold(caller: Caller, hall: Hall) -> Hold:
    taken = await hall.counters.hold(caller.effective.windows, 0)
    if isinstance(taken, Refused):
        raise admit.limited(taken, write.MODEL, caller, hall)
    return taken


async def looked_at(policy: Policy, texts: tuple[str, ...]) -> list[set[str]]:
    """As `scanned`; beside the event loop if they are long."""
    if sum(map(len, texts)) <= INLINE_CHARACTERS_MAX:
        return scanned(policy, texts)
    return await asyncio.to_thread(scanned, policy, texts)


def scanned(policy: Policy, texts: tuple[str, ...]) -> list[set[str]]:
    """Of each text the categories in which a rule hit."""
    looker = Looker(policy)
    found: list[set[str]] = []
    for text in texts:
        categories = {hit.category for hit in looker.whole(text).hits}
        if look.may_hide(text):
            categories |= {sight.rule.category for sight in look.hidden(looker, text)}
        found.append({each for each in categories if each is not None})
    return found
