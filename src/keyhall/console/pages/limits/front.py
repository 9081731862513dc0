"""The front page of the signed in: limits live, what went wrong, keys that need care."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from keyhall import errors
from keyhall.console.context import SESSION, Ask
from keyhall.console.gate import Page
from keyhall.flows.holders import levels, live
from keyhall.policy.metering import Outcome
from keyhall.ports.notices import Notice
from keyhall.ports.people import Sight
from keyhall.ports.records import Key
from keyhall.stores.holders import keys as rows
from keyhall.stores.holders import refusals, traffic
from keyhall.stores.leaks import notices

DAY_US = 86_400_000_000
UNUSED_US = 60 * DAY_US
SOON_US = 14 * DAY_US
CARE_MAX = 5
BEAT_SECONDS = 1.0
_ENDED = {
    Outcome.CLIENT_LEFT: ("Answers whose client left",
                          "A time-out in your program may be too short; stream long answers."),
    Outcome.ENGINE_FAILED: ("Answers whose engine failed", errors.ENGINE_FAILED.advice),
    Outcome.KEY_REVOKED: ("Answers cut by a revocation", errors.KEY_REVOKED.advice),
    Outcome.CRASHED: ("Answers cut by a crash", "Send the request again; operator: see the log."),
    Outcome.STOPPED: ("Answers cut by a stop of the server", errors.SHUTTING_DOWN.advice),
    Outcome.STALLED: ("Answers that the client stopped reading",
                      "Read the stream to its end, or close the connection."),
}  # fmt: skip
_ANCHORS = {
    Outcome.ENGINE_FAILED: errors.ENGINE_FAILED.name,
    Outcome.KEY_REVOKED: errors.KEY_REVOKED.name,
    Outcome.STOPPED: errors.SHUTTING_DOWN.name,
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Requests of the last day that ended in the same way."""

    name: str
    says: str
    fix: str
    count: int
    last_us: int
    anchor: str  # of the page on errors; empty where there is none


@dataclass(frozen=True, slots=True)
class Care:
    key: Key
    why: str
    what: str


async def front(ask: Ask) -> Response:
    """`/` for the signed in."""
    if not ask.person.may("home"):
        return ask.page("home.html", bars=None)
    who, now_us = ask.person, ask.now_us
    held = await levels.own(ask.store, who.sight, who.account.id, ask.console.tiers(), now_us)
    bars = await levels.bars(ask.console.hall, levels.places(held))
    return ask.page(
        "home.html",
        bars=bars,
        has_keys=bool(held),
        quotas=await levels.standings(ask.store, held, now_us),
        troubles=await _troubles(ask, who.sight),
        told=await _told(ask, who.sight) if who.may("keys.read") else [],
        care=await _care(ask, who.sight) if who.may("keys.read") else [],
    )


async def _troubles(ask: Ask, sight: Sight) -> list[Trouble]:
    since_us = ask.now_us - DAY_US
    async with ask.store.reading() as connection:
        refused = await refusals.grouped(connection, sight, since_us)
        unfinished = await traffic.unfinished(connection, sight, since_us)
    found = [
        Trouble(row, f"{problem.status} {problem.code or ''}".strip(), problem.advice,
                count, last_us, row)
        for row, count, last_us in refused
        if (problem := errors.TABLE.get(row)) is not None
    ]  # fmt: skip
    found += [
        Trouble(_ENDED[outcome][0], "admitted, not answered to the end", _ENDED[outcome][1],
                count, last_us, _ANCHORS.get(outcome, ""))
        for outcome, count, last_us in unfinished
        if outcome in _ENDED
    ]  # fmt: skip
    return sorted(found, key=lambda each: -each.last_us)


async def _told(ask: Ask, sight: Sight) -> list[tuple[Notice, Key]]:
    async with ask.store.reading() as connection:
        return await notices.open_in_sight(connection, sight, CARE_MAX)


async def _care(ask: Ask, sight: Sight) -> list[Care]:
    now_us = ask.now_us
    async with ask.store.reading() as connection:
        ending = await rows.ending(connection, sight, now_us + SOON_US, now_us, CARE_MAX)
        unused = await rows.unused(connection, sight, now_us - UNUSED_US, now_us, CARE_MAX)
    found = []
    for each in ending:
        if each.is_rotating:
            found.append(Care(each.key, "rotated", "still works; look who uses it"))
        else:
            found.append(Care(each.key, "expires", "give it a later end, or rotate it"))
    ids = {each.key.id for each in found}
    return found + [
        Care(key, "unused", "not used for 60 days; revoke it if nobody needs it")
        for key in unused
        if key.id not in ids
    ]


# --- Live -----------------------------------------------------------------------------------------


async def stream(ask: Ask) -> Response:
    """The same bars once a second, as server-sent events."""
    console, who = ask.console, ask.person
    open_now = console.streams.get(who.account.id, 0)
    if open_now >= live.STREAMS_MAX:
        return Response("Too many pages of yours are open.\n", 429, media_type="text/plain")
    held = await levels.chosen(
        ask.store, who.sight, who.account.id, ask.query("key"), console.tiers(), ask.now_us
    )
    cookie = ask.cookie(SESSION) or ""

    async def beat() -> None:
        await asyncio.sleep(BEAT_SECONDS)

    told = live.events(
        console.desk, console.hall, cookie, who, levels.places(held), beat, console.is_stopping
    )
    return _Counted(told, console.streams, who.account.id)


class _Counted(StreamingResponse):
    """A stream that is counted for as long as it is open, however it ends."""

    def __init__(
        self, content: AsyncIterator[bytes], streams: dict[str, int], account_id: str
    ) -> None:
        super().__init__(content, media_type="text/event-stream")
        self._streams, self._account_id = streams, account_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streams, account_id = self._streams, self._account_id
        streams[account_id] = streams.get(account_id, 0) + 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            streams[account_id] -= 1
            if not streams[account_id]:
                del streams[account_id]


ROUTES = (Page("GET", "/live/limits", stream, "home"),)
