"""What ends reviews that nobody has decided in time, as the rules say under which they entered; and
looks how many are open."""

import asyncio
import logging

from keyhall.flows.review.deciding import expire
from keyhall.flows.review.desk import Desk
from keyhall.flows.unbroken import unbroken
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores.review import items, sums

LOOK_SECONDS = 5.0  # Deadlines are of minutes at least.
TOGETHER = 100
KEYHALL = Actor("keyhall", "deadline")

_log = logging.getLogger("keyhall")


async def keep(desk: Desk) -> None:
    """Until it is cancelled."""
    trouble: str | None = None
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await unbroken(end_due(desk))
            await unbroken(look(desk))
        except StoreAway:
            continue  # The follower says so.
        except Exception as error:
            if trouble != type(error).__name__:
                _log.error("reviews_not_ended", exc_info=error)
            trouble = type(error).__name__
        else:
            trouble = None


async def end_due(desk: Desk) -> int:
    """End what is due now; how many that were."""
    now_us = desk.clock.now_us()
    async with desk.store.reading() as connection:
        found = await items.due(connection, now_us, TOGETHER)
    ended = 0
    for item in found:
        ended += await expire(desk, item, actor=KEYHALL, now_us=now_us) is not None
    return ended


async def look(desk: Desk) -> None:
    """What is open now, for the metrics."""
    async with desk.store.reading() as connection:
        desk.backlog = await sums.backlog(connection, desk.clock.now_us())
