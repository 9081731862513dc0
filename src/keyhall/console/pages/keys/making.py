"""Making a key, and the one page that ever shows its text."""

import os
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys import form
from keyhall.flows.manage import keys
from keyhall.flows.manage.checks import Refused
from keyhall.flows.manage.keys import Fresh
from keyhall.policy import access
from keyhall.policy.keys import ENTROPY_BYTES


async def show_new(ask: Ask) -> Response:
    chosen = await form.choices(ask, given=False)
    new = form.new_key(ask, chosen)
    chosen.faults.clear()  # Nothing was wrong yet.
    return _form_page(ask, chosen, form.told(ask, chosen, new))


def _form_page(ask: Ask, chosen: form.Choices, said: Sequence[str], fault: str = "") -> Response:
    return ask.page(
        "keys/new.html",
        400 if fault else 200,
        chosen=chosen,
        values=chosen.values,
        faults=chosen.faults,
        fault=fault,
        said=said,
        expiries=form.EXPIRIES,
        begun_with=ask.query("template"),
    )


async def summary(ask: Ask) -> Response:
    """The sentences alone, while somebody chooses."""
    chosen = await form.choices(ask, given=True)
    new = form.new_key(ask, chosen)
    chosen.faults.pop("name", None)  # It may still be empty.
    return ask.page("keys/summary.html", said=form.told(ask, chosen, new), faults=chosen.faults)


async def make(ask: Ask) -> Response:
    chosen = await form.choices(ask, given=True)
    new = form.new_key(ask, chosen)
    if chosen.faults:
        return _form_page(
            ask,
            chosen,
            form.told(ask, chosen, new),
            "The key was not created yet: mend what is marked.",
        )
    try:
        fresh = await keys.create(
            ask.store,
            new,
            tiers=chosen.tiers,
            pepper=ask.console.peppers[0],
            entropy=os.urandom(ENTROPY_BYTES),
            **ask.by,
        )
    except Refused as error:
        return _form_page(ask, chosen, form.told(ask, chosen, new), str(error))
    return reveal(ask, fresh, heading="Your new key")


def reveal(ask: Ask, fresh: Fresh, *, heading: str, template: str = "keys/reveal.html",
           **facts: Any) -> Response:  # fmt: skip
    """The answer that holds a key's text: this one and no other. The gate forbids to store it."""
    return ask.page(
        template,
        key=fresh.key,
        text=fresh.text.reveal(),
        heading=heading,
        model=model_for(ask, fresh.key.models),
        **facts,
    )


def model_for(ask: Ask, allowed: tuple[str, ...] | None) -> str:
    """A model that the key may call, for examples."""
    catalogue = ask.console.hall.catalogue
    names = [catalogue.default, *form.models_of(ask)]
    if allowed is None:
        return names[0]
    return next((name for name in names if access.names(allowed, name)), names[0])


ROUTES = (
    Page("GET", "/keys/new", show_new, "keys.write"),
    Page("POST", "/keys/new", make, "keys.write"),
    Page("POST", "/keys/new/summary", summary, "keys.write"),
)
