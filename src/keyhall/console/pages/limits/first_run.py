"""The first minute of a hall: account, engine, key, and the first request, shown as it comes."""

import os
from typing import Any

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys.form import organization_of
from keyhall.console.pages.keys.making import reveal
from keyhall.flows.holders import refused
from keyhall.flows.holders.visible import projects, visible_key
from keyhall.flows.manage import keys
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.keys import NewKey
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.policy.tiers import FREE_TRIAL
from keyhall.ports.records import Key
from keyhall.stores.holders import keys as rows
from keyhall.stores.holders import refusals, traffic


async def show(ask: Ask) -> Response:
    async with ask.store.reading() as connection:
        known = await rows.last_used(connection, ask.person.sight, ask.now_us, 1)
    hall = ask.console.hall
    return ask.page(
        "limits/first_run.html",
        engines=sorted(hall.engines),
        known=known[0] if known else None,
        **(await _waiting(ask, known[0]) if known else {}),
        may_make=ask.person.may("keys.write"),
    )


async def make_key(ask: Ask) -> Response:
    """The button on the page: a key with what is sensible, on the first project."""
    if not ask.person.may("keys.write"):
        raise Invalid("In this organization you look on, and make no keys.")
    found = await projects(ask.store, ask.person.sight)
    if not found:
        raise Invalid("There is no project yet to make a key for.")
    organization = await organization_of(ask)
    fresh = await keys.create(
        ask.store,
        NewKey(
            "First key",
            tier=organization.tier or FREE_TRIAL.name,
            project=found[0].id,
            account_id=ask.person.account.id,
        ),
        tiers=ask.console.tiers().keys(),
        pepper=ask.console.peppers[0],
        entropy=os.urandom(ENTROPY_BYTES),
        **ask.by,
    )
    return reveal(
        ask, fresh, heading="First run", template="limits/first_run_key.html", state="waiting"
    )


async def waiting(ask: Ask) -> Response:
    """The line that turns green: whether the key's first request has come, or was refused."""
    key = await visible_key(ask.store, ask.person.sight, ask.path("key_id"))
    return ask.page("limits/waiting.html", **await _waiting(ask, key))


async def _waiting(ask: Ask, key: Key) -> dict[str, Any]:
    async with ask.store.reading() as connection:
        usage = await traffic.first_of(connection, key.id, key.created_at_us)
        refusal = await refusals.last_of(connection, key.id, key.created_at_us)
    return {
        "key": key,
        "state": "came" if usage else "refused" if refusal else "waiting",
        "usage": usage,
        "because": refused.explained(refusal) if refusal else None,
    }


ROUTES = (
    Page("GET", "/first-run", show, "operate"),
    Page("POST", "/first-run/key", make_key, "operate"),
    Page("GET", "/first-run/waiting/{key_id}", waiting, "keys.read"),
)
