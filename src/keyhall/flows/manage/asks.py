"""Holders ask for higher limits; an operator grants them or says why not.

Granting sets the limits and closes the ask in one transaction. Limits that the tier would cap are
not granted: nobody is told of a limit that does not hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.manage.keys import key_by
from keyhall.flows.manage.organizations import organization_by
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier, describe, tier_now
from keyhall.ports.people import Ask, AskState
from keyhall.ports.records import Actor, Key, Organization
from keyhall.stores import keys, notes
from keyhall.stores import organizations as places
from keyhall.stores.operate import asks as rows
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Given:
    """What is granted: the limits of the key or organization itself, and its tier. None: an
    organization has no tier of its own."""

    limits: Limits
    tier: str | None


async def _open(connection: AsyncConnection, number: int) -> Ask:
    ask = await rows.find(connection, number)
    if ask is None:
        raise NotFound(f"Nobody asked number {number}. `keyhall asks list` shows who asks.")
    if ask.state != "open":
        raise Invalid(f"Number {number} is answered already: {ask.state}.")
    return ask


async def _answer(
    connection: AsyncConnection, ask: Ask, state: AskState, said: str, actor: Actor, now_us: int
) -> Ask:
    await rows.answer(connection, ask.number, state, actor.who, said, now_us)
    after = replace(ask, state=state, answered_by=actor.who, answer=said, answered_at_us=now_us)
    await notes.record(
        connection,
        actor,
        now_us,
        action=f"ask.{'grant' if state == 'granted' else 'decline'}",
        target=ask.key_id or ask.organization_id,
        before=ask,
        after=after,
    )
    return after


async def decline(store: SqlStore, number: int, said: str, *, actor: Actor, now_us: int) -> Ask:
    """Say why not: whoever asked reads it."""
    sentence = checks.reason(said)
    if sentence is None:
        raise Invalid("Say why not, in a sentence: whoever asked reads it.")
    async with store.writing() as connection:
        ask = await _open(connection, number)
        return await _answer(connection, ask, "declined", sentence, actor, now_us)


async def grant(
    store: SqlStore,
    number: int,
    given: Given,
    said: str,
    *,
    tiers: Mapping[str, Tier],
    actor: Actor,
    now_us: int,
) -> Ask:
    """Set the limits of the key, or of the organization, that the ask is about."""
    checks.limits(given.limits)
    if given.tier is not None:
        checks.tier(given.tier, tiers)
    sentence = checks.reason(said) or f"Granted: {describe(given.limits)}."
    async with store.writing() as connection:
        ask = await _open(connection, number)
        organization = await organization_by(connection, ask.organization_id)
        if given.tier is not None:
            _holds(given.limits, tiers[given.tier], organization, now_us)
        if ask.key_id is None:
            await _limit_organization(connection, organization, given, actor, now_us)
        else:
            await _limit_key(connection, ask.key_id, given, actor, now_us)
        return await _answer(connection, ask, "granted", sentence, actor, now_us)


def _holds(limits: Limits, tier: Tier, organization: Organization, now_us: int) -> None:
    now = tier_now(tier, organization.billing_activated_at_us, now_us).limits
    for field in fields(Limits):
        wanted, most = getattr(limits, field.name), getattr(now, field.name)
        if wanted is not None and most is not None and wanted > most:
            raise Invalid(
                f"The tier {tier.name} gives {describe(now)} now, so {describe(limits)} would not "
                "hold: choose another tier, or lower limits."
            )


async def _limit_organization(
    connection: AsyncConnection,
    before: Organization,
    given: Given,
    actor: Actor,
    now_us: int,
) -> None:
    after = replace(before, limits=given.limits, tier=given.tier)
    if after == before:
        return
    await places.replace_organization(connection, after)
    await notes.record(
        connection,
        actor,
        now_us,
        action="organization.limits",
        target=after.id,
        before=before,
        after=after,
        changed="organization",
    )


async def _limit_key(
    connection: AsyncConnection, key_id: str, given: Given, actor: Actor, now_us: int
) -> None:
    before: Key = await key_by(connection, key_id, now_us)
    if before.revoked_at_us is not None:
        raise Invalid(f"{before.id} was revoked since: decline, and say so.")
    after = replace(before, limits=given.limits, tier=given.tier or before.tier)
    if after == before:
        return
    await keys.replace(connection, after)
    await notes.record(
        connection,
        actor,
        now_us,
        action="key.limits",
        target=after.id,
        before=before,
        after=after,
        changed="key",
    )


async def listed(store: SqlStore, state: AskState | None = "open", limit: int = 200) -> list[Ask]:
    async with store.reading() as connection:
        return await rows.newest(connection, state=state, limit=limit)
