"""Quotas that are still held a day later: the process was lost with its journal (R7, R17).

A journal that is found again settles its requests exactly; one that never is must not hold a budget
for ever. After a day no request can still run: it is charged in full, in a record that says LOST.
Should its process come back after all, what it records of that request is refused by its id.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from keyhall.flows.unbroken import unbroken
from keyhall.ports.ledger import UsageSink
from keyhall.ports.quotas import HoldStore
from keyhall.ports.store import LaneStore, StoreAway

AFTER_US = 24 * 3_600_000_000
LOOK_SECONDS = 600.0


class Books(LaneStore, HoldStore, Protocol):
    """Usage and holds in one database."""


async def charge(store: Books, sink: UsageSink, now_us: int) -> int:
    """Charge what is lost by now; how many requests that were."""
    lost = await store.lost_holds(now_us - AFTER_US)
    if lost:
        await sink.record_usage(lost)
        ids = [usage.request_id for usage in lost]
        # The records end those that they are charged to; of a quota that was removed nothing is.
        await store.end_quota_holds(ids)
        logging.getLogger("keyhall").warning("holds_lost", {"requests": len(ids), "first": ids[0]})
    return len(lost)


async def keep_charging(
    store: Books,
    sink: UsageSink,
    now_us: Callable[[], int],
    spooled: Callable[[], int],
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look for them every ten minutes. Not while records of our own wait for the database: after a
    long outage they say better what was used."""
    while True:
        await wait(LOOK_SECONDS)
        if spooled():
            continue
        try:
            while await unbroken(charge(store, sink, now_us())):
                pass
        except StoreAway:
            continue  # The follower says so.
