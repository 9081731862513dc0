"""One key: what it is, what it may do and did, and what can be changed about it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys import form
from keyhall.flows.content import retention
from keyhall.flows.holders import levels, rotations
from keyhall.flows.holders.visible import visible_key
from keyhall.flows.manage import checks, keys
from keyhall.flows.manage.checks import Invalid, Refused
from keyhall.policy.holders import words
from keyhall.ports.records import Key
from keyhall.stores.holders import keys as rows
from keyhall.stores.holders import traffic

DAY_US = 86_400_000_000


async def of_path(ask: Ask) -> Key:
    """The key in the address, if it may be seen; its last use is to the second."""
    key = await visible_key(ask.store, ask.person.sight, ask.path("key_id"))
    async with ask.store.reading() as connection:
        fresh = await traffic.fresh_uses(connection, [key.id])
    last_us = max(key.last_used_at_us or 0, fresh.get(key.id, 0))
    return replace(key, last_used_at_us=last_us or None)


async def to_change(ask: Ask) -> Key:
    """`of_path` for what changes it: who could rotate an admin key would hold one."""
    key = await of_path(ask)
    mine_to_change(ask, key)
    return key


def mine_to_change(ask: Ask, key: Key) -> None:
    if key.mode == "admin" and not ask.person.may("operate"):
        raise Refused("An admin key is changed by whoever runs this server, and by nobody else.")


def _is_holder(ask: Ask) -> bool:
    """Of their own keys alone."""
    return ask.person.sight.account_id is not None


async def show(ask: Ask) -> Response:
    return await shown(ask, await of_path(ask))


async def shown(ask: Ask, key: Key, fault: str = "", opened: str = "") -> Response:
    """The page of a key; `opened` is the part of it in which something is wrong."""
    now_us = ask.now_us
    held = await levels.held(ask.store, [key], ask.console.tiers(), now_us)
    bars = await levels.bars(ask.console.hall, levels.places(held))
    async with ask.store.reading() as connection:
        used = (await traffic.since(connection, [key.id], now_us - DAY_US))[key.id]
        owner = await rows.owner_name(connection, key)
    before, after = await keys.lineage(ask.store, key)
    organization = await form.organization_of(ask)
    bound = ask.console.config.privacy.retention_days_max
    kept = await retention.in_force(ask.store, key, bound)
    values = form.values_of(key)
    if opened:
        values |= {name: ask.text(name) for name in values.keys() & set(ask.form.keys())}
        values |= {name: ask.texts(name) for name in ("models", "endpoints") if opened == "scopes"}
    return ask.page(
        "keys/show.html",
        400 if fault else 200,
        key=key,
        state=key.state(now_us),
        is_anothers_pause=_is_holder(ask) and key.paused_by != ask.by["actor"].who,
        owner=owner,
        bars=bars,
        explained=words.reasons(held[0].effective) if held else [],
        said=_said(key, held, kept.days),
        kept=kept,
        used=used,
        before=before,
        after=after,
        turning=await rotations.turning(ask.store, key, now_us),
        values=values,
        tiers=form.tiers_for(ask, organization, key.tier),
        models=form.models_of(ask),
        expiries=form.EXPIRIES,
        fault=fault,
        opened=opened,
    )


def _said(key: Key, held: list[levels.Held], kept_days: int) -> list[str]:
    return words.summary(
        mode=key.mode,
        project=key.project_name,
        models=key.models,
        endpoints=key.endpoints,
        networks=key.networks,
        limits=words.limits_in_words(held[0].effective) if held else "no limits",
        expires_at_us=key.expires_at_us,
        kept_days=kept_days,
    )


# --- Changing -------------------------------------------------------------------------------------


async def _changed(
    ask: Ask, part: str, said: str, change: Callable[[Key], Awaitable[Key]]
) -> Response:
    """Do it and go back to the key; or its page with what is wrong."""
    key = await to_change(ask)
    try:
        await change(key)
    except Refused as error:
        return await shown(ask, key, str(error), part)
    return ask.go(f"/keys/{key.id}", said)


async def rename(ask: Ask) -> Response:
    return await _changed(
        ask, "name", "The key has another name.",
        lambda key: keys.rename(ask.store, key.id, ask.text("name"), **ask.by),
    )  # fmt: skip


async def pause(ask: Ask) -> Response:
    return await _changed(
        ask, "state", "The key is paused. Resume it at any time.",
        lambda key: keys.pause(ask.store, key.id, **ask.by),
    )  # fmt: skip


async def resume(ask: Ask) -> Response:
    return await _changed(
        ask, "state", "The key works again.",
        lambda key: keys.resume(ask.store, key.id, own_only=_is_holder(ask), **ask.by),
    )  # fmt: skip


async def set_limits(ask: Ask) -> Response:
    async def change(key: Key) -> Key:
        organization = await form.organization_of(ask)
        allowed = form.tiers_for(ask, organization, key.tier)
        values = {name: ask.text(name) for name in ("requests", "tokens", "in_flight")}
        wanted = form.limits(values)
        return await keys.set_limits(
            ask.store,
            key.id,
            lambda _: wanted,
            tier=ask.text("tier") or key.tier,
            tiers=allowed,
            **ask.by,
        )

    return await _changed(ask, "limits", "The key's limits are changed.", change)


async def set_scopes(ask: Ask) -> Response:
    async def change(key: Key) -> Key:
        if key.mode == "admin":
            raise Invalid("An admin key calls no models, so there is nothing to restrict.")
        values: dict[str, Any] = {
            "models": ask.texts("models"),
            "patterns": ask.text("patterns"),
            "endpoints": ask.texts("endpoints"),
            "networks": ask.text("networks"),
        }
        models, networks = form.models(values), form.networks(values)
        endpoints = form.endpoints(values)
        return await keys.set_scopes(
            ask.store,
            key.id,
            lambda now: replace(now, models=models, endpoints=endpoints, networks=networks),
            **ask.by,
        )

    return await _changed(ask, "scopes", "What the key may do is changed.", change)


async def set_expiry(ask: Ask) -> Response:
    async def change(key: Key) -> Key:
        values = {"expires": ask.text("expires"), "expires_on": ask.text("expires_on")}
        ends_us = form.expiry(values, ask.now_us)
        if key.mode == "admin" and ends_us is None:
            raise Invalid("An admin key has an end.")
        return await keys.expire(ask.store, key.id, ends_us, **ask.by)

    return await _changed(ask, "expiry", "The key's end is changed.", change)


async def set_retention(ask: Ask) -> Response:
    async def change(key: Key) -> Key:
        days = form.retention({"retention": ask.text("retention")})
        return await retention.set_for_key(ask.store, key.id, days, **ask.by)

    return await _changed(ask, "retention", "The key's retention is changed.", change)


# --- The end --------------------------------------------------------------------------------------


async def show_revoke(ask: Ask) -> Response:
    return await _revoke_page(ask, await to_change(ask))


async def _revoke_page(ask: Ask, key: Key, fault: str = "") -> Response:
    async with ask.store.reading() as connection:
        used = (await traffic.since(connection, [key.id], ask.now_us - DAY_US))[key.id]
    return ask.page(
        "keys/revoke.html",
        400 if fault else 200,
        key=key,
        state=key.state(ask.now_us),
        used=used,
        fault=fault,
    )


async def revoke(ask: Ask) -> Response:
    key = await to_change(ask)
    if ask.text("name").strip() != key.name:
        return await _revoke_page(ask, key, f"Write the key's name, {key.name}, to revoke it.")
    try:
        await keys.revoke(ask.store, key.id, reason=checks.reason(ask.text("reason")), **ask.by)
    except Refused as error:
        return await _revoke_page(ask, key, str(error))
    return ask.go("/keys", f"{key.name} is revoked.")


ROUTES = (
    Page("GET", "/keys/{key_id}", show, "keys.read"),
    Page("POST", "/keys/{key_id}/name", rename, "keys.write"),
    Page("POST", "/keys/{key_id}/pause", pause, "keys.write"),
    Page("POST", "/keys/{key_id}/resume", resume, "keys.write"),
    Page("POST", "/keys/{key_id}/limits", set_limits, "keys.write"),
    Page("POST", "/keys/{key_id}/scopes", set_scopes, "keys.write"),
    Page("POST", "/keys/{key_id}/expiry", set_expiry, "keys.write"),
    Page("POST", "/keys/{key_id}/retention", set_retention, "keys.write"),
    Page("GET", "/keys/{key_id}/revoke", show_revoke, "keys.write"),
    Page("POST", "/keys/{key_id}/revoke", revoke, "keys.write"),
)
