"""What a hall does beside its requests: work in the background, and what is done at the end."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from keyhall.clock import Clock
from keyhall.flows.callers import Callers
from keyhall.flows.content.keeper import Keeper
from keyhall.flows.filters.judges import first_that_flags
from keyhall.flows.hall import Hall
from keyhall.flows.review import deadlines, telling
from keyhall.flows.review.desk import Desk
from keyhall.flows.unbroken import unbroken
from keyhall.flows.verify.anchors import Anchors
from keyhall.ledger.ledger import JournalLedger
from keyhall.ports.store import LaneStore, StoreAway
from keyhall.stores.content.sealing import Vault
from keyhall.stores.sql import SqlStore

ROLL_UP_SECONDS = 60.0

_log = logging.getLogger("keyhall")


def background(stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until the stack closes. One that fails says so: nobody waits for it."""
    task = asyncio.get_running_loop().create_task(work, name=name)

    async def stop() -> None:
        task.cancel()
        await asyncio.wait({task})

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            _log.error("background_failed", {"work": task.get_name()}, exc_info=task.exception())

    task.add_done_callback(ended)
    stack.push_async_callback(stop)


async def roll_up(store: SqlStore) -> None:
    """Keep the rollups a minute behind the ledger at most."""
    while True:
        await asyncio.sleep(ROLL_UP_SECONDS)
        with contextlib.suppress(StoreAway):  # The follower says so; it is made up for later.
            await unbroken(store.keep_rolled_up())


def anchoring(stack: AsyncExitStack, store: SqlStore, clock: Clock) -> Anchors:
    """The stack ends with an anchor of its own, behind what the ledger commits last (R24)."""
    anchors = Anchors(store, clock)
    stack.push_async_callback(anchors.last)
    return anchors


def keeping(
    stack: AsyncExitStack, store: SqlStore, peppers: Sequence[bytes], clock: Clock, days_max: int
) -> Keeper:
    """What keeps conversations, and deletes them. At its end it writes what it has."""
    keeper = Keeper(store, Vault(peppers), clock, days_max)
    stack.push_async_callback(keeper.close)
    background(stack, "keep content", keeper.run())
    return keeper


def keep_words(
    stack: AsyncExitStack, hall: Hall, store: SqlStore, peppers: Sequence[bytes], days_max: int
) -> None:
    """What keeps conversations, and the desk of those who look at answers: what ends reviews whose
    time is over, and what tells of decisions."""
    hall.content = keeping(stack, store, peppers, hall.clock, days_max)
    judge = partial(first_that_flags, hall=hall)
    digest, filters = hall.callers.digest, hall.filters
    hall.reviews = desk = Desk(store, hall.clock, hall.content, digest, filters, judge)
    background(stack, "end reviews", deadlines.keep(desk))
    background(stack, "tell decisions", telling.Caller(store, peppers[0], hall.clock).run())


# --- The end --------------------------------------------------------------------------------------


async def close_ledger(ledger: JournalLedger) -> None:
    """Commit all usage; what the store does not take stays on disk for the next start."""
    await ledger.close()
    if ledger.last_error is not None:
        facts = {"reason": ledger.last_error, "spooled": ledger.spooled()}
        _log.error("usage_kept_for_next_start", facts)
    for line in ledger.damaged():
        _log.error("usage_damaged", {"what": line})


async def note_last_use(store: LaneStore, callers: Callers) -> None:
    with contextlib.suppress(StoreAway):
        await store.touch_keys(callers.last_used())
