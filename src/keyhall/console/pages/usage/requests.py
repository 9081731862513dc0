"""`/requests`: what was asked, one by one, refusals among them; and each in all its numbers."""

from dataclasses import dataclass
from typing import Any, cast, get_args

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.usage import told
from keyhall.console.pages.usage.asking import ID_CHARACTERS_MAX
from keyhall.console.pages.usage.figures import took
from keyhall.flows.observe import over_time, requests
from keyhall.flows.observe.requests import NEWEST, Found, Wanted
from keyhall.policy.spans import PRESETS
from keyhall.ports.requests import Kind, Mark
from keyhall.stores.requests import seen
from keyhall.stores.requests.listing import NEW_MAX

KINDS = {
    "all": "All",
    "answered": "Answered",
    "unanswered": "Not finished",
    "refused": "Refused",
}
STATUSES = (200, 400, 401, 403, 404, 408, 413, 415, 429, 500, 502, 503, 504)
SINCE = {"1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days"}


@dataclass(frozen=True, slots=True)
class Form:
    key: str
    model: str
    outcome: str
    status: str
    since: str

    @property
    def is_filtered(self) -> bool:
        chosen = (self.key, self.model, self.status, self.since)
        return any(chosen) or self.outcome != "all"


async def _wanted(ask: Ask) -> tuple[Wanted, Form]:
    """Raises NotFound for a key that is not in sight."""
    key, model = ask.query("key")[:ID_CHARACTERS_MAX], ask.query("model")[:ID_CHARACTERS_MAX]
    kind = ask.query("outcome") if ask.query("outcome") in get_args(Kind) else "all"
    status = ask.query("status") if ask.query("status") in map(str, STATUSES) else ""
    since = ask.query("since") if ask.query("since") in SINCE else ""
    only = await over_time.only(ask.store, ask.person.sight, key=key, model=model)
    since_us = ask.now_us - PRESETS[since] if since else 0
    wanted = Wanted(only, cast(Kind, kind), int(status) if status else None, since_us)
    return wanted, Form(key, model, kind, status, since)


def _mark(text: str) -> Mark:
    """Where a page goes on, as its link says: a time and an id."""
    at, _, id = text.partition("-")
    if not (at.isascii() and at.isdigit() and len(at) <= 18):
        return NEWEST
    return int(at), id[:ID_CHARACTERS_MAX]


async def show(ask: Ask) -> Response:
    wanted, form = await _wanted(ask)
    before = ask.query("before")
    sight = ask.person.sight
    found, names = await requests.page(ask.store, sight, wanted, _mark(before))
    async with ask.store.reading() as connection:
        keys = await seen.newest_keys(connection, sight)
    return ask.page(
        "usage/requests.html",
        form=form,
        found=found,
        names=names,
        keys=keys,
        kinds=KINDS,
        statuses=STATUSES,
        sinces=SINCE,
        models=sorted(ask.console.hall.catalogue.versions),
        outcomes=told.OUTCOMES,
        status_words=told.status_words,
        took=took,
        is_first=not before,
        days=ask.console.config.console.refusals_days,
        next=None if found.next is None else f"{found.next[0]}-{found.next[1]}",
        **_news(ask, wanted, found.newest, 0),
    )


def _news(ask: Ask, wanted: Wanted, after: tuple[int, int], count: int) -> dict[str, Any]:
    """What the line above the list says."""
    kept = {
        name: value
        for name, value in ask.request.query_params.items()
        if name in ("key", "model", "outcome", "status", "since") and value
    }
    return {
        "in_flight": requests.in_flight(ask.console.hall, ask.person.sight, wanted.only),
        "new": count,
        "new_max": NEW_MAX,
        "kept": kept,
        "after": f"{after[0]}.{after[1]}",
    }


async def news(ask: Ask) -> Response:
    """A part of the page: how many have come since, and how many are open."""
    wanted, _ = await _wanted(ask)
    parts = ask.query("after").split(".")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 19]
    after = (numbers[0], numbers[1]) if len(numbers) == 2 else (1 << 62, 1 << 62)
    count = await requests.count_new(ask.store, ask.person.sight, wanted, after)
    return ask.page("usage/news.html", **_news(ask, wanted, after, count))


def facts(ask: Ask, found: Found) -> dict[str, Any]:
    """What the page of one request shows, but for its words."""
    usage, refusal = found.usage, found.refusal
    about = usage or refusal
    assert about is not None
    version = about.version
    is_stream = usage is not None and usage.is_stream
    return {
        "found": found,
        "about": about,
        "usage": usage,
        "refusal": refusal,
        "outcome": None if usage is None else told.OUTCOMES[usage.outcome],
        "ended": None if usage is None else told.ENDED[usage.outcome],
        "held": [] if usage is None else told.held(usage),
        "cost": "" if usage is None else told.cost(found),
        "counted": "" if usage is None else told.COUNTED[usage.usage_source],
        "left": "" if usage is None else told.LEFT[usage.on_disconnect],
        "line": None if usage is None else told.line_of_time(usage),
        "why": [] if refusal is None else [each for each in told.why(refusal) if each],
        "problem": None if refusal is None else told.problem_of(refusal.row),
        "status_words": told.status_words,
        "curl": told.curl(ask.console.url, version, is_stream=is_stream),
    }


ROUTES = (
    Page("GET", "/requests", show, "usage.read"),
    Page("GET", "/requests/new", news, "usage.read"),
)
