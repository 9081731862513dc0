"""Asking for higher limits. Whoever may grant them finds the asks in a list of theirs."""

import msgspec

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.ports.people import Ask, Sight
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.holders import asks
from keyhall.stores.sql import SqlStore

OPEN_MAX = 5  # of one account, so that nobody's list drowns


async def ask_for(
    store: SqlStore,
    sight: Sight,
    account_id: str,
    key_id: str | None,
    wanted: Limits,
    why: str,
    *,
    actor: Actor,
    now_us: int,
) -> None:
    """`key_id` is of a key that the person may see."""
    if wanted == NO_LIMITS:
        raise Invalid("Say which limit you need: requests, tokens, or requests at once.")
    checks.limits(wanted)
    reason = checks.reason(why)
    if reason is None:
        raise Invalid("Say what for, in a sentence: whoever decides knows nothing else of it.")
    row = Ask(
        0, sight.organization_id, account_id, key_id,
        msgspec.json.encode(wanted).decode(), reason, "open", now_us,
    )  # fmt: skip
    async with store.writing() as connection:
        if await asks.open_of(connection, account_id) >= OPEN_MAX:
            raise Invalid(f"{OPEN_MAX} asks of yours are open. Wait for an answer to one of them.")
        await asks.add(connection, row)
        await notes.record(
            connection,
            actor,
            now_us,
            action="ask.write",
            target=key_id or sight.organization_id,
            before=None,
            after=wanted,
        )


def wanted_of(ask: Ask) -> Limits:
    """The limits that were asked for."""
    try:
        return msgspec.json.decode(ask.wanted, type=Limits)
    except msgspec.DecodeError:
        return NO_LIMITS
