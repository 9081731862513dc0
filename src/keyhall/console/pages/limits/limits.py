"""Limits: how full each is, what would fit, why a request was refused, asking for more."""

from typing import Any

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys import form
from keyhall.errors import ApiError
from keyhall.flows.holders import asks, fit, levels, refused
from keyhall.flows.holders.levels import Held
from keyhall.flows.holders.visible import visible_key
from keyhall.flows.manage.checks import Invalid, Refused
from keyhall.policy.holders import words
from keyhall.stores.holders import asks as ask_rows
from keyhall.stores.holders import keys as rows

KEYS_MAX = 100  # to choose from
ASKS_SHOWN = 20
PASTED_MAX = 400_000  # characters: 4,096 tokens are some 16,000


async def show(ask: Ask) -> Response:
    if ask.query("request"):
        try:
            found = await refused.because(ask.store, ask.person.sight, ask.query("request")[:64])
        except Refused as error:
            return await _page(ask, because_fault=str(error))
        return await _page(ask, because=found)
    return await _page(ask)


async def _page(ask: Ask, status: int = 200, **more: Any) -> Response:
    """`more` is what one of its forms has brought."""
    who, now_us = ask.person, ask.now_us
    async with ask.store.reading() as connection:
        keys = await rows.last_used(connection, who.sight, now_us, KEYS_MAX)
        mine = await ask_rows.of_account(connection, who.sight, who.account.id, ASKS_SHOWN)
    held = await _chosen(ask)
    bars = await levels.bars(ask.console.hall, held.places if held else [])
    facts: dict[str, Any] = {
        "because": None, "because_fault": "", "fitting": None, "fit_refused": None,
        "fit_fault": "", "pasted": "", "ask_fault": "", "ended": refused.ENDED,
    }  # fmt: skip
    return ask.page(
        "limits/limits.html",
        status,
        keys=keys,
        held=held,
        bars=bars,
        explained=words.reasons(held.effective) if held else [],
        quotas=await levels.standings(ask.store, [held] if held else [], now_us),
        models=form.models_of(ask),
        model=ask.text("model") or ask.console.hall.catalogue.default,
        asked=[(each, words.limits_of(asks.wanted_of(each))) for each in mine],
        given={name: ask.text(name) for name in ("requests", "tokens", "in_flight", "why")},
        request_id=ask.query("request")[:64],
        **(facts | more),
    )


async def _chosen(ask: Ask) -> Held | None:
    """The key that the page is about: the one that was chosen, else the one that was used last."""
    who = ask.person
    wanted = ask.text("key") or ask.query("key")
    found = await levels.chosen(
        ask.store, who.sight, who.account.id, wanted, ask.console.tiers(), ask.now_us
    )
    return found[0] if found else None


async def try_fit(ask: Ask) -> Response:
    pasted = ask.text("pasted")
    held = await _chosen(ask)
    if held is None:
        raise Invalid("Create a key first: limits are those of a key.")
    if not pasted.strip():
        return await _page(ask, 400, fit_fault="Paste a request's body, or a text.")
    if len(pasted) > PASTED_MAX:
        said = f"{words.count(len(pasted))} characters; {words.count(PASTED_MAX)} fit here."
        return await _page(ask, 400, fit_fault=said)
    grant = await ask.store.find_grant_by_id(held.key.id)
    if grant is None:
        raise Invalid("There is no such key.")
    try:
        found = await fit.would_fit(ask.console.hall, ask.store, grant, pasted, ask.text("model"))
    except ApiError as error:
        return await _page(ask, fit_refused=error, pasted=pasted)
    return await _page(ask, fitting=found, pasted=pasted)


async def ask_for_more(ask: Ask) -> Response:
    sight, key_id = ask.person.sight, None
    try:
        if ask.text("key"):
            key_id = (await visible_key(ask.store, sight, ask.text("key"))).id
        values = {name: ask.text(name) for name in ("requests", "tokens", "in_flight")}
        await asks.ask_for(
            ask.store,
            sight,
            ask.person.account.id,
            key_id,
            form.limits(values),
            ask.text("why"),
            **ask.by,
        )
    except Invalid as error:
        return await _page(ask, 400, ask_fault=str(error))
    return ask.go("/limits#asks", "Your ask is on its way. The answer will stand here.")


ROUTES = (
    Page("GET", "/limits", show, "home"),
    Page("POST", "/limits/fit", try_fit, "home"),
    Page("POST", "/limits/ask", ask_for_more, "asks.write"),
)
