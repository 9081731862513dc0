"""What was said in a request: whether it is kept and why not, a look at it, and its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.usage import requests as page
from keyhall.flows.content import conversation, erasing, looks, retention
from keyhall.flows.content.view import Seen, view_content
from keyhall.flows.manage.checks import Refused
from keyhall.flows.manage.keys import find as find_key
from keyhall.flows.observe import requests
from keyhall.flows.observe.requests import Found
from keyhall.ports.content import KeptFacts, Unreadable
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault


@dataclass(frozen=True, slots=True)
class Said:
    """What the page of a request tells of its words. `seen` are they, for whoever has asked."""

    kept: KeptFacts | None
    may_read: bool
    looks: list[looks.Look]
    in_force: str  # why so long, or why not at all
    is_keeping: bool
    seen: Seen | None = None
    turns: Sequence[tuple[str, str]] = ()
    fault: str = ""


async def said_of(ask: Ask, found: Found, seen: Seen | None = None, fault: str = "") -> Said:
    about = found.usage or found.refusal
    assert about is not None
    sight = ask.person.sight
    async with ask.store.reading() as connection:
        facts = await rows.find(connection, about.request_id, sight.organization_id, ask.now_us)
        told = await looks.at(connection, about.request_id, sight.organization_id)
    kept = next((each for each in facts if each.kind == "conversation"), None)
    key = await find_key(ask.store, about.key_id, ask.now_us)
    bound = ask.console.config.privacy.retention_days_max
    now = await retention.in_force(ask.store, key, bound)
    may_read = ask.person.may("content.read") and (
        kept is None or sight.account_id in (None, kept.account_id)
    )
    turns = () if seen is None else conversation.turns(seen.conversation)
    return Said(kept, may_read, told, now.explain(), now.days > 0, seen, turns, fault)


async def look(ask: Ask) -> Response:
    """Answered to a POST: an address that somebody opens by chance shows nothing."""
    found = await requests.find(ask.store, ask.person.sight, ask.path("id"))
    about = found.usage or found.refusal
    assert about is not None
    vault = Vault(ask.console.peppers)
    try:
        seen = await view_content(
            ask.store, vault, ask.person.sight, about.request_id, ask.text("why"), **ask.by
        )
    except (Refused, Unreadable) as error:
        return await _page(ask, found, None, str(error))
    if seen is None:
        return await _page(ask, found, None, "Nothing is kept of it any more.")
    return await _page(ask, found, seen)


async def _page(ask: Ask, found: Found, seen: Seen | None, fault: str = "") -> Response:
    facts: dict[str, Any] = page.facts(ask, found)
    said = await said_of(ask, found, seen, fault)
    return ask.page("usage/request.html", 400 if fault else 200, said=said, **facts)


async def detail(ask: Ask) -> Response:
    return await _page(ask, await requests.find(ask.store, ask.person.sight, ask.path("id")), None)


async def erase(ask: Ask) -> Response:
    found = await requests.find(ask.store, ask.person.sight, ask.path("id"))
    about = found.usage or found.refusal
    assert about is not None
    await erasing.of_request(
        ask.store,
        ask.person.sight.organization_id,
        about.request_id,
        actor=ask.by["actor"],
        clock=ask.clock,
    )
    return ask.go(f"/requests/req_{about.request_id}", "What was said is erased.")


ROUTES = (
    Page("GET", "/requests/{id}", detail, "usage.read"),
    Page("POST", "/requests/{id}/content", look, "content.read"),
    Page("POST", "/requests/{id}/erase", erase, "content.read"),
)
