"""How often rules hit, written down every few seconds, as numbers."""

import asyncio

from keyhall.flows.filters.table import Filters
from keyhall.flows.unbroken import unbroken
from keyhall.ports.store import StoreAway
from keyhall.stores.filters import rules
from keyhall.stores.sql import SqlStore

FLUSH_SECONDS = 2.0


async def keep(filters: Filters, store: SqlStore) -> None:
    """Until cancelled, and once more then."""
    try:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await unbroken(flush(filters, store))
    finally:
        await flush(filters, store)


async def flush(filters: Filters, store: SqlStore) -> None:
    """While the store is away they wait: there is one number for each rule."""
    hits, filters.hits = filters.hits, {}
    if not hits:
        return
    try:
        async with store.writing() as connection:
            await rules.add_counts(connection, hits)
    except StoreAway:
        for rule_id, number in hits.items():
            filters.hits[rule_id] = filters.hits.get(rule_id, 0) + number
