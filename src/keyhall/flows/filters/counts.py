"""How often rules hit, written down every few seconds, as numbers."""

import asyncio
from collections.abc import Mapping

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
    """While the store is away they wait: there is one number for each rule and project."""
    hits, filters.hits = filters.hits, {}
    if not hits:
        return
    try:
        async with store.writing() as connection:
            await rules.add_counts(connection, of_hall(hits))
            await rules.add_project_counts(connection, hits)
    except StoreAway:
        for by, number in hits.items():
            filters.hits[by] = filters.hits.get(by, 0) + number


def of_hall(hits: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """By rule alone."""
    found: dict[str, int] = {}
    for (_, rule_id), number in hits.items():
        found[rule_id] = found.get(rule_id, 0) + number
    return found
