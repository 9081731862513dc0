"""Levels as they change: one event a second at most, for as long as whoever looks may look."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from keyhall.flows.accounts import sessions
from keyhall.flows.accounts.desk import Desk
from keyhall.flows.hall import Hall
from keyhall.flows.holders import levels
from keyhall.flows.holders.levels import Named, Place
from keyhall.ports.people import Person

STREAMS_MAX = 5  # of one account; a browser has at most six connections anyway
LOOK_EVERY = 2  # beats after which the session is looked at again
BEATS_MAX = 3_600  # then the browser asks again, and the windows are those of then
SILENT_BEATS = 15  # then a line is sent all the same: proxies end what is silent


def shown(found: Sequence[Named]) -> list[dict[str, object]]:
    """What the page needs to move its bars."""
    return [
        {
            "id": f"{each.bar.window.id}/{each.bar.resource}",
            "counted": each.bar.counted,
            "held": each.bar.held,
            "left": each.bar.left,
            "percent": each.bar.percent,
            "some_ms": each.bar.some_us // 1000,
            "all_ms": each.bar.all_us // 1000,
        }
        for each in found
    ]


async def events(
    desk: Desk,
    hall: Hall,
    cookie: str,
    who: Person,
    places: Sequence[Place],
    beat: Callable[[], Awaitable[None]],
    is_stopping: Callable[[], bool],
) -> AsyncIterator[bytes]:
    """Server-sent events. They end with the session, with the right to look, and with the server.
    Looking is no use of the session: one that is only looked at ends in its time."""
    last, silent = b"", 0
    for number in range(BEATS_MAX):
        if number % LOOK_EVERY == 0:
            now = await sessions.look(desk, cookie)
            if now is None or now.sight != who.sight or not now.may("home"):
                yield b"event: over\ndata: {}\n\n"
                return
        told = msgspec.json.encode(shown(await levels.bars(hall, places)))
        silent += 1
        if told != last or silent >= SILENT_BEATS:
            last, silent = told, 0
            yield b"data: " + told + b"\n\n"
        await beat()
        if is_stopping():
            return
